#include "tests/bench/rig/rules.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <istream>
#include <random>

namespace sluice::bench {

namespace {

constexpr std::uint8_t kTcp = 6, kUdp = 17;

std::uint32_t mask_of(unsigned bits) { return bits == 0 ? 0 : ~std::uint32_t{0} << (32 - bits); }

struct Line {
    unsigned src[4]{}, dst[4]{};
    unsigned src_bits{}, dst_bits{}, sport[2]{}, dport[2]{}, proto{}, proto_mask{};
};

bool scan(const std::string& text, Line& l) {
    const int fields =
        std::sscanf(text.c_str(), "@%u.%u.%u.%u/%u %u.%u.%u.%u/%u %u : %u %u : %u %x/%x", &l.src[0], &l.src[1],
                    &l.src[2], &l.src[3], &l.src_bits, &l.dst[0], &l.dst[1], &l.dst[2], &l.dst[3], &l.dst_bits,
                    &l.sport[0], &l.sport[1], &l.dport[0], &l.dport[1], &l.proto, &l.proto_mask);
    const auto byte = [](unsigned v) { return v <= 255; };
    return fields == 16 && std::all_of(l.src, l.src + 4, byte) && std::all_of(l.dst, l.dst + 4, byte) &&
           l.src_bits <= 32 && l.dst_bits <= 32 && l.dport[0] <= l.dport[1] && l.dport[1] <= 0xffff && l.proto <= 255 &&
           (l.proto_mask == 0 || l.proto_mask == 0xff);
}

Net net_of(const unsigned (&part)[4], unsigned bits) {
    const std::uint32_t addr = part[0] << 24 | part[1] << 16 | part[2] << 8 | part[3];
    return {addr & mask_of(bits), static_cast<std::uint8_t>(bits)};
}

std::vector<Service> services_of(const Line& l) {
    const auto first = static_cast<std::uint16_t>(l.dport[0]), last = static_cast<std::uint16_t>(l.dport[1]);
    if (l.proto_mask == 0) {
        if (first == 0 && last == 0xffff) return {{.any_proto = true}};
        return {{.proto = kTcp, .first = first, .last = last}, {.proto = kUdp, .first = first, .last = last}};
    }
    const auto proto = static_cast<std::uint8_t>(l.proto);
    if (proto != kTcp && proto != kUdp) return {{.proto = proto}};  // no ports to speak of
    return {{.proto = proto, .first = first, .last = last}};
}

abi::IpAddr address(std::uint32_t host_order) { return abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(host_order)); }

cp::Endpoint endpoint(const Net& net) {
    cp::Endpoint e;
    if (net.bits == 0) return e;
    e.any_addr = false;
    e.nets = {{.family = abi::IpFamily::v4, .bits = net.bits, .addr = address(net.addr)}};
    return e;
}

}  // namespace

Expected<std::vector<FilterRule>, std::string> read_filters(std::istream& in) {
    std::vector<FilterRule> rules;
    std::string text;
    for (std::size_t number = 1; std::getline(in, text); ++number) {
        if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
        Line line;
        if (!scan(text, line)) {
            return Unexpected<std::string>{"line " + std::to_string(number) + " is no ClassBench filter: " + text};
        }
        rules.push_back({.src = net_of(line.src, line.src_bits),
                         .dst = net_of(line.dst, line.dst_bits),
                         .services = services_of(line),
                         .deny = number % 2 != 0});
    }
    if (rules.empty()) return Unexpected<std::string>{"no filters in it"};
    return rules;
}

std::vector<FilterRule> made_rules(std::uint32_t count, std::uint8_t proto) {
    // About as many source networks as servers: a square, or just above it.
    std::uint32_t side = 1;
    while (side * side < count) ++side;
    std::vector<FilterRule> rules;
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint32_t network = i % side, server = i / side;
        const auto port = static_cast<std::uint16_t>(1 + i * 7 % 60'000);
        rules.push_back({.src = {10U << 24 | network << 8, 24},
                         .dst = {(198U << 24 | 18U << 16) + server, 32},
                         .services = {{.proto = proto, .first = port, .last = port}}});
    }
    return rules;
}

std::vector<dp::FlowTarget> targets_of(std::span<const FilterRule> rules) {
    std::vector<dp::FlowTarget> targets;
    for (const FilterRule& r : rules) targets.push_back({r.src.addr, r.dst.addr, r.services.front().first});
    return targets;
}

cp::Policy policy_of(std::span<const FilterRule> rules) {
    cp::Policy policy;
    policy.name = "bench";
    policy.zones = {{.name = "outside", .ports = {"p0"}, .pos = {}}, {.name = "inside", .ports = {"p1"}, .pos = {}}};
    policy.timeouts.tcp_opening_ms = policy.timeouts.tcp_established_ms = abi::kTimeoutMsMax;
    policy.timeouts.udp_oneway_ms = policy.timeouts.udp_stream_ms = abi::kTimeoutMsMax;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        cp::Rule rule;
        rule.id = std::to_string(i).insert(0, 1, 'r');
        rule.from = {endpoint(rules[i].src)};
        rule.to = {endpoint(rules[i].dst)};
        for (const Service& s : rules[i].services) {
            if (!s.any_proto)
                rule.service.push_back({.proto = abi::L4Proto{s.proto}, .first = s.first, .last = s.last});
        }
        rule.action = rules[i].deny ? cp::Action::deny : cp::Action::allow;
        policy.rules.push_back(std::move(rule));
    }
    return policy;
}

std::vector<AclKey> random_trace(std::span<const FilterRule> rules, std::size_t count, std::uint64_t seed) {
    std::mt19937_64 random{seed};
    const auto inside = [&](const Net& net) {
        return __builtin_bswap32(net.addr | (static_cast<std::uint32_t>(random()) & ~mask_of(net.bits)));
    };
    const auto below = [&](std::uint64_t bound) { return random() % bound; };
    std::vector<AclKey> trace(count);
    for (AclKey& key : trace) {
        const FilterRule& rule = rules[below(rules.size())];
        const Service& service = rule.services[below(rule.services.size())];
        key.proto = service.any_proto ? (below(2) != 0 ? kTcp : kUdp) : service.proto;
        key.src = inside(rule.src);
        key.dst = inside(rule.dst);
        key.sport = static_cast<std::uint16_t>(random());
        if (key.proto != kTcp && key.proto != kUdp) continue;
        const std::uint64_t ports = std::uint64_t{service.last} - service.first + 1;
        key.dport = __builtin_bswap16(static_cast<std::uint16_t>(service.first + below(ports)));
    }
    return trace;
}

dp::LookupKey lookup_key(const AclKey& key) {
    dp::LookupKey k;
    k.src = abi::IpAddr::of_v4(abi::Ipv4Addr::of_wire(key.src));
    k.dst = abi::IpAddr::of_v4(abi::Ipv4Addr::of_wire(key.dst));
    k.from = abi::ZoneId{0};
    k.to = abi::ZoneId{1};
    k.family = abi::IpFamily::v4;
    k.proto = abi::L4Proto{key.proto};
    k.dport_or_icmp = __builtin_bswap16(key.dport);
    return k;
}

}  // namespace sluice::bench
