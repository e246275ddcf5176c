#include "controlplane/records/segment_writer.hpp"

#include <cerrno>
#include <utility>

#include "controlplane/records/crc32c.hpp"

namespace sluice::cp {

SegmentWriter::~SegmentWriter() { close(); }

void SegmentWriter::close() noexcept {
    if (handle_ >= 0) files_.close(std::exchange(handle_, -1));
}

bool SegmentWriter::abandon() {
    if (!is_open()) return true;
    (void)files_.truncate(info_.path, info_.data_bytes);
    info_.file_bytes = info_.data_bytes;
    const bool synced = files_.fsync(handle_).has_value();
    close();
    if (info_.empty()) (void)files_.unlink(info_.path);
    return synced;
}

Expected<void, FileError> SegmentWriter::write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const auto taken = files_.write(handle_, bytes);
        if (!taken) return Unexpected(file_error(taken.error(), "write", info_.path));
        bytes = bytes.subspan(*taken);
    }
    return {};
}

Expected<void, FileError> SegmentWriter::begin(std::uint64_t segment, std::uint64_t first_record, std::int64_t now_ns) {
    close();
    info_ = {};
    info_.segment = segment;
    info_.path = dir_ + "/" + segment_name(segment);
    created_ns_ = now_ns;
    const auto handle = files_.create(info_.path, Readers::owner);
    if (!handle) return Unexpected(file_error(handle.error(), "create", info_.path));
    handle_ = *handle;
    SegmentHeader header;
    header.segment = segment;
    header.first_record = first_record;
    header.created_ns = now_ns;
    header.crc = crc32c(std::as_bytes(std::span{&header, 1}));
    auto written = write(std::as_bytes(std::span{&header, 1}));
    info_.data_bytes = info_.file_bytes = sizeof header;
    if (written) {
        // The name must survive a power cut as well as what the file holds.
        if (const auto synced = files_.fsync_dir(dir_); !synced)
            written = Unexpected(file_error(synced.error(), "sync the directory", dir_));
    }
    if (!written) (void)abandon();
    return written;
}

Expected<void, FileError> SegmentWriter::append(BlockBuilder& block, std::uint64_t first_record) {
    const auto made = block.finish(info_.segment, info_.data_bytes, first_record);
    if (auto written = write(made.bytes); !written) return written;
    info_.add(made.header);
    info_.file_bytes = info_.data_bytes;
    return {};
}

Expected<void, FileError> SegmentWriter::sync() {
    const auto synced = files_.fsync(handle_);
    if (synced) return {};
    close();
    return Unexpected(file_error(synced.error(), "sync", info_.path));
}

Expected<void, FileError> SegmentWriter::seal() {
    if (!is_open()) return {};
    const auto footer = footer_of(info_);
    if (!write(footer)) {
        if (abandon()) return {};
        return Unexpected(file_error(EIO, "sync", info_.path));
    }
    if (auto synced = sync(); !synced) return synced;
    info_.file_bytes = info_.data_bytes + footer.size();
    info_.sealed = true;
    close();
    return {};
}

}  // namespace sluice::cp
