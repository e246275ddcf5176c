#include "controlplane/compiler/changing_sets.hpp"

#include <algorithm>
#include <array>

#include <openssl/sha.h>

namespace sluice::cp {

abi::SetId set_id(std::string_view name) {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256(reinterpret_cast<const unsigned char*>(name.data()), name.size(), digest.data());
    std::uint64_t id = 0;
    for (std::size_t i = 8; i-- > 0;) id = id << 8 | digest[i];
    return abi::SetId{std::max<std::uint64_t>(id, 1)};
}

std::vector<std::uint16_t> changing_sets(const Policy& policy) {
    std::vector<std::uint16_t> sets;
    for (std::size_t s = 0; s < policy.sets.size(); ++s) {
        if (policy.sets[s].by_api) sets.push_back(static_cast<std::uint16_t>(s));
    }
    std::ranges::sort(sets, {}, [&](std::uint16_t s) { return set_id(policy.sets[s].name); });
    return sets;
}

std::uint32_t SetQuestions::answers_about(SetBits sets, std::uint8_t side) const noexcept {
    std::uint32_t bits = 0;
    for (std::size_t u = 0; u < uses.size(); ++u) {
        if (uses[u].side == side && (sets >> uses[u].set & 1U) != 0) bits |= 1U << u;
    }
    return bits;
}

}  // namespace sluice::cp
