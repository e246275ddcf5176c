/// Appends blocks to the newest segment. Every call may fail as disks do; what failed is said, and what was written
/// before stays good: a segment after a failure is left as it is, and the next block begins another one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <sluice/expected.hpp>

#include "controlplane/records/block_builder.hpp"
#include "controlplane/records/segment_file.hpp"
#include "controlplane/store/durable_file.hpp"
#include "controlplane/store/file_ops.hpp"

namespace sluice::cp {

class SegmentWriter {
public:
    SegmentWriter(FileOps& files, std::string dir) : files_{files}, dir_{std::move(dir)} {}
    ~SegmentWriter();
    SegmentWriter(const SegmentWriter&) = delete;
    SegmentWriter& operator=(const SegmentWriter&) = delete;

    bool is_open() const noexcept { return handle_ >= 0; }
    /// Of the open segment, or of the one that was open last.
    const SegmentInfo& info() const noexcept { return info_; }
    /// UTC, when it was begun.
    std::int64_t created_ns() const noexcept { return created_ns_; }

    /// After an error no segment is open.
    Expected<void, FileError> begin(std::uint64_t segment, std::uint64_t first_record, std::int64_t now_ns);
    /// Writes the block with `first_record` as its first number. After an error only `abandon` may follow.
    Expected<void, FileError> append(BlockBuilder& block, std::uint64_t first_record);
    /// What was appended is on the disk. After an error no segment is open: what the kernel could not write it may have
    /// thrown away, and a second try would say that all is well.
    Expected<void, FileError> sync();
    /// Index and footer, and to the disk. No segment is open afterwards. Error: as of `sync`; a footer that the disk
    /// did not take is none, for the next start writes it.
    Expected<void, FileError> seal();
    /// Cuts off what stands behind the last whole block, syncs what is before it, and closes. False: not synced.
    bool abandon();

private:
    Expected<void, FileError> write(std::span<const std::byte> bytes);
    void close() noexcept;

    FileOps& files_;
    const std::string dir_;
    int handle_{-1};
    SegmentInfo info_;
    std::int64_t created_ns_{};
};

}  // namespace sluice::cp
