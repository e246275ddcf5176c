#include "controlplane/store/durable_file.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <random>

#include "tests/harness/seed.hpp"
#include "tests/unit/controlplane/store/power_cut_disk.hpp"

namespace sluice::cp {
namespace {

constexpr std::size_t kReadMax = 1 << 20;

std::string text_of(unsigned n) { return "content " + std::to_string(n) + std::string(20 * (n % 7), 'x'); }
bool put(test::PowerCutDisk& disk, unsigned n, DirSync sync = DirSync::now) {
    return write_durably(disk, "/d", "file", text_of(n), sync).has_value();
}
std::string content(test::PowerCutDisk& disk) { return disk.read("/d/file", kReadMax).value_or("nothing"); }

TEST(DurableFile, ReplacesTheWholeAndLeavesNothingBeside) {
    test::PowerCutDisk disk;
    for (const unsigned n : {6U, 1U, 13U, 0U}) {
        ASSERT_TRUE(put(disk, n));
        EXPECT_EQ(content(disk), text_of(n));
        EXPECT_EQ(disk.list("/d")->size(), 1U);
    }
}

// A4: old or new, whole, wherever the power goes; new, if success was said.
TEST(DurableFile, A4_APowerCutAtAnyCallLeavesOldOrNew) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937_64 random{test::seed_of_this_run()};
    for (int round = 0; round < 100; ++round) {
        for (std::int64_t call = 0;; ++call) {
            test::PowerCutDisk disk;
            ASSERT_TRUE(put(disk, 1));
            disk.calls_until_cut = call;
            const bool acknowledged = put(disk, 13);
            const bool cut = disk.cut();
            disk.power_on(random);
            const std::string found = content(disk);
            ASSERT_TRUE(found == text_of(1) || found == text_of(13)) << "after call " << call << ": " << found;
            ASSERT_TRUE(!acknowledged || found == text_of(13)) << "acknowledged and lost after call " << call;
            const auto names = disk.list("/d");
            for (const auto& name : *names) ASSERT_TRUE(name == "file" || is_leftover(name)) << name;
            if (!cut) break;
        }
    }
}

// What is dirty of a big file is little at any time: who waits for an fsync of another file waits for no more than
// that.
TEST(DurableFile, ABigFileGoesToTheDiskInPieces) {
    struct Watched final : test::PowerCutDisk {
        std::size_t dirty{}, dirty_most{}, syncs{};
        Expected<std::size_t, Errno> write(int handle, std::span<const std::byte> bytes) override {
            auto taken = PowerCutDisk::write(handle, bytes);
            dirty_most = std::max(dirty_most, dirty += taken.value_or(0));
            return taken;
        }
        Expected<void, Errno> fsync(int handle) override {
            dirty = 0;
            ++syncs;
            return PowerCutDisk::fsync(handle);
        }
    } disk;
    std::string text;
    while (text.size() < (5U << 20)) text += std::to_string(text.size()) + " ";
    const auto bytes = std::as_bytes(std::span{text});
    const std::array pieces{bytes.first(3), bytes.subspan(3, 0), bytes.subspan(3, 3U << 20),
                            bytes.subspan(3 + (3U << 20))};
    ASSERT_TRUE(write_durably(disk, "/d", "file", pieces));
    EXPECT_EQ(disk.read("/d/file", 8U << 20).value(), text);
    EXPECT_EQ(disk.dirty_most, 1U << 20);
    EXPECT_EQ(disk.syncs, 6U);
}

// Who replaces several files of a directory syncs it once: until then either may come back, but whole.
TEST(DurableFile, LaterMeansThatTheOldOneMayComeBack) {
    std::mt19937_64 random{7};
    bool old = false, whole = false;
    for (int round = 0; round < 200; ++round) {
        test::PowerCutDisk disk;
        ASSERT_TRUE(put(disk, 1));
        ASSERT_TRUE(put(disk, 2, DirSync::later));
        disk.power_on(random);
        old |= content(disk) == text_of(1);
        whole |= content(disk) == text_of(2);
        ASSERT_TRUE(content(disk) == text_of(1) || content(disk) == text_of(2));
    }
    EXPECT_TRUE(old && whole);
}

// A6: and the half file goes, so that the disk has its room again.
TEST(DurableFile, A6_AFullDiskIsSaidAndKeepsTheOldContent) {
    for (std::size_t room = 0; room < text_of(13).size(); ++room) {
        test::PowerCutDisk disk;
        ASSERT_TRUE(put(disk, 1));
        disk.bytes_max = text_of(1).size() + room;
        const auto written = write_durably(disk, "/d", "file", text_of(13));
        ASSERT_FALSE(written);
        EXPECT_TRUE(written.error().disk_full());
        EXPECT_NE(written.error().what.find("cannot write /d/file.tmp: "), std::string::npos) << written.error().what;
        EXPECT_EQ(content(disk), text_of(1));
        EXPECT_EQ(disk.list("/d")->size(), 1U);
    }
}

TEST(DurableFile, OtherErrorsAreNoFullDisk) {
    test::PowerCutDisk disk;
    disk.calls_until_cut = 0;
    const auto written = write_durably(disk, "/d", "file", std::string_view{"x"});
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().error_number, EIO);
    EXPECT_FALSE(written.error().disk_full());
    EXPECT_FALSE(is_leftover("file"));
}

}  // namespace
}  // namespace sluice::cp
