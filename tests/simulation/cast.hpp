/// Who talks to whom over what, and how their packets look.
#pragma once

#include <cstdint>
#include <string>

#include "tests/harness/frames.hpp"
#include "tests/simulation/letter.hpp"

namespace sluice::sim {

struct Host {
    std::string addr;
    std::uint8_t port{};
};

/// Fixed for each conversation.
struct Cast {
    abi::IpFamily family{};
    abi::L4Proto proto{};
    Host client, server;
    std::uint16_t dport{};
};
Cast cast_of(std::size_t conversation);
std::uint16_t client_port(std::size_t conversation, std::uint32_t incarnation);
Tuple tuple_of(const Cast& cast, std::size_t conversation, bool from_client, std::uint32_t incarnation);

test::Bytes wrap(const Cast& cast, bool from_client, const test::L4& l4, const test::Eth& eth = {});
/// Transport header and data of everything that is not TCP.
test::L4 message(const Tuple& t);
/// The tuple stands in `letter`, and gets the rest. `wscale`: of a SYN; -1 = no option.
void write_tcp(Letter& letter, const Cast& cast, bool from_client, test::Tcp tcp, int wscale = -1);
void write_sctp(Letter& letter, const Cast& cast, bool from_client, const SctpSegment& segment);

}  // namespace sluice::sim
