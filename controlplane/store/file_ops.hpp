/// The few system calls that durable files are made of, as a seam: tests replace them by a disk that loses power after
/// any call (CASES A4, Q17) or runs full (A6). Everything that must survive a power cut goes through here.
/// Errors are errno values, never exceptions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <sluice/expected.hpp>

namespace sluice::cp {

/// Who may read a file or enter a directory that we make: we alone (modes 0600, 0700), or the group that the directory
/// it lies in gives it as well (0640, 0750).
enum class Readers : bool { owner, group };

class FileOps {
public:
    using Errno = int;
    virtual ~FileOps() = default;

    /// New or emptied file, never through a symbolic link. Returns a handle for write, fsync and close.
    virtual Expected<int, Errno> create(const std::string& path, Readers readers) = 0;
    /// An existing file, never through a symbolic link; writes go behind what it holds. A handle as of `create`.
    virtual Expected<int, Errno> open_end(const std::string& path) = 0;
    /// Bytes taken; may be fewer than offered.
    virtual Expected<std::size_t, Errno> write(int handle, std::span<const std::byte> bytes) = 0;
    virtual Expected<void, Errno> fsync(int handle) = 0;
    virtual void close(int handle) = 0;
    /// Cuts off what stands behind so many bytes.
    virtual Expected<void, Errno> truncate(const std::string& path, std::uint64_t bytes) = 0;
    virtual Expected<void, Errno> rename(const std::string& from, const std::string& to) = 0;
    virtual Expected<void, Errno> unlink(const std::string& path) = 0;
    virtual Expected<void, Errno> fsync_dir(const std::string& path) = 0;
    /// Succeeds if the directory is there already.
    virtual Expected<void, Errno> make_dir(const std::string& path, Readers readers) = 0;
    /// EFBIG if it is longer than `bytes_max`.
    virtual Expected<std::string, Errno> read(const std::string& path, std::size_t bytes_max) = 0;
    /// Names of the plain entries, unsorted.
    virtual Expected<std::vector<std::string>, Errno> list(const std::string& path) = 0;
};

/// The kernel's.
FileOps& posix_file_ops() noexcept;

}  // namespace sluice::cp
