#include "controlplane/store/file_ops.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "controlplane/store/unique_fd.hpp"

namespace sluice::cp {
namespace {

using Errno = FileOps::Errno;

Expected<void, Errno> outcome(int rc) {
    if (rc != 0) return Unexpected<Errno>(errno);
    return {};
}

class PosixFileOps final : public FileOps {
public:
    Expected<int, Errno> create(const std::string& path, Readers readers) override {
        UniqueFd fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600)};
        if (!fd) return Unexpected<Errno>(errno);
        // Not by the mode of open(): a umask of 077 would take the group's bit away.
        if (readers == Readers::group && ::fchmod(fd.get(), 0640) != 0) return Unexpected<Errno>(errno);
        return fd.release();
    }

    Expected<int, Errno> open_end(const std::string& path) override {
        UniqueFd fd{::open(path.c_str(), O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC)};
        if (!fd) return Unexpected<Errno>(errno);
        return fd.release();
    }

    Expected<std::size_t, Errno> write(int handle, std::span<const std::byte> bytes) override {
        for (;;) {
            const ssize_t n = ::write(handle, bytes.data(), bytes.size());
            if (n >= 0) return static_cast<std::size_t>(n);
            if (errno != EINTR) return Unexpected<Errno>(errno);
        }
    }

    Expected<void, Errno> fsync(int handle) override { return outcome(::fsync(handle)); }
    void close(int handle) override { ::close(handle); }

    Expected<void, Errno> truncate(const std::string& path, std::uint64_t bytes) override {
        return outcome(::truncate(path.c_str(), static_cast<off_t>(bytes)));
    }
    Expected<void, Errno> rename(const std::string& from, const std::string& to) override {
        return outcome(std::rename(from.c_str(), to.c_str()));
    }
    Expected<void, Errno> unlink(const std::string& path) override { return outcome(::unlink(path.c_str())); }

    Expected<void, Errno> fsync_dir(const std::string& path) override {
        const UniqueFd dir{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        if (!dir) return Unexpected<Errno>(errno);
        return outcome(::fsync(dir.get()));
    }

    Expected<void, Errno> make_dir(const std::string& path, Readers readers) override {
        if (::mkdir(path.c_str(), 0700) == 0) {
            if (readers == Readers::group && ::chmod(path.c_str(), 0750) != 0) return Unexpected<Errno>(errno);
            return {};
        }
        const int why = errno;
        struct stat st {};
        if (why == EEXIST && ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) return {};
        return Unexpected<Errno>(why == EEXIST ? ENOTDIR : why);
    }

    Expected<std::string, Errno> read(const std::string& path, std::size_t bytes_max) override {
        const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
        if (!fd) return Unexpected<Errno>(errno);
        std::string text;
        std::array<char, 16384> chunk;
        for (;;) {
            const ssize_t n = ::read(fd.get(), chunk.data(), chunk.size());
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return Unexpected<Errno>(errno);
            if (n == 0) return text;
            text.append(chunk.data(), static_cast<std::size_t>(n));
            if (text.size() > bytes_max) return Unexpected<Errno>(EFBIG);
        }
    }

    Expected<std::vector<std::string>, Errno> list(const std::string& path) override {
        struct Close {
            void operator()(DIR* d) const noexcept { ::closedir(d); }
        };
        const std::unique_ptr<DIR, Close> dir{::opendir(path.c_str())};
        if (!dir) return Unexpected<Errno>(errno);
        std::vector<std::string> names;
        while (const dirent* entry = ::readdir(dir.get())) {
            if (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN) names.emplace_back(entry->d_name);
        }
        return names;
    }
};

}  // namespace

FileOps& posix_file_ops() noexcept {
    static PosixFileOps ops;
    return ops;
}

}  // namespace sluice::cp
