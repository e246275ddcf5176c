#include "dataplane/acl/lookup.hpp"

#include <array>

#include "dataplane/acl/isa.hpp"
#include "dataplane/acl/overlay_merge.hpp"
#include "dataplane/acl/passed_on.hpp"

namespace sluice::dp {

namespace {

using LookupFn = void (*)(const LookupTables&, SetAnswers, std::span<const LookupKey>,
                          std::span<LookupResult>) noexcept;

LookupFn body(Isa isa) noexcept {
#if defined(__x86_64__)
    if (isa == Isa::avx512) return &avx512::lookup;
    if (isa == Isa::avx2) return &avx2::lookup;
#endif
    static_cast<void>(isa);
    return &scalar::lookup;
}

// Chosen before main(): a lookup loads one pointer, and no guard variable.
const LookupFn kChosen = body(chosen_isa());

}  // namespace

bool supported(Isa isa) noexcept {
    if (isa == Isa::scalar) return true;
#if defined(__x86_64__)
    __builtin_cpu_init();  // callers may run before constructors of libgcc did
    const bool avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("bmi2") != 0 &&
                      __builtin_cpu_supports("popcnt") != 0;
    if (isa == Isa::avx2) return avx2;
    return avx2 && __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
           __builtin_cpu_supports("avx512vl") != 0;
#else
    return false;
#endif
}

Isa chosen_isa() noexcept {
    if (supported(Isa::avx512)) return Isa::avx512;
    return supported(Isa::avx2) ? Isa::avx2 : Isa::scalar;
}

namespace {

/// Asks the sets about both sides of every key; whoever has uses of both sides asks twice. Returns how many keys had an
/// answer.
std::uint32_t ask_sets(const TableView& table, const SetView& sets, std::span<const LookupKey> keys,
                       std::uint16_t* answers) noexcept {
    std::array<std::uint64_t, 2> asked{};
    for (std::size_t u = 0; u < table.set_uses.size(); ++u) asked[table.set_uses[u].side] |= sets.slot_bit[u];
    const SetIndex& index = *sets.index;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const LookupKey& k = keys[i];
        const std::uint32_t bits = k.family == abi::IpFamily::v4 ? 32 : 128;
        for (std::size_t side = 0; side < 2; ++side) {
            if (asked[side] == 0) continue;
            const SetKey host = set_key(side == 0 ? k.src : k.dst, k.family, bits);
            __builtin_prefetch(&index.entries[index.hash(host) & index.mask]);
        }
    }
    std::uint32_t answered = 0;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const LookupKey& k = keys[i];
        const std::array<std::uint64_t, 2> slots{
            asked[0] == 0 ? 0 : index.slots_of(k.src, k.family, asked[0]),
            asked[1] == 0 ? 0 : index.slots_of(k.dst, k.family, asked[1]),
        };
        std::uint32_t bits = 0;
        for (std::size_t u = 0; u < table.set_uses.size(); ++u)
            bits |= (slots[table.set_uses[u].side] & sets.slot_bit[u]) != 0 ? 1U << u : 0;
        answers[i] = static_cast<std::uint16_t>(bits);
        answered += bits != 0 ? 1 : 0;
    }
    return answered;
}

/// What the tables say, and what stands beside them since they were compiled.
void ask(LookupFn fn, const TableView& table, SetAnswers answers, std::span<const LookupKey> keys,
         std::span<LookupResult> results) noexcept {
    fn(table, answers, keys, results);
    if (!table.has_overlay) [[likely]]
        return;
    std::array<LookupResult, kLookupBatchMax> beside;
    fn(table.overlay.tables, answers, keys, std::span{beside}.first(keys.size()));
    for (std::size_t i = 0; i < results.size(); ++i)
        results[i] = merged(table.overlay, table.default_rule(), results[i], beside[i]);
}

/// Keys whose first rule passes them to the layers behind ask again from there on, all that go to one layer together,
/// layer by layer: who is passed on twice is asked twice. `trails` may be empty: nobody wants to know.
void ask_behind(LookupFn fn, const TableView& table, SetAnswers answers, std::span<const LookupKey> keys,
                std::span<LookupResult> results, std::span<PassTrail> trails) noexcept {
    for (PassTrail& trail : trails) trail.count = 0;
    std::array<LookupKey, kLookupBatchMax> passed;
    std::array<LookupResult, kLookupBatchMax> found;
    std::array<std::uint16_t, kLookupBatchMax> known;
    std::array<std::uint8_t, kLookupBatchMax> whose;
    for (std::uint32_t entry = 1; entry < table.trees.entry_count; ++entry) {
        std::size_t count = 0;
        for (std::size_t i = 0; i < keys.size(); ++i) {
            if (table.rule(results[i].rule).is_pass != entry + 1) continue;
            passed[count] = keys[i];
            known[count] = answers == nullptr ? std::uint16_t{0} : answers[i];
            whose[count++] = static_cast<std::uint8_t>(i);
        }
        if (count == 0) continue;
        ask(fn, table.from_entry(entry), answers == nullptr ? nullptr : known.data(), std::span{passed}.first(count),
            std::span{found}.first(count));
        for (std::size_t k = 0; k < count; ++k) {
            LookupResult& result = results[whose[k]];
            if (!trails.empty()) {
                PassTrail& trail = trails[whose[k]];
                trail.rules[trail.count++] = result.rule;
            }
            result.rule = found[k].rule;
            if (result.observe == abi::kNoRule) result.observe = found[k].observe;
        }
    }
}

std::uint32_t lookup_with(LookupFn fn, const TableView& table, std::span<const LookupKey> keys,
                          std::span<LookupResult> results, std::span<PassTrail> trails = {}) noexcept {
    std::array<std::uint16_t, kLookupBatchMax> answers;
    const bool asks = !table.set_uses.empty() && table.members.index != nullptr;
    const std::uint32_t answered = asks ? ask_sets(table, table.members, keys, answers.data()) : 0;
    const SetAnswers known = asks ? answers.data() : nullptr;
    ask(fn, table, known, keys, results);
    if (table.trees.entry_count > 1) [[unlikely]]
        ask_behind(fn, table, known, keys, results, trails);
    return answered;
}

}  // namespace

std::uint32_t lookup(const TableView& table, std::span<const LookupKey> keys,
                     std::span<LookupResult> results) noexcept {
    return lookup_with(kChosen, table, keys, results);
}

std::uint32_t lookup_with_trails(const TableView& table, std::span<const LookupKey> keys,
                                 std::span<LookupResult> results, std::span<PassTrail> trails) noexcept {
    return lookup_with(kChosen, table, keys, results, trails);
}

std::uint32_t lookup_using(Isa isa, const TableView& table, std::span<const LookupKey> keys,
                           std::span<LookupResult> results) noexcept {
    return lookup_with(body(isa), table, keys, results);
}

}  // namespace sluice::dp
