#include "tests/bench/rig/traces.hpp"

#include <algorithm>
#include <random>

namespace sluice::bench {

namespace {

constexpr std::uint8_t kTcp = 6, kUdp = 17;

}  // namespace

std::vector<AclKey> random_trace(std::span<const FilterRule> rules, std::size_t count, std::uint64_t seed) {
    std::mt19937_64 random{seed};
    const auto inside = [&](std::span<const Net> nets) {
        const Net& net = nets[nets.size() == 1 ? 0 : random() % nets.size()];
        const std::uint32_t host_bits = net.bits == 32 ? 0 : ~std::uint32_t{0} >> net.bits;
        return __builtin_bswap32(net.addr | (static_cast<std::uint32_t>(random()) & host_bits));
    };
    const auto below = [&](std::uint64_t bound) { return random() % bound; };
    std::vector<AclKey> trace(count);
    for (AclKey& key : trace) {
        const FilterRule& rule = rules[below(rules.size())];
        const Service& service = rule.services[below(rule.services.size())];
        key.proto = service.any_proto ? (below(2) != 0 ? kTcp : kUdp) : service.proto;
        key.src = inside(nets_of(rule.src, rule.src_set));
        key.dst = inside(nets_of(rule.dst, rule.dst_set));
        key.sport = static_cast<std::uint16_t>(random());
        if (key.proto != kTcp && key.proto != kUdp) continue;
        const std::uint64_t ports = std::uint64_t{service.last} - service.first + 1;
        key.dport = __builtin_bswap16(static_cast<std::uint16_t>(service.first + below(ports)));
    }
    return trace;
}

std::vector<AclKey> zipf_trace(std::span<const FilterRule> rules, std::size_t count, std::uint64_t seed) {
    const std::vector<AclKey> pool = random_trace(rules, count, seed);
    std::vector<double> until(pool.size());
    double sum = 0;
    for (std::size_t rank = 0; rank < until.size(); ++rank) until[rank] = sum += 1 / static_cast<double>(rank + 1);
    std::mt19937_64 random{seed + 1};
    std::uniform_real_distribution<double> weight{0, sum};
    std::vector<AclKey> trace(count);
    for (AclKey& key : trace) {
        const auto found = std::lower_bound(until.begin(), until.end(), weight(random));
        key = pool[std::min<std::size_t>(static_cast<std::size_t>(found - until.begin()), pool.size() - 1)];
    }
    return trace;
}

}  // namespace sluice::bench
