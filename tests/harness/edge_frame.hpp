/// A frame of which only so many bytes are at hand, on a heap block that ends where they end: under ASan a read past
/// them is a finding.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/pipeline/packet.hpp"

namespace sluice::test {

class EdgeFrame {
public:
    EdgeFrame(std::span<const std::uint8_t> frame, std::size_t contiguous, dp::L4Checksum device)
        : block_{std::make_unique<std::uint8_t[]>(contiguous)},
          packet_{.data = block_.get(),
                  .contiguous_bytes = static_cast<std::uint32_t>(contiguous),
                  .total_bytes = static_cast<std::uint32_t>(frame.size()),
                  .l4_checksum = device} {
        std::copy_n(frame.begin(), contiguous, block_.get());
    }
    const dp::Packet& packet() const noexcept { return packet_; }

private:
    std::unique_ptr<std::uint8_t[]> block_;
    dp::Packet packet_;
};

}  // namespace sluice::test
