/// Reads a block back. The bytes come from a disk and may be anything: each check fails by value, and a block that
/// passes has records that can be told.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "controlplane/records/block_format.hpp"
#include "controlplane/records/flow_record.hpp"

namespace sluice::cp {

/// Whether these bytes are the header of a block of that segment at that offset: magic, checksum, place, bounds.
bool block_header_good(const BlockHeader& header, std::uint64_t segment, std::uint64_t offset) noexcept;

class BlockView {
public:
    /// False: the payload is damaged, or no writer of ours made it. Then there are no records. Keeps what it needs of
    /// `payload`, whose bytes must live as long as this view's records are used.
    bool open(const BlockHeader& header, std::span<const std::byte> payload);
    void close() noexcept { left_ = 0; }

    /// The next record, or null at the end. Good until the next call.
    const FlowRecord* next() noexcept;

    /// Of the block; positions of workers that it does not name are 0.
    const RingPositions& rings() const noexcept { return rings_; }

private:
    bool read_contexts(std::span<const std::byte>& rest, std::uint32_t count);
    bool read_rings(std::span<const std::byte>& rest, const BlockHeader& header);
    bool records_fit(std::uint32_t count) const noexcept;

    struct Shape {
        RecordContext context;
        std::uint8_t address_bytes{}, parts{};
        std::size_t record_bytes() const noexcept;
    };
    std::vector<Shape> shapes_;
    RingPositions rings_;
    std::span<const std::byte> records_;
    std::uint32_t left_{};
    FlowRecord record_;
};

}  // namespace sluice::cp
