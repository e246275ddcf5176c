/// What the tables would answer, and why every rule before the answer did not.
#include <algorithm>

#include "controlplane/compiler/changing_sets.hpp"
#include "controlplane/compiler/periods.hpp"
#include "controlplane/compiler/reference.hpp"
#include "controlplane/lifecycle/flow_places.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"
#include "dataplane/acl/lookup.hpp"

namespace sluice::cp {
namespace {

/// The zone that a packet from `port` leaves to: that of the wire's other end; without a known wire the other of two.
std::optional<std::uint16_t> zone_behind(const Policy& policy, const WireHint& hint, const std::string& port,
                                         std::uint16_t from) {
    for (const auto& [a, b] : hint.wires) {
        if (a == port) return zone_of_port(policy, b);
        if (b == port) return zone_of_port(policy, a);
    }
    if (hint.wires.empty() && policy.zones.size() == 2) return static_cast<std::uint16_t>(1 - from);
    return std::nullopt;
}

/// The ports that there are, and of which zone if `word` is the name of one.
std::string port_hint(const Policy& policy, std::string_view word) {
    std::string ports;
    for (const auto& zone : policy.zones) {
        std::string own;
        for (const auto& port : zone.ports) own += (own.empty() ? "" : ", ") + port;
        if (zone.name == word) return "; that is a zone, its ports are " + own;
        ports += (ports.empty() || own.empty() ? "" : ", ") + own;
    }
    return "; its ports are " + ports;
}

}  // namespace

Expected<ExplainResult, Problem> PolicyServiceImpl::explain(const ExplainQuery& query) {
    const auto now = shared();
    const auto active = now.active();
    if (active == nullptr) {
        return Unexpected(problem(409, "no-policy", "There is no policy", "put a policy first"));
    }
    const auto& policy = active->policy;
    const auto from = zone_of_port(policy, query.in_port);
    if (!from) {
        return Unexpected(problem(422, "unknown-port", "The port is in no zone",
                                  "no zone of " + active->version + " has a port \"" + query.in_port + "\"" +
                                      port_hint(policy, query.in_port)));
    }
    const auto to = zone_behind(policy, now.wires(), query.in_port, *from);
    if (!to) {
        return Unexpected(problem(422, "unknown-wire", "Nobody knows where the packet would leave",
                                  "port \"" + query.in_port + "\" is on no wire that the dataplane has told of"));
    }
    const dp::LookupKey key{query.src,           query.dst,    abi::ZoneId{*from}, abi::ZoneId{*to},
                            query.dport_or_icmp, query.family, query.proto};
    const UnixSeconds at = query.at.value_or(unix_now());
    const auto known = written_out(policy, active->compiled.whole->compiled_at);
    if (depends_on_time(policy) && !known.contains(at)) {
        return Unexpected(problem(422, "too-far-away", "The tables do not know that time",
                                  "schedules are written out from " + instant_text(known.first) + " to " +
                                      instant_text(known.last) + "; ask about an instant in between"));
    }
    dp::LookupResult found;
    dp::TableView view = active->view.at(static_cast<std::uint64_t>(at));
    const auto members = members_about(policy, key);
    if (!members) return Unexpected(members.error());
    view.members = (**members)->view(view, nullptr, 0);
    dp::lookup(view, {&key, 1}, {&found, 1});
    const auto is_member = [&](std::string_view set, abi::IpFamily family, const abi::IpAddr& addr) {
        for (std::uint32_t bits = 0; bits <= (family == abi::IpFamily::v4 ? 32U : 128U); ++bits) {
            if ((**members)->member(set_id(set), dp::member_around(addr, family, bits)).found != 0) return true;
        }
        return false;
    };

    ExplainResult result;
    result.verdict = active->view.rule(found.rule).verdict;
    result.rule = active->view.rule_id(found.rule);
    result.mode = abi::RuleMode::enforce;
    if (found.observe != abi::kNoRule) result.observed = active->view.rule_id(found.observe);
    result.from_zone = policy.zones[*from].name;
    result.to_zone = policy.zones[*to].name;
    for (std::size_t r = 0; r < policy.rules.size() && policy.rules[r].id != result.rule; ++r) {
        const auto& rule = policy.rules[r];
        const Standing standing = standing_of(policy, rule, at);
        if (standing == Standing::absent) {
            result.skipped.push_back({rule.id, "when"});
        } else if (const auto field = first_excluding_field(policy, rule, key, is_member)) {
            const auto set = excluding_set(policy, rule, key, is_member);
            result.skipped.push_back(
                {rule.id, std::string{*field}, std::string{set}, kept_by_never_block(policy, rule, key, is_member)});
        } else if (standing == Standing::enforced && policy.passes_on(r)) {
            result.passed.push_back(rule.id);
            r = policy.behind_layer_of(r) - 1;
        } else if (standing == Standing::enforced) {
            // The oracle says that an earlier rule decides: tables and policy contradict each other.
            return Unexpected(
                problem(500, "internal-error", "Tables and policy disagree",
                        "rule \"" + rule.id + "\" should have decided, the tables say \"" + result.rule + "\""));
        }
    }
    return result;
}

}  // namespace sluice::cp
