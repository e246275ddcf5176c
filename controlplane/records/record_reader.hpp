/// Records of a time range, in the order in which they were written, one block in memory at a time. Reads beside the
/// writer, and beside retention that deletes; what it can't read it counts, and goes on.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "controlplane/records/block_view.hpp"
#include "controlplane/records/block_walk.hpp"
#include "controlplane/records/segment_file.hpp"
#include "controlplane/store/unique_fd.hpp"

namespace sluice::cp {

struct RecordRange {
    std::int64_t since_ns{std::numeric_limits<std::int64_t>::min()};  ///< UTC, inside
    std::int64_t until_ns{std::numeric_limits<std::int64_t>::max()};  ///< UTC, outside
    std::uint64_t after{};                                            ///< only records of higher numbers
};

struct ReadReport {
    std::uint64_t damaged_blocks{};  ///< at least: a damaged stretch may have been several
    std::uint64_t records_lost{};    ///< that stood in them, or in segments that are gone; in or out of the range
    std::uint64_t segments_gone{};   ///< deleted meanwhile, or unreadable
    std::uint64_t blocks_read{};     ///< what it cost
};

class RecordReader {
public:
    /// `segments` in order; RecordStore::segments() or segments_in().
    RecordReader(std::vector<SegmentInfo> segments, const RecordRange& range);
    RecordReader(RecordReader&&) noexcept = default;
    RecordReader& operator=(RecordReader&&) noexcept = default;

    /// The next record, or null at the end. The record and its texts are good until the next call.
    const FlowRecord* next();
    /// The same, but gives up after `blocks_max` blocks without a result: then null, and `at_end` is false.
    const FlowRecord* next_within(std::uint64_t blocks_max);
    bool at_end() const noexcept { return segment_ == segments_.size(); }
    /// All records up to this number have been given or passed over: `after` of a reader that goes on here.
    std::uint64_t passed() const noexcept { return passed_; }

    const ReadReport& report() const noexcept { return report_; }

private:
    bool next_block();
    bool open_stretch();
    void close_segment();
    void pass(std::uint64_t expected, std::uint64_t found) noexcept;

    std::vector<SegmentInfo> segments_;
    RecordRange range_;
    ReadReport report_;
    std::size_t segment_{};
    std::vector<IndexEntry> entries_;  // of the open segment
    std::size_t entry_{};
    UniqueFd fd_;
    std::unique_ptr<BlockWalk> walk_;  // of the open stretch
    std::uint64_t gaps_told_{};
    std::uint64_t expected_{};  // number of the next record if nothing is missing
    std::uint64_t stretch_end_record_{};
    std::uint64_t passed_{};
    std::vector<std::byte> payload_;
    BlockView view_;
};

/// The segments of a directory that no store of this process keeps, for instance after it has been copied. What is in
/// no segment of ours, or can't be opened, is left out.
std::vector<SegmentInfo> segments_in(const std::string& dir);

}  // namespace sluice::cp
