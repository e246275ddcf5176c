#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "controlplane/records/block_walk.hpp"
#include "controlplane/records/crc32c.hpp"
#include "controlplane/records/segment_dir.hpp"
#include "controlplane/records/segment_file.hpp"
#include "controlplane/records/segment_writer.hpp"
#include "tests/harness/seed.hpp"
#include "tests/unit/controlplane/records/record_rig.hpp"

namespace sluice::cp {
namespace {

using namespace test;

TEST(Segment, NamesAreReadBackAndNothingElseIs) {
    EXPECT_EQ(segment_name(42), "00000000000000000042.flows");
    EXPECT_EQ(parse_segment_name(segment_name(~0ULL)), ~0ULL);
    for (const char* name : {"lock", "42.flows", "00000000000000000000.flows", "0000000000000000004x.flows",
                             "00000000000000000042.flow", "99999999999999999999.flows", ""}) {
        EXPECT_EQ(parse_segment_name(name), std::nullopt) << name;
    }
}

TEST(Segment, IsScannedAsItWasWrittenSealedOrNot) {
    for (const bool seal : {true, false}) {
        TempDir dir;
        std::mt19937_64 random{1};
        const auto written = write_segments(dir.path, random, {.blocks = 5, .records_max = 2000, .seal = seal});
        const auto scanned = scan_segment(written.segments[0].path, 1);
        ASSERT_TRUE(scanned);
        EXPECT_EQ(scanned->info.sealed, seal);
        EXPECT_EQ(scanned->torn_bytes, 0U);
        EXPECT_EQ(scanned->info.first_record, 1U);
        EXPECT_EQ(scanned->info.end_record, written.expected.size() + 1);
        EXPECT_EQ(scanned->info.data_bytes, written.segments[0].data_bytes);
        EXPECT_EQ(scanned->info.time_min_ns, written.segments[0].time_min_ns);
        EXPECT_EQ(scanned->info.time_max_ns, written.segments[0].time_max_ns);
        EXPECT_EQ(scanned->info.index.entries().size(), written.segments[0].index.entries().size());
        EXPECT_EQ(last_rings(scanned->info).boot_id, 1U);
    }
}

// Found by the fuzzer: good checksums, and numbers that no writer of ours makes.
TEST(Segment, ABlockWhoseNumbersGoBackIsDamage) {
    TempDir dir;
    std::mt19937_64 random{1};
    SegmentWriter writer{posix_file_ops(), dir.path};
    ASSERT_TRUE(writer.begin(1, 100, 5));
    for (const std::uint64_t first : {100, 7, 110}) {
        BlockBuilder block;
        const auto batch = some_batch(random, first, 10);
        for (const auto& event : batch->events) block.add(event, *batch);
        ASSERT_TRUE(writer.append(block, first));
    }
    const auto scanned = scan_segment(writer.info().path, 1);
    ASSERT_TRUE(scanned);
    EXPECT_EQ(scanned->info.first_record, 100U);
    EXPECT_EQ(scanned->info.end_record, 120U);
    EXPECT_EQ(scanned->damaged_blocks, 1U);
}

TEST(Segment, AnotherFormatIsLeftAlone) {
    TempDir dir;
    std::mt19937_64 random{1};
    const auto written = write_segments(dir.path, random, {});
    auto bytes = bytes_of(written.segments[0].path);
    SegmentHeader header;
    header.format = kRecordFormat + 1;
    header.segment = 1;
    header.crc = crc32c(std::as_bytes(std::span{&header, 1}));
    std::memcpy(bytes.data(), &header, sizeof header);
    put_bytes(written.segments[0].path, bytes);
    const auto opened = open_segment_dir(posix_file_ops(), dir.path);
    ASSERT_TRUE(opened) << opened.error().what;
    EXPECT_TRUE(opened->segments.empty());
    EXPECT_EQ(opened->next_segment, 2U);
    EXPECT_EQ(bytes_of(written.segments[0].path), bytes);
}

// A power cut or a crash at any byte: the next start finds exactly the blocks that are whole, cuts the rest off, and
// goes on behind them.
TEST(SegmentDir, CutAtEveryByteKeepsTheWholeBlocks) {
    SCOPED_TRACE(sluice::test::seed_line());
    std::mt19937_64 random{sluice::test::seed_of_this_run()};
    TempDir dir;
    const auto written = write_segments(dir.path, random, {.blocks = 3, .records_max = 3, .seal = false});
    const auto path = written.segments[0].path;
    const auto whole = bytes_of(path);
    std::vector<std::size_t> ends;  // of the blocks
    for (std::size_t at = sizeof(SegmentHeader); at < whole.size();) {
        BlockHeader header;
        std::memcpy(&header, whole.data() + at, sizeof header);
        at += sizeof header + header.payload_bytes;
        ends.push_back(at);
    }
    ASSERT_EQ(ends.size(), 3U);
    for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
        put_bytes(path, whole.substr(0, cut));
        const auto opened = open_segment_dir(posix_file_ops(), dir.path);
        ASSERT_TRUE(opened) << opened.error().what;
        const auto blocks = static_cast<std::size_t>(std::ranges::upper_bound(ends, cut) - ends.begin());
        const auto records = blocks == 0 ? 0 : written.block_ends[blocks - 1];
        ASSERT_EQ(opened->next_record, records + 1) << "cut at " << cut;
        ASSERT_EQ(opened->segments.size(), blocks == 0 ? 0U : 1U) << "cut at " << cut;
        const auto torn =
            blocks == 0 ? cut - std::min<std::size_t>(cut, sizeof(SegmentHeader)) : cut - ends[blocks - 1];
        ASSERT_EQ(opened->torn_bytes, torn) << "cut at " << cut;
        RecordReader reader{opened->segments, {}};
        const auto read = read_all(reader);
        ASSERT_EQ(read.size(), records);
        for (std::size_t i = 0; i < records; ++i) ASSERT_EQ(read[i].second, written.expected[i]);
        ASSERT_EQ(reader.report().damaged_blocks, 0U);
        ASSERT_EQ(std::filesystem::exists(path), blocks != 0);
        if (blocks != 0) {
            ASSERT_TRUE(scan_segment(path, 1)->info.sealed);
        }
    }
}

// What a kernel may leave behind the last sync after a power cut: the length, and zeros.
TEST(SegmentDir, AHoleBehindTheLastSyncIsATornTail) {
    std::mt19937_64 random{7};
    TempDir dir;
    const auto written = write_segments(dir.path, random, {.blocks = 3, .seal = false});
    const auto path = written.segments[0].path;
    auto bytes = bytes_of(path);
    BlockHeader first;
    std::memcpy(&first, bytes.data() + sizeof(SegmentHeader), sizeof first);
    const auto second_at = sizeof(SegmentHeader) + sizeof first + first.payload_bytes;
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(second_at + 200), bytes.end(), '\0');
    put_bytes(path, bytes);
    const auto opened = open_segment_dir(posix_file_ops(), dir.path);
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->next_record, written.block_ends[0] + 1);
    EXPECT_EQ(opened->segments_cut, 1U);
    EXPECT_EQ(opened->segments[0].data_bytes, second_at);
}

TEST(SegmentDir, HasOneWriter) {
    TempDir dir;
    const auto first = open_segment_dir(posix_file_ops(), dir.path);
    ASSERT_TRUE(first);
    const auto second = open_segment_dir(posix_file_ops(), dir.path);
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().what.find("another process writes to " + dir.path), std::string::npos);
}

TEST(SegmentDir, IsMadeButNotItsParent) {
    TempDir dir;
    EXPECT_TRUE(open_segment_dir(posix_file_ops(), dir.path + "/records"));
    const auto missing = open_segment_dir(posix_file_ops(), dir.path + "/no/records");
    ASSERT_FALSE(missing);
    EXPECT_NE(missing.error().what.find(dir.path + "/no/records"), std::string::npos);
}

TEST(Retention, TheOldestGoFirstAndTheNewestNever) {
    std::vector<SegmentInfo> segments(4);
    for (std::size_t i = 0; i < segments.size(); ++i) {
        segments[i].file_bytes = 100;
        segments[i].time_max_ns = static_cast<std::int64_t>(i + 1) * 1000;
    }
    constexpr std::int64_t kEver = std::numeric_limits<std::int64_t>::max();
    EXPECT_EQ(segments_to_drop(segments, {400, kEver}, 5000), 0U);
    EXPECT_EQ(segments_to_drop(segments, {399, kEver}, 5000), 1U);
    EXPECT_EQ(segments_to_drop(segments, {200, kEver}, 5000), 2U);
    EXPECT_EQ(segments_to_drop(segments, {0, kEver}, 5000), 3U);
    EXPECT_EQ(segments_to_drop(segments, {400, 4000}, 5000), 0U);
    EXPECT_EQ(segments_to_drop(segments, {400, 3999}, 5000), 1U);
    EXPECT_EQ(segments_to_drop(segments, {400, 1}, 5000), 3U);
    EXPECT_EQ(segments_to_drop({}, {0, 0}, 5000), 0U);
}

}  // namespace
}  // namespace sluice::cp
