#include "dataplane/acl/large_tables.hpp"

#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>

namespace sluice::dp {

namespace {

/// Sections that other generations of the same rules may have of their own.
bool is_edits(abi::SectionKind kind) noexcept {
    return kind == abi::SectionKind::settings || kind == abi::SectionKind::overlay;
}

bool same(const abi::SectionRef& a, const abi::SectionRef& b) noexcept {
    return a.kind == b.kind && a.digest == b.digest && a.bytes == b.bytes;
}

/// Drawn by the process: nobody can write ids that share a bucket.
std::uint64_t seed_of_process() noexcept {
    static const std::uint64_t seed = [] {
        std::uint64_t drawn = 0;
        (void)getentropy(&drawn, sizeof drawn);  // it fails only for more than 256 bytes, or without a kernel for it
        return drawn;
    }();
    return seed;
}

}  // namespace

LargeTables::LargeTables(const abi::Manifest& manifest, const TableView& view, std::uint32_t entry_count,
                         abi::RuleIndex highest_slot)
    : sections_{manifest.sections},
      entry_count_{entry_count},
      highest_slot_{highest_slot},
      by_slot_(static_cast<std::size_t>(view.rules[highest_slot].slot) + 1, abi::kNoRule),
      bucket_bits_{static_cast<unsigned>(std::bit_width(view.rules.size()))},
      bucket_begin_((std::size_t{1} << bucket_bits_) + 1),
      by_id_(view.default_rule()) {
    std::vector<std::uint32_t> buckets(view.default_rule());
    for (abi::RuleIndex i = 0; i < view.default_rule(); ++i) {
        by_slot_[static_cast<std::size_t>(view.rules[i].slot)] = i;
        buckets[i] = static_cast<std::uint32_t>(bucket_of(view.rule_id(i)));
        ++bucket_begin_[buckets[i]];
    }
    // Sums from the front, then each place taken from its bucket's end on: what is left is where buckets begin.
    std::uint32_t sum = 0;
    for (std::uint32_t& end : bucket_begin_) end = sum += end;
    for (abi::RuleIndex i = view.default_rule(); i-- != 0;) by_id_[--bucket_begin_[buckets[i]]] = i;
}

bool LargeTables::are_those_of(const abi::Manifest& manifest) const noexcept {
    return std::ranges::equal(sections_, manifest.sections, [](const abi::SectionRef& a, const abi::SectionRef& b) {
        return is_edits(a.kind) ? a.kind == b.kind : same(a, b);
    });
}

abi::RuleIndex LargeTables::with_slot(abi::RuleSlot slot) const noexcept {
    const auto at = static_cast<std::size_t>(slot);
    return at < by_slot_.size() ? by_slot_[at] : abi::kNoRule;
}

abi::RuleIndex LargeTables::with_id(std::string_view id, const TableView& view) const noexcept {
    const std::size_t bucket = bucket_of(id);
    for (std::uint32_t at = bucket_begin_[bucket]; at < bucket_begin_[bucket + 1]; ++at) {
        if (view.rule_id(by_id_[at]) == id) return by_id_[at];
    }
    return abi::kNoRule;
}

std::size_t LargeTables::bucket_of(std::string_view id) const noexcept {
    return XXH3_64bits_withSeed(id.data(), id.size(), seed_of_process()) >> (64 - bucket_bits_);
}

}  // namespace sluice::dp
