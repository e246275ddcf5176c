#include "controlplane/compiler/sections.hpp"

#include "controlplane/compiler/changing_sets.hpp"
#include "controlplane/compiler/section_writer.hpp"

namespace sluice::cp {

using abi::SectionKind;

SectionContent write_settings(const Policy& policy, const std::optional<ChangeBase>& base,
                              std::span<const std::uint64_t> untouched) {
    SectionWriter<abi::SettingsSection> out{SectionKind::settings};
    out.section.wire_arp = policy.wire_arp;
    out.section.wire_nd = policy.wire_nd;
    out.section.wire_other = policy.wire_other;
    out.section.seq_check = policy.seq_check;
    out.section.timeouts = policy.timeouts;
    out.section.syn_proxy = policy.syn_proxy;
    out.section.on_change = policy.on_change;
    if (base) {
        out.section.base_generation = base->generation;
        out.section.base_rules = base->rules_digest;
    }
    out.section.untouched = out.put(untouched);
    return out.finish();
}

SectionContent write_zones(const Policy& policy) {
    SectionWriter<abi::ZonesSection> out{SectionKind::zones};
    std::vector<abi::ZoneRecord> zones;
    std::vector<abi::ZoneBinding> bindings;
    for (const Zone& zone : policy.zones) {
        const abi::ZoneId id{static_cast<std::uint16_t>(zones.size())};
        zones.push_back({.name = out.add_text(zone.name), .limits = zone.limits});
        for (const std::string& port : zone.ports) bindings.push_back({.port = out.add_text(port), .zone = id});
    }
    std::vector<abi::SetRecord> sets;
    for (const std::uint16_t set : changing_sets(policy)) {
        const std::string& name = policy.sets[set].name;
        sets.push_back({.name = out.add_text(name), .id = set_id(name)});
    }
    out.section.zones = out.put(zones);
    out.section.bindings = out.put(bindings);
    out.section.sets = out.put(sets);
    out.section.text = out.put_text();
    return out.finish();
}

abi::RuleRecord rule_record(const Policy& policy, const Rule& rule, abi::RuleSlot slot, std::uint8_t is_pass,
                            abi::TextRef id) {
    return {.slot = slot,
            .verdict = verdict_of(rule.action, policy.default_action),
            .mode = rule.mode,
            .log = rule.log,
            .is_pass = is_pass,
            .id = id,
            .limits = rule.limits,
            .on_change = rule.on_change.value_or(policy.on_change),
            .turns_to_observe = rule.expires ? std::uint8_t{1} : std::uint8_t{0}};
}

SectionContent write_rules(const Policy& policy, const std::vector<abi::RuleSlot>& slots, const Entries& entries) {
    SectionWriter<abi::RulesSection> out{SectionKind::rules};
    std::vector<abi::RuleRecord> records;
    for (std::size_t i = 0; i < policy.rules.size(); ++i) {
        const Rule& rule = policy.rules[i];
        records.push_back(rule_record(policy, rule, slots[i], entries.is_pass(i), out.add_text(rule.id)));
    }
    records.push_back({.slot = abi::kSlotDefault,
                       .verdict = verdict_of(policy.default_action, Action::deny),
                       .mode = abi::RuleMode::enforce,
                       .log = policy.default_log,
                       .is_pass = 0,
                       .id = out.add_text(abi::kIdDefault),
                       .limits = policy.default_limits,
                       .on_change = policy.on_change});
    out.section.rules = out.put(records);
    out.section.text = out.put_text();
    return out.finish();
}

SectionContent write_addresses(SectionKind kind, const AddressTable& table, std::uint32_t class_count) {
    SectionWriter<abi::AddressSection> out{kind};
    out.section.class_count = class_count;
    out.section.node_visits_max = table.node_visits_max;
    out.section.root = out.put(table.root);
    out.section.lines = out.put_lines(table.lines);
    return out.finish();
}

SectionContent write_transport(const TransportClasses& classes) {
    SectionWriter<abi::TransportSection> out{SectionKind::transport};
    out.section.class_count = classes.count;
    out.section.proto_class = out.put(proto_table(classes.proto));
    out.section.tcp_dport = out.put(direct_table(classes.tcp, 65'536));
    out.section.udp_dport = out.put(direct_table(classes.udp, 65'536));
    out.section.icmp = out.put(direct_table(classes.icmp, 65'536));
    out.section.icmp6 = out.put(direct_table(classes.icmp6, 65'536));
    return out.finish();
}

SectionContent write_trees(const Trees& trees, const ClassifiedTerms& classified, const Periods& periods,
                           const Entries& entries, std::uint32_t zone_count, std::uint32_t rule_count) {
    SectionWriter<abi::TreesSection> out{SectionKind::trees};
    out.section.class_count = classified.class_count();
    out.section.zone_count = zone_count;
    out.section.rule_count = rule_count;
    out.section.node_visits_max = trees.node_visits_max;
    out.section.block_words_max = trees.block_words_max;
    out.section.period_count = periods.count() * entries.count();
    std::vector<abi::Transition> transitions = periods.transitions();
    for (abi::Transition& t : transitions) t.period *= entries.count();
    out.section.transitions = out.put(transitions);
    out.section.set_uses = out.put(classified.zones.asked.uses);
    out.section.zone_pairs = out.put(classified.zones.pairs);
    out.section.roots = out.put(trees.roots);
    out.section.nodes = out.put_lines(trees.nodes);
    out.section.records = out.put_lines(trees.records);
    out.section.conditions = out.put(trees.conditions);
    out.section.ranges = out.put(trees.ranges);
    out.section.blocks = out.put_lines(trees.blocks);
    out.section.words = out.put_lines(trees.words);
    return out.finish();
}

}  // namespace sluice::cp
