#include "controlplane/store/durable_file.hpp"

#include <cerrno>
#include <system_error>

namespace sluice::cp {
namespace {

constexpr std::string_view kLeftoverSuffix = ".tmp";

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

Expected<void, FileError> write_durably(FileOps& ops, const std::string& dir, const std::string& name,
                                        std::span<const std::byte> bytes, DirSync sync, Readers readers) {
    const std::string path = dir + "/" + name;
    const std::string temporary = path + std::string{kLeftoverSuffix};
    const auto handle = ops.create(temporary, readers);
    if (!handle) return Unexpected(file_error(handle.error(), "create", temporary));

    // The disk's space comes back at once: a full disk must not stay full because of our half file.
    const auto give_up = [&](int why, std::string_view action) {
        ops.close(*handle);
        (void)ops.unlink(temporary);
        return Unexpected(file_error(why, action, temporary));
    };
    while (!bytes.empty()) {
        const auto taken = ops.write(*handle, bytes);
        if (!taken) return give_up(taken.error(), "write");
        if (*taken == 0) return give_up(EIO, "write");
        bytes = bytes.subspan(*taken);
    }
    // Before the rename: otherwise the new name may point to blocks that never reached the disk.
    if (const auto synced = ops.fsync(*handle); !synced) return give_up(synced.error(), "fsync");
    ops.close(*handle);
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
    return write_durably(ops, dir, name, std::as_bytes(std::span{text.data(), text.size()}), sync, readers);
}

}  // namespace sluice::cp
