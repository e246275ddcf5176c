/// Keyed hash of a flow key. The secret is random per boot and not derived from the RSS key: who knows how packets are
/// spread over queues still cannot aim at one bucket (CASES Q11, threat B1).
///
/// Two functions, one chosen at start: AES rounds where the CPU has them (4 rounds per 16 bytes: the differential
/// probability of 4 AES rounds is below 2^-110, far below what a bucket index could leak), SipHash-1-3 elsewhere. They
/// give different values: nothing outside one process may depend on a hash.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/flow/flow_key.hpp"

namespace sluice::dp {

using HashSecret = std::array<std::uint64_t, 2>;

std::uint64_t siphash13(const HashSecret& secret, std::span<const std::byte> bytes) noexcept;
bool cpu_has_aes() noexcept;

enum class HashKind : std::uint8_t { siphash, aes };

class FlowHasher {
public:
    explicit FlowHasher(const HashSecret& secret,
                        HashKind kind = cpu_has_aes() ? HashKind::aes : HashKind::siphash) noexcept;

    /// Batched: the rounds of several keys overlap. `out` has room for `keys.size()` values.
    void hash(std::span<const FlowKeyV4> keys, std::uint64_t* out) const noexcept;
    void hash(std::span<const FlowKeyV6> keys, std::uint64_t* out) const noexcept;

    template <typename Key>
    std::uint64_t hash(const Key& key) const noexcept {
        std::uint64_t h = 0;
        hash(std::span<const Key>{&key, 1}, &h);
        return h;
    }

private:
    HashSecret secret_;
    HashKind kind_;
    alignas(16) std::array<std::uint64_t, 10> round_keys_{};  ///< five 128-bit keys, drawn from the secret
};

}  // namespace sluice::dp
