/// What an attacker sends: TCP SYNs from sources that never answer, all of them on the clients' port. Frames are well
/// formed and their checksums right, so that no cheap check ends them.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/port/memory_source.hpp"
#include "dataplane/port/packet_source.hpp"

namespace sluice::bench {

struct FloodConfig {
    rte_mempool* pool{};
    std::span<const dp::FlowTarget> targets;  ///< SYNs go to them, by turns, from their networks; empty: to anywhere
    std::uint64_t distinct{UINT64_MAX};       ///< headers; then they come again
    std::uint64_t seed{1};
};

class FloodSource final : public dp::PacketSource {
public:
    explicit FloodSource(const FloodConfig& config) noexcept;

    std::size_t receive(dp::PortIndex port, std::span<dp::Packet> out) noexcept override;
    std::size_t send(dp::PortIndex port, std::span<const dp::Packet> packets) noexcept override;
    void release(std::span<const dp::Packet> packets) noexcept override;
    bool allocate(std::uint32_t bytes, dp::Packet& out) noexcept override;
    bool link_up(dp::PortIndex) const noexcept override { return true; }
    std::uint64_t made() const noexcept override { return made_; }
    std::uint64_t sent() const noexcept override { return sent_; }
    std::uint64_t starved() const noexcept override { return starved_; }

private:
    void write(std::uint8_t* frame, std::uint64_t number) const noexcept;

    FloodConfig config_;
    std::array<std::uint8_t, dp::MemorySource::kFrameBytes> template_{};
    std::uint64_t made_{}, sent_{}, starved_{};
};

}  // namespace sluice::bench
