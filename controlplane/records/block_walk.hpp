/// From block to block through a stretch of a segment file. Where there should be a block and is none that can be
/// believed, the walk looks for the next one that can, so that damage costs what is damaged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "controlplane/records/block_format.hpp"

namespace sluice::cp {

/// True: all of `into` was read. A short file, like an error, is false.
bool pread_whole(int fd, std::span<std::byte> into, std::uint64_t offset) noexcept;

class BlockWalk {
public:
    /// `fd` is borrowed. Nothing at or behind `end` is looked at.
    BlockWalk(int fd, std::uint64_t segment, std::uint64_t begin, std::uint64_t end)
        : fd_{fd}, segment_{segment}, at_{begin}, end_{end} {}

    /// Header of the next block, which lies before the end as a whole; null when there is none any more.
    const BlockHeader* next();
    /// Of the block that `next` gave. False: it can't be read.
    bool payload(std::vector<std::byte>& into) const;

    /// Stretches, up to now, that were no blocks.
    std::uint64_t gaps() const noexcept { return gaps_; }

private:
    bool header_at(std::uint64_t offset);
    bool find_header();

    int fd_;
    std::uint64_t segment_, at_, end_;
    std::uint64_t payload_at_{};
    std::uint64_t gaps_{};
    BlockHeader header_;
    std::vector<std::byte> window_;
};

}  // namespace sluice::cp
