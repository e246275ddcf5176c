#include "dataplane/acl/lookup.hpp"

#include <array>

#include "dataplane/acl/isa.hpp"

namespace sluice::dp {

namespace {

using LookupFn = void (*)(const TableView&, SetAnswers, std::span<const LookupKey>, std::span<LookupResult>) noexcept;

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

std::uint32_t lookup_with(LookupFn fn, const TableView& table, std::span<const LookupKey> keys,
                          std::span<LookupResult> results) noexcept {
    if (table.set_uses.empty() || table.members.index == nullptr) {
        fn(table, nullptr, keys, results);
        return 0;
    }
    std::array<std::uint16_t, kLookupBatchMax> answers;
    const std::uint32_t answered = ask_sets(table, table.members, keys, answers.data());
    fn(table, answers.data(), keys, results);
    return answered;
}

}  // namespace

std::uint32_t lookup(const TableView& table, std::span<const LookupKey> keys,
                     std::span<LookupResult> results) noexcept {
    return lookup_with(kChosen, table, keys, results);
}

std::uint32_t lookup_using(Isa isa, const TableView& table, std::span<const LookupKey> keys,
                           std::span<LookupResult> results) noexcept {
    return lookup_with(body(isa), table, keys, results);
}

}  // namespace sluice::dp
