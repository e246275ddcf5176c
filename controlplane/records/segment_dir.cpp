#include "controlplane/records/segment_dir.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <numeric>

namespace sluice::cp {
namespace {

Expected<UniqueFd, FileError> take_lock(const std::string& dir) {
    const std::string path = dir + "/lock";
    UniqueFd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (!fd) return Unexpected(file_error(errno, "open", path));
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
    if (errno != EWOULDBLOCK) return Unexpected(file_error(errno, "lock", path));
    return Unexpected(
        FileError{EWOULDBLOCK, "another process writes to " + dir + "; give each a directory of its own"});
}

/// Cuts the tail off and seals. What the disk does not let us do is left for the next start: reading works all the
/// same.
void finish(FileOps& files, ScannedSegment& scanned) {
    SegmentInfo& info = scanned.info;
    if (!files.truncate(info.path, info.data_bytes)) return;
    info.file_bytes = info.data_bytes;
    const auto handle = files.open_end(info.path);
    if (!handle) return;
    const auto footer = footer_of(info);
    std::span<const std::byte> rest{footer};
    bool good = true;
    while (good && !rest.empty()) {
        const auto taken = files.write(*handle, rest);
        good = taken.has_value();
        if (good) rest = rest.subspan(*taken);
    }
    good = good && files.fsync(*handle).has_value();
    files.close(*handle);
    if (good) {
        info.file_bytes += footer.size();
        info.sealed = true;
    } else {
        (void)files.truncate(info.path, info.data_bytes);
    }
}

}  // namespace

Expected<OpenedDir, FileError> open_segment_dir(FileOps& files, const std::string& dir) {
    if (const auto made = files.make_dir(dir, Readers::owner); !made)
        return Unexpected(file_error(made.error(), "make the directory", dir));
    OpenedDir opened;
    auto lock = take_lock(dir);
    if (!lock) return Unexpected(lock.error());
    opened.lock = std::move(*lock);
    const auto names = files.list(dir);
    if (!names) return Unexpected(file_error(names.error(), "list", dir));
    std::vector<std::uint64_t> numbers;
    for (const auto& name : *names) {
        if (const auto number = parse_segment_name(name)) numbers.push_back(*number);
    }
    std::ranges::sort(numbers);
    for (const std::uint64_t number : numbers) {
        opened.next_segment = std::max(opened.next_segment, number + 1);
        const std::string path = dir + "/" + segment_name(number);
        auto scanned = scan_segment(path, number);
        if (!scanned) return Unexpected(file_error(scanned.error(), "read", path));
        if (scanned->foreign) continue;
        opened.damaged_blocks += scanned->damaged_blocks;
        if (scanned->torn_bytes != 0) {
            ++opened.segments_cut;
            opened.torn_bytes += scanned->torn_bytes;
        }
        if (scanned->info.empty()) {
            (void)files.unlink(path);
            continue;
        }
        if (!scanned->info.sealed) finish(files, *scanned);
        opened.next_record = std::max(opened.next_record, scanned->info.end_record);
        opened.segments.push_back(std::move(scanned->info));
    }
    for (auto at = opened.segments.rbegin(); at != opened.segments.rend() && opened.rings.boot_id == 0; ++at)
        opened.rings = last_rings(*at);
    return opened;
}

std::size_t segments_to_drop(const std::vector<SegmentInfo>& segments, const Retention& retention,
                             std::int64_t now_ns) noexcept {
    auto bytes = std::accumulate(segments.begin(), segments.end(), std::uint64_t{},
                                 [](std::uint64_t sum, const SegmentInfo& s) { return sum + s.file_bytes; });
    std::size_t count = 0;
    while (count + 1 < segments.size()) {
        const SegmentInfo& oldest = segments[count];
        // As a difference of times it could overflow: a damaged or hostile file says any time.
        const bool too_old = oldest.time_max_ns < now_ns - retention.age_max_ns;
        if (bytes <= retention.bytes_max && !too_old) break;
        bytes -= oldest.file_bytes;
        ++count;
    }
    return count;
}

}  // namespace sluice::cp
