/// Two sources behind one pair of ports: each burst has packets of both, so that over time one has the share of all
/// that was asked for.
#pragma once

#include <cstdint>

#include "dataplane/port/packet_source.hpp"

namespace sluice::bench {

class MixedSource final : public dp::PacketSource {
public:
    /// Both outlive it and have the same pool. `share` (0 to 1) of the packets are `some`'s, as long as the two have
    /// packets for the port that is asked.
    MixedSource(dp::PacketSource& some, dp::PacketSource& rest, double share) noexcept
        : some_{some}, rest_{rest}, share_{share} {}

    std::size_t receive(dp::PortIndex port, std::span<dp::Packet> out) noexcept override;
    /// Buffers are of one pool: it does not matter who gives them back, and `sent` counts all.
    std::size_t send(dp::PortIndex port, std::span<const dp::Packet> packets) noexcept override {
        return rest_.send(port, packets);
    }
    void release(std::span<const dp::Packet> packets) noexcept override { rest_.release(packets); }
    bool allocate(std::uint32_t bytes, dp::Packet& out) noexcept override { return rest_.allocate(bytes, out); }
    bool link_up(dp::PortIndex port) const noexcept override { return rest_.link_up(port); }
    std::uint64_t made() const noexcept override { return some_.made() + rest_.made(); }
    std::uint64_t sent() const noexcept override { return some_.sent() + rest_.sent(); }
    std::uint64_t starved() const noexcept override { return some_.starved() + rest_.starved(); }

private:
    dp::PacketSource& some_;
    dp::PacketSource& rest_;
    double share_;
};

}  // namespace sluice::bench
