#include "controlplane/publish/generation_memfds.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include <sluice/sealed_memfd.hpp>

namespace sluice::cp {
namespace {

constexpr std::size_t kHugePageBytes = 2U << 20;

Unexpected<std::string> failed(const char* what) {
    return Unexpected<std::string>(std::string{what} + " failed: " + std::generic_category().message(errno));
}

/// An unsealed memfd that holds `bytes`; `flags` may ask for huge pages, which fails where none are free.
Expected<UniqueFd, std::string> filled(const char* name, std::span<const std::byte> bytes, unsigned flags,
                                       std::size_t page_bytes) {
    UniqueFd fd{::memfd_create(name, flags | MFD_ALLOW_SEALING | MFD_CLOEXEC)};
    if (!fd) return failed("memfd_create");
    if (::fchmod(fd.get(), 0600) != 0) return failed("fchmod");
    const std::size_t size = (bytes.size() + page_bytes - 1) / page_bytes * page_bytes;
    if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return failed("ftruncate");
    // MAP_POPULATE: pages are taken here, where their absence is an error, not at the copy, where it is a SIGBUS.
    void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd.get(), 0);
    if (at == MAP_FAILED) return failed("mmap");
    std::memcpy(at, bytes.data(), bytes.size());
    // A write seal is refused while a writable mapping exists.
    if (::munmap(at, size) != 0) return failed("munmap");
    return fd;
}

}  // namespace

Expected<UniqueFd, std::string> sealed_memfd(const char* name, std::span<const std::byte> bytes) {
    if (bytes.empty()) return Unexpected<std::string>("an empty section cannot be published");
    Expected<UniqueFd, std::string> fd = Unexpected<std::string>("");
    // mmap of a huge-page memfd reserves its pages and fails if they are not free, so a population can't fail later.
    if (bytes.size() >= kHugeSectionBytesMin) fd = filled(name, bytes, MFD_HUGETLB, kHugePageBytes);
    if (!fd) fd = filled(name, bytes, 0, static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
    if (!fd) return fd;
    if (!seal_memfd(fd->get())) return failed("sealing a memfd");
    return fd;
}

}  // namespace sluice::cp
