/// Whole-file replacement that a power cut cannot tear: temporary name, write, fsync, rename, fsync of the directory.
/// A reader finds the old content or the new, never a part and never nothing (CASES A4, Q17).
#pragma once

#include <string>
#include <string_view>

#include <sluice/expected.hpp>

#include "controlplane/store/file_ops.hpp"

namespace sluice::cp {

struct FileError {
    int error_number{};  ///< errno
    std::string what;    ///< sentence: which file, what failed, why
    bool disk_full() const noexcept;
    bool damaged() const noexcept;  ///< what was read makes no sense: EUCLEAN
};

FileError file_error(int error_number, std::string_view action, std::string_view path);

enum class DirSync : bool { later, now };

/// `later` leaves the directory's fsync to the caller, who replaces several files of it at once: until then either
/// content may come back.
Expected<void, FileError> write_durably(FileOps& ops, const std::string& dir, const std::string& name,
                                        std::span<const std::span<const std::byte>> pieces, DirSync sync = DirSync::now,
                                        Readers readers = Readers::owner);
Expected<void, FileError> write_durably(FileOps& ops, const std::string& dir, const std::string& name,
                                        std::string_view text, DirSync sync = DirSync::now,
                                        Readers readers = Readers::owner);

/// True for names that write_durably leaves behind when it is cut; such files may be removed at any time.
bool is_leftover(std::string_view name) noexcept;

}  // namespace sluice::cp
