/// Random and mutated frames, each at the end of a heap block of exactly its size: under ASan a read past the frame is
/// a finding. What parse lets pass must be consistent in itself, whatever was thrown at it.
#include <algorithm>
#include <random>

#include "tests/harness/seed.hpp"
#include "tests/harness/seed_frames.hpp"
#include "tests/unit/dataplane/pipeline/parse_case.hpp"
#include "tests/unit/dataplane/pipeline/parse_check.hpp"

namespace sluice::test {
namespace {

TEST(ParseRandom, SeedFramesAreWhatTheyClaim) {
    std::size_t passed = 0;
    for (const Bytes& seed : seed_frames()) passed += reason_of(seed) == "pass" ? 1U : 0U;
    EXPECT_EQ(passed, seed_frames().size());
}

TEST(ParseRandom, EveryTruncationOfEveryFrameIsSafe) {
    for (const Bytes& seed : seed_frames()) {
        for (std::size_t bytes = 0; bytes <= seed.size(); ++bytes) {
            for (const auto device : {dp::L4Checksum::unknown, dp::L4Checksum::good}) {
                ASSERT_EQ(nullptr, parse_at_the_edge(first(seed, bytes), bytes, device));
                ASSERT_EQ(nullptr, parse_at_the_edge(seed, bytes, device));  // cut by segments, not by length
            }
        }
    }
}

TEST(ParseRandom, MutatedFramesAreSafe) {
    SCOPED_TRACE(seed_line());
    std::mt19937 random{seed_of_this_run()};
    const std::vector<Bytes> frames = seed_frames();
    for (int round = 0; round < 200'000; ++round) {
        Bytes bytes = frames[random() % frames.size()];
        const unsigned changes = 1 + random() % 4;
        for (unsigned i = 0; i < changes; ++i) {
            // Most of what can go wrong stands in the first 120 bytes; 0, 1 and 255 are the interesting lengths.
            std::uint8_t& byte = bytes[12 + random() % std::min<std::size_t>(bytes.size() - 12, 120)];
            const std::uint8_t values[] = {0, 1, 0xff, static_cast<std::uint8_t>(byte + 1),
                                           static_cast<std::uint8_t>(random())};
            byte = values[random() % std::size(values)];
        }
        // Half of them with a right IPv4 header checksum, or nothing behind it would ever be reached.
        if (bytes.size() >= 34 && bytes[12] == 8 && bytes[13] == 0 && random() % 2 == 0) {
            const std::size_t header = std::min<std::size_t>((bytes[14] & 0x0fU) * 4, bytes.size() - 14);
            bytes[24] = bytes[25] = 0;
            const std::uint16_t sum =
                internet_checksum({bytes.begin() + 14, bytes.begin() + 14 + static_cast<std::ptrdiff_t>(header)});
            bytes[24] = static_cast<std::uint8_t>(sum >> 8);
            bytes[25] = static_cast<std::uint8_t>(sum);
        }
        const std::size_t contiguous = random() % 4 == 0 ? random() % (bytes.size() + 1) : bytes.size();
        const auto device = random() % 4 == 0 ? dp::L4Checksum::unknown : dp::L4Checksum::good;
        ASSERT_EQ(nullptr, parse_at_the_edge(bytes, contiguous, device)) << "round " << round;
    }
}

TEST(ParseRandom, RandomBytesAreSafe) {
    SCOPED_TRACE(seed_line());
    std::mt19937 random{seed_of_this_run()};
    constexpr std::uint16_t kEthertypes[] = {0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8, 0x0026};
    for (int round = 0; round < 100'000; ++round) {
        Bytes bytes(random() % 200);
        for (auto& b : bytes) b = static_cast<std::uint8_t>(random());
        if (bytes.size() > 14) {
            const std::uint16_t ethertype = kEthertypes[random() % std::size(kEthertypes)];
            bytes[12] = static_cast<std::uint8_t>(ethertype >> 8);
            bytes[13] = static_cast<std::uint8_t>(ethertype);
            if (ethertype == 0x0800) bytes[14] = static_cast<std::uint8_t>(0x45 + random() % 11);
            if (ethertype == 0x86dd) bytes[14] = 0x60;
        }
        ASSERT_EQ(nullptr, parse_at_the_edge(bytes, bytes.size(), dp::L4Checksum::good)) << "round " << round;
    }
}

}  // namespace
}  // namespace sluice::test
