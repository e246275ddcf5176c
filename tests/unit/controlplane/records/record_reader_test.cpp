#include "controlplane/records/record_reader.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/harness/seed.hpp"
#include "tests/unit/controlplane/records/record_rig.hpp"

namespace sluice::cp {
namespace {

using namespace test;

class RecordReaderTest : public testing::Test {
protected:
    void SetUp() override { random.seed(sluice::test::seed_of_this_run()); }
    testing::ScopedTrace trace{__FILE__, __LINE__, sluice::test::seed_line()};
    std::mt19937_64 random;
    TempDir dir;
};

TEST_F(RecordReaderTest, AnyRangeIsWhatAPlainListSays) {
    for (int round = 0; round < 20; ++round) {
        TempDir fresh;
        // Some larger than a place of the index stands for.
        const std::size_t records_max = round % 10 == 0 ? 3000 : 50;
        const auto written = write_segments(
            fresh.path, random, {.segments = 4, .blocks = 6, .records_max = records_max, .seal = round % 2 == 0});
        const auto segments = round % 4 < 2 ? written.segments : segments_in(fresh.path);
        const auto count = written.expected.size();
        for (int question = 0; question < 40; ++question) {
            RecordRange range;
            if (question % 4 != 0)
                range.since_ns = written.times_ns[random() % count] + static_cast<int>(random() % 3) - 1;
            if (question % 3 != 0)
                range.until_ns = written.times_ns[random() % count] + static_cast<int>(random() % 3) - 1;
            if (question % 5 == 0) range.after = random() % (count + 2);
            std::vector<std::pair<std::uint64_t, std::string>> wanted;
            for (std::size_t i = 0; i < count; ++i) {
                const auto t = written.times_ns[i];
                if (t >= range.since_ns && t < range.until_ns && i + 1 > range.after)
                    wanted.emplace_back(i + 1, written.expected[i]);
            }
            RecordReader reader{segments, range};
            ASSERT_EQ(read_all(reader), wanted);
            ASSERT_TRUE(reader.at_end());
            ASSERT_EQ(reader.report().damaged_blocks, 0U);
            ASSERT_EQ(reader.report().records_lost, 0U);
        }
    }
}

// `since` goes to its place instead of reading what is before it.
TEST_F(RecordReaderTest, ReadsNoMoreThanTheRangeNeeds) {
    const auto written = write_segments(dir.path, random, {.segments = 3, .blocks = 60, .records_max = 2000});
    const auto bytes_before = written.segments[0].data_bytes + written.segments[1].data_bytes;
    ASSERT_GT(bytes_before, 16 * kIndexStrideBytes);
    RecordReader last{segments_in(dir.path), {.since_ns = written.times_ns.back(), .until_ns = INT64_MAX, .after = 0}};
    EXPECT_EQ(read_all(last).size(), 1U);
    EXPECT_EQ(last.report().blocks_read, 1U);
    RecordReader behind{segments_in(dir.path),
                        {.since_ns = INT64_MIN, .until_ns = INT64_MAX, .after = written.expected.size() - 1}};
    EXPECT_EQ(read_all(behind).size(), 1U);
    EXPECT_EQ(behind.report().blocks_read, 1U);
}

TEST_F(RecordReaderTest, GoesOnBehindWhatItHasPassed) {
    const auto written = write_segments(dir.path, random, {.segments = 3, .blocks = 5, .records_max = 30});
    std::uint64_t after = 0;
    std::vector<std::string> seen;
    for (;;) {
        RecordReader reader{written.segments, {.since_ns = INT64_MIN, .until_ns = INT64_MAX, .after = after}};
        std::size_t page = 0;
        while (page < 7) {
            const FlowRecord* record = reader.next_within(1);
            if (record == nullptr) break;
            seen.push_back(told(*record));
            ++page;
        }
        after = reader.passed();
        if (page == 0 && reader.at_end()) break;
    }
    EXPECT_EQ(seen, written.expected);
}

// A clock that was set back: times overlap, and a range still finds all that fits.
TEST_F(RecordReaderTest, TimesThatGoBackHideNothing) {
    SegmentWriter writer{posix_file_ops(), dir.path};
    ASSERT_TRUE(writer.begin(1, 1, 5));
    std::uint64_t next = 1;
    const std::vector<std::int64_t> clocks{1'000, 86'400, 0, 2'000, 500};
    for (const auto clock_s : clocks) {
        auto batch = some_batch(random, 1, 10);
        batch->clock = UtcClock{clock_s * 1'000'000'000, {1'000'000'000}};
        BlockBuilder block;
        for (const auto& event : batch->events) block.add(event, *batch);
        ASSERT_TRUE(writer.append(block, next));
        next += 10;
    }
    ASSERT_TRUE(writer.seal());
    RecordReader reader{{writer.info()}, {.since_ns = 500'000'000'000, .until_ns = 1'999'000'000'000, .after = 0}};
    std::vector<std::uint64_t> numbers;
    for (const auto& [number, text] : read_all(reader)) numbers.push_back(number);
    std::vector<std::uint64_t> wanted;
    for (std::uint64_t n = 1; n <= 10; ++n) wanted.push_back(n);
    for (std::uint64_t n = 41; n <= 50; ++n) wanted.push_back(n);
    EXPECT_EQ(numbers, wanted);
}

// Whatever is flipped, overwritten or cut out of a segment: what is read is what was written, only damaged blocks are
// missing, and the report says how many records those had.
TEST_F(RecordReaderTest, DamageCostsTheDamagedBlocksAndIsCounted) {
    const auto written = write_segments(dir.path, random, {.segments = 2, .blocks = 12, .records_max = 40});
    std::vector<std::string> pristine;
    for (const auto& s : written.segments) pristine.push_back(bytes_of(s.path));
    const auto block_of = [&](std::uint64_t number) {
        return std::ranges::lower_bound(written.block_ends, number) - written.block_ends.begin();
    };
    for (int round = 0; round < 1500; ++round) {
        const auto victim = random() % 2;
        auto bytes = pristine[victim];
        const auto data_bytes = written.segments[victim].data_bytes;
        const auto begin = sizeof(SegmentHeader) + random() % (data_bytes - sizeof(SegmentHeader));
        const auto length = std::min<std::size_t>(1 + (round % 3 == 0 ? 0 : random() % 3000), data_bytes - begin);
        for (std::size_t i = begin; i < begin + length; ++i) {
            const auto was = bytes[i];
            bytes[i] = round % 5 == 0 ? '\0' : static_cast<char>(random());
            if (round % 3 == 0 && bytes[i] == was) bytes[i] = static_cast<char>(~was);
        }
        put_bytes(written.segments[victim].path, bytes);
        const bool changed = bytes != pristine[victim];

        // The damaged blocks, from the bytes themselves.
        std::set<std::ptrdiff_t> damaged;
        auto b = static_cast<std::ptrdiff_t>(victim * 12);
        for (std::size_t at = sizeof(SegmentHeader); at < data_bytes; ++b) {
            BlockHeader header;
            std::memcpy(&header, pristine[victim].data() + at, sizeof header);
            const auto size = sizeof header + header.payload_bytes;
            if (bytes.compare(at, size, pristine[victim], at, size) != 0) damaged.insert(b);
            at += size;
        }
        ASSERT_EQ(changed, !damaged.empty());
        std::vector<std::pair<std::uint64_t, std::string>> wanted;
        for (std::size_t i = 0; i < written.expected.size(); ++i) {
            if (!damaged.contains(block_of(i + 1))) wanted.emplace_back(i + 1, written.expected[i]);
        }
        RecordReader reader{written.segments, {}};
        ASSERT_EQ(read_all(reader), wanted) << "round " << round;
        ASSERT_EQ(reader.report().records_lost, written.expected.size() - wanted.size()) << "round " << round;
        ASSERT_EQ(reader.report().damaged_blocks != 0, changed);
        ASSERT_LE(reader.report().damaged_blocks, damaged.size());
        put_bytes(written.segments[victim].path, pristine[victim]);
    }
}

// The same through a start: index and footer may be what is damaged, and then blocks are found without them.
TEST_F(RecordReaderTest, ADamagedFooterCostsNothing) {
    const auto written = write_segments(dir.path, random, {.blocks = 8, .records_max = 1500});
    const auto& info = written.segments[0];
    const auto pristine = bytes_of(info.path);
    for (int round = 0; round < 60; ++round) {
        auto bytes = pristine;
        const auto at = info.data_bytes + random() % (bytes.size() - info.data_bytes);
        if (round % 2 == 0) {
            bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
        } else {
            bytes.resize(at);
        }
        put_bytes(info.path, bytes);
        RecordReader reader{segments_in(dir.path), {}};
        ASSERT_EQ(read_all(reader).size(), written.expected.size());
        ASSERT_EQ(reader.report().damaged_blocks, 0U);
    }
}

TEST_F(RecordReaderTest, ASegmentThatIsDeletedMeanwhileIsTold) {
    const auto written = write_segments(dir.path, random, {.segments = 3, .blocks = 2});
    RecordReader reader{written.segments, {}};
    ASSERT_NE(reader.next(), nullptr);
    std::filesystem::remove(written.segments[0].path);  // open: goes on
    std::filesystem::remove(written.segments[1].path);
    const auto rest = read_all(reader);
    EXPECT_EQ(rest.size() + 1 + written.segments[1].end_record - written.segments[1].first_record,
              written.expected.size());
    EXPECT_EQ(reader.report().segments_gone, 1U);
    EXPECT_EQ(reader.report().records_lost, written.segments[1].end_record - written.segments[1].first_record);
}

}  // namespace
}  // namespace sluice::cp
