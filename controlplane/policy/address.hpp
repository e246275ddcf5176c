/// Addresses and prefixes as people write them, strictly: what two programs could read as two things is refused
/// (RFC 6943 section 3.1.1): leading zeros, host bits, IPv4-mapped IPv6, scope ids.
#pragma once

#include <string>
#include <string_view>

#include <sluice/expected.hpp>

#include "controlplane/policy/errors.hpp"
#include "controlplane/policy/model.hpp"

namespace sluice::cp {

struct Address {
    abi::IpFamily family{};
    abi::IpAddr addr{};
    bool operator==(const Address&) const = default;
};

/// `192.0.2.1`, `2001:db8::1`
Expected<Address, ValueError> parse_address(std::string_view text);

/// `192.0.2.0/24`, `2001:db8::/32`; a bare address is a host: /32, /128.
Expected<Prefix, ValueError> parse_prefix(std::string_view text);

/// The one spelling that canonical forms use (RFC 5952); a host stands without its length.
std::string to_text(const Address& address);
std::string to_text(const Prefix& prefix);

/// An address has a dot, a colon or a slash; a name never has.
bool looks_like_address(std::string_view text) noexcept;

}  // namespace sluice::cp
