#include "controlplane/records/block_view.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "controlplane/records/crc32c.hpp"

namespace sluice::cp {
namespace {

/// Takes a T off the front; false if the bytes end before.
template <typename T>
bool take(std::span<const std::byte>& from, T& into) noexcept {
    if (from.size() < sizeof into) return false;
    std::memcpy(&into, from.data(), sizeof into);
    from = from.subspan(sizeof into);
    return true;
}

bool take_text(std::span<const std::byte>& from, std::string_view& into) noexcept {
    std::uint8_t size{};
    if (!take(from, size) || from.size() < size) return false;
    into = {reinterpret_cast<const char*>(from.data()), size};
    from = from.subspan(size);
    return true;
}

}  // namespace

bool block_header_good(const BlockHeader& header, std::uint64_t segment, std::uint64_t offset) noexcept {
    if (header.magic != kBlockMagic || header.segment != segment || header.offset != offset) return false;
    if (header.payload_bytes == 0 || header.payload_bytes > kBlockBytesMax || header.payload_bytes % 8 != 0)
        return false;
    BlockHeader unsigned_header = header;
    unsigned_header.crc = 0;
    if (crc32c(std::as_bytes(std::span{&unsigned_header, 1})) != header.crc) return false;
    return header.record_count != 0 && header.record_count <= header.payload_bytes / sizeof(RecordHead) &&
           header.first_record != 0 && header.first_record + header.record_count > header.first_record &&
           header.time_min_ns <= header.time_max_ns;
}

std::size_t BlockView::Shape::record_bytes() const noexcept {
    return sizeof(RecordHead) + std::size_t{2} * address_bytes +
           ((parts & kHasTotals) != 0 ? sizeof(RecordTotals) : 0) +
           ((parts & kHasSuppressed) != 0 ? sizeof(std::uint32_t) : 0);
}

bool BlockView::read_contexts(std::span<const std::byte>& rest, std::uint32_t count) {
    if (count > rest.size() / sizeof(ContextHead)) return false;
    shapes_.clear();
    shapes_.reserve(count);
    for (std::uint32_t i = 0; i < count; ++i) {
        ContextHead head;
        Shape shape;
        auto& c = shape.context;
        if (!take(rest, head) || !take_text(rest, c.rule) || !take_text(rest, c.from_zone) ||
            !take_text(rest, c.to_zone) || !take_text(rest, c.in_port) || !take_text(rest, c.reason)) {
            return false;
        }
        if (head.family != 0 && head.family != 4 && head.family != 6) return false;
        if ((head.parts & ~(kHasTotals | kHasSuppressed)) != 0) return false;
        c.generation = head.generation;
        // A kind, verdict or end that this build does not know is told as such: a later build may have written it.
        c.kind = static_cast<abi::EventKind>(head.kind);
        c.verdict = static_cast<abi::Verdict>(head.verdict);
        c.end = static_cast<abi::FlowEnd>(head.end);
        c.family = static_cast<abi::IpFamily>(head.family);
        c.proto = static_cast<abi::L4Proto>(head.proto);
        shape.address_bytes = head.family == 0 ? 0 : head.family == 4 ? 4 : 16;
        shape.parts = head.parts;
        shapes_.push_back(shape);
    }
    return true;
}

bool BlockView::read_rings(std::span<const std::byte>& rest, const BlockHeader& header) {
    rings_ = {header.boot_id, {}};
    if (header.ring_count > abi::kWorkersMax) return false;
    for (std::uint32_t i = 0; i < header.ring_count; ++i) {
        RingPlace place;
        if (!take(rest, place) || place.worker >= abi::kWorkersMax) return false;
        rings_.next[place.worker] = place.next;
    }
    return true;
}

/// Walks all of them once, so that `next` needs no check.
bool BlockView::records_fit(std::uint32_t count) const noexcept {
    auto rest = records_;
    for (std::uint32_t i = 0; i < count; ++i) {
        RecordHead head;
        if (rest.size() < sizeof head) return false;
        std::memcpy(&head, rest.data(), sizeof head);
        if (head.context >= shapes_.size()) return false;
        const std::size_t bytes = shapes_[head.context].record_bytes();
        if (rest.size() < bytes) return false;
        rest = rest.subspan(bytes);
    }
    return rest.size() < 8;  // the padding
}

bool BlockView::open(const BlockHeader& header, std::span<const std::byte> payload) {
    close();
    if (payload.size() != header.payload_bytes || crc32c(payload) != header.payload_crc) return false;
    auto rest = payload;
    if (!read_contexts(rest, header.context_count) || !read_rings(rest, header)) return false;
    records_ = rest;
    if (!records_fit(header.record_count)) return false;
    left_ = header.record_count;
    record_ = {};
    record_.number = header.first_record - 1;
    return true;
}

const FlowRecord* BlockView::next() noexcept {
    if (left_ == 0) return nullptr;
    --left_;
    RecordHead head;
    (void)take(records_, head);
    const Shape& shape = shapes_[head.context];
    ++record_.number;
    record_.time_ns = head.time_ns;
    record_.context = &shape.context;
    record_.sport = head.sport;
    record_.dport = head.dport;
    for (abi::IpAddr* address : {&record_.src, &record_.dst}) {
        *address = {};
        std::memcpy(address->bytes.data(), records_.data(), shape.address_bytes);
        records_ = records_.subspan(shape.address_bytes);
    }
    RecordTotals totals{};
    if ((shape.parts & kHasTotals) != 0) (void)take(records_, totals);
    record_.started_ns = totals.started_ns;
    record_.packets = std::to_array(totals.packets);
    record_.bytes = std::to_array(totals.bytes);
    record_.suppressed = 0;
    if ((shape.parts & kHasSuppressed) != 0) (void)take(records_, record_.suppressed);
    return &record_;
}

}  // namespace sluice::cp
