/// A worker that tells in a word what became of each frame, and remembers what left: for packets that are held and
/// leave later, together with others.
#pragma once

#include <string>
#include <vector>

#include "tests/harness/harness.hpp"

namespace sluice::test {

class FragmentWire {
public:
    explicit FragmentWire(const HarnessOptions& options = {}) : h{options} {}

    /// One frame, one loop. "held", "consumed", "sent x 3", or the drops at `port` ("frag_overlap x 3"); "+answer"
    /// behind it if a packet of our own went back.
    std::string give(const FrameBytes& frame, std::uint8_t port = 0, std::uint32_t contiguous = UINT32_MAX,
                     dp::L4Checksum device = dp::L4Checksum::unknown);
    /// All of them; the last one's word. The others must be held.
    std::string give_all(const std::vector<FrameBytes>& frames, std::uint8_t port = 0);
    std::uint64_t held() const { return h.counters().ports[0].held_packets.read(); }

    Harness h;
    std::vector<FrameBytes> left, answers;  ///< of the last frame given
};

}  // namespace sluice::test
