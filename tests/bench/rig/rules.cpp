#include "tests/bench/rig/rules.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <istream>
#include <unordered_map>

#include "tests/bench/rig/six_networks.hpp"

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

cp::Prefix prefix(const Net& net, abi::IpFamily family) {
    if (family == abi::IpFamily::v6) return six_prefix(net);
    return {.family = family, .bits = net.bits, .addr = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(net.addr))};
}

/// Names the policy's sets as rules come to them.
class Endpoints {
public:
    Endpoints(cp::Policy& policy, abi::IpFamily family) : policy_{policy}, family_{family} {}

    cp::Endpoint of(const Net& net, const NetSet& set) {
        cp::Endpoint e;
        if (set == nullptr && net.bits == 0) return e;
        e.any_addr = false;
        if (set == nullptr) {
            e.nets = {prefix(net, family_)};
        } else {
            e.sets = {index_of(set)};
        }
        return e;
    }

private:
    std::uint16_t index_of(const NetSet& set) {
        const auto [at, is_new] = known_.try_emplace(set.get(), static_cast<std::uint16_t>(policy_.sets.size()));
        if (is_new) {
            cp::NetSet& made = policy_.sets.emplace_back();
            made.name = std::to_string(at->second).insert(0, 1, 's');
            for (const Net& net : *set) made.nets.push_back(prefix(net, family_));
        }
        return at->second;
    }

    cp::Policy& policy_;
    abi::IpFamily family_;
    std::unordered_map<const void*, std::uint16_t> known_;
};

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

std::span<const Net> nets_of(const Net& net, const NetSet& set) noexcept {
    return set != nullptr ? std::span<const Net>{*set} : std::span<const Net>{&net, 1};
}

std::uint64_t multiplied_out(std::span<const FilterRule> rules) noexcept {
    std::uint64_t count = 0;
    for (const FilterRule& r : rules)
        count += nets_of(r.src, r.src_set).size() * nets_of(r.dst, r.dst_set).size() * r.services.size();
    return count;
}

cp::Policy policy_of(std::span<const FilterRule> rules, abi::IpFamily family) {
    cp::Policy policy;
    Endpoints endpoints{policy, family};
    policy.name = "bench";
    policy.zones = {{.name = "outside", .ports = {"p0"}, .pos = {}}, {.name = "inside", .ports = {"p1"}, .pos = {}}};
    policy.timeouts.tcp_opening_ms = policy.timeouts.tcp_established_ms = abi::kTimeoutMsMax;
    policy.timeouts.udp_oneway_ms = policy.timeouts.udp_stream_ms = abi::kTimeoutMsMax;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        cp::Rule rule;
        rule.id = std::to_string(i).insert(0, 1, 'r');
        rule.from = {endpoints.of(rules[i].src, rules[i].src_set)};
        rule.to = {endpoints.of(rules[i].dst, rules[i].dst_set)};
        for (const Service& s : rules[i].services) {
            const auto proto = abi::L4Proto{family == abi::IpFamily::v4 ? s.proto : six_proto(s.proto)};
            if (!s.any_proto) rule.service.push_back({.proto = proto, .first = s.first, .last = s.last});
        }
        rule.action = rules[i].deny ? cp::Action::deny : cp::Action::allow;
        policy.rules.push_back(std::move(rule));
    }
    return policy;
}

dp::LookupKey lookup_key(const AclKey& key, abi::IpFamily family) {
    const auto host = [family](std::uint32_t wire) {
        const auto addr = abi::Ipv4Addr::of_wire(wire);
        return family == abi::IpFamily::v4 ? abi::IpAddr::of_v4(addr) : six_host(addr.to_host());
    };
    dp::LookupKey k;
    k.src = host(key.src);
    k.dst = host(key.dst);
    k.from = abi::ZoneId{0};
    k.to = abi::ZoneId{1};
    k.family = family;
    k.proto = abi::L4Proto{family == abi::IpFamily::v4 ? key.proto : six_proto(key.proto)};
    k.dport_or_icmp = __builtin_bswap16(key.dport);
    return k;
}

}  // namespace sluice::bench
