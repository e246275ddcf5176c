/// The running generation on disk, for a dataplane that starts without anybody to ask: after a reboot, before the
/// control plane is up. The control plane writes it when a generation is adopted (and confirmed, if that was asked);
/// the dataplane only reads.
///
///     <last_good>/generation.slu = LastGoodHeader, manifest, sections in kind order; each padded to 8 bytes
#pragma once

#include <cstdint>
#include <string>

#include "controlplane/publish/generation_memfds.hpp"
#include "controlplane/store/durable_file.hpp"

namespace sluice::cp {

inline constexpr std::uint64_t kLastGoodMagic = 0x3130474c43554c53ULL;  // "SLUCLG01", read as bytes
inline constexpr const char* kLastGoodName = "generation.slu";

struct LastGoodHeader {
    std::uint64_t magic{kLastGoodMagic};
    std::uint64_t layout_hash{};
    std::uint64_t bytes{};     ///< whole file
    std::uint64_t checksum{};  ///< XXH3-64 of everything behind this header
    std::array<std::uint8_t, 32> must_be_zero{};
};
static_assert(sizeof(LastGoodHeader) == 64);

std::string last_good_bytes(const GenerationBytes& generation);

Expected<void, FileError> write_last_good(FileOps& ops, const std::string& dir, const GenerationBytes& generation);

}  // namespace sluice::cp
