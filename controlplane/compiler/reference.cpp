#include "controlplane/compiler/reference.hpp"

#include <algorithm>

namespace sluice::cp {

namespace {

bool prefix_holds(const Prefix& prefix, abi::IpFamily family, const abi::IpAddr& addr) {
    if (prefix.family != family) return false;
    for (unsigned bit = 0; bit < prefix.bits; ++bit) {
        const unsigned mask = 0x80U >> (bit % 8);
        if ((prefix.addr.bytes[bit / 8] & mask) != (addr.bytes[bit / 8] & mask)) return false;
    }
    return true;
}

}  // namespace

bool any_holds(const std::vector<Prefix>& nets, abi::IpFamily family, const abi::IpAddr& addr) {
    return std::any_of(nets.begin(), nets.end(), [&](const Prefix& p) { return prefix_holds(p, family, addr); });
}

namespace {

/// A rule, and who is a member of what for it.
struct Question {
    const Policy& policy;
    const Rule& rule;
    const Membership& members;
    bool heeds_never_block{true};
};

bool stands_in_never_block(const Policy& policy, abi::IpFamily family, const abi::IpAddr& addr) {
    const NeverBlock& never = policy.never_block;
    return any_holds(never.nets, family, addr) ||
           std::any_of(never.sets.begin(), never.sets.end(),
                       [&](std::uint16_t set) { return any_holds(policy.sets[set].nets, family, addr); });
}

/// `cuts_off`: here a member is refused, or not let in, for being one.
bool set_holds(const Question& q, std::uint16_t index, bool cuts_off, abi::IpFamily family, const abi::IpAddr& addr) {
    const NetSet& set = q.policy.sets[index];
    if (!set.by_api) return any_holds(set.nets, family, addr);
    if (!q.members || !q.members(set.name, family, addr)) return false;
    return !cuts_off || !q.heeds_never_block || !stands_in_never_block(q.policy, family, addr);
}

/// Whatever `except` says.
bool endpoint_names(const Question& q, const Endpoint& e, abi::ZoneId zone, abi::IpFamily family,
                    const abi::IpAddr& addr) {
    if (e.zone && abi::ZoneId{*e.zone} != zone) return false;
    return e.any_addr || any_holds(e.nets, family, addr) ||
           std::any_of(e.sets.begin(), e.sets.end(),
                       [&](std::uint16_t set) { return set_holds(q, set, q.policy.refuses(q.rule), family, addr); });
}

/// The first of `except` that has the address; null: none has.
const NetSet* excluded_by(const Question& q, const Endpoint& e, abi::IpFamily family, const abi::IpAddr& addr) {
    for (const std::uint16_t set : e.except) {
        if (set_holds(q, set, !q.policy.refuses(q.rule), family, addr)) return &q.policy.sets[set];
    }
    return nullptr;
}

bool endpoint_holds(const Question& q, const Endpoint& e, abi::ZoneId zone, abi::IpFamily family,
                    const abi::IpAddr& addr) {
    return endpoint_names(q, e, zone, family, addr) && excluded_by(q, e, family, addr) == nullptr;
}

bool side_holds(const Question& q, const std::vector<Endpoint>& side, abi::ZoneId zone, abi::IpFamily family,
                const abi::IpAddr& addr) {
    return std::any_of(side.begin(), side.end(),
                       [&](const Endpoint& e) { return endpoint_holds(q, e, zone, family, addr); });
}

/// ICMP is IPv4's and ICMPv6 is IPv6's: a packet of the other family with that protocol number is not ICMP.
bool service_holds(const ServiceTerm& term, const dp::LookupKey& key) {
    if (term.proto != key.proto) return false;
    switch (term.proto) {
        case abi::L4Proto::icmp:
            if (key.family != abi::IpFamily::v4) return false;
            break;
        case abi::L4Proto::icmp6:
            if (key.family != abi::IpFamily::v6) return false;
            break;
        case abi::L4Proto::tcp:
        case abi::L4Proto::udp: break;
        default: return true;
    }
    return term.first <= key.dport_or_icmp && key.dport_or_icmp <= term.last;
}

std::optional<std::string_view> first_excluding_field(const Question& q, const dp::LookupKey& key) {
    const Rule& rule = q.rule;
    if (!side_holds(q, rule.from, key.from, key.family, key.src)) return "from";
    if (!side_holds(q, rule.to, key.to, key.family, key.dst)) return "to";
    // A rule without services means all that carry something (RFC 8200 section 4.7): 59 must be named.
    const bool any = rule.service.empty() && key.proto != abi::L4Proto::ipv6_no_next;
    const bool service = any || std::any_of(rule.service.begin(), rule.service.end(),
                                            [&](const ServiceTerm& t) { return service_holds(t, key); });
    if (!service) return "service";
    return std::nullopt;
}

}  // namespace

std::optional<std::string_view> first_excluding_field(const Policy& policy, const Rule& rule, const dp::LookupKey& key,
                                                      const Membership& members) {
    return first_excluding_field(Question{policy, rule, members}, key);
}

bool kept_by_never_block(const Policy& policy, const Rule& rule, const dp::LookupKey& key, const Membership& members) {
    if (!policy.refuses(rule)) return false;
    Question q{policy, rule, members};
    const auto field = first_excluding_field(q, key);
    q.heeds_never_block = false;
    return first_excluding_field(q, key) != field;
}

std::string_view excluding_set(const Policy& policy, const Rule& rule, const dp::LookupKey& key,
                               const Membership& members) {
    const Question q{policy, rule, members};
    const auto of_side = [&](const std::vector<Endpoint>& side, abi::ZoneId zone, const abi::IpAddr& addr) {
        for (const Endpoint& e : side) {
            if (!endpoint_names(q, e, zone, key.family, addr)) continue;
            const NetSet* set = excluded_by(q, e, key.family, addr);
            return set == nullptr ? std::string_view{} : std::string_view{set->name};
        }
        return std::string_view{};
    };
    const auto field = first_excluding_field(q, key);
    if (field == "from") return of_side(rule.from, key.from, key.src);
    return field == "to" ? of_side(rule.to, key.to, key.dst) : std::string_view{};
}

dp::LookupResult reference_lookup(const Policy& policy, const dp::LookupKey& key, UnixSeconds at,
                                  const Membership& members) {
    dp::LookupResult result{.rule = static_cast<abi::RuleIndex>(policy.rules.size())};
    for (std::size_t i = 0; i < policy.rules.size(); ++i) {
        const Standing standing = standing_of(policy, policy.rules[i], at);
        if (standing == Standing::absent || first_excluding_field(policy, policy.rules[i], key, members)) continue;
        const auto index = static_cast<abi::RuleIndex>(i);
        if (standing == Standing::enforced && policy.rules[i].action == Action::pass) {
            // On to the first rule of a later layer, if there is one; its predecessor is where the loop goes on from.
            std::size_t next = i;
            while (next < policy.rules.size() && policy.rules[next].layer == policy.rules[i].layer) ++next;
            if (next < policy.rules.size()) {
                i = next - 1;
                continue;
            }
        }
        if (standing == Standing::enforced) {
            result.rule = index;
            break;
        }
        if (result.observe == abi::kNoRule) result.observe = index;
    }
    return result;
}

abi::Verdict reference_verdict(const Policy& policy, abi::RuleIndex rule) {
    Action action = rule < policy.rules.size() ? policy.rules[rule].action : policy.default_action;
    if (action == Action::pass) action = policy.default_action;
    if (action == Action::allow) return abi::Verdict::allow;
    return action == Action::reject ? abi::Verdict::reject : abi::Verdict::deny;
}

std::string_view reference_rule_id(const Policy& policy, abi::RuleIndex rule) {
    return rule < policy.rules.size() ? std::string_view{policy.rules[rule].id} : abi::kIdDefault;
}

}  // namespace sluice::cp
