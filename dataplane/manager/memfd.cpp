#include "dataplane/manager/memfd.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <string_view>

#include <sluice/sealed_memfd.hpp>

namespace sluice::dp {

namespace {

constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;
constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kHugeContentBytesMin = std::size_t{1} << 20;  // below, most of a huge page would stay empty

std::size_t round_up(std::size_t bytes, std::size_t page) { return (bytes + page - 1) / page * page; }

std::string failed(const char* call) { return fmt::format("{}: {}", call, std::strerror(errno)); }

/// The link of a descriptor in /proc names the kind of file: seals alone do not tell a memfd from a file on tmpfs.
bool is_memfd(int fd) {
    char target[PATH_MAX];
    const auto link = fmt::format("/proc/self/fd/{}", fd);
    const ssize_t length = readlink(link.c_str(), target, sizeof target);
    return length > 0 && std::string_view{target, static_cast<std::size_t>(length)}.starts_with("/memfd:");
}

Expected<UniqueFd, std::string> try_create(const char* name, std::size_t bytes, unsigned flags) {
    UniqueFd fd{memfd_create(name, flags | MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (!fd) return Unexpected<std::string>{failed("memfd_create")};
    if (ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) return Unexpected<std::string>{failed("ftruncate")};
    // A memfd is born 0777, and whoever may open /proc/PID/fd/N could make a writable descriptor of a read-only one.
    if (fchmod(fd.get(), 0600) != 0) return Unexpected<std::string>{failed("fchmod")};
    return fd;
}

Unexpected<Refusal> refuse(abi::RefuseReason reason, std::string where) {
    return Unexpected<Refusal>{Refusal{reason, std::move(where)}};
}

}  // namespace

UniqueFd::~UniqueFd() {
    if (fd_ >= 0) close(fd_);
}

UniqueFd UniqueFd::duplicate() const noexcept { return UniqueFd{fd_ < 0 ? -1 : fcntl(fd_, F_DUPFD_CLOEXEC, 3)}; }

Mapping::~Mapping() {
    if (data_ != nullptr) munmap(data_, bytes_);
}

Expected<UniqueFd, std::string> create_memfd(const char* name, std::size_t bytes, PageSize pages) {
    if (pages == PageSize::huge_if_free) {
        auto fd = try_create(name, round_up(bytes, kHugePageBytes), MFD_HUGETLB | MFD_HUGE_2MB);
        // A mapping reserves its pages, so this tells whether there are enough, without a SIGBUS later.
        if (fd && map_writable(fd->get())) return fd;
    }
    return try_create(name, round_up(bytes, kPageBytes), 0);
}

Expected<Mapping, std::string> map_writable(int fd) {
    struct stat st {};
    if (fstat(fd, &st) != 0) return Unexpected<std::string>{failed("fstat")};
    const auto bytes = static_cast<std::size_t>(st.st_size);
    void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (data == MAP_FAILED) return Unexpected<std::string>{failed("mmap")};
    return Mapping{static_cast<std::byte*>(data), bytes};
}

Expected<UniqueFd, std::string> sealed_copy(const char* name, std::span<const std::byte> content) {
    const PageSize pages = content.size() >= kHugeContentBytesMin ? PageSize::huge_if_free : PageSize::normal;
    auto fd = create_memfd(name, content.size(), pages);
    if (!fd) return fd;
    {
        auto mapping = map_writable(fd->get());
        if (!mapping) return Unexpected<std::string>{mapping.error()};
        std::memcpy(mapping->data(), content.data(), content.size());
    }
    if (!seal_memfd(fd->get())) return Unexpected<std::string>{failed("sealing")};
    return fd;
}

Expected<void, Refusal> check_sealed(int fd, std::uint64_t bytes_min, std::uint64_t bytes_max,
                                     const TrustedOwners& owners, const std::string& what) {
    struct stat st {};
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || !is_memfd(fd)) {
        return refuse(abi::RefuseReason::not_a_memfd, what + ": the descriptor is no memfd");
    }
    const int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0) return refuse(abi::RefuseReason::not_a_memfd, what + ": the descriptor has no seals");
    if ((seals & kAllSeals) != kAllSeals) {
        return refuse(
            abi::RefuseReason::seals_missing,
            fmt::format("{}: seals are {:#x}, wanted WRITE|SHRINK|GROW|SEAL ({:#x})", what, seals, kAllSeals));
    }
    if ((st.st_mode & 0777) != 0600) {
        return refuse(abi::RefuseReason::permissions,
                      fmt::format("{}: mode is {:04o}, wanted 0600", what, st.st_mode & 07777));
    }
    if (std::find(owners.begin(), owners.end(), st.st_uid) == owners.end()) {
        return refuse(abi::RefuseReason::permissions,
                      fmt::format("{}: owner is uid {}, who is no publisher", what, st.st_uid));
    }
    const auto size = static_cast<std::uint64_t>(st.st_size);
    if (size < bytes_min || size > round_up(bytes_max, kHugePageBytes)) {
        return refuse(abi::RefuseReason::size_wrong,
                      fmt::format("{}: {} bytes, wanted {} to {}", what, size, bytes_min, bytes_max));
    }
    // A hole passes every seal; its first read would allocate memory, or fail with SIGBUS where there is none.
    if (static_cast<std::uint64_t>(st.st_blocks) * 512 < size) {
        return refuse(abi::RefuseReason::sparse,
                      fmt::format("{}: {} of {} bytes are allocated", what, st.st_blocks * 512, size));
    }
    return {};
}

Expected<Mapping, Refusal> map_sealed(int fd, const std::string& what) {
    struct stat st {};
    if (fstat(fd, &st) != 0) return refuse(abi::RefuseReason::map_failed, what + ": " + failed("fstat"));
    const auto bytes = static_cast<std::size_t>(st.st_size);
    void* data = mmap(nullptr, bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (data == MAP_FAILED) return refuse(abi::RefuseReason::map_failed, what + ": " + failed("mmap"));
    return Mapping{static_cast<std::byte*>(data), bytes};
}

}  // namespace sluice::dp
