#include "controlplane/records/segment_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "controlplane/records/block_view.hpp"
#include "controlplane/records/block_walk.hpp"
#include "controlplane/records/crc32c.hpp"
#include "controlplane/store/unique_fd.hpp"

namespace sluice::cp {
namespace {

constexpr std::string_view kSuffix = ".flows";
constexpr std::size_t kDigits = 20;
/// Of a 64 MiB segment 256 are wanted; more than this no writer of ours makes.
constexpr std::uint32_t kIndexEntriesMax = 1U << 20;

template <typename T>
std::uint32_t crc_without(T value, std::uint32_t before = 0) noexcept {
    value.crc = 0;
    return crc32c(std::as_bytes(std::span{&value, 1}), before);
}

bool entries_good(const std::vector<IndexEntry>& entries, const SegmentFooter& footer) noexcept {
    if (entries.empty() || entries.front().offset != sizeof(SegmentHeader) ||
        entries.front().first_record != footer.first_record) {
        return false;
    }
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const auto& e = entries[i];
        const bool last = i + 1 == entries.size();
        const auto end = last ? footer.data_bytes : entries[i + 1].offset;
        const auto end_record = last ? footer.end_record : entries[i + 1].first_record;
        if (e.offset >= end || e.offset % 8 != 0 || e.first_record >= end_record || e.time_min_ns > e.time_max_ns)
            return false;
    }
    return true;
}

/// False: there is no footer, or not a whole one.
bool read_footer(int fd, std::uint64_t file_bytes, SegmentInfo& info) {
    SegmentFooter footer;
    if (file_bytes < sizeof(SegmentHeader) + sizeof footer) return false;
    if (!pread_whole(fd, std::as_writable_bytes(std::span{&footer, 1}), file_bytes - sizeof footer)) return false;
    if (footer.magic != kFooterMagic || footer.segment != info.segment || footer.entry_count > kIndexEntriesMax ||
        footer.data_bytes > file_bytes ||
        file_bytes - footer.data_bytes != sizeof footer + footer.entry_count * sizeof(IndexEntry) ||
        footer.time_min_ns > footer.time_max_ns) {
        return false;
    }
    std::vector<IndexEntry> entries(footer.entry_count);
    const auto bytes = std::as_writable_bytes(std::span{entries});
    if (!pread_whole(fd, bytes, footer.data_bytes) || crc_without(footer, crc32c(bytes)) != footer.crc ||
        !entries_good(entries, footer)) {
        return false;
    }
    info.first_record = footer.first_record;
    info.end_record = footer.end_record;
    info.time_min_ns = footer.time_min_ns;
    info.time_max_ns = footer.time_max_ns;
    info.data_bytes = footer.data_bytes;
    info.sealed = true;
    info.index = SegmentIndex::of(std::move(entries));
    return true;
}

/// Every block is read and checked: a power cut may leave the head of a block and not its body.
void read_through(int fd, ScannedSegment& scanned) {
    SegmentInfo& info = scanned.info;
    BlockWalk walk{fd, info.segment, sizeof(SegmentHeader), info.file_bytes};
    BlockView view;
    std::vector<std::byte> payload;
    std::uint64_t bad = 0;
    while (const BlockHeader* header = walk.next()) {
        // Numbers only grow, whoever wrote this.
        const bool goes_back = !info.empty() && header->first_record < info.end_record;
        if (goes_back || !walk.payload(payload) || !view.open(*header, payload)) {
            ++bad;
            continue;
        }
        info.add(*header);
        scanned.damaged_blocks = walk.gaps() + bad;
    }
    scanned.torn_bytes = info.file_bytes - info.data_bytes;
}

}  // namespace

void SegmentIndex::add(const BlockHeader& header) {
    if (last_.offset != 0 && header.offset - last_.offset >= kIndexStrideBytes) {
        auto closed = closed_ == nullptr ? std::vector<IndexEntry>{} : *closed_;
        closed.push_back(last_);
        closed_ = std::make_shared<const std::vector<IndexEntry>>(std::move(closed));
        last_ = {};
    }
    if (last_.offset == 0) {
        last_ = {header.offset, header.first_record, header.time_min_ns, header.time_max_ns};
        return;
    }
    last_.time_min_ns = std::min(last_.time_min_ns, header.time_min_ns);
    last_.time_max_ns = std::max(last_.time_max_ns, header.time_max_ns);
}

std::vector<IndexEntry> SegmentIndex::entries() const {
    auto all = closed_ == nullptr ? std::vector<IndexEntry>{} : *closed_;
    if (last_.offset != 0) all.push_back(last_);
    return all;
}

SegmentIndex SegmentIndex::of(std::vector<IndexEntry> entries) {
    SegmentIndex index;
    index.last_ = entries.back();
    entries.pop_back();
    index.closed_ = std::make_shared<const std::vector<IndexEntry>>(std::move(entries));
    return index;
}

void SegmentInfo::add(const BlockHeader& header) {
    if (empty()) {
        first_record = header.first_record;
        time_min_ns = header.time_min_ns;
        time_max_ns = header.time_max_ns;
    }
    end_record = header.first_record + header.record_count;
    time_min_ns = std::min(time_min_ns, header.time_min_ns);
    time_max_ns = std::max(time_max_ns, header.time_max_ns);
    data_bytes = header.offset + sizeof header + header.payload_bytes;
    index.add(header);
}

std::string segment_name(std::uint64_t segment) {
    char text[32];
    std::snprintf(text, sizeof text, "%020llu.flows", static_cast<unsigned long long>(segment));
    return text;
}

std::optional<std::uint64_t> parse_segment_name(std::string_view name) {
    if (name.size() != kDigits + kSuffix.size() || !name.ends_with(kSuffix)) return std::nullopt;
    std::uint64_t segment{};
    const auto [end, error] = std::from_chars(name.data(), name.data() + kDigits, segment);
    if (error != std::errc{} || end != name.data() + kDigits || segment == 0) return std::nullopt;
    return segment;
}

std::vector<std::byte> footer_of(const SegmentInfo& info) {
    const auto entries = info.index.entries();
    SegmentFooter footer;
    footer.entry_count = static_cast<std::uint32_t>(entries.size());
    footer.segment = info.segment;
    footer.data_bytes = info.data_bytes;
    footer.first_record = info.first_record;
    footer.end_record = info.end_record;
    footer.time_min_ns = info.time_min_ns;
    footer.time_max_ns = info.time_max_ns;
    const auto entry_bytes = std::as_bytes(std::span{entries});
    footer.crc = crc_without(footer, crc32c(entry_bytes));
    std::vector<std::byte> out{entry_bytes.begin(), entry_bytes.end()};
    const auto footer_bytes = std::as_bytes(std::span{&footer, 1});
    out.insert(out.end(), footer_bytes.begin(), footer_bytes.end());
    return out;
}

Expected<ScannedSegment, int> scan_segment(const std::string& path, std::uint64_t segment) {
    const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
    struct stat st {};
    if (!fd || ::fstat(fd.get(), &st) != 0) return Unexpected<int>(errno);
    if (!S_ISREG(st.st_mode)) return Unexpected<int>(EINVAL);
    ScannedSegment scanned;
    scanned.info.segment = segment;
    scanned.info.path = path;
    scanned.info.file_bytes = static_cast<std::uint64_t>(st.st_size);
    scanned.info.data_bytes = std::min<std::uint64_t>(sizeof(SegmentHeader), scanned.info.file_bytes);
    SegmentHeader header;
    // A header that can't be read is damage like any other: the blocks know where they belong.
    if (pread_whole(fd.get(), std::as_writable_bytes(std::span{&header, 1}), 0) && header.magic == kSegmentMagic &&
        header.crc == crc_without(header) && header.format != kRecordFormat) {
        scanned.foreign = true;
        return scanned;
    }
    if (!read_footer(fd.get(), scanned.info.file_bytes, scanned.info)) read_through(fd.get(), scanned);
    return scanned;
}

RingPositions last_rings(const SegmentInfo& info) {
    const UniqueFd fd{::open(info.path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
    RingPositions found;
    if (!fd || info.index.empty()) return found;
    BlockWalk walk{fd.get(), info.segment, info.index.entries().back().offset, info.data_bytes};
    BlockView view;
    std::vector<std::byte> payload;
    while (const BlockHeader* header = walk.next()) {
        if (walk.payload(payload) && view.open(*header, payload)) found = view.rings();
    }
    return found;
}

}  // namespace sluice::cp
