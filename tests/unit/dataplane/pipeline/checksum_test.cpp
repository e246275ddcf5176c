#include "dataplane/pipeline/checksum.hpp"

#include <gtest/gtest.h>

#include <random>

#include "tests/harness/frames.hpp"
#include "tests/harness/seed.hpp"

namespace sluice::test {
namespace {

TEST(Checksum, MatchesTheExampleOfRfc1071) {
    // Section 3: 00 01 f2 03 f4 f5 f6 f7 sums to ddf2.
    const Bytes data{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    const auto sum = abi::NetOrder<std::uint16_t>::of_wire(dp::checksum_fold(dp::checksum_add(0, data)));
    EXPECT_EQ(sum.to_host(), 0xddf2);
}

TEST(Checksum, AgreesWithThePlainLoopOnRandomDataOfAnyLengthAndAlignment) {
    SCOPED_TRACE(seed_line());
    std::mt19937 random{seed_of_this_run()};
    for (int round = 0; round < 3000; ++round) {
        Bytes buffer(random() % 2000 + 8);
        for (auto& b : buffer) b = round % 3 == 0 ? std::uint8_t{0xff} : static_cast<std::uint8_t>(random());
        const std::size_t skip = random() % 8;
        const Bytes data{buffer.begin() + static_cast<std::ptrdiff_t>(skip), buffer.end()};
        const auto ours = dp::checksum_value(dp::checksum_add(0, std::span{buffer}.subspan(skip))).to_host();
        ASSERT_EQ(ours, internet_checksum(data)) << data.size() << " bytes";
    }
}

TEST(Checksum, PiecesOfEvenLengthAddUp) {
    const Bytes data = bytes_of(64, 0x81) + bytes_of(33, 0x7f);
    const std::span all{data};
    for (std::size_t cut = 0; cut <= data.size(); cut += 2) {
        const auto sum = dp::checksum_add(dp::checksum_add(0, all.first(cut)), all.subspan(cut));
        EXPECT_EQ(dp::checksum_fold(sum), dp::checksum_fold(dp::checksum_add(0, all))) << cut;
    }
}

}  // namespace
}  // namespace sluice::test
