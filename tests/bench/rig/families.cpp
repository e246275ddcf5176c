#include "tests/bench/rig/families.hpp"

#include <algorithm>
#include <array>
#include <random>
#include <span>
#include <unordered_set>

namespace sluice::bench {

namespace {

constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kGre = 47, kAnyProto = 0;

struct Lengths {
    std::uint8_t src, dst;
    std::uint16_t weight;
};
struct Proto {
    std::uint8_t proto;
    std::uint16_t weight;
};

/// Weights are of a thousand, roughly: what was counted in the published sets of 100,000 rules.
struct Shape {
    std::span<const Lengths> lengths;
    std::span<const Proto> protos;
    std::array<std::uint16_t, 4> ports;     ///< one, any, from 1024 on, a range
    std::array<std::uint16_t, 2> repeated;  ///< sources, destinations: networks that another rule names as well
};

constexpr std::array<Lengths, 14> kAclLengths{{{32, 32, 507},
                                               {31, 32, 129},
                                               {32, 31, 109},
                                               {31, 31, 26},
                                               {23, 32, 22},
                                               {32, 30, 20},
                                               {32, 22, 18},
                                               {32, 24, 18},
                                               {30, 32, 16},
                                               {24, 31, 11},
                                               {31, 22, 10},
                                               {31, 23, 10},
                                               {32, 25, 8},
                                               {31, 25, 7}}};
constexpr std::array<Lengths, 16> kFwLengths{{{1, 32, 180},
                                              {0, 32, 132},
                                              {0, 31, 108},
                                              {1, 31, 66},
                                              {2, 32, 58},
                                              {32, 1, 45},
                                              {32, 32, 43},
                                              {32, 0, 35},
                                              {31, 0, 30},
                                              {0, 30, 25},
                                              {31, 32, 19},
                                              {31, 1, 18},
                                              {32, 31, 18},
                                              {32, 2, 14},
                                              {0, 16, 9},
                                              {0, 0, 1}}};
constexpr std::array<Lengths, 18> kIpcLengths{{{32, 32, 164},
                                               {31, 32, 48},
                                               {32, 31, 35},
                                               {24, 32, 29},
                                               {23, 32, 27},
                                               {24, 24, 25},
                                               {25, 32, 22},
                                               {23, 24, 22},
                                               {24, 25, 20},
                                               {32, 25, 18},
                                               {25, 24, 16},
                                               {23, 25, 15},
                                               {24, 31, 15},
                                               {24, 23, 15},
                                               {1, 32, 15},
                                               {0, 32, 15},
                                               {16, 24, 15},
                                               {0, 0, 1}}};
constexpr std::array<Proto, 4> kAclProtos{{{kTcp, 872}, {kAnyProto, 86}, {kIcmp, 31}, {kUdp, 11}}};
constexpr std::array<Proto, 5> kFwProtos{{{kTcp, 575}, {kUdp, 320}, {kGre, 57}, {kIcmp, 38}, {kAnyProto, 10}}};
constexpr std::array<Proto, 5> kIpcProtos{{{kUdp, 379}, {kAnyProto, 344}, {kTcp, 263}, {kIcmp, 11}, {kGre, 3}}};

Shape shape_of(Family family) {
    if (family == Family::acl) return {kAclLengths, kAclProtos, {560, 319, 0, 121}, {2, 917}};
    if (family == Family::fw) return {kFwLengths, kFwProtos, {606, 311, 83, 0}, {100, 30}};
    return {kIpcLengths, kIpcProtos, {355, 547, 70, 28}, {58, 37}};
}

std::uint32_t cut(std::uint32_t addr, unsigned bits) { return bits == 0 ? 0 : addr & ~std::uint32_t{0} << (32 - bits); }

class Maker {
public:
    explicit Maker(std::uint64_t seed) : random_{seed} {}

    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
    bool happens(unsigned of_a_thousand) { return below(1000) < of_a_thousand; }
    std::uint32_t bits32() { return static_cast<std::uint32_t>(random_()); }

    template <typename T>
    const T& weighted(std::span<const T> all) {
        std::uint64_t sum = 0;
        for (const T& one : all) sum += one.weight;
        std::uint64_t at = below(sum);
        for (const T& one : all) {
            if (at < one.weight) return one;
            at -= one.weight;
        }
        return all.back();
    }

    /// Another rule's, or near another rule's, or inside one.
    Net net(std::vector<Net>& known, unsigned bits, unsigned repeated) {
        constexpr int kTries = 8;
        if (!known.empty() && happens(repeated)) {
            for (int i = 0; i < kTries; ++i) {
                if (const Net& one = known[below(known.size())]; one.bits == bits) return one;
            }
        }
        std::uint32_t addr = bits32();
        if (!known.empty() && happens(kNearOthers)) {
            const std::uint32_t shared = std::max<std::uint32_t>(8, static_cast<std::uint32_t>(below(bits + 1)));
            addr = cut(known[below(known.size())].addr, shared) | (addr & (shared == 32 ? 0 : ~0U >> shared));
        }
        return known.emplace_back(Net{cut(addr, bits), static_cast<std::uint8_t>(bits)});
    }

    std::vector<Service> services(const Shape& shape) {
        const std::uint8_t proto = weighted(shape.protos).proto;
        if (proto == kAnyProto) return {{.any_proto = true}};
        if (proto != kTcp && proto != kUdp) return {{.proto = proto}};
        const auto at = below(1000);
        const auto& [one, any, high, range] = shape.ports;
        if (at < one) return {{.proto = proto, .first = port(), .last = last_}};
        if (at < std::uint64_t{one} + any) return {{.proto = proto}};
        if (at < std::uint64_t{one} + any + high) return {{.proto = proto, .first = 1024}};
        const std::uint16_t first = port();
        return {{.proto = proto, .first = first, .last = static_cast<std::uint16_t>(first + below(0x10000U - first))}};
    }

private:
    static constexpr unsigned kNearOthers = 800;

    /// A hundred ports are in use. They are also `last_`.
    std::uint16_t port() { return last_ = static_cast<std::uint16_t>(20 + below(100) * 331); }

    std::mt19937_64 random_;
    std::uint16_t last_{};
};

std::uint64_t name_of(const FilterRule& r) {
    std::uint64_t hash = r.services.front().proto + (r.services.front().any_proto ? 256U : 0U);
    for (const std::uint64_t part :
         {std::uint64_t{r.src.addr} << 8 | r.src.bits, std::uint64_t{r.dst.addr} << 8 | r.dst.bits,
          std::uint64_t{r.services.front().first} << 16 | r.services.front().last}) {
        hash = (hash ^ part) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 29;
    }
    return hash;
}

std::vector<FilterRule> shaped(const Shape& shape, std::uint32_t count, Maker& make) {
    std::vector<FilterRule> rules;
    std::vector<Net> sources, destinations;
    std::unordered_set<std::uint64_t> seen;
    for (std::uint64_t tries = 0; rules.size() < count && tries < 4ULL * count + 1000; ++tries) {
        const Lengths& lengths = make.weighted(shape.lengths);
        FilterRule rule{.src = make.net(sources, lengths.src, shape.repeated[0]),
                        .dst = make.net(destinations, lengths.dst, shape.repeated[1]),
                        .services = make.services(shape)};
        if (seen.insert(name_of(rule)).second) rules.push_back(std::move(rule));
    }
    std::stable_sort(rules.begin(), rules.end(), [](const FilterRule& a, const FilterRule& b) {
        return a.src.bits + a.dst.bits > b.src.bits + b.dst.bits;
    });
    return rules;
}

constexpr std::uint32_t kGroups = 20, kGroupHosts = 30, kRulesOfATenant = 100, kBlocked = 25'000;
constexpr std::array<std::uint16_t, 12> kCloudPorts{22, 53, 80, 443, 1433, 3306, 5432, 6379, 8080, 8443, 9092, 9200};

std::vector<NetSet> groups_of(std::uint32_t tenant, Maker& make) {
    constexpr std::uint32_t kHosts = 256;  // of 10.0.0.0/8 on: small enough that groups overlap
    std::vector<NetSet> groups;
    for (std::uint32_t g = 0; g < kGroups; ++g) {
        std::vector<Net> hosts;
        for (std::uint32_t h = 0; h < kGroupHosts; ++h)
            hosts.push_back({(10U << 24) + tenant * kHosts + static_cast<std::uint32_t>(make.below(kHosts)), 32});
        groups.push_back(std::make_shared<const std::vector<Net>>(std::move(hosts)));
    }
    return groups;
}

NetSet blocklist(Maker& make) {
    std::vector<Net> nets;
    for (std::uint32_t i = 0; i < kBlocked; ++i) {
        const unsigned bits = make.below(4) == 0 ? 24 : 32;
        nets.push_back({cut(make.bits32(), bits), static_cast<std::uint8_t>(bits)});
    }
    return std::make_shared<const std::vector<Net>>(std::move(nets));
}

/// One or two services, which no other rule of the same groups has.
std::vector<Service> cloud_services(Maker& make) {
    const std::uint16_t port = kCloudPorts[make.below(kCloudPorts.size())];
    std::vector<Service> services{{.proto = kTcp, .first = port, .last = port}};
    if (port == 53) services.push_back({.proto = kUdp, .first = port, .last = port});
    return services;
}

std::vector<FilterRule> cloud(std::uint32_t count, Maker& make) {
    std::vector<FilterRule> rules;
    rules.push_back({.src_set = blocklist(make), .services = {{.any_proto = true}}});
    std::unordered_set<std::uint64_t> seen;
    for (std::uint32_t tenant = 0; rules.size() < count; ++tenant) {
        const auto groups = groups_of(tenant, make);
        for (std::uint32_t i = 0; i < kRulesOfATenant && rules.size() < count;) {
            const auto from = make.below(kGroups + 1), to = make.below(kGroups);  // every twenty-first from anywhere
            auto services = cloud_services(make);
            const std::uint64_t name = (from * kGroups + to) << 16 | services.front().first;
            if (!seen.insert(std::uint64_t{tenant} << 32 | name).second) continue;
            FilterRule rule{.dst_set = groups[to], .services = std::move(services)};
            if (from < kGroups) rule.src_set = groups[from];
            rules.push_back(std::move(rule));
            ++i;
        }
    }
    return rules;
}

}  // namespace

std::optional<Family> family_of(std::string_view name) noexcept {
    constexpr std::array<std::string_view, 4> kNames{"acl", "fw", "ipc", "cloud"};
    const auto* const found = std::find(kNames.begin(), kNames.end(), name);
    if (found == kNames.end()) return std::nullopt;
    return static_cast<Family>(found - kNames.begin());
}

std::vector<FilterRule> family_rules(Family family, std::uint32_t count, std::uint64_t seed) {
    Maker make{seed};
    auto rules = family == Family::cloud ? cloud(count, make) : shaped(shape_of(family), count, make);
    for (std::size_t i = 0; i < rules.size(); ++i) rules[i].deny = i % 2 == 0;
    return rules;
}

}  // namespace sluice::bench
