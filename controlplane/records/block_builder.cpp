#include "controlplane/records/block_builder.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string_view>

#include "controlplane/records/crc32c.hpp"

namespace sluice::cp {
namespace {

constexpr std::size_t kTextBytesMax = 255;

template <typename T>
void append(std::vector<std::byte>& to, const T& value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    to.insert(to.end(), bytes, bytes + sizeof value);
}

void append_text(std::vector<std::byte>& to, std::string_view text) {
    text = text.substr(0, kTextBytesMax);
    to.push_back(static_cast<std::byte>(text.size()));
    const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
    to.insert(to.end(), bytes, bytes + text.size());
}

std::size_t address_bytes(abi::IpFamily family) noexcept {
    if (family == abi::IpFamily::none) return 0;
    return family == abi::IpFamily::v4 ? 4 : 16;
}

}  // namespace

std::size_t BlockBuilder::KeyHash::operator()(const Key& key) const noexcept {
    std::uint64_t h = key.generation * 0x9e3779b97f4a7c15ULL;
    const auto mix = [&](std::uint64_t v) { h = (h ^ v) * 0xff51afd7ed558ccdULL, h ^= h >> 32U; };
    mix(static_cast<std::uint64_t>(key.slot) | static_cast<std::uint64_t>(key.from_zone) << 32U |
        static_cast<std::uint64_t>(key.to_zone) << 48U);
    mix(std::uint64_t{key.kind} | std::uint64_t{key.verdict} << 8U | std::uint64_t{key.end} << 16U |
        std::uint64_t{key.family} << 24U | std::uint64_t{key.proto} << 32U | std::uint64_t{key.in_port} << 40U |
        static_cast<std::uint64_t>(key.drop) << 48U | std::uint64_t{key.parts} << 62U);
    return h;
}

void BlockBuilder::write_context(const Key& key, const Names& names) {
    ContextHead head;
    head.generation = key.generation;
    head.kind = key.kind;
    head.verdict = key.verdict;
    head.end = key.end;
    head.family = key.family;
    head.proto = key.proto;
    head.parts = key.parts;
    append(contexts_, head);
    append_text(contexts_, names.rule(key.slot));
    append_text(contexts_, names.zone(key.generation, key.from_zone));
    append_text(contexts_, names.zone(key.generation, key.to_zone));
    append_text(contexts_, names.port(key.in_port));
    append_text(contexts_,
                has_reason(static_cast<abi::EventKind>(key.kind)) ? abi::to_string(key.drop) : std::string_view{});
}

std::uint32_t BlockBuilder::context_of(const RingEvent& event, const EventBatch& batch, std::uint8_t parts) {
    if (names_ != batch.names) {  // the same numbers may stand for other names now
        places_.clear();
        names_ = batch.names;
    }
    Key key;
    key.generation = event.generation;
    key.slot = event.slot;
    key.from_zone = event.from_zone;
    key.to_zone = event.to_zone;
    key.drop = has_reason(event.kind) ? event.drop : abi::DropReason{};
    key.kind = static_cast<std::uint8_t>(event.kind);
    key.verdict = static_cast<std::uint8_t>(event.verdict);
    key.end = static_cast<std::uint8_t>(event.end);
    key.family = static_cast<std::uint8_t>(event.family);
    key.proto = static_cast<std::uint8_t>(event.proto);
    key.in_port = event.in_port;
    key.parts = parts;
    if (!places_.empty() && key == last_key_) return last_place_;
    const auto [at, is_new] = places_.try_emplace(key, header_.context_count);
    if (is_new) {
        write_context(key, *names_);
        ++header_.context_count;
    }
    last_key_ = key;
    last_place_ = at->second;
    return last_place_;
}

void BlockBuilder::add(const RingEvent& event, const EventBatch& batch) {
    if (batch.boot_id != rings_.boot_id) rings_ = {batch.boot_id, {}};
    header_.boot_id = batch.boot_id;
    const bool ended = event.kind == abi::EventKind::flow_end;
    const auto parts =
        static_cast<std::uint8_t>((ended ? kHasTotals : 0) | (event.suppressed != 0 ? kHasSuppressed : 0));
    RecordHead head;
    head.time_ns = batch.clock.utc_ns(event.time);
    head.context = context_of(event, batch, parts);
    head.sport = event.sport.to_host();
    head.dport = event.dport.to_host();
    append(records_, head);
    const std::size_t bytes = address_bytes(event.family);
    for (const abi::IpAddr* address : {&event.src, &event.dst}) {
        const auto* at = reinterpret_cast<const std::byte*>(address->bytes.data());
        records_.insert(records_.end(), at, at + bytes);
    }
    if (ended) {
        RecordTotals totals;
        totals.started_ns = batch.clock.utc_ns(event.started);
        for (std::size_t d = 0; d < 2; ++d) {
            totals.packets[d] = event.packets[d];
            totals.bytes[d] = event.bytes[d];
        }
        append(records_, totals);
    }
    if (event.suppressed != 0) append(records_, event.suppressed);
    header_.time_min_ns = empty() ? head.time_ns : std::min(header_.time_min_ns, head.time_ns);
    header_.time_max_ns = empty() ? head.time_ns : std::max(header_.time_max_ns, head.time_ns);
    ++header_.record_count;
    if (event.worker < rings_.next.size()) {
        auto& next = rings_.next[event.worker];
        next = std::max(next, event.sequence + 1);
    }
}

BlockBuilder::Block BlockBuilder::finish(std::uint64_t segment, std::uint64_t offset, std::uint64_t first_record) {
    block_.resize(sizeof(BlockHeader));
    block_.insert(block_.end(), contexts_.begin(), contexts_.end());
    header_.ring_count = 0;
    for (std::size_t w = 0; w < rings_.next.size(); ++w) {
        if (rings_.next[w] == 0) continue;
        append(block_, RingPlace{w, rings_.next[w]});
        ++header_.ring_count;
    }
    block_.insert(block_.end(), records_.begin(), records_.end());
    while (block_.size() % 8 != 0) block_.push_back(std::byte{0});

    const std::span payload{std::span<const std::byte>{block_}.subspan(sizeof(BlockHeader))};
    header_.segment = segment;
    header_.offset = offset;
    header_.first_record = first_record;
    header_.payload_bytes = static_cast<std::uint32_t>(payload.size());
    header_.payload_crc = crc32c(payload);
    header_.crc = 0;
    header_.crc = crc32c(std::as_bytes(std::span{&header_, 1}));
    std::memcpy(block_.data(), &header_, sizeof header_);
    return {header_, block_};
}

void BlockBuilder::clear() {
    header_ = {};
    contexts_.clear();
    records_.clear();
    places_.clear();
}

}  // namespace sluice::cp
