#include "tests/bench/acl_peer.hpp"

#include <rte_acl.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "tests/bench/rig/measure.hpp"
#include "tests/bench/rig/six_networks.hpp"

namespace sluice::bench {

namespace {

constexpr std::uint32_t kFields = 5;  ///< protocol, addresses, ports
RTE_ACL_RULE_DEF(AclRule, kFields);
constexpr std::uint32_t kFields6 = 11;  ///< an address is four of them
RTE_ACL_RULE_DEF(AclRule6, kFields6);

/// rte_acl walks groups of four bytes, so the source port is there although no rule asks for it.
constexpr std::array<rte_acl_field_def, kFields> kLayout{{
    {RTE_ACL_FIELD_TYPE_BITMASK, 1, 0, 0, offsetof(AclKey, proto)},
    {RTE_ACL_FIELD_TYPE_MASK, 4, 1, 1, offsetof(AclKey, src)},
    {RTE_ACL_FIELD_TYPE_MASK, 4, 2, 2, offsetof(AclKey, dst)},
    {RTE_ACL_FIELD_TYPE_RANGE, 2, 3, 3, offsetof(AclKey, sport)},
    {RTE_ACL_FIELD_TYPE_RANGE, 2, 4, 3, offsetof(AclKey, dport)},
}};

constexpr std::array<rte_acl_field_def, kFields6> kLayout6{{
    {RTE_ACL_FIELD_TYPE_BITMASK, 1, 0, 0, offsetof(AclKey6, proto)},
    {RTE_ACL_FIELD_TYPE_MASK, 4, 1, 1, offsetof(AclKey6, src)},
    {RTE_ACL_FIELD_TYPE_MASK, 4, 2, 2, offsetof(AclKey6, src) + 4},
    {RTE_ACL_FIELD_TYPE_MASK, 4, 3, 3, offsetof(AclKey6, src) + 8},
    {RTE_ACL_FIELD_TYPE_MASK, 4, 4, 4, offsetof(AclKey6, src) + 12},
    {RTE_ACL_FIELD_TYPE_MASK, 4, 5, 5, offsetof(AclKey6, dst)},
    {RTE_ACL_FIELD_TYPE_MASK, 4, 6, 6, offsetof(AclKey6, dst) + 4},
    {RTE_ACL_FIELD_TYPE_MASK, 4, 7, 7, offsetof(AclKey6, dst) + 8},
    {RTE_ACL_FIELD_TYPE_MASK, 4, 8, 8, offsetof(AclKey6, dst) + 12},
    {RTE_ACL_FIELD_TYPE_RANGE, 2, 9, 9, offsetof(AclKey6, sport)},
    {RTE_ACL_FIELD_TYPE_RANGE, 2, 10, 9, offsetof(AclKey6, dport)},
}};

void put_net(rte_acl_field* fields, const Net& net, abi::IpFamily family) {
    if (family == abi::IpFamily::v4) {
        fields[0].value.u32 = net.addr;
        fields[0].mask_range.u32 = net.bits;
        return;
    }
    const cp::Prefix prefix = six_prefix(net);
    for (unsigned i = 0; i < 4; ++i) {
        fields[i].value.u32 = abi::NetOrder<std::uint32_t>::read(prefix.addr.bytes.data() + 4 * i).to_host();
        fields[i].mask_range.u32 = prefix.bits <= 32 * i ? 0 : std::min(32U, prefix.bits - 32 * i);
    }
}

template <typename Rule>
Rule acl_rule(const Net& src, const Net& dst, const Service& service, std::size_t index) {
    constexpr bool kIsV4 = std::is_same_v<Rule, AclRule>;
    constexpr std::uint32_t kAddressFields = kIsV4 ? 1 : 4;
    const abi::IpFamily family = kIsV4 ? abi::IpFamily::v4 : abi::IpFamily::v6;
    Rule r{};
    r.data.category_mask = 1;
    r.data.priority = RTE_ACL_MAX_PRIORITY - static_cast<std::int32_t>(index);
    r.data.userdata = static_cast<std::uint32_t>(index) + 1;
    const std::uint8_t proto = kIsV4 ? service.proto : six_proto(service.proto);
    r.field[0].value.u8 = service.any_proto ? 0 : proto;
    r.field[0].mask_range.u8 = service.any_proto ? 0 : 0xff;
    put_net(r.field + 1, src, family);
    put_net(r.field + 1 + kAddressFields, dst, family);
    rte_acl_field* const ports = r.field + 1 + 2 * kAddressFields;
    ports[0].mask_range.u16 = 0xffff;
    ports[1].value.u16 = service.first;
    ports[1].mask_range.u16 = service.last;
    return r;
}

template <typename Rule>
std::vector<Rule> acl_rules(std::span<const FilterRule> rules) {
    std::vector<Rule> out;
    out.reserve(multiplied_out(rules));
    for (std::size_t i = 0; i < rules.size(); ++i) {
        for (const Net& src : nets_of(rules[i].src, rules[i].src_set)) {
            for (const Net& dst : nets_of(rules[i].dst, rules[i].dst_set)) {
                for (const Service& service : rules[i].services) out.push_back(acl_rule<Rule>(src, dst, service, i));
            }
        }
    }
    return out;
}

std::string failed(const char* step, int error) { return std::string{step} + ": " + rte_strerror(-error); }

/// The context, filled. Null: DPDK has said why in rte_errno, or `error`.
template <typename Rule, std::size_t Fields>
Expected<rte_acl_ctx*, std::string> filled(std::span<const FilterRule> rules,
                                           const std::array<rte_acl_field_def, Fields>& layout,
                                           rte_acl_config& config) {
    static_assert(sizeof(Rule) == RTE_ACL_RULE_SZ(Fields));
    const std::vector<Rule> acl = acl_rules<Rule>(rules);
    const rte_acl_param parameters{.name = "bench",
                                   .socket_id = SOCKET_ID_ANY,
                                   .rule_size = sizeof(Rule),
                                   .max_rule_num = static_cast<std::uint32_t>(acl.size())};
    rte_acl_ctx* const context = rte_acl_create(&parameters);
    if (context == nullptr) return Unexpected<std::string>{failed("rte_acl_create", -rte_errno)};
    const auto* const first = reinterpret_cast<const rte_acl_rule*>(acl.data());
    if (const int error = rte_acl_add_rules(context, first, static_cast<std::uint32_t>(acl.size())); error != 0) {
        rte_acl_free(context);
        return Unexpected<std::string>{failed("rte_acl_add_rules", error)};
    }
    config.num_categories = 1;
    config.num_fields = Fields;
    std::copy(layout.begin(), layout.end(), config.defs);
    config.max_size = acl.size() > 50'000 ? std::size_t{1} << 30 : 0;
    return context;
}

}  // namespace

AclKey6 six_key(const AclKey& key) noexcept {
    const auto host = [](std::uint32_t wire) { return six_host(abi::Ipv4Addr::of_wire(wire).to_host()).bytes; };
    return {.proto = six_proto(key.proto),
            .src = host(key.src),
            .dst = host(key.dst),
            .sport = key.sport,
            .dport = key.dport};
}

Expected<std::unique_ptr<RteAcl>, std::string> RteAcl::build(std::span<const FilterRule> rules,
                                                             std::span<const AclKey> sample, bool scalar,
                                                             abi::IpFamily family) {
    rte_acl_config config{};
    const auto context = family == abi::IpFamily::v4 ? filled<AclRule>(rules, kLayout, config)
                                                     : filled<AclRule6>(rules, kLayout6, config);
    if (!context) return Unexpected<std::string>{context.error()};
    std::unique_ptr<RteAcl> made{new RteAcl{*context}};
    const Stopwatch watch;
    const int error = rte_acl_build(*context, &config);
    made->build_s_ = watch.stop(1).cpu_s;
    if (error != 0) return Unexpected<std::string>{failed("rte_acl_build", error)};
    std::vector<AclKey6> six;
    std::vector<const std::uint8_t*> keys;
    if (family == abi::IpFamily::v6) {
        for (const AclKey& key : sample) six.push_back(six_key(key));
        for (const AclKey6& key : six) keys.push_back(&key.proto);
    } else {
        for (const AclKey& key : sample) keys.push_back(&key.proto);
    }
    made->choose_method(keys, scalar);
    return made;
}

RteAcl::~RteAcl() { rte_acl_free(context_); }

void RteAcl::choose_method(std::span<const std::uint8_t*> keys, bool scalar) {
    static constexpr std::array<std::pair<enum rte_acl_classify_alg, const char*>, 5> kMethods{{
        {RTE_ACL_CLASSIFY_SCALAR, "scalar"},
        {RTE_ACL_CLASSIFY_SSE, "sse"},
        {RTE_ACL_CLASSIFY_AVX2, "avx2"},
        {RTE_ACL_CLASSIFY_AVX512X16, "avx512x16"},
        {RTE_ACL_CLASSIFY_AVX512X32, "avx512x32"},
    }};
    double best = std::numeric_limits<double>::infinity();
    std::size_t chosen = 0;
    for (std::size_t m = 0; m < (scalar ? 1 : kMethods.size()); ++m) {
        if (rte_acl_set_ctx_classify(context_, kMethods[m].first) != 0) continue;
        for (int tries = 0; tries < 3; ++tries) {
            const Stopwatch watch;
            std::array<std::uint32_t, dp::kBurstMax> results;
            for (std::size_t at = 0; at + dp::kBurstMax <= keys.size(); at += dp::kBurstMax) {
                classify({keys.data() + at, dp::kBurstMax}, results.data());
            }
            const double took = watch.stop(1).cpu_s;
            if (took >= best) continue;
            best = took;
            chosen = m;
        }
    }
    rte_acl_set_ctx_classify(context_, kMethods[chosen].first);
    method_ = kMethods[chosen].second;
}

void RteAcl::classify(std::span<const std::uint8_t*> keys, std::uint32_t* results) const noexcept {
    rte_acl_classify(context_, keys.data(), results, static_cast<std::uint32_t>(keys.size()), 1);
}

AclForwarder::AclForwarder(const RteAcl& acl, std::span<const FilterRule> rules, dp::PacketSource& source)
    : acl_{acl}, allows_(rules.size() + 1), source_{source} {
    for (std::size_t i = 0; i < rules.size(); ++i) allows_[i + 1] = rules[i].deny ? 0 : 1;
}

void AclForwarder::run(std::uint64_t packets) noexcept {
    const std::uint64_t end = source_.made() + packets;
    while (source_.made() < end) {
        burst(dp::MemorySource::kClients, dp::MemorySource::kServers);
        burst(dp::MemorySource::kServers, dp::MemorySource::kClients);
    }
}

/// What servers send is looked up by the client's side of it: a stateless list needs the reply rules as well, and with
/// these they are the same rules.
void AclForwarder::burst(dp::PortIndex in, dp::PortIndex out) noexcept {
    constexpr std::uint32_t kIpAt = 14;
    std::array<dp::Packet, dp::kBurstMax> packets;
    std::array<AclKey, dp::kBurstMax> keys;
    std::array<const std::uint8_t*, dp::kBurstMax> pointers;
    std::array<std::uint32_t, dp::kBurstMax> answers;
    const std::size_t count = source_.receive(in, packets);
    if (count == 0) return;
    const bool reply = in == dp::MemorySource::kServers;
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint8_t* const ip = packets[i].data + kIpAt;
        const std::uint8_t* const l4 = ip + (ip[0] & 0x0fU) * 4U;
        AclKey& key = keys[i];
        key.proto = ip[9];
        std::memcpy(reply ? &key.dst : &key.src, ip + 12, 4);
        std::memcpy(reply ? &key.src : &key.dst, ip + 16, 4);
        std::memcpy(reply ? &key.dport : &key.sport, l4, 2);
        std::memcpy(reply ? &key.sport : &key.dport, l4 + 2, 2);
        pointers[i] = &key.proto;
    }
    acl_.classify({pointers.data(), count}, answers.data());
    std::array<dp::Packet, dp::kBurstMax> sent, dropped;
    std::size_t sent_count = 0, dropped_count = 0;
    for (std::size_t i = 0; i < count; ++i) {
        if (allows_[answers[i]] != 0) {
            sent[sent_count++] = packets[i];
        } else {
            dropped[dropped_count++] = packets[i];
        }
    }
    refused_ += dropped_count;
    source_.send(out, {sent.data(), sent_count});
    source_.release({dropped.data(), dropped_count});
}

}  // namespace sluice::bench
