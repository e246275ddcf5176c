/// Ports in memory: what the product does with DPDK, for tests that want to say exactly what arrives, what the device
/// takes and when buffers run out. Every buffer is its own heap block of exactly the frame's size, so that the address
/// sanitizer sees one byte too far; a buffer given back twice ends the test.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include <sluice/abi/telemetry.hpp>

#include "dataplane/pipeline/packet.hpp"

namespace sluice::test {

using FrameBytes = std::vector<std::uint8_t>;

struct Output {
    std::uint8_t port{};
    FrameBytes bytes;
};

class MemoryIo final : public dp::PacketIo {
public:
    explicit MemoryIo(std::size_t buffers_max) : buffers_max_{buffers_max} {}

    /// Only the first `contiguous_max` bytes stand in the buffer; the rest is said to be in later segments. False: no
    /// buffer left; the device would count it as missed, and so nothing arrives.
    bool arrive(std::uint8_t port, const FrameBytes& frame, dp::L4Checksum checksum = dp::L4Checksum::unknown,
                std::uint32_t contiguous_max = UINT32_MAX);
    /// Everything that was sent since the last call, in order.
    std::vector<Output> take_sent();

    std::size_t buffers_free() const noexcept { return buffers_max_ - in_use_.size(); }
    std::size_t waiting() const noexcept;

    std::array<bool, abi::kPortsMax> link{};            ///< up = true; the constructor of Harness sets its ports up
    std::array<std::size_t, abi::kPortsMax> tx_room{};  ///< how many more packets the device takes
    bool can_allocate{true};

    std::size_t receive(dp::PortIndex port, std::span<dp::Packet> out) noexcept override;
    std::size_t send(dp::PortIndex port, std::span<const dp::Packet> packets) noexcept override;
    void release(std::span<const dp::Packet> packets) noexcept override;
    bool allocate(std::uint32_t bytes, dp::Packet& out) noexcept override;
    bool link_up(dp::PortIndex port) const noexcept override;

private:
    struct Buffer {
        std::unique_ptr<std::uint8_t[]> bytes;
        FrameBytes later_segments;
    };
    Buffer* new_buffer(std::size_t bytes);
    void give_back(const dp::Packet& packet);

    std::size_t buffers_max_;
    std::unordered_map<void*, std::unique_ptr<Buffer>> in_use_;
    std::array<std::deque<dp::Packet>, abi::kPortsMax> arrived_;
    std::vector<Output> sent_;
};

}  // namespace sluice::test
