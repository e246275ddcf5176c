/// Turns the bytes of a generation into sealed memory that nobody can change any more, ready to be handed over.
///
/// Theory of operation. A section is written once through a mapping, unmapped, sealed WRITE|SHRINK|GROW|SEAL and set to
/// mode 0600 before its descriptor leaves the process: a memfd is born 0777, and whoever holds a read-only descriptor
/// could re-open it writable through /proc. Large sections stand on huge pages where the machine has them, because the
/// dataplane maps 200 MiB of those in a tenth of a millisecond.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>

#include <sluice/abi/tables.hpp>
#include <sluice/expected.hpp>

#include "controlplane/store/unique_fd.hpp"

namespace sluice::cp {

/// A generation in buffers that somebody else owns. Sections by kind - 1.
struct GenerationBytes {
    const abi::Manifest* manifest{};
    std::array<std::span<const std::byte>, abi::kSectionKindCount> sections;
};

/// Sections of this size and above are put on huge pages.
inline constexpr std::size_t kHugeSectionBytesMin = 1U << 20;

/// `name` appears in /proc/<pid>/fd and nowhere else.
Expected<UniqueFd, std::string> sealed_memfd(const char* name, std::span<const std::byte> bytes);

}  // namespace sluice::cp
