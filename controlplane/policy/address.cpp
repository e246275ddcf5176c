#include "controlplane/policy/address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "controlplane/policy/names.hpp"

namespace sluice::cp {

namespace {

Unexpected<ValueError> refuse(std::string code, std::string detail) {
    return Unexpected<ValueError>{ValueError{std::move(code), std::move(detail)}};
}

bool all_digits(std::string_view text) noexcept {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// Four decimal numbers without leading zeros: 010.0.0.1 is 8.0.0.1 to some programs and 10.0.0.1 to others.
Expected<Address, ValueError> parse_v4(std::string_view text) {
    const auto bad = [&] {
        return refuse("bad-address", quoted(text) + " is no IPv4 address; write four numbers up to 255");
    };
    std::array<std::uint8_t, 4> bytes{};
    auto rest = text;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const auto dot = rest.find('.');
        if ((dot == std::string_view::npos) != (i == 3)) return bad();
        const auto part = rest.substr(0, dot);
        rest = dot == std::string_view::npos ? std::string_view{} : rest.substr(dot + 1);
        if (!all_digits(part)) return bad();
        if (part.size() > 1 && part.front() == '0') {
            return refuse("leading-zero", quoted(text) +
                                              " has a number with a leading zero, which some programs read as "
                                              "octal; write it without");
        }
        if (std::from_chars(part.data(), part.data() + part.size(), bytes[i]).ec != std::errc{}) return bad();
    }
    Address result{abi::IpFamily::v4, {}};
    std::ranges::copy(bytes, result.addr.bytes.begin());
    return result;
}

bool is_mapped(const Address& address) noexcept {
    const auto& b = address.addr.bytes;
    return std::all_of(b.begin(), b.begin() + 10, [](auto v) { return v == 0; }) && b[10] == 0xff && b[11] == 0xff;
}

Expected<Address, ValueError> parse_v6(std::string_view text) {
    if (text.find('%') != std::string_view::npos) {
        return refuse("scope-id", quoted(text) +
                                      " has a scope id, which means something on one machine only; name the "
                                      "zone instead");
    }
    Address result{abi::IpFamily::v6, {}};
    const std::string terminated{text};
    if (terminated.size() >= INET6_ADDRSTRLEN ||
        inet_pton(AF_INET6, terminated.c_str(), result.addr.bytes.data()) != 1) {
        return refuse("bad-address", quoted(text) + " is no IPv6 address; write it like 2001:db8::1");
    }
    return result;
}

Expected<Address, ValueError> parse_any(std::string_view text) {
    return text.find(':') != std::string_view::npos ? parse_v6(text) : parse_v4(text);
}

Unexpected<ValueError> refuse_mapped(std::string_view text) {
    return refuse("mapped-address", quoted(text) +
                                        " is an IPv4-mapped IPv6 address, which never stands in a packet; write "
                                        "the IPv4 address");
}

unsigned bits_max(abi::IpFamily family) noexcept { return family == abi::IpFamily::v4 ? 32 : 128; }

/// `prefix` with every bit behind its length cleared.
Prefix cleared(Prefix prefix) noexcept {
    const std::size_t bytes = prefix.family == abi::IpFamily::v4 ? 4 : 16;
    for (std::size_t i = 0; i < bytes; ++i) {
        const auto first_bit = i * 8;
        if (first_bit >= prefix.bits) {
            prefix.addr.bytes[i] = 0;
        } else if (prefix.bits - first_bit < 8) {
            prefix.addr.bytes[i] =
                static_cast<std::uint8_t>(prefix.addr.bytes[i] & (0xff00U >> (prefix.bits - first_bit)));
        }
    }
    return prefix;
}

}  // namespace

Expected<Address, ValueError> parse_address(std::string_view text) {
    auto result = parse_any(text);
    if (result && result->family == abi::IpFamily::v6 && is_mapped(*result)) return refuse_mapped(text);
    return result;
}

Expected<Prefix, ValueError> parse_prefix(std::string_view text) {
    const auto slash = text.find('/');
    const auto address = parse_any(text.substr(0, slash));
    if (!address) return Unexpected<ValueError>{address.error()};
    const auto longest = bits_max(address->family);
    unsigned bits = longest;
    if (slash != std::string_view::npos) {
        const auto length = text.substr(slash + 1);
        const bool written_well = all_digits(length) && (length.size() == 1 || length.front() != '0');
        if (!written_well || std::from_chars(length.data(), length.data() + length.size(), bits).ec != std::errc{} ||
            bits > longest) {
            return refuse("prefix-length",
                          quoted(text) + " has a bad prefix length; write /0 to /" + std::to_string(longest));
        }
    }
    const Prefix prefix{address->family, static_cast<std::uint8_t>(bits), address->addr};
    if (address->family == abi::IpFamily::v6 && bits >= 96 && is_mapped(*address)) return refuse_mapped(text);
    if (const auto network = cleared(prefix); network != prefix) {
        return refuse("host-bits", quoted(text) + " has bits set behind its length; write " + to_text(network) +
                                       " for the network or " + to_text(*address) + " for the host");
    }
    return prefix;
}

std::string to_text(const Address& address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const int family = address.family == abi::IpFamily::v4 ? AF_INET : AF_INET6;
    inet_ntop(family, address.addr.bytes.data(), text.data(), text.size());
    return text.data();
}

std::string to_text(const Prefix& prefix) {
    auto text = to_text(Address{prefix.family, prefix.addr});
    if (prefix.bits != bits_max(prefix.family)) text += '/' + std::to_string(prefix.bits);
    return text;
}

bool looks_like_address(std::string_view text) noexcept { return text.find_first_of(".:/") != std::string_view::npos; }

}  // namespace sluice::cp
