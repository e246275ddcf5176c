#include "controlplane/api/plan_json.hpp"

#include <string>

#include <boost/json.hpp>

#include "controlplane/api/http_message.hpp"
#include "controlplane/api/problem.hpp"
#include "controlplane/api/wire_text.hpp"
#include "controlplane/telemetry/event_json.hpp"

namespace sluice::cp::api {
namespace json = boost::json;
namespace {

json::array texts(const std::vector<std::string>& list) {
    json::array out;
    for (const auto& text : list) out.emplace_back(valid_utf8(text));
    return out;
}

std::string_view family_text(abi::IpFamily family) noexcept { return family == abi::IpFamily::v6 ? "ipv6" : "ipv4"; }

/// With the keys of a question to /v1/explain, and the zones.
json::object packet_json(const PlanPacket& packet) {
    json::object out{{"in_port", valid_utf8(packet.in_port)},          {"from_zone", valid_utf8(packet.from_zone)},
                     {"to_zone", valid_utf8(packet.to_zone)},          {"src", address_text(packet.family, packet.src)},
                     {"dst", address_text(packet.family, packet.dst)}, {"proto", protocol_text(packet.proto)}};
    const bool v4 = packet.family == abi::IpFamily::v4;
    if (packet.proto == abi::L4Proto::tcp || packet.proto == abi::L4Proto::udp) {
        out["dport"] = packet.dport_or_icmp;
    } else if (packet.proto == (v4 ? abi::L4Proto::icmp : abi::L4Proto::icmp6)) {
        out["icmp_type"] = packet.dport_or_icmp >> 8;
        out["icmp_code"] = packet.dport_or_icmp & 0xff;
    }
    return out;
}

/// Null: no observe rule matches.
json::value decision_json(const Decision& decision) {
    if (decision.rule.empty()) return nullptr;
    return json::object{{"verdict", abi::to_string(decision.verdict)}, {"rule", decision.rule}};
}

json::object effect_json(const PlanEffect& effect) {
    json::array boxes;
    for (const auto& box : effect.boxes) {
        boxes.push_back(json::object{{"change", to_string(box.change)},
                                     {"family", family_text(box.family)},
                                     {"from", texts(box.from)},
                                     {"to", texts(box.to)},
                                     {"src", texts(box.src)},
                                     {"dst", texts(box.dst)},
                                     {"service", texts(box.service)},
                                     {"shortened", box.shortened},
                                     {"before", decision_json(box.before)},
                                     {"after", decision_json(box.after)},
                                     {"example", packet_json(box.example)}});
    }
    return {{"complete", effect.complete()},
            {"boxes", std::move(boxes)},
            {"boxes_left_out", effect.boxes_left_out},
            {"unfinished", texts(effect.unfinished)},
            {"less_looked", texts(effect.less_looked)}};
}

json::object findings_json(const PlanFindings& findings) {
    json::array list;
    for (const auto& finding : findings.told) {
        json::object item{{"kind", to_string(finding.kind)},
                          {"rule", finding.rule},
                          {"others", texts(finding.others)},
                          {"detail", finding.detail}};
        if (finding.pos.line != 0) item["line"] = finding.pos.line;
        if (finding.pos.column != 0) item["column"] = finding.pos.column;
        if (finding.example) item["example"] = packet_json(*finding.example);
        if (finding.kind == FindingKind::never_hit) item["watched_s"] = finding.watched_s;
        list.push_back(std::move(item));
    }
    json::object counts;
    for (std::size_t kind = 0; kind < kFindingKindCount; ++kind) {
        counts[to_string(static_cast<FindingKind>(kind))] = findings.counts[kind];
    }
    return {{"list", std::move(list)},
            {"counts", std::move(counts)},
            {"rules", findings.rules},
            {"unexamined", findings.unexamined},
            {"unpaired", findings.unpaired}};
}

std::string_view on_change_text(abi::OnChange on_change) noexcept {
    switch (on_change) {
        case abi::OnChange::keep: return "keep";
        case abi::OnChange::kill: return "kill";
        case abi::OnChange::reevaluate: break;
    }
    return "reevaluate";
}

json::object flow_effect_json(const FlowEffect& effect, bool live) {
    json::array groups;
    for (const auto& group : effect.groups) {
        json::array peers;
        for (const auto& peer : group.peers) {
            peers.push_back(json::object{{"src", address_text(peer.family, peer.src)},
                                         {"flows", peer.flows},
                                         {"example", packet_json(peer.example)}});
        }
        json::object item{{"before", decision_json(group.before)},
                          {"after", decision_json(group.after)},
                          {"flows", group.flows},
                          {"peers", std::move(peers)},
                          {"flows_left_out", group.flows_left_out}};
        if (live) item["on_change"] = on_change_text(group.on_change);
        groups.push_back(std::move(item));
    }
    return {{"flows", effect.flows},
            {"changed", effect.changed},
            {"other_rule", effect.other_rule},
            {"unplaced", effect.unplaced},
            {"complete", effect.incomplete.empty()},
            {"incomplete", valid_utf8(effect.incomplete)},
            {"groups", std::move(groups)},
            {"groups_left_out", effect.groups_left_out}};
}

json::value live_json(const std::optional<LiveEffect>& effect) {
    if (!effect) return nullptr;
    auto out = flow_effect_json(*effect, true);
    out["live"] = effect->live;
    out["kept"] = effect->kept;
    out["ended"] = effect->ended;
    out["answered"] = effect->answered;
    return out;
}

json::value recorded_json(const std::optional<RecordedEffect>& effect) {
    if (!effect) return nullptr;
    auto out = flow_effect_json(*effect, false);
    out["records"] = effect->records;
    out["since"] = effect->records == 0 ? json::value(nullptr) : json::value(rfc3339(effect->since_ns));
    out["until"] = effect->records == 0 ? json::value(nullptr) : json::value(rfc3339(effect->until_ns));
    out["suppressed"] = effect->suppressed;
    out["lost"] = effect->lost;
    return out;
}

}  // namespace

json::array tests_json(const std::vector<TestOutcome>& tests) {
    json::array out;
    for (const auto& test : tests) {
        json::object item{{"from", valid_utf8(test.from)},
                          {"to", valid_utf8(test.to)},
                          {"expect", test.expect},
                          {"got", test.got},
                          {"by", test.by},
                          {"got_rule", test.got_rule},
                          {"passed", test.passed}};
        if (!test.repeat.empty()) item["repeat"] = test.repeat;
        if (!test.limit.empty()) item["limit"] = test.limit;
        if (!test.got_limit.empty()) item["got_limit"] = test.got_limit;
        if (test.pos.line != 0) item["line"] = test.pos.line;
        if (test.pos.column != 0) item["column"] = test.pos.column;
        out.push_back(std::move(item));
    }
    return out;
}

json::array changes_json(const std::vector<PlanChange>& plan_changes) {
    json::array changes;
    for (const auto& change : plan_changes) {
        json::array fields;
        for (const auto& field : change.fields) {
            fields.push_back(json::object{{"name", field.name}, {"before", field.before}, {"after", field.after}});
        }
        changes.push_back(json::object{
            {"op", change.op}, {"kind", change.kind}, {"id", valid_utf8(change.id)}, {"fields", std::move(fields)}});
    }
    return changes;
}

json::object plan_json(const DryRunResult& plan) {
    const auto ids = [](const std::vector<std::string>& list) {
        json::array out;
        for (const auto& id : list) out.emplace_back(id);
        return out;
    };
    return {{"ok", plan.ok},
            {"version", plan.version},
            {"hash", plan.hash},
            {"tests", tests_json(plan.tests)},
            {"errors", errors_json(plan.errors)},
            {"warnings", errors_json(plan.warnings)},
            {"rules_added", ids(plan.rules_added)},
            {"rules_changed", ids(plan.rules_changed)},
            {"rules_removed", ids(plan.rules_removed)},
            {"changes", changes_json(plan.changes)},
            {"effect", effect_json(plan.analysis.effect)},
            {"findings", findings_json(plan.analysis.findings)},
            {"live", live_json(plan.live)},
            {"recorded", recorded_json(plan.recorded)},
            {"compared_with", plan.compared_with},
            {"waiting", plan.waiting}};
}

}  // namespace sluice::cp::api
