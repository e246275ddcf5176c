/// CRC-32C (Castagnoli; RFC 3720 section 12.1 has test values): what every block of the record store is checked by.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::cp {

/// Of `bytes` behind what `before` stands for: crc32c(b, crc32c(a)) is that of a and b together.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before = 0) noexcept;

/// The same without the processor's instruction; for processors that lack it, and for the test that compares.
std::uint32_t crc32c_by_table(std::span<const std::byte> bytes, std::uint32_t before = 0) noexcept;

}  // namespace sluice::cp
