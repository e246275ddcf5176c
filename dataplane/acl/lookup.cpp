#include "dataplane/acl/lookup.hpp"

#include "dataplane/acl/isa.hpp"

namespace sluice::dp {

namespace {

using LookupFn = void (*)(const TableView&, std::span<const LookupKey>, std::span<LookupResult>) noexcept;

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

void lookup(const TableView& table, std::span<const LookupKey> keys, std::span<LookupResult> results) noexcept {
    kChosen(table, keys, results);
}

void lookup_using(Isa isa, const TableView& table, std::span<const LookupKey> keys,
                  std::span<LookupResult> results) noexcept {
    body(isa)(table, keys, results);
}

}  // namespace sluice::dp
