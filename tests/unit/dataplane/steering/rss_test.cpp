#include "dataplane/steering/rss.hpp"

#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

RssDevice device(std::uint32_t key_bytes, std::uint32_t table_count) {
    return {.key_bytes = key_bytes, .table_count = table_count, .hashes_tcp_and_udp = true, .program = {}};
}

/// Programs it as the product does; then it says what it has.
RssDevice programmed(RssDevice d, const RssProgram& program) {
    d.program = stretched(program, d);
    return d;
}

TEST(Rss, DevicesOfOtherSizesAgree) {
    std::string why;
    std::vector<RssDevice> devices = {device(40, 128), device(52, 512), device(64, 64)};
    for (const std::uint32_t workers : {2U, 3U, 8U, 64U}) {
        const auto program = program_for(devices, workers, why);
        ASSERT_TRUE(program) << why;
        EXPECT_EQ(program->table.size(), 64U);
        const Owners owners = Owners::rss(*program, workers);
        for (const RssDevice& d : devices) {
            const RssDevice asked = programmed(d, *program);
            EXPECT_EQ(asked.program.key.size(), d.key_bytes);
            EXPECT_EQ(asked.program.table.size(), d.table_count);
            EXPECT_EQ(rss_mismatch(asked, owners), "");
        }
    }
}

TEST(Rss, RefusesWhatCannotBeToldInWords) {
    std::string why;
    EXPECT_FALSE(program_for({device(40, 128), device(0, 128)}, 2, why));
    EXPECT_EQ(why, "its hash has no key that we can set");
    EXPECT_FALSE(program_for({device(39, 128)}, 2, why));
    EXPECT_FALSE(program_for({device(65, 128)}, 2, why));
    EXPECT_FALSE(program_for({device(40, 0)}, 2, why));
    EXPECT_EQ(why, "it has no table of queues, or one whose length is no power of two");
    EXPECT_FALSE(program_for({device(40, 100)}, 2, why));
    EXPECT_FALSE(program_for({device(40, 4)}, 5, why));
    EXPECT_EQ(why, "its table has fewer entries than there are workers");
    EXPECT_FALSE(program_for({}, 2, why));
    RssDevice blind = device(40, 128);
    blind.hashes_tcp_and_udp = false;
    EXPECT_FALSE(program_for({blind}, 2, why));
    EXPECT_EQ(why, "it does not hash TCP and UDP by addresses and ports over IPv4 and IPv6");
}

/// What a driver took and then did not do, each in its way.
TEST(Rss, FindsDevicesThatDoSomethingElse) {
    std::string why;
    const RssDevice d = device(40, 128);
    const auto program = program_for({d}, 4, why);
    const Owners owners = Owners::rss(*program, 4);
    const RssDevice good = programmed(d, *program);
    EXPECT_EQ(rss_mismatch(good, owners), "");

    RssDevice silent = good;
    silent.program.key.clear();
    EXPECT_EQ(rss_mismatch(silent, owners), "it does not tell its key");
    silent = good;
    silent.program.table.clear();
    EXPECT_EQ(rss_mismatch(silent, owners), "it does not tell its table of queues");
    RssDevice blind = good;
    blind.hashes_tcp_and_udp = false;
    EXPECT_EQ(rss_mismatch(blind, owners), "it did not take the kinds of packets to hash");

    // Of four workers the two lowest bits of a hash decide: bits 30 and 31 of a window, which begins at one of 288
    // bits.
    for (std::size_t bit = 30; bit < 288 + 31; ++bit) {
        RssDevice other = good;
        other.program.key[bit / 8] = static_cast<std::uint8_t>(other.program.key[bit / 8] ^ 0x80U >> bit % 8);
        EXPECT_NE(rss_mismatch(other, owners), "") << bit;
    }
    for (std::size_t entry = 0; entry < 128; ++entry) {
        RssDevice other = good;
        other.program.table[entry] = static_cast<WorkerIndex>((other.program.table[entry] + 1) % 4);
        EXPECT_EQ(rss_mismatch(other, owners), "key or table are not what it was told") << entry;
    }
}

/// Owners of a key that is not symmetric: the device does as it is told, and that is not enough.
TEST(Rss, FindsKeysThatPartTheTwoDirections) {
    RssDevice d = device(40, 128);
    RssProgram program{std::vector<std::uint8_t>(40), std::vector<WorkerIndex>(128)};
    for (std::size_t i = 0; i < 40; ++i) program.key[i] = static_cast<std::uint8_t>(i * 37 + 1);
    for (std::size_t i = 0; i < 128; ++i) program.table[i] = static_cast<WorkerIndex>(i % 2);
    EXPECT_NE(rss_mismatch(programmed(d, program), Owners::rss(program, 2)), "");
}

}  // namespace
}  // namespace sluice::dp
