#include "controlplane/records/block_walk.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "controlplane/records/block_view.hpp"

namespace sluice::cp {
namespace {

constexpr std::size_t kWindowBytes = 64 * 1024;
constexpr std::uint64_t kStep = 8;  // blocks begin at multiples of it

}  // namespace

bool pread_whole(int fd, std::span<std::byte> into, std::uint64_t offset) noexcept {
    while (!into.empty()) {
        const ssize_t n = ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        into = into.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
    }
    return true;
}

bool BlockWalk::header_at(std::uint64_t offset) {
    return end_ - offset >= sizeof header_ &&
           pread_whole(fd_, std::as_writable_bytes(std::span{&header_, 1}), offset) &&
           block_header_good(header_, segment_, offset) && header_.payload_bytes <= end_ - offset - sizeof header_;
}

const BlockHeader* BlockWalk::next() {
    if (at_ >= end_) return nullptr;
    if (!header_at(at_)) {
        ++gaps_;
        if (!find_header()) {
            at_ = end_;
            return nullptr;
        }
    }
    payload_at_ = header_.offset + sizeof header_;
    at_ = payload_at_ + header_.payload_bytes;
    return &header_;
}

bool BlockWalk::find_header() {
    std::uint64_t from = at_ - at_ % kStep + kStep;
    while (from + sizeof header_ <= end_) {
        window_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kWindowBytes, end_ - from)));
        // A page that can't be read is passed over like one with nonsense in it.
        const bool read = pread_whole(fd_, window_, from);
        for (std::size_t i = 0; read && i + sizeof(kBlockMagic) <= window_.size(); i += kStep) {
            std::uint32_t magic{};
            std::memcpy(&magic, window_.data() + i, sizeof magic);
            if (magic == kBlockMagic && header_at(from + i)) return true;
        }
        from += window_.size() - window_.size() % kStep;
        if (window_.size() < kStep) break;
    }
    return false;
}

bool BlockWalk::payload(std::vector<std::byte>& into) const {
    into.resize(header_.payload_bytes);
    return pread_whole(fd_, into, payload_at_);
}

}  // namespace sluice::cp
