#include "tools/sluicectl/plan_text.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "tools/sluicectl/command.hpp"
#include "tools/sluicectl/output.hpp"

namespace sluice::ctl {
namespace json = boost::json;
namespace {

constexpr std::size_t kBoxesShown = 6, kFindingsShown = 8, kNamesShown = 4, kGroupsShown = 5, kPeersShown = 3;

std::string plural(std::uint64_t count, std::string_view one, std::string_view many) {
    return fmt::format("{} {}", count, count == 1 ? one : many);
}

/// `a, b, c, d and 3 more`
std::string names(const json::array& list) {
    std::string out;
    for (std::size_t i = 0; i < list.size() && i < kNamesShown; ++i)
        out += (out.empty() ? "" : ", ") + printable(std::string_view{list[i].as_string()});
    if (list.size() > kNamesShown) out += fmt::format(" and {} more", list.size() - kNamesShown);
    return out;
}

std::string names(const json::value& object, std::string_view key) { return names(object.at(key).as_array()); }

/// `internet 203.0.113.0/24`; the zone alone where every address is meant.
std::string side(const json::value& box, std::string_view zones, std::string_view addresses) {
    const auto nets = names(box, addresses);
    return nets == "any" ? names(box, zones) : names(box, zones) + " " + nets;
}

/// As the command is written that asks about the packet.
std::string question(const json::value& packet) {
    const auto& object = packet.as_object();
    const auto dst = text_of(packet, "dst"), proto = text_of(packet, "proto");
    std::string target = dst;
    if (object.contains("dport")) {
        const bool v6 = dst.find(':') != std::string::npos;
        target = fmt::format("{}{}{}:{}/{}", v6 ? "[" : "", dst, v6 ? "]" : "", count_of(packet, "dport"), proto);
    } else if (object.contains("icmp_type")) {
        target += fmt::format("/{}/{}/{}", proto, count_of(packet, "icmp_type"), count_of(packet, "icmp_code"));
    } else {
        target += "/" + proto;
    }
    return fmt::format("explain {} {} {}", text_of(packet, "in_port"), text_of(packet, "src"), target);
}

std::string box_lines(const json::value& box, bool colours) {
    const auto &before = box.at("before"), &after = box.at("after");
    const auto verdict = text_of(after, "verdict");
    const auto change = fmt::format("{:15}", text_of(before, "verdict") + " -> " + verdict);
    return fmt::format("  {}  {} -> {}  {}  ({} -> {})\n{:19}e.g. {}\n",
                       painted(change, verdict_colour(verdict), colours), side(box, "from", "src"),
                       side(box, "to", "dst"), names(box, "service"), text_of(before, "rule"), text_of(after, "rule"),
                       "", question(box.at("example")));
}

/// `  allow -> reject  1204 flows  web-in -> ssh-no  198.51.100.7 (14), others (1190)` with an example below.
std::string group_line(const json::value& group, bool colours) {
    const auto &before = group.at("before"), &after = group.at("after");
    const auto verdict = text_of(after, "verdict");
    const auto& peers = group.at("peers").as_array();
    std::string who;
    std::uint64_t others = count_of(group, "flows_left_out");
    for (std::size_t i = 0; i < peers.size(); ++i) {
        if (i >= kPeersShown) {
            others += count_of(peers[i], "flows");
        } else {
            who += fmt::format("{}{} ({})", who.empty() ? "" : ", ", text_of(peers[i], "src"),
                               count_of(peers[i], "flows"));
        }
    }
    if (others != 0) who += fmt::format("{}others ({})", who.empty() ? "" : ", ", others);
    auto line = fmt::format(
        "  {}  {}  {} -> {}  from {}\n",
        painted(fmt::format("{:15}", text_of(before, "verdict") + " -> " + verdict), verdict_colour(verdict), colours),
        plural(count_of(group, "flows"), "flow", "flows"), text_of(before, "rule"), text_of(after, "rule"), who);
    if (!peers.empty()) line += fmt::format("{:19}e.g. {}\n", "", question(peers.front().at("example")));
    return line;
}

/// Groups, and what the count leaves out.
std::string flow_details(const json::value& effect, bool colours) {
    std::string out;
    const auto& groups = effect.at("groups").as_array();
    for (std::size_t i = 0; i < groups.size() && i < kGroupsShown; ++i) out += group_line(groups[i], colours);
    const auto more = groups.size() - std::min(groups.size(), kGroupsShown) + count_of(effect, "groups_left_out");
    if (more != 0)
        out += fmt::format("  and {}, see -o json\n", plural(more, "pair of rules more", "pairs of rules more"));
    if (const auto unplaced = count_of(effect, "unplaced"); unplaced != 0)
        out += fmt::format("  {} of ports or zones that are no more: nobody can tell\n",
                           plural(unplaced, "flow", "flows"));
    if (!flag_of(effect, "complete")) out += "  not all: " + text_of(effect, "incomplete") + "\n";
    return out;
}

std::string live_lines(const json::value& live, bool colours) {
    const auto kept = count_of(live, "kept"), ended = count_of(live, "ended"), answered = count_of(live, "answered");
    auto out = fmt::format("{} of {} lose their rule", kept + ended + answered,
                           plural(count_of(live, "flows"), "live flow", "live flows"));
    if (kept + ended + answered != 0) out += fmt::format(" ({} kept, {} cut, {} answered)", kept, ended, answered);
    return out + "\n" + flow_details(live, colours);
}

std::string recorded_lines(const json::value& recorded, bool colours) {
    if (count_of(recorded, "records") == 0) return "no flows were recorded in this time\n";
    auto out = fmt::format("{} of {} recorded since {} would change verdict\n", count_of(recorded, "changed"),
                           plural(count_of(recorded, "flows"), "flow", "flows"), text_of(recorded, "since"));
    out += flow_details(recorded, colours);
    if (const auto suppressed = count_of(recorded, "suppressed"); suppressed != 0)
        out += fmt::format("  {} sampled away before they were recorded\n",
                           plural(suppressed, "event was", "events were"));
    if (const auto lost = count_of(recorded, "lost"); lost != 0)
        out += fmt::format("  {} that can't be read\n", plural(lost, "record", "records"));
    return out;
}

}  // namespace

std::string flow_lines(const json::value& plan, bool colours) {
    std::string out;
    if (const auto& live = plan.at("live"); live.is_object()) out += live_lines(live, colours);
    if (const auto& recorded = plan.at("recorded"); recorded.is_object()) out += recorded_lines(recorded, colours);
    return out;
}

std::string effect_lines(const json::value& plan, bool colours) {
    const auto& effect = plan.at("effect");
    std::string out;
    std::size_t shown = 0, verdicts = 0, others = 0;
    for (const auto& box : effect.at("boxes").as_array()) {
        if (text_of(box, "change") != "verdict") {
            ++others;
        } else if (++verdicts <= kBoxesShown) {
            out += box_lines(box, colours);
            ++shown;
        }
    }
    verdicts += count_of(effect, "boxes_left_out");
    if (verdicts > shown)
        out += fmt::format("  and {}, see -o json\n", plural(verdicts - shown, "box more", "boxes more"));
    if (const auto& unfinished = effect.at("unfinished").as_array(); !unfinished.empty()) {
        out += fmt::format("  gave up: packets of rule {} may change beyond these boxes\n", names(unfinished));
    }
    if (!out.empty()) out = "packets that get another verdict\n" + out;
    if (others != 0 || !effect.at("less_looked").as_array().empty()) {
        out +=
            fmt::format("packets with the same verdict, counted or logged otherwise: {}{}, see -o json\n",
                        plural(others, "box", "boxes"), effect.at("less_looked").as_array().empty() ? "" : " at least");
    }
    return out;
}

std::string finding_lines(const json::value& plan, std::string_view file) {
    const auto& findings = plan.at("findings");
    std::string out;
    std::size_t shown = 0;
    json::array unused;
    double watched_s = 0;
    for (const auto& finding : findings.at("list").as_array()) {
        if (text_of(finding, "kind") == "never_hit") {
            watched_s =
                unused.empty() ? number_of(finding, "watched_s") : std::min(watched_s, number_of(finding, "watched_s"));
            unused.push_back(finding.at("rule"));
            continue;
        }
        if (++shown > kFindingsShown) continue;
        const auto& object = finding.as_object();
        const auto place = object.contains("line")
                               ? fmt::format("{}:{}:{}: ", file_of(object, file), count_of(finding, "line"),
                                             object.contains("column") ? count_of(finding, "column") : 1)
                               : std::string{};
        out += "  " + place + text_of(finding, "detail") + "\n";
        if (object.contains("example")) out += fmt::format("{:19}e.g. {}\n", "", question(finding.at("example")));
    }
    const auto& counts = findings.at("counts");
    std::uint64_t total = 0;
    for (const auto* kind : {"shadowed", "redundant", "contradictory", "over_broad"}) total += count_of(counts, kind);
    if (const auto told = std::min(shown, kFindingsShown); total > told)
        out += fmt::format("  and {} more, see -o json\n", total - told);
    if (!unused.empty()) {
        const auto count = count_of(counts, "never_hit");
        out += fmt::format("  {} never hit in {}: {}\n", plural(count, "rule", "rules"), duration_text(watched_s),
                           names(unused));
    }
    if (const auto left = count_of(findings, "unexamined"); left != 0) {
        out +=
            fmt::format("  {} of {} rules were not examined to the end: the policy is too big for the time of a plan\n",
                        left, count_of(findings, "rules"));
    }
    if (const auto left = count_of(findings, "unpaired"); left != 0) {
        out += fmt::format("  contradictions were not looked for to the end in {} of {} rules\n", left,
                           count_of(findings, "rules"));
    }
    return out.empty() ? out : "findings\n" + out;
}

}  // namespace sluice::ctl
