#include "tests/bench/acl_peer.hpp"

#include <rte_acl.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <limits>
#include <utility>

#include "tests/bench/rig/measure.hpp"

namespace sluice::bench {

namespace {

constexpr std::uint32_t kFields = 5;
RTE_ACL_RULE_DEF(AclRule, kFields);

/// rte_acl walks groups of four bytes, so the source port is there although no rule asks for it.
constexpr std::array<rte_acl_field_def, kFields> kLayout{{
    {RTE_ACL_FIELD_TYPE_BITMASK, 1, 0, 0, offsetof(AclKey, proto)},
    {RTE_ACL_FIELD_TYPE_MASK, 4, 1, 1, offsetof(AclKey, src)},
    {RTE_ACL_FIELD_TYPE_MASK, 4, 2, 2, offsetof(AclKey, dst)},
    {RTE_ACL_FIELD_TYPE_RANGE, 2, 3, 3, offsetof(AclKey, sport)},
    {RTE_ACL_FIELD_TYPE_RANGE, 2, 4, 3, offsetof(AclKey, dport)},
}};

AclRule acl_rule(const FilterRule& rule, const Service& service, std::size_t index) {
    AclRule r{};
    r.data.category_mask = 1;
    r.data.priority = RTE_ACL_MAX_PRIORITY - static_cast<std::int32_t>(index);
    r.data.userdata = static_cast<std::uint32_t>(index) + 1;
    r.field[0].value.u8 = service.any_proto ? 0 : service.proto;
    r.field[0].mask_range.u8 = service.any_proto ? 0 : 0xff;
    r.field[1].value.u32 = rule.src.addr;
    r.field[1].mask_range.u32 = rule.src.bits;
    r.field[2].value.u32 = rule.dst.addr;
    r.field[2].mask_range.u32 = rule.dst.bits;
    r.field[3].mask_range.u16 = 0xffff;
    r.field[4].value.u16 = service.first;
    r.field[4].mask_range.u16 = service.last;
    return r;
}

std::vector<AclRule> acl_rules(std::span<const FilterRule> rules) {
    std::vector<AclRule> out;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        for (const Service& service : rules[i].services) out.push_back(acl_rule(rules[i], service, i));
    }
    return out;
}

std::string failed(const char* step, int error) { return std::string{step} + ": " + rte_strerror(-error); }

}  // namespace

Expected<std::unique_ptr<RteAcl>, std::string> RteAcl::build(std::span<const FilterRule> rules,
                                                             std::span<const AclKey> sample, bool scalar) {
    const std::vector<AclRule> acl = acl_rules(rules);
    const std::string name = "bench";
    const rte_acl_param parameters{.name = name.c_str(),
                                   .socket_id = SOCKET_ID_ANY,
                                   .rule_size = RTE_ACL_RULE_SZ(kFields),
                                   .max_rule_num = static_cast<std::uint32_t>(acl.size())};
    static_assert(sizeof(AclRule) == RTE_ACL_RULE_SZ(kFields));
    rte_acl_ctx* const context = rte_acl_create(&parameters);
    if (context == nullptr) return Unexpected<std::string>{failed("rte_acl_create", -rte_errno)};
    std::unique_ptr<RteAcl> made{new RteAcl{context}};
    const auto* const first = reinterpret_cast<const rte_acl_rule*>(acl.data());
    if (const int error = rte_acl_add_rules(context, first, static_cast<std::uint32_t>(acl.size())); error != 0) {
        return Unexpected<std::string>{failed("rte_acl_add_rules", error)};
    }
    rte_acl_config config{};
    config.num_categories = 1;
    config.num_fields = kFields;
    std::copy(kLayout.begin(), kLayout.end(), config.defs);
    config.max_size = acl.size() > 50'000 ? std::size_t{1} << 30 : 0;
    const Stopwatch watch;
    const int error = rte_acl_build(context, &config);
    made->build_s_ = watch.stop(1).cpu_s;
    if (error != 0) return Unexpected<std::string>{failed("rte_acl_build", error)};
    made->choose_method(sample, scalar);
    return made;
}

RteAcl::~RteAcl() { rte_acl_free(context_); }

void RteAcl::choose_method(std::span<const AclKey> sample, bool scalar) {
    static constexpr std::array<std::pair<enum rte_acl_classify_alg, const char*>, 5> kMethods{{
        {RTE_ACL_CLASSIFY_SCALAR, "scalar"},
        {RTE_ACL_CLASSIFY_SSE, "sse"},
        {RTE_ACL_CLASSIFY_AVX2, "avx2"},
        {RTE_ACL_CLASSIFY_AVX512X16, "avx512x16"},
        {RTE_ACL_CLASSIFY_AVX512X32, "avx512x32"},
    }};
    std::vector<const std::uint8_t*> keys;
    for (const AclKey& key : sample) keys.push_back(&key.proto);
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

AclForwarder::AclForwarder(const RteAcl& acl, std::span<const FilterRule> rules, dp::MemorySource& source)
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
