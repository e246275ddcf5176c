/// A frame together with what its sender knows about it: the model reads this, the product reads the bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include <sluice/abi/drop_reasons.hpp>
#include <sluice/abi/net_order.hpp>

#include "tests/harness/memory_io.hpp"
#include "tests/simulation/sctp_model.hpp"
#include "tests/unit/dataplane/flow/tcp_model.hpp"

namespace sluice::sim {

inline constexpr std::uint8_t kPorts = 4;  ///< two wires: 0-1 and 2-3
constexpr std::uint8_t partner(std::uint8_t port) noexcept { return port ^ 1U; }

/// What tells one conversation from another, in the order of travel.
struct Tuple {
    abi::IpFamily family{};
    abi::IpAddr src{}, dst{};
    abi::L4Proto proto{};
    std::uint16_t sport{}, dport{};  ///< host order; 0 where the protocol has none
    std::uint16_t icmp_id{};
    std::uint8_t icmp_type{};
};

inline bool is_icmp(abi::L4Proto proto) { return proto == abi::L4Proto::icmp || proto == abi::L4Proto::icmp6; }

/// As flows are told about: ICMP's identifier and type << 8 | code stand in the places of the ports.
inline Tuple told_tuple(abi::IpFamily family, const abi::IpAddr& src, const abi::IpAddr& dst, abi::L4Proto proto,
                        std::uint16_t sport, std::uint16_t dport) {
    Tuple t{.family = family, .src = src, .dst = dst, .proto = proto};
    if (is_icmp(proto)) {
        t.icmp_id = sport;
        t.icmp_type = static_cast<std::uint8_t>(dport >> 8);
    } else {
        t.sport = sport;
        t.dport = dport;
    }
    return t;
}

/// What stands in the place of the destination port.
inline std::uint16_t service_of(const Tuple& t) {
    if (t.proto == abi::L4Proto::tcp || t.proto == abi::L4Proto::udp) return t.dport;
    return is_icmp(t.proto) ? static_cast<std::uint16_t>(t.icmp_type << 8) : std::uint16_t{0};
}

enum class Role : std::uint8_t {
    syn,
    syn_ack,
    ack,  ///< with or without data
    fin,
    rst,
    plain,        ///< UDP, an ICMP request, INIT, protocols without a machine: may open a flow in either direction
    association,  ///< SCTP other than INIT
    icmp_reply,
    icmp_error,  ///< Letter::quoted tells about whom
    arp,
    other_ethertype,
    broken,  ///< Letter::fault is certain, whatever the policy
};

struct Letter {
    test::FrameBytes frame;
    std::uint8_t port{};
    Role role{};
    abi::DropReason fault{};
    Tuple tuple{};
    Tuple quoted{};
    /// Of an icmp_error about TCP: its number; about SCTP: its tag.
    std::uint32_t quoted_seq{};
    SctpSegment sctp{};
    test::ModelSegment segment{};  ///< of TCP
    bool answerable{true};         ///< a rejected sender may be told
    std::size_t conversation{};
    bool of_conversation{};  ///< false: noise that the two ends know nothing of
};

}  // namespace sluice::sim
