#include "controlplane/records/record_reader.hpp"

#include <fcntl.h>

#include <algorithm>

#include "controlplane/store/file_ops.hpp"

namespace sluice::cp {

RecordReader::RecordReader(std::vector<SegmentInfo> segments, const RecordRange& range)
    : segments_{std::move(segments)}, range_{range}, passed_{range.after} {}

void RecordReader::close_segment() {
    walk_.reset();
    fd_.reset();
    entries_.clear();
    entry_ = 0;
    ++segment_;
}

/// Numbers count without gaps, so a jump is what was lost.
void RecordReader::pass(std::uint64_t expected, std::uint64_t found) noexcept {
    if (found > expected) report_.records_lost += found - expected;
}

/// Goes to the next stretch of the index that may hold what is wanted; false when there is none any more.
bool RecordReader::open_stretch() {
    for (; segment_ < segments_.size();) {
        const SegmentInfo& info = segments_[segment_];
        const auto wanted = [&](std::int64_t min_ns, std::int64_t max_ns, std::uint64_t end_record) {
            return max_ns >= range_.since_ns && min_ns < range_.until_ns && end_record > range_.after + 1;
        };
        if (info.empty() || !wanted(info.time_min_ns, info.time_max_ns, info.end_record)) {
            close_segment();
            continue;
        }
        if (!fd_) {
            fd_.reset(::open(info.path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
            if (!fd_) {
                ++report_.segments_gone;
                pass(std::max(info.first_record, range_.after + 1), info.end_record);
                close_segment();
                continue;
            }
            entries_ = info.index.entries();
        }
        for (; entry_ < entries_.size(); ++entry_) {
            const IndexEntry& e = entries_[entry_];
            const bool last = entry_ + 1 == entries_.size();
            stretch_end_record_ = last ? info.end_record : entries_[entry_ + 1].first_record;
            if (!wanted(e.time_min_ns, e.time_max_ns, stretch_end_record_)) continue;
            const auto end = last ? info.data_bytes : entries_[entry_ + 1].offset;
            walk_ = std::make_unique<BlockWalk>(fd_.get(), info.segment, e.offset, end);
            gaps_told_ = 0;
            expected_ = e.first_record;
            ++entry_;
            return true;
        }
        close_segment();
    }
    return false;
}

bool RecordReader::next_block() {
    for (;;) {
        if (walk_ == nullptr && !open_stretch()) return false;
        const BlockHeader* header = walk_->next();
        report_.damaged_blocks += walk_->gaps() - gaps_told_;
        gaps_told_ = walk_->gaps();
        if (header == nullptr) {
            pass(expected_, stretch_end_record_);
            walk_.reset();
            continue;
        }
        pass(expected_, header->first_record);
        const auto end_record = header->first_record + header->record_count;
        expected_ = std::max(expected_, end_record);
        if (header->time_max_ns < range_.since_ns || header->time_min_ns >= range_.until_ns ||
            end_record <= range_.after + 1) {
            continue;
        }
        ++report_.blocks_read;
        if (walk_->payload(payload_) && view_.open(*header, payload_)) return true;
        ++report_.damaged_blocks;
        report_.records_lost += header->record_count;
        passed_ = std::max(passed_, end_record - 1);
        return true;  // an empty view: whoever counts blocks counts this one too
    }
}

const FlowRecord* RecordReader::next_within(std::uint64_t blocks_max) {
    for (;;) {
        while (const FlowRecord* record = view_.next()) {
            if (record->number <= range_.after) continue;
            passed_ = std::max(passed_, record->number);
            if (record->time_ns >= range_.since_ns && record->time_ns < range_.until_ns) return record;
        }
        if (blocks_max == 0) return nullptr;
        --blocks_max;
        if (!next_block()) return nullptr;
    }
}

const FlowRecord* RecordReader::next() { return next_within(std::numeric_limits<std::uint64_t>::max()); }

std::vector<SegmentInfo> segments_in(const std::string& dir) {
    std::vector<SegmentInfo> segments;
    const auto names = posix_file_ops().list(dir);
    if (!names) return segments;
    for (const auto& name : *names) {
        const auto number = parse_segment_name(name);
        if (!number) continue;
        auto scanned = scan_segment(dir + "/" + name, *number);
        if (scanned && !scanned->foreign && !scanned->info.empty()) segments.push_back(std::move(scanned->info));
    }
    std::ranges::sort(segments, {}, &SegmentInfo::segment);
    return segments;
}

}  // namespace sluice::cp
