/// One segment file seen from outside: what it holds, where reading may begin, and how to find that out again from
/// bytes that a crash or a bad disk left behind.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/expected.hpp>

#include "controlplane/records/block_format.hpp"
#include "controlplane/records/flow_record.hpp"

namespace sluice::cp {

/// Adds up blocks to places of an index.
class SegmentIndex {
public:
    void add(const BlockHeader& header);
    /// In order of their offset; together they stand for all blocks that were added.
    std::vector<IndexEntry> entries() const;
    bool empty() const noexcept { return last_.offset == 0; }

    static SegmentIndex of(std::vector<IndexEntry> entries);

private:
    std::shared_ptr<const std::vector<IndexEntry>> closed_;  // shared: a copy of the whole is small
    IndexEntry last_;                                        // offset 0 = none
};

/// What is known of a segment without reading its records. A copy stays true while the segment grows.
struct SegmentInfo {
    std::uint64_t segment{};
    std::string path;
    std::uint64_t first_record{}, end_record{};  ///< the second is one behind the last
    std::int64_t time_min_ns{}, time_max_ns{};
    std::uint64_t data_bytes{};  ///< header and whole blocks; nothing behind them is read
    std::uint64_t file_bytes{};
    bool sealed{};
    SegmentIndex index;

    bool empty() const noexcept { return first_record == end_record; }
    /// A block was added behind the last one.
    void add(const BlockHeader& header);
};

/// 00000000000000000042.flows
std::string segment_name(std::uint64_t segment);
std::optional<std::uint64_t> parse_segment_name(std::string_view name);

/// Index entries and footer: what seals the segment.
std::vector<std::byte> footer_of(const SegmentInfo& info);

struct ScannedSegment {
    SegmentInfo info;
    bool foreign{};                  ///< of another format: hands off
    std::uint64_t torn_bytes{};      ///< behind the last whole block of an unsealed segment
    std::uint64_t damaged_blocks{};  ///< before it
};
/// A sealed segment is taken at its footer's word; any other is read from front to back. Error: errno.
Expected<ScannedSegment, int> scan_segment(const std::string& path, std::uint64_t segment);

/// The positions that its last whole block tells; boot_id 0 if there is none.
RingPositions last_rings(const SegmentInfo& info);

}  // namespace sluice::cp
