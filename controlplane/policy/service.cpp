#include "controlplane/policy/service.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <vector>

#include "controlplane/policy/names.hpp"

namespace sluice::cp {

namespace {

using abi::L4Proto;

struct IcmpName {
    std::string_view name;
    std::uint8_t type;
};

// RFC 792, RFC 1256; the IANA registry "ICMP Type Numbers".
constexpr std::array kIcmpNames{
    IcmpName{"echo-reply", 0},       IcmpName{"destination-unreachable", 3}, IcmpName{"redirect", 5},
    IcmpName{"echo-request", 8},     IcmpName{"router-advertisement", 9},    IcmpName{"router-solicitation", 10},
    IcmpName{"time-exceeded", 11},   IcmpName{"parameter-problem", 12},      IcmpName{"timestamp-request", 13},
    IcmpName{"timestamp-reply", 14},
};

// RFC 4443, RFC 4861, RFC 2710, RFC 3810; the IANA registry "ICMPv6 type Numbers".
constexpr std::array kIcmp6Names{
    IcmpName{"destination-unreachable", 1},
    IcmpName{"packet-too-big", 2},
    IcmpName{"time-exceeded", 3},
    IcmpName{"parameter-problem", 4},
    IcmpName{"echo-request", 128},
    IcmpName{"echo-reply", 129},
    IcmpName{"listener-query", 130},
    IcmpName{"listener-report", 131},
    IcmpName{"listener-done", 132},
    IcmpName{"router-solicitation", 133},
    IcmpName{"router-advertisement", 134},
    IcmpName{"neighbor-solicitation", 135},
    IcmpName{"neighbor-advertisement", 136},
    IcmpName{"redirect", 137},
    IcmpName{"listener-report-v2", 143},
};

constexpr ServiceTerm port(L4Proto proto, std::uint16_t number) noexcept { return {proto, number, number}; }

constexpr ServiceTerm icmp_type(L4Proto proto, std::uint8_t type) noexcept {
    const auto first = static_cast<std::uint16_t>(type << 8);
    return {proto, first, static_cast<std::uint16_t>(first | 0xff)};
}

constexpr std::array kDns{port(L4Proto::udp, 53), port(L4Proto::tcp, 53)};
constexpr std::array kHttp{port(L4Proto::tcp, 80)};
constexpr std::array kHttps{port(L4Proto::tcp, 443)};
constexpr std::array kNtp{port(L4Proto::udp, 123)};
constexpr std::array kPing{icmp_type(L4Proto::icmp, 8), icmp_type(L4Proto::icmp6, 128)};
constexpr std::array kSsh{port(L4Proto::tcp, 22)};

constexpr std::array kBuiltIn{
    BuiltInService{"dns", kDns}, BuiltInService{"http", kHttp}, BuiltInService{"https", kHttps},
    BuiltInService{"ntp", kNtp}, BuiltInService{"ping", kPing}, BuiltInService{"ssh", kSsh},
};

Unexpected<ValueError> refuse(std::string code, std::string detail) {
    return Unexpected<ValueError>{ValueError{std::move(code), std::move(detail)}};
}

/// Decimal without sign, spaces and leading zeros: an unquoted 0443 is no port.
std::optional<unsigned> number(std::string_view text, unsigned max) noexcept {
    unsigned value{};
    if (text.empty() || text.size() > 5 || (text.size() > 1 && text.front() == '0')) return std::nullopt;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (ec != std::errc{} || end != text.data() + text.size() || value > max) return std::nullopt;
    return value;
}

Expected<ServiceTerm, ValueError> parse_ports(std::string_view text, L4Proto proto, std::string_view ports) {
    const auto dash = ports.find('-');
    const auto first = number(ports.substr(0, dash), 65535);
    const auto last = dash == std::string_view::npos ? first : number(ports.substr(dash + 1), 65535);
    if (!first || !last || *first == 0 || *last == 0) {
        return refuse("bad-port", quoted(text) + " has a bad port; write 1 to 65535, or a range like 8000-8100");
    }
    if (*first > *last) {
        return refuse("reversed-range", quoted(text) + " ends before it begins; write " + std::to_string(*last) + "-" +
                                            std::to_string(*first));
    }
    return ServiceTerm{proto, static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last)};
}

std::optional<unsigned> icmp_type_of(L4Proto proto, std::string_view text) {
    if (const auto value = number(text, 255)) return value;
    const std::span<const IcmpName> names =
        proto == L4Proto::icmp ? std::span<const IcmpName>{kIcmpNames} : kIcmp6Names;
    const auto found = std::ranges::find(names, text, &IcmpName::name);
    if (found == names.end()) return std::nullopt;
    return found->type;
}

Expected<ServiceTerm, ValueError> parse_icmp(std::string_view text, L4Proto proto, std::string_view rest) {
    const auto slash = rest.find('/');
    const auto type = icmp_type_of(proto, rest.substr(0, slash));
    if (!type) {
        std::vector<std::string_view> known;
        if (proto == L4Proto::icmp) {
            for (const auto& entry : kIcmpNames) known.push_back(entry.name);
        } else {
            for (const auto& entry : kIcmp6Names) known.push_back(entry.name);
        }
        return refuse("bad-icmp-type", quoted(text) +
                                           " has an unknown type; write a name like echo-request or 0 to 255" +
                                           did_you_mean(rest.substr(0, slash), known));
    }
    const auto any_code = icmp_type(proto, static_cast<std::uint8_t>(*type));
    if (slash == std::string_view::npos) return any_code;
    const auto code = number(rest.substr(slash + 1), 255);
    if (!code) return refuse("bad-icmp-type", quoted(text) + " has a bad code; write 0 to 255");
    const auto both = static_cast<std::uint16_t>(any_code.first | *code);
    return ServiceTerm{proto, both, both};
}

}  // namespace

Expected<ServiceTerm, ValueError> parse_service_term(std::string_view text) {
    const auto slash = text.find('/');
    const auto head = text.substr(0, slash);
    const bool alone = slash == std::string_view::npos;
    const auto rest = alone ? std::string_view{} : text.substr(slash + 1);
    if (head == "icmp" || head == "icmp6") {
        const auto proto = head == "icmp" ? L4Proto::icmp : L4Proto::icmp6;
        return alone ? ServiceTerm{proto} : parse_icmp(text, proto, rest);
    }
    if (!alone && (head == "tcp" || head == "udp")) {
        return parse_ports(text, head == "tcp" ? L4Proto::tcp : L4Proto::udp, rest);
    }
    if (!alone && head == "proto") {
        const auto proto = number(rest, 255);
        if (!proto)
            return refuse("bad-protocol", quoted(text) + " has a bad protocol number; write proto/0 to proto/255");
        return ServiceTerm{static_cast<L4Proto>(*proto)};
    }
    if (head == "tcp" || head == "udp") {
        return refuse("bad-service", quoted(text) + " lacks its ports; write " + std::string{head} + "/443, or " +
                                         std::string{head} + "/1-65535 for all of them");
    }
    return refuse("bad-service",
                  quoted(text) + " is no service; write tcp/443, udp/53, icmp/echo-request, icmp6 or proto/47");
}

std::string to_text(const ServiceTerm& term) {
    const bool is_icmp = term.proto == L4Proto::icmp || term.proto == L4Proto::icmp6;
    const bool has_ports = term.proto == L4Proto::tcp || term.proto == L4Proto::udp;
    if (term.first == 0 && term.last == 0xffff) {
        if (is_icmp) return term.proto == L4Proto::icmp ? "icmp" : "icmp6";
        return "proto/" + std::to_string(static_cast<unsigned>(term.proto));
    }
    if (is_icmp) {
        auto text = (term.proto == L4Proto::icmp ? "icmp/" : "icmp6/") + std::to_string(term.first >> 8);
        if (term.first == term.last) text += '/' + std::to_string(term.first & 0xff);
        return text;
    }
    auto text = (has_ports && term.proto == L4Proto::tcp ? "tcp/" : "udp/") + std::to_string(term.first);
    if (term.last != term.first) text += '-' + std::to_string(term.last);
    return text;
}

std::span<const BuiltInService> built_in_services() noexcept { return kBuiltIn; }

}  // namespace sluice::cp
