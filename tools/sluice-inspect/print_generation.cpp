/// `generation`: the live tables, through the validator that the dataplane itself uses.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <sluice/abi/section_names.hpp>

#include "dataplane/acl/validator.hpp"
#include "tools/sluice-inspect/print.hpp"

namespace sluice::inspect {

namespace {

std::string hex(const abi::Digest256& digest) {
    std::string text;
    for (const std::uint8_t byte : digest.bytes) text += fmt::format("{:02x}", byte);
    return text;
}

template <typename Section>
const Section& as(std::span<const std::byte> bytes) {
    return *reinterpret_cast<const Section*>(bytes.data());
}

std::string_view mode_name(const abi::RuleRecord& rule) {
    return rule.mode == abi::RuleMode::observe ? "observe" : "enforce";
}

std::string_view log_name(abi::RuleLog log) {
    static constexpr std::string_view kNames[] = {"none", "start", "end", "both"};
    return kNames[static_cast<std::size_t>(log)];
}

std::string_view seq_check_name(abi::SeqCheck check) {
    static constexpr std::string_view kNames[] = {"strict", "log", "off"};
    return kNames[static_cast<std::size_t>(check)];
}

std::string_view text_of(const dp::TableView& view, const abi::TextRef& ref) {
    return {view.zones_text + ref.offset, ref.bytes};
}

/// Rules in force in order of evaluation, the default last.
std::vector<abi::RuleIndex> rules_in_order(const dp::TableView& view) {
    std::vector<abi::RuleIndex> order;
    auto place = view.overlay.places.begin();
    for (abi::RuleIndex i = 0; i < view.rules.size(); ++i) {
        for (; place != view.overlay.places.end() && place->before <= i; ++place) {
            if (place->rule >= view.rules.size()) order.push_back(place->rule);
        }
        if (view.in_force(i)) order.push_back(i);
    }
    return order;
}

/// How often each rule stands in leaves and blocks of the large tables.
std::vector<std::size_t> entries_of(const dp::TableView& view, const abi::TreesSection& trees) {
    std::vector<std::size_t> entries(view.rules_end());
    const std::span nodes{view.trees.nodes, trees.nodes.count};
    for (const abi::TreeNode& node : nodes) {
        if (node.kind < abi::kTreeCut) ++entries[node.best & ~abi::kObserveBit];
    }
    const std::span records{view.trees.records, trees.records.count};
    for (std::size_t i = 0; i < records.size(); ++i) {
        const bool repeated = i % 2 != 0 && records[i] == records[i - 1];  // the last of an odd number
        entries[records[i].rule & ~abi::kObserveBit] += repeated ? 0 : 1;
    }
    for (std::size_t b = 0; b < trees.blocks.count; ++b) {
        const abi::Block& block = view.trees.blocks[b];
        const auto* const rules = reinterpret_cast<const std::uint32_t*>(view.trees.words + block.rules);
        for (std::size_t i = 0; i < block.rule_count; ++i) ++entries[rules[i] & ~abi::kObserveBit];
    }
    return entries;
}

const abi::TreesSection& trees_of(const dp::SectionBytes& sections) {
    return as<abi::TreesSection>(sections[static_cast<std::size_t>(abi::SectionKind::trees) - 1]);
}

/// 0 = no limit.
std::string limits_json(const abi::RuleLimits& l) {
    return fmt::format(
        "{{\"states\": {}, \"states_per_source\": {}, \"new_per_second\": {}, \"new_per_second_per_source\": {}, "
        "\"half_open\": {}, \"over\": \"{}\"}}",
        l.states_max, l.states_per_source_max, l.new_per_second_max, l.new_per_second_per_source_max, l.half_open_max,
        l.over == abi::HalfOpenOver::syn_cookie ? "syn-cookie" : "refuse");
}

void print_text(const abi::Manifest& m, const dp::TableView& view, const dp::SectionBytes& sections) {
    fmt::print("generation {} policy {} ({})\n  digest {}\n", m.generation,
               std::string_view{m.policy_name.data(), strnlen(m.policy_name.data(), m.policy_name.size())},
               hex(m.policy_version).substr(0, 12), hex(m.generation_digest));
    for (const auto& ref : m.sections) {
        fmt::print("  section {:<10} {:>10} bytes  {:016x}{:016x}\n", abi::section_name(ref.kind), ref.bytes,
                   ref.digest.high, ref.digest.low);
    }
    fmt::print("  seq_check {}\n", seq_check_name(view.settings->seq_check));
    for (std::size_t z = 0; z < view.zones.size(); ++z) {
        const auto& limits = view.zones[z].limits;
        if ((limits.states_max | limits.new_per_second_max) == 0) continue;
        fmt::print("  zone {:<16} limits states {} new_per_second {}\n",
                   view.zone_name(abi::ZoneId{static_cast<std::uint16_t>(z)}), limits.states_max,
                   limits.new_per_second_max);
    }
    for (const auto& binding : view.bindings) {
        fmt::print("  zone {:<16} port {} vlan {}\n", view.zone_name(binding.zone), text_of(view, binding.port),
                   binding.vlan);
    }
    const auto& trees = trees_of(sections);
    const auto visits = [&](abi::SectionKind kind) {
        return as<abi::AddressSection>(sections[static_cast<std::size_t>(kind) - 1]).node_visits_max;
    };
    fmt::print("  classes src {} dst {} transport {} zones {}; nodes {} leaf records {} blocks {}\n",
               trees.class_count[0], trees.class_count[1], trees.class_count[2], trees.class_count[3],
               trees.nodes.count, trees.records.count, trees.blocks.count);
    fmt::print("  a lookup visits at most: addresses v4 {} + {}, v6 {} + {}; trees {}; words a block row {}\n",
               visits(abi::SectionKind::src_v4), visits(abi::SectionKind::dst_v4), visits(abi::SectionKind::src_v6),
               visits(abi::SectionKind::dst_v6), trees.node_visits_max, trees.block_words_max);
    const auto entries = entries_of(view, trees);
    if (view.has_overlay) {
        fmt::print("  beside the tables: {} rules hidden, {} new, {} places; trees visit at most {}\n",
                   view.overlay.hidden.size(), view.overlay.rules.size(), view.overlay.places.size(),
                   view.overlay.tables.trees.node_visits_max);
    }
    for (const abi::RuleIndex i : rules_in_order(view)) {
        const auto& rule = view.rule(i);
        fmt::print("  rule {:>5} {:<24} {:<7} {:<8} log {:<6} slot {} entries {}{}\n", i, view.rule_id(i),
                   abi::to_string(rule.verdict), mode_name(rule), log_name(rule.log),
                   static_cast<std::uint32_t>(rule.slot), entries[i],
                   rule.limits.any() ? " limits " + limits_json(rule.limits) : std::string{});
    }
}

void print_json(const abi::Manifest& m, const dp::TableView& view, const dp::SectionBytes& sections) {
    std::string text = fmt::format("{{\"generation\": {}, \"policy\": \"{}\", \"digest\": \"{}\", \"sections\": [",
                                   m.generation, hex(m.policy_version), hex(m.generation_digest));
    std::string separator;
    for (const auto& ref : m.sections) {
        text += fmt::format("{}{{\"kind\": \"{}\", \"bytes\": {}, \"digest\": \"{:016x}{:016x}\"}}", separator,
                            abi::section_name(ref.kind), ref.bytes, ref.digest.high, ref.digest.low);
        separator = ", ";
    }
    text += fmt::format("], \"seq_check\": \"{}\", \"zones\": [", seq_check_name(view.settings->seq_check));
    separator.clear();
    for (const auto& binding : view.bindings) {
        text +=
            fmt::format("{}{{\"zone\": {}, \"port\": {}, \"vlan\": {}}}", separator,
                        json_text(view.zone_name(binding.zone)), json_text(text_of(view, binding.port)), binding.vlan);
        separator = ", ";
    }
    text += "], \"rules\": [";
    separator.clear();
    const auto entries = entries_of(view, trees_of(sections));
    for (const abi::RuleIndex i : rules_in_order(view)) {
        const auto& rule = view.rule(i);
        text += fmt::format(
            "{}{{\"id\": {}, \"verdict\": \"{}\", \"mode\": \"{}\", \"log\": \"{}\", \"slot\": {}, "
            "\"entries\": {}, \"limits\": {}}}",
            separator, json_text(view.rule_id(i)), abi::to_string(rule.verdict), mode_name(rule), log_name(rule.log),
            static_cast<std::uint32_t>(rule.slot), entries[i], limits_json(rule.limits));
        separator = ", ";
    }
    fmt::print("{}], \"overlay\": {{\"hidden\": {}, \"rules\": {}, \"places\": {}}}}}\n", text,
               view.overlay.hidden.size(), view.overlay.rules.size(), view.overlay.places.size());
}

int fail(std::string_view why) {
    fmt::print(stderr, "sluice-inspect: {}\n", why);
    return 1;
}

}  // namespace

int print_generation(Connection& connection, bool json) {
    const auto fds = connection.running();
    if (!fds) return fail(fds.error());
    if (fds->empty()) return fail("the dataplane runs no generation");
    if (fds->size() != 1 + abi::kSectionKindCount) return fail("the generation is not whole");
    std::vector<View> views;
    for (const auto& fd : *fds) {
        auto view = View::map(fd);
        if (!view) return fail(view.error());
        views.push_back(std::move(*view));
    }
    if (views[0].bytes().size() < sizeof(abi::Manifest)) return fail("the manifest is cut short");
    const auto manifest_bytes = views[0].bytes().first(sizeof(abi::Manifest));
    if (const auto ok = dp::validate_manifest(manifest_bytes); !ok) return fail(ok.error().where);
    const auto& manifest = as<abi::Manifest>(manifest_bytes);
    dp::SectionBytes sections;
    for (std::size_t i = 0; i < sections.size(); ++i) {
        if (views[i + 1].bytes().size() < manifest.sections[i].bytes) return fail("a section is cut short");
        sections[i] = views[i + 1].bytes().first(manifest.sections[i].bytes);
    }
    const auto view = dp::validate(manifest_bytes, sections, {.rule_slots_max = connection.hello().rule_slots_max});
    if (!view) return fail(view.error().where);
    if (json) {
        print_json(manifest, *view, sections);
    } else {
        print_text(manifest, *view, sections);
    }
    return 0;
}

}  // namespace sluice::inspect
