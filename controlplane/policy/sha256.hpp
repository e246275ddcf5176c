/// SHA-256 (FIPS 180-4), by OpenSSL.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include <sluice/abi/tables.hpp>

namespace sluice::cp {

abi::Digest256 sha256(std::string_view bytes);
/// Of all of them, one behind the other.
abi::Digest256 sha256(std::initializer_list<std::string_view> pieces);

/// 64 hex digits: the hash that ETags, logs and file names show.
std::string to_hex(const abi::Digest256& digest);

}  // namespace sluice::cp
