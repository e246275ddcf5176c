#include "tests/harness/fragment_wire.hpp"

#include <gtest/gtest.h>

namespace sluice::test {

std::string FragmentWire::give(const FrameBytes& frame, std::uint8_t port, std::uint32_t contiguous,
                               dp::L4Checksum device) {
    const abi::PortCounters& c = h.counters().ports[port];
    std::array<std::uint64_t, abi::kDropReasonCount> before{};
    for (std::size_t r = 0; r < before.size(); ++r) before[r] = c.drops[r].read();
    const std::uint64_t held_before = c.held_packets.read(), consumed_before = c.consumed_packets.read();
    EXPECT_TRUE(h.io.arrive(port, frame, device, contiguous)) << "no buffer to receive into";
    (void)h.run_once();

    std::string result;
    for (std::size_t r = 0; r < before.size(); ++r) {
        const std::uint64_t more = c.drops[r].read() - before[r];
        if (more != 0) result += std::string{abi::kDropReasons[r].name} + " x " + std::to_string(more);
    }
    left.clear();
    answers.clear();
    for (const Output& out : h.io.take_sent()) (out.port == port ? answers : left).push_back(out.bytes);
    if (!left.empty()) result += "sent x " + std::to_string(left.size());
    if (!answers.empty()) result += "+answer";
    if (result.empty() && c.consumed_packets.read() > consumed_before) result = "consumed";
    return result.empty() && c.held_packets.read() > held_before ? "held" : result;
}

std::string FragmentWire::give_all(const std::vector<FrameBytes>& frames, std::uint8_t port) {
    for (std::size_t i = 0; i + 1 < frames.size(); ++i) EXPECT_EQ(give(frames[i], port), "held") << i;
    return give(frames.back(), port);
}

}  // namespace sluice::test
