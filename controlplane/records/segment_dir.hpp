/// The directory of segments as a process finds it at its start, put in order: one writer at a time, torn tails cut,
/// every segment sealed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sluice/expected.hpp>

#include "controlplane/records/segment_file.hpp"
#include "controlplane/store/durable_file.hpp"
#include "controlplane/store/file_ops.hpp"
#include "controlplane/store/unique_fd.hpp"

namespace sluice::cp {

struct OpenedDir {
    UniqueFd lock;                      ///< held as long as we write
    std::vector<SegmentInfo> segments;  ///< oldest first; none is empty
    std::uint64_t next_segment{1}, next_record{1};
    RingPositions rings;  ///< boot_id 0 = unknown
    std::uint64_t segments_cut{}, torn_bytes{}, damaged_blocks{};
};

/// Makes the directory if its parent is there. Error: it can't be used, or another process writes to it.
Expected<OpenedDir, FileError> open_segment_dir(FileOps& files, const std::string& dir);

struct Retention {
    std::uint64_t bytes_max{};
    std::int64_t age_max_ns{};
};
/// How many of the oldest segments have to go; never the newest. `now_ns`: UTC.
std::size_t segments_to_drop(const std::vector<SegmentInfo>& segments, const Retention& retention,
                             std::int64_t now_ns) noexcept;

}  // namespace sluice::cp
