/// Datagrams in pieces, for tests. A frame made by `frame()` is cut behind its IP header (IPv6: behind the fixed one,
/// so that extension headers are cut too); offsets count from there.
///
///     const Bytes whole = frame(Ipv4{}, Udp{.payload = bytes_of(100)});
///     piece(whole, 0, 64)                      // the first 64 bytes behind the header, more to come
///     piece(whole, 64)                         // the rest
///     piece_with(whole, 64, bytes_of(8), true) // what never was in it
#pragma once

#include <cstdint>
#include <vector>

#include "tests/harness/frames.hpp"

namespace sluice::test {

/// The identification of a fragment's datagram.
inline constexpr std::uint32_t kFragmentId = 77;

/// What can be cut: everything behind the IP header.
Bytes data_of(const Bytes& whole);

Bytes piece(const Bytes& whole, std::size_t first, std::size_t bytes = SIZE_MAX, std::uint32_t id = kFragmentId);
Bytes piece_with(const Bytes& whole, std::size_t offset, const Bytes& data, bool more, std::uint32_t id = kFragmentId);

/// In order; each `at` is where a piece begins.
std::vector<Bytes> cut(const Bytes& whole, const std::vector<std::size_t>& at, std::uint32_t id = kFragmentId);

/// IPv4: with DF set as well, as some hosts send them.
Bytes with_dont_fragment(Bytes fragment);

}  // namespace sluice::test
