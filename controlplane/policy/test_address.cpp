#include "controlplane/policy/test_address.hpp"

#include <algorithm>
#include <charconv>

#include "controlplane/policy/names.hpp"
#include "controlplane/policy/service.hpp"

namespace sluice::cp {

namespace {

Unexpected<ValueError> refuse(std::string detail) {
    return Unexpected<ValueError>{ValueError{"bad-test", std::move(detail)}};
}

/// Address, zone and what follows the last colon, before anybody looks into them.
struct Parts {
    std::string_view address, zone, tail;
    bool has_zone{}, has_tail{};
};

Parts split(std::string_view text) {
    Parts parts;
    std::size_t behind_address{};
    if (text.starts_with('[')) {
        const auto close = text.find(']');
        if (close == std::string_view::npos) return {.address = text};
        parts.address = text.substr(1, close - 1);
        behind_address = close + 1;
    } else if (const auto at = text.find('@'); at != std::string_view::npos) {
        parts.address = text.substr(0, at);
        behind_address = at;
    } else if (std::ranges::count(text, ':') == 1) {
        behind_address = text.find(':');
        parts.address = text.substr(0, behind_address);
    } else {
        parts.address = text;  // IPv6 alone
        return parts;
    }
    auto rest = text.substr(behind_address);
    if (rest.starts_with('@')) {
        const auto colon = rest.find(':');
        parts.has_zone = true;
        parts.zone = rest.substr(1, colon == std::string_view::npos ? colon : colon - 1);
        rest = colon == std::string_view::npos ? std::string_view{} : rest.substr(colon);
    }
    if (rest.starts_with(':')) {
        parts.has_tail = true;
        parts.tail = rest.substr(1);
    } else if (!rest.empty()) {
        return {.address = text};  // no address: the caller says so
    }
    return parts;
}

}  // namespace

Expected<TestSource, ValueError> parse_test_source(std::string_view text) {
    const auto parts = split(text);
    if (!parts.has_zone) return refuse(quoted(text) + " names no zone; write it like 192.0.2.7@internet");
    const auto address = parse_address(parts.address);
    if (!address) return Unexpected<ValueError>{address.error()};
    TestSource source{*address, parts.zone, std::nullopt};
    if (parts.has_tail) {
        // Any service parser will do for a bare port: its strictness is what is wanted.
        const auto term = parse_service_term("tcp/" + std::string{parts.tail});
        if (!term || term->first != term->last) {
            return Unexpected<ValueError>{
                ValueError{"bad-port", quoted(text) + " has a bad source port; write 1 to 65535"}};
        }
        source.port = term->first;
    }
    return source;
}

Expected<TestTarget, ValueError> parse_test_target(std::string_view text) {
    const auto parts = split(text);
    if (!parts.has_zone && !parts.has_tail && std::ranges::count(parts.address, ':') > 1 &&
        parts.address.find('/') != std::string_view::npos) {
        return refuse(quoted(text) + " doesn't show where the address ends; write [2001:db8::1]:443/tcp");
    }
    const auto address = parse_address(parts.address);
    if (!address) return Unexpected<ValueError>{address.error()};
    TestTarget target{*address, parts.zone, std::nullopt};
    if (parts.has_zone && parts.zone.empty()) return refuse(quoted(text) + " names no zone behind @; write one");
    if (parts.has_tail) {
        const auto slash = parts.tail.rfind('/');
        if (slash == std::string_view::npos) {
            return refuse(quoted(text) + " names no protocol; write it like 192.0.2.80:443/tcp");
        }
        target.service = std::string{parts.tail.substr(slash + 1)} + '/' + std::string{parts.tail.substr(0, slash)};
    }
    return target;
}

Expected<std::uint16_t, ValueError> one_packet_of(const ServiceTerm& term) {
    const bool has_ports = term.proto == abi::L4Proto::tcp || term.proto == abi::L4Proto::udp;
    const bool is_icmp = term.proto == abi::L4Proto::icmp || term.proto == abi::L4Proto::icmp6;
    if (!has_ports && !is_icmp) return std::uint16_t{0};
    if (has_ports && term.first == term.last) return term.first;
    if (is_icmp && (term.first >> 8) == (term.last >> 8)) return term.first;  // any code: the first, 0
    return refuse(to_text(term) + " stands for many packets; a test sends one: name " +
                  (has_ports ? "one port" : "one type, like echo-request"));
}

}  // namespace sluice::cp
