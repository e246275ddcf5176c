#include "controlplane/store/durable_file.hpp"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>

namespace sluice::cp {
namespace {

constexpr std::string_view kLeftoverSuffix = ".tmp";
/// A big file goes to the disk in pieces: somebody else's fsync would wait for all that is dirty.
constexpr std::size_t kDirtyBytesMost = std::size_t{1} << 20;

}  // namespace

bool FileError::disk_full() const noexcept {
    return error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
}

bool FileError::damaged() const noexcept { return error_number == EUCLEAN; }

FileError file_error(int error_number, std::string_view action, std::string_view path) {
    std::string what{"cannot "};
    what.append(action).append(" ").append(path).append(": ");
    what.append(std::generic_category().message(error_number));
    return {error_number, std::move(what)};
}

bool is_leftover(std::string_view name) noexcept { return name.ends_with(kLeftoverSuffix); }

namespace {

/// Error: what failed, and errno.
struct WriteFault {
    int error_number{};
    std::string_view action;
};

class PieceWriter {
public:
    PieceWriter(FileOps& ops, int handle) : ops_{ops}, handle_{handle} {}

    std::optional<WriteFault> write(std::span<const std::byte> bytes) {
        while (!bytes.empty()) {
            const auto taken = ops_.write(handle_, bytes.first(std::min(bytes.size(), kDirtyBytesMost - dirty_)));
            if (!taken) return WriteFault{taken.error(), "write"};
            if (*taken == 0) return WriteFault{EIO, "write"};
            bytes = bytes.subspan(*taken);
            dirty_ += *taken;
            if (dirty_ < kDirtyBytesMost) continue;
            if (auto fault = sync()) return fault;
        }
        return std::nullopt;
    }
    std::optional<WriteFault> sync() {
        dirty_ = 0;
        if (const auto synced = ops_.fsync(handle_); !synced) return WriteFault{synced.error(), "fsync"};
        return std::nullopt;
    }

private:
    FileOps& ops_;
    int handle_;
    std::size_t dirty_{};
};

}  // namespace

Expected<void, FileError> write_durably(FileOps& ops, const std::string& dir, const std::string& name,
                                        std::span<const std::span<const std::byte>> pieces, DirSync sync,
                                        Readers readers) {
    const std::string path = dir + "/" + name;
    const std::string temporary = path + std::string{kLeftoverSuffix};
    const auto handle = ops.create(temporary, readers);
    if (!handle) return Unexpected(file_error(handle.error(), "create", temporary));

    PieceWriter writer{ops, *handle};
    std::optional<WriteFault> fault;
    for (std::size_t i = 0; i < pieces.size() && !fault; ++i) fault = writer.write(pieces[i]);
    // Before the rename: otherwise the new name may point to blocks that never reached the disk.
    if (!fault) fault = writer.sync();
    ops.close(*handle);
    if (fault) {
        // The disk's space comes back at once: a full disk must not stay full because of our half file.
        (void)ops.unlink(temporary);
        return Unexpected(file_error(fault->error_number, fault->action, temporary));
    }
    if (const auto renamed = ops.rename(temporary, path); !renamed) {
        (void)ops.unlink(temporary);
        return Unexpected(file_error(renamed.error(), "rename", temporary));
    }
    if (sync == DirSync::now) {
        if (const auto synced = ops.fsync_dir(dir); !synced) {
            return Unexpected(file_error(synced.error(), "fsync", dir));
        }
    }
    return {};
}

Expected<void, FileError> write_durably(FileOps& ops, const std::string& dir, const std::string& name,
                                        std::string_view text, DirSync sync, Readers readers) {
    const auto bytes = std::as_bytes(std::span{text.data(), text.size()});
    return write_durably(ops, dir, name, {&bytes, 1}, sync, readers);
}

}  // namespace sluice::cp
