/// The last-good file: what the dataplane starts with after a reboot, when nobody is there yet to publish. The control
/// plane writes `generation.slu` (tmp, fsync, rename) once a generation is adopted and confirmed; the dataplane only
/// reads it, copies each part into a sealed memfd and lets it through the same checks as an offer.
///
/// Layout: this header, the manifest, then the sections by ascending kind, each part padded with zeros to 8 bytes.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include <sluice/abi/tables.hpp>

namespace sluice::abi {

inline constexpr std::uint64_t kLastGoodMagic = 0x3130474c43554c53ULL;  // "SLUCLG01", read as bytes
inline constexpr const char* kLastGoodName = "generation.slu";

struct LastGoodHeader {
    std::uint64_t magic{kLastGoodMagic};
    std::uint64_t layout_hash{};
    std::uint64_t bytes{};  ///< whole file, header included
    std::uint64_t xxh3{};   ///< XXH3-64 of everything behind the header
    std::array<std::uint8_t, 32> must_be_zero{};
};
static_assert(sizeof(LastGoodHeader) == 64 && std::is_trivially_copyable_v<LastGoodHeader>);
static_assert(sizeof(Manifest) % 8 == 0);

inline constexpr std::uint64_t kLastGoodBytesMax = kGenerationBytesMax + (1U << 20);

/// Distance from one part's start to the next.
constexpr std::uint64_t last_good_padded(std::uint64_t bytes) noexcept { return (bytes + 7) & ~std::uint64_t{7}; }

}  // namespace sluice::abi
