/// XXH3-128 as the ABI uses it: over everything behind a section's header, and over a manifest from `generation` on.
/// One definition for the writer (compiler) and the reader (validator), so that they cannot drift apart.
#pragma once

#include <cstddef>
#include <span>

#include <sluice/abi/tables.hpp>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::dp {

inline abi::Digest128 digest_of(std::span<const std::byte> bytes) noexcept {
    const XXH128_hash_t h = XXH3_128bits(bytes.data(), bytes.size());
    return {.low = h.low64, .high = h.high64};
}

/// Precondition: `section` is a whole section, header included.
inline abi::Digest128 section_digest(std::span<const std::byte> section) noexcept {
    return digest_of(section.subspan(sizeof(abi::SectionHeader)));
}

inline constexpr std::size_t kManifestDigestFrom = offsetof(abi::Manifest, generation);

inline abi::Digest128 manifest_digest(const abi::Manifest& manifest) noexcept {
    return digest_of(std::as_bytes(std::span{&manifest, 1}).subspan(kManifestDigestFrom));
}

}  // namespace sluice::dp
