/// Traffic whose every packet says which conversation, direction and number it is, so that whoever sees it leave can
/// tell lost, doubled and overtaken packets. For tests with several workers; how frames come to queues is theirs.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/flow/flow_key.hpp"
#include "tests/harness/frames.hpp"

namespace sluice::test {

enum class Kind : std::uint8_t {
    whole,     ///< TCP, UDP or ICMP echo in one frame
    fragment,  ///< a piece of a UDP datagram
    error,     ///< ICMP error about a packet of the other direction
};

/// What stands in the payload.
struct Mark {
    std::uint32_t flow{}, number{};
    Kind kind{};
    std::uint8_t direction{};  ///< 0 = from the client, which is at port 0; = the port of arrival

    bool operator==(const Mark&) const = default;
};
std::optional<Mark> mark_of(const Bytes& frame);

class Conversation {
public:
    enum class Proto : std::uint8_t { tcp, udp, ping };

    /// Its addresses, ports, family and protocol follow from its number.
    explicit Conversation(std::uint32_t number);

    Proto proto() const noexcept { return proto_; }
    abi::IpFamily family() const noexcept { return v6_ ? abi::IpFamily::v6 : abi::IpFamily::v4; }
    /// Of what goes in that direction, as the wire has it.
    dp::FlowTuple ends(std::uint8_t direction) const;

    /// SYN, SYN-ACK, ACK of TCP; else empty.
    std::vector<std::pair<std::uint8_t, Bytes>> opening() const;
    /// The next packet.
    Bytes next(std::uint8_t direction);
    /// The next datagram, in three pieces; UDP.
    std::vector<Bytes> next_in_pieces(std::uint8_t direction);
    /// What a router says about a packet that went the other way (TCP: its SYN); TCP and UDP.
    Bytes error(std::uint8_t direction);

private:
    Bytes make(std::uint8_t direction, const L4& l4) const;
    Bytes payload(Mark mark, std::size_t times = 1) const;

    std::uint32_t number_;
    Proto proto_;
    bool v6_;
    std::array<std::string, 2> address_;
    std::array<std::uint16_t, 2> port_;
    std::array<std::uint32_t, 2> sent_{}, bytes_{}, datagrams_{}, errors_{};
};

}  // namespace sluice::test
