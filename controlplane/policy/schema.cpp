#include "controlplane/policy/schema.hpp"

#include <algorithm>
#include <array>

#include <sluice/abi/tables.hpp>

#include "controlplane/policy/model.hpp"

namespace sluice::cp {

namespace {

using Words = std::span<const std::string_view>;

constexpr std::array<std::string_view, 4> kActions{"allow", "deny", "reject", "pass"};
constexpr std::array<std::string_view, 3> kVerdicts{"allow", "deny", "reject"};
constexpr std::array<std::string_view, 2> kWireActions{"allow", "deny"};
constexpr std::array<std::string_view, 4> kLogs{"none", "start", "end", "both"};
constexpr std::array<std::string_view, 2> kModes{"enforce", "observe"};
constexpr std::array<std::string_view, 3> kSeqChecks{"strict", "log", "off"};
constexpr std::array<std::string_view, 3> kOnChanges{"reevaluate", "keep", "kill"};
constexpr auto kTestLimits = std::span{kTestLimitNames}.subspan<1>();  // one that is named
constexpr std::array<std::string_view, 2> kOvers{"refuse", "syn-cookie"};
constexpr std::array<std::string_view, 3> kPromises{"on", "learn", "off"};
constexpr std::array<std::string_view, 1> kMembers{"api"};
constexpr std::array<std::string_view, 3> kOps{"insert", "replace", "remove"};

constexpr Field unsupported(std::string_view key) { return {.key = key, .shape = Shape::unsupported}; }

constexpr Field choice(std::string_view key, Words choices, std::string_view standard, std::string_view about) {
    return {.key = key,
            .shape = Shape::choice,
            .required = standard.empty(),
            .about = about,
            .choices = choices,
            .standard = standard};
}

/// A choice that came later than others: the canonical form tells it only where it is not the standard, so that older
/// policies keep their hash. Without a standard it may be left out and says then what the policy says.
constexpr Field late_choice(std::string_view key, Words choices, std::string_view standard, std::string_view about) {
    return {.key = key,
            .shape = Shape::choice,
            .required = false,
            .about = about,
            .choices = choices,
            .standard = standard,
            .silent_standard = true};
}

constexpr Field required(std::string_view key, Shape shape, std::string_view about) {
    return {.key = key, .shape = shape, .required = true, .about = about};
}

constexpr Field optional(std::string_view key, Shape shape, std::string_view about,
                         const ObjectSchema* object = nullptr) {
    return {.key = key, .shape = shape, .required = false, .about = about, .object = object};
}

constexpr Field count(std::string_view key, std::uint32_t most, std::string_view about) {
    return {.key = key, .shape = Shape::count, .required = false, .about = about, .most = most};
}

constexpr std::array kRuleLimitFields{
    count("states", abi::kStatesLimitMax, "Live flows of the rule."),
    count("states_per_source", abi::kStatesLimitMax, "Live flows of the rule from one source (IPv6: from one /64)."),
    count("new_per_second", abi::kRateLimitMax, "New flows of the rule in a second."),
    count("new_per_second_per_source", abi::kRateLimitMax,
          "New flows of the rule in a second from one source (IPv6: from one /64)."),
    count("half_open", abi::kStatesLimitMax, "TCP flows of the rule whose handshake is not over."),
    late_choice("over", kOvers, "refuse",
                "What becomes of a SYN beyond half_open: refuse drops it, syn-cookie answers it in the server's stead. "
                "syn-cookie without half_open answers every SYN."),
};
constexpr ObjectSchema kRuleLimits{"limits", kRuleLimitFields};

constexpr std::array kZoneLimitFields{
    count("states", abi::kStatesLimitMax, "Live flows that come from the zone."),
    count("new_per_second", abi::kRateLimitMax, "New flows from the zone in a second."),
};
constexpr ObjectSchema kZoneLimits{"limits of a zone", kZoneLimitFields};

constexpr std::array kDefaultFields{
    choice("action", kVerdicts, "", "What happens when no rule matches."),
    choice("log", kLogs, "none", "Which moments of a flow are logged."),
    optional("limits", Shape::object, "How many flows the default may allow.", &kRuleLimits),
};
constexpr ObjectSchema kDefault{"the default", kDefaultFields};

constexpr std::array kWireFields{
    choice("arp", kWireActions, "allow", "ARP between the two ports of a wire."),
    choice("nd", kWireActions, "allow", "IPv6 neighbour discovery between the two ports of a wire."),
    choice("other", kWireActions, "deny", "Any ethertype that is neither IP nor ARP."),
};
constexpr ObjectSchema kWire{"wire", kWireFields};

constexpr Field duration(std::string_view key, std::string_view standard, std::string_view about) {
    return {.key = key, .shape = Shape::duration, .required = false, .about = about, .standard = standard};
}

constexpr std::array kApprovalFields{
    Field{.key = "needed",
          .shape = Shape::count,
          .required = true,
          .about = "How many others than its author must approve a change.",
          .most = kApprovalsMost},
    Field{.key = "within", .shape = Shape::duration, .about = "How long a change waits for them.", .standard = "1d"},
};
constexpr ObjectSchema kApprovals{"approvals", kApprovalFields};

constexpr std::array kTimeoutFields{
    duration("tcp_opening", "30s", "TCP, from the SYN to the end of the handshake."),
    duration("tcp_established", "124m",
             "TCP, established and idle (RFC 5382 REQ-5 asks for two hours and four minutes)."),
    duration("tcp_unacknowledged", "5m", "TCP, sent data wait for an acknowledgement; cuts longer timeouts."),
    duration("tcp_closing", "2m", "TCP, one side or both have closed."),
    duration("tcp_closed", "10s", "TCP, after a reset."),
    duration("udp_oneway", "30s", "UDP, without a reply yet."),
    duration("udp_stream", "3m", "UDP, answered."),
    duration("icmp", "1m", "ICMP requests and their replies."),
    duration("other", "10m", "Any other protocol."),
};
constexpr ObjectSchema kTimeouts{"timeouts", kTimeoutFields};

constexpr std::array kSynProxyFields{
    Field{
        .key = "mss",
        .shape = Shape::count,
        .about =
            "Largest segment over IPv4 (1460; over IPv6 20 less), where the server has not been seen to tell its own.",
        .most = abi::kSynMssMax,
        .least = abi::kSynMssMin},
    count("wscale", abi::kSynWscaleMax, "Window scale (7). Windows are translated: a server may have any."),
    late_choice(
        "sack", kPromises, "on",
        "Selective acknowledgements: on unless the server was seen to do without, learn where it was seen to do "
        "them."),
    late_choice("timestamps", kPromises, "learn",
                "Timestamps: on unless the server was seen to do without, learn where it was seen to do them."),
};
constexpr ObjectSchema kSynProxy{"syn_proxy", kSynProxyFields};

constexpr std::array kZoneFields{
    required("ports", Shape::port_names, "Names of ports of the dataplane; each port is in one zone."),
    optional("limits", Shape::object, "How many flows may come from the zone.", &kZoneLimits),
    unsupported("vlan"),
    unsupported("vlans"),
    unsupported("vni"),
};
constexpr ObjectSchema kZone{"a zone", kZoneFields};

constexpr std::array kSetFields{
    optional("nets", Shape::prefixes, "Addresses and prefixes; a bare address is a host."),
    late_choice("members", kMembers, "",
                "Instead of nets: api means that members come and go by /v1/sets/NAME/members, without a change of the "
                "policy."),
    count("max_ips", kSetMembersMost, "With members: api, how many there may be (100000)."),
    unsupported("asn"),
    unsupported("fqdn"),
    unsupported("feed"),
    unsupported("geo"),
    unsupported("identity"),
    unsupported("kind"),
};
constexpr ObjectSchema kSet{"a set", kSetFields};

constexpr std::array kEndpointFields{
    optional("zone", Shape::name, "Zone; together with `set` both must hold."),
    optional("set", Shape::members, "Sets, addresses and prefixes; one of them must hold."),
    optional("not", Shape::set_names, "Sets; none of them may hold, whatever `zone` and `set` say."),
    unsupported("asn"),
    unsupported("fqdn"),
    unsupported("feed"),
    unsupported("geo"),
    unsupported("identity"),
};
constexpr ObjectSchema kEndpoint{"an endpoint", kEndpointFields};

constexpr std::array kScheduleFields{
    required("tz", Shape::time_zone, "Time zone whose clocks count, by its name: Asia/Shanghai, UTC."),
    optional("days", Shape::days, "Days on which it opens; absent means every day."),
    required("from", Shape::day_time, "When it opens, HH:MM."),
    required("to", Shape::day_time, "When it closes, HH:MM; not behind `from` means on the next day."),
};
constexpr ObjectSchema kSchedule{"a schedule", kScheduleFields};

constexpr std::array kRuleFields{
    required("id", Shape::name, "Unique; counters, logs and tests use it."),
    required("from", Shape::endpoints, "Where the flow comes from: a list means OR; any must be written."),
    required("to", Shape::endpoints, "Where the flow goes: a list means OR; any must be written."),
    optional("service", Shape::services, "What is asked for; absent means any."),
    choice("action", kActions, "", "What happens to a flow that this rule decides."),
    choice("mode", kModes, "enforce", "observe counts and logs what the rule would do, and goes on."),
    choice("log", kLogs, "none", "Which moments of a flow are logged."),
    optional("limits", Shape::object, "How many flows a rule that allows may have.", &kRuleLimits),
    late_choice("on_change", kOnChanges, "",
                "What becomes of a live flow that this rule no longer lets pass; absent means what the policy says."),
    optional("layer", Shape::layer,
             "0-9 emergency, 10-19 protection, 20-49 organisation, 50-89 application; lower ones are asked first. "
             "Absent means what the policy says."),
    optional("when", Shape::name, "The schedule within which the rule is there; absent means always."),
    optional("expires", Shape::expiry,
             "A day (until its end, UTC) or an instant from which on the rule observes only."),
    optional("owner", Shape::note, "Whom to ask about the rule."),
    optional("ticket", Shape::note, "What the rule was asked for with."),
    optional("reason", Shape::note, "Why the rule is there."),
    unsupported("active"),
    unsupported("sample"),
    unsupported("sni"),
    unsupported("tag"),
};
constexpr ObjectSchema kRule{"a rule", kRuleFields};

constexpr std::array kTestFields{
    required("from", Shape::test_source, "ADDR@zone, optionally :PORT; the source port is 49152 otherwise."),
    required("to", Shape::test_target, "ADDR[@zone]:PORT/proto; an IPv6 address without a zone stands in brackets."),
    optional("service", Shape::test_service, "Instead of :PORT/proto in `to`."),
    choice("expect", kVerdicts, "", "The verdict that must come out."),
    optional("by", Shape::name, "The rule that must decide: an id, or default."),
    optional("at", Shape::instant, "The instant that is asked about, 2026-12-05T02:00+08:00; absent means now."),
    optional("given", Shape::member_map,
             "Members that sets with members: api have while this is asked; those that are not named have none."),
    optional(
        "repeat", Shape::rate,
        "How many such flows are begun in a second, for as long as it takes; expect says whether all of them pass."),
    late_choice("limit", kTestLimits, "", "With repeat: the limit that must refuse those that are too many."),
    unsupported("sni"),
};
constexpr ObjectSchema kTest{"a test", kTestFields};

constexpr std::array kDocumentFields{
    required("sluice", Shape::version, "Version of the language: 1."),
    required("name", Shape::name, "Name of the policy, for people."),
    Field{.key = "default",
          .shape = Shape::object,
          .required = true,
          .about = "What happens when no rule decides; nothing is allowed by silence.",
          .object = &kDefault},
    optional("approvals", Shape::object,
             "While the policy is in force, no change of it is, until others than its author have approved it.",
             &kApprovals),
    optional("layer", Shape::layer, "Layer of rules that do not say theirs (50)."),
    optional("wire", Shape::object, "Frames that are no IP, between the two ports of a wire.", &kWire),
    choice("seq_check", kSeqChecks, "strict",
           "TCP segments whose numbers don't fit their flow: strict drops them, log counts and logs them, off lets "
           "them pass."),
    late_choice("on_change", kOnChanges, "reevaluate",
                "What becomes of a live flow that the policy no longer allows: reevaluate ends it, keep lets it go on "
                "until it ends by itself, kill ends it and answers its next packet."),
    optional("syn_proxy", Shape::object, "What SYN cookies promise in a server's name (limits with over: syn-cookie).",
             &kSynProxy),
    optional("timeouts", Shape::object, "When an idle flow ends.", &kTimeouts),
    Field{.key = "zones",
          .shape = Shape::object_map,
          .required = true,
          .about = "Where traffic comes from and goes to, by port.",
          .object = &kZone},
    optional("sets", Shape::object_map, "Named addresses.", &kSet),
    optional(
        "never_block", Shape::members,
        "Sets, addresses and prefixes that are not cut off for being members of a set with members: api: neither by "
        "a rule that refuses members, nor by one that lets in, or passes on, all but members."),
    optional("services", Shape::service_map, "Named services; dns, http, https, ntp, ping and ssh are known."),
    optional("schedules", Shape::object_map, "Named times of the week, for `when` of rules.", &kSchedule),
    optional("rules", Shape::object_list, "Top to bottom, the first match decides.", &kRule),
    optional("tests", Shape::object_list, "Run before the policy is put in force.", &kTest),
    unsupported("active"),
    unsupported("auto_block"),
    unsupported("feeds"),
    unsupported("limits"),
    unsupported("nat"),
};
constexpr ObjectSchema kDocument{"the policy", kDocumentFields};

constexpr std::array kEditFields{
    choice("op", kOps, "", "What to do."),
    optional("id", Shape::name, "The rule that is replaced or removed."),
    optional("before", Shape::name, "The rule that an inserted one goes before."),
    optional("after", Shape::name, "The rule that an inserted one goes behind."),
    optional("rule", Shape::object, "The new rule.", &kRule),
};
constexpr ObjectSchema kEdit{"an edit", kEditFields};

}  // namespace

const Field* ObjectSchema::find(std::string_view key) const noexcept {
    const auto found = std::ranges::find(fields, key, &Field::key);
    return found == fields.end() ? nullptr : &*found;
}

const ObjectSchema& document_schema() noexcept { return kDocument; }
const ObjectSchema& endpoint_schema() noexcept { return kEndpoint; }
const ObjectSchema& edit_schema() noexcept { return kEdit; }

}  // namespace sluice::cp
