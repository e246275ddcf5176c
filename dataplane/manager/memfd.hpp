/// Sealed memory: making it, and checking what another process sent. Neighbours: attach.hpp takes what passed here,
/// telemetry_segments.hpp and last_good.hpp make memfds of their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sluice/expected.hpp>

#include "dataplane/acl/validator.hpp"

namespace sluice::dp {

/// Owns a file descriptor.
class UniqueFd {
public:
    UniqueFd() noexcept = default;
    explicit UniqueFd(int fd) noexcept : fd_{fd} {}
    UniqueFd(UniqueFd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~UniqueFd();

    int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }
    /// Another descriptor of the same file; empty if the process has none left.
    UniqueFd duplicate() const noexcept;

private:
    int fd_{-1};
};

/// Owns a mapping.
class Mapping {
public:
    Mapping() noexcept = default;
    Mapping(std::byte* data, std::size_t bytes) noexcept : data_{data}, bytes_{bytes} {}
    Mapping(Mapping&& other) noexcept : data_{std::exchange(other.data_, nullptr)}, bytes_{other.bytes_} {}
    Mapping& operator=(Mapping&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~Mapping();

    std::byte* data() const noexcept { return data_; }
    std::span<const std::byte> bytes() const noexcept { return {data_, bytes_}; }
    std::size_t size() const noexcept { return bytes_; }

private:
    std::byte* data_{};
    std::size_t bytes_{};
};

enum class PageSize { normal, huge_if_free };

/// A memfd of `bytes`, rounded up to a page, mode 0600, seals allowed. With huge_if_free and no huge page left it is a
/// plain one.
Expected<UniqueFd, std::string> create_memfd(const char* name, std::size_t bytes, PageSize pages);

/// Maps all of `fd`, shared and writable, every page present.
Expected<Mapping, std::string> map_writable(int fd);

/// A memfd that holds `content` and can never change.
Expected<UniqueFd, std::string> sealed_copy(const char* name, std::span<const std::byte> content);

/// Users whose descriptors are taken: publishers and ourselves. A memfd belongs to the process that made it.
using TrustedOwners = std::vector<std::uint32_t>;

/// As against a hostile sender: a memfd, sealed WRITE|SHRINK|GROW|SEAL, of a trusted owner and nobody else's to open,
/// at least `bytes_min` and at most `bytes_max` (plus page rounding) long, every page allocated. `what` begins the
/// sentence of a refusal.
Expected<void, Refusal> check_sealed(int fd, std::uint64_t bytes_min, std::uint64_t bytes_max,
                                     const TrustedOwners& owners, const std::string& what);

/// Maps all of a checked descriptor, read-only, every page present.
Expected<Mapping, Refusal> map_sealed(int fd, const std::string& what);

}  // namespace sluice::dp
