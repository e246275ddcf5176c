#include "controlplane/compiler/compiler.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>

#include <openssl/sha.h>

#include "controlplane/compiler/classes.hpp"
#include "controlplane/compiler/section_writer.hpp"
#include "controlplane/compiler/terms.hpp"
#include "dataplane/acl/digest.hpp"

namespace sluice::cp {

namespace {

using abi::SectionKind;

constexpr std::size_t index_of(SectionKind kind) noexcept { return static_cast<std::size_t>(kind) - 1; }

/// What classes are made from: cuts per line, sorted, and which list each term uses.
struct Lines {
    std::size_t list_count{};
    std::vector<ListIndex> list_of_term;
};

struct AddressLines : Lines {
    std::vector<Cut<std::uint32_t>> v4;
    std::vector<Cut<V6Number>> v6;
};

struct ServiceLines : Lines {
    std::vector<Cut<std::uint32_t>> tcp, udp, icmp, icmp6, proto;
    auto all() const { return std::array{&tcp, &udp, &icmp, &icmp6, &proto}; }
};

/// Only lists that terms of this side use: another list's edges would cut classes for nothing.
template <typename PickSide>
AddressLines address_lines(const std::vector<Term>& terms, const std::vector<AddressList>& lists, PickSide side) {
    AddressLines lines;
    std::vector<ListIndex> local(lists.size(), kAnyList);
    for (const Term& term : terms) {
        const ListIndex list = side(term).addresses;
        ListIndex mine = kAnyList;
        if (list != kAnyList) {
            if (local[list] == kAnyList) {
                local[list] = static_cast<ListIndex>(lines.list_count++);
                add_cuts(lines.v4, local[list], lists[list].v4);
                add_cuts(lines.v6, local[list], lists[list].v6);
            }
            mine = local[list];
        }
        lines.list_of_term.push_back(mine);
    }
    std::sort(lines.v4.begin(), lines.v4.end());
    std::sort(lines.v6.begin(), lines.v6.end());
    return lines;
}

ServiceLines service_lines(const std::vector<Term>& terms, const std::vector<ServiceList>& lists) {
    ServiceLines lines;
    lines.list_count = lists.size();
    for (const Term& term : terms) lines.list_of_term.push_back(term.service);
    for (ListIndex l = 0; l < lists.size(); ++l) {
        add_cuts(lines.tcp, l, lists[l].tcp);
        add_cuts(lines.udp, l, lists[l].udp);
        add_cuts(lines.icmp, l, lists[l].icmp);
        add_cuts(lines.icmp6, l, lists[l].icmp6);
        add_cuts(lines.proto, l, lists[l].proto);
    }
    for (auto* cuts : {&lines.tcp, &lines.udp, &lines.icmp, &lines.icmp6, &lines.proto})
        std::sort(cuts->begin(), cuts->end());
    return lines;
}

/// Everything about a policy that sizes depend on, before any row exists.
struct Plan {
    std::vector<Term> terms;
    std::uint32_t word_count{1};
    AddressLines src, dst;
    ServiceLines services;
};

template <typename At, typename Interval>
std::uint64_t address_bytes(const std::vector<Cut<At>>& cuts, std::size_t list_count, std::uint32_t word_count) {
    ClassCount classes;
    std::uint64_t intervals = 0;
    sweep(cuts, list_count, [&](const At&, const ListSet& set) {
        classes.see(set);
        ++intervals;
    });
    return sizeof(abi::AddrClassSection) + abi::kAddrRootCount * sizeof(std::uint32_t) + intervals * sizeof(Interval) +
           std::uint64_t{classes.count()} * word_count * 8;
}

struct TransportSize {
    std::uint64_t classes{}, bytes{};
};

TransportSize transport_size(const ServiceLines& lines, std::uint32_t word_count) {
    ClassCount classes;
    for (const auto* cuts : lines.all())
        sweep(*cuts, lines.list_count, [&](std::uint32_t, const ListSet& set) { classes.see(set); });
    return {.classes = classes.count(),
            .bytes = sizeof(abi::TransportSection) + (256 + 4 * 65'536) * sizeof(std::uint16_t) +
                     std::uint64_t{classes.count()} * word_count * 8};
}

Unexpected<CompileRefusal> refuse(std::string code, std::string detail, std::uint64_t needed, std::uint64_t allowed) {
    return Unexpected<CompileRefusal>{
        {.code = std::move(code), .detail = std::move(detail), .needed = needed, .allowed = allowed}};
}

std::string figure(std::uint64_t n) {
    std::string s = std::to_string(n);
    for (std::size_t i = s.size(); i > 3; i -= 3) s.insert(i - 3, ",");
    return s;
}

std::optional<Unexpected<CompileRefusal>> over_budget(const Plan& plan, std::size_t zone_count,
                                                      const CompileOptions& options) {
    const TransportSize transport = transport_size(plan.services, plan.word_count);
    constexpr std::uint64_t classes_max = 65'536;  // TransportSection names classes in 16 bits
    if (transport.classes > classes_max)
        return refuse("too-many-services",
                      "services cut ports and protocols into " + figure(transport.classes) +
                          " different combinations of rules, at most " + figure(classes_max) +
                          "; use fewer overlapping port ranges",
                      transport.classes, classes_max);

    struct Part {
        std::string_view name;
        std::uint64_t bytes;
    };
    const std::size_t lists_src = plan.src.list_count, lists_dst = plan.dst.list_count;
    const std::array parts{
        Part{"terms and zones",
             plan.terms.size() * sizeof(abi::RuleIndex) + (2 * zone_count + 1) * plan.word_count * 8},
        Part{"IPv4 sources", address_bytes<std::uint32_t, abi::IntervalV4>(plan.src.v4, lists_src, plan.word_count)},
        Part{"IPv4 destinations",
             address_bytes<std::uint32_t, abi::IntervalV4>(plan.dst.v4, lists_dst, plan.word_count)},
        Part{"IPv6 sources", address_bytes<V6Number, abi::IntervalV6>(plan.src.v6, lists_src, plan.word_count)},
        Part{"IPv6 destinations", address_bytes<V6Number, abi::IntervalV6>(plan.dst.v6, lists_dst, plan.word_count)},
        Part{"services", transport.bytes}};
    std::uint64_t total = 0;
    for (const Part& part : parts) {
        total += part.bytes;
        if (part.bytes > abi::kSectionBytesMax)
            return refuse("tables-too-big",
                          std::string{part.name} + " need " + figure(part.bytes) + " bytes with " +
                              figure(plan.terms.size()) + " terms, at most " + figure(abi::kSectionBytesMax) +
                              "; use fewer rules or put prefixes into sets",
                          part.bytes, abi::kSectionBytesMax);
    }
    if (total > options.bytes_max) {
        const Part& widest = *std::max_element(parts.begin(), parts.end(),
                                               [](const Part& a, const Part& b) { return a.bytes < b.bytes; });
        return refuse("tables-too-big",
                      "the tables need " + figure(total) + " bytes (" + figure(widest.bytes) + " of them for " +
                          std::string{widest.name} + ") with " + figure(plan.terms.size()) + " terms, at most " +
                          figure(options.bytes_max) + "; use fewer rules or put prefixes into sets",
                      total, options.bytes_max);
    }
    return std::nullopt;
}

std::vector<std::byte> write_settings(const Policy& policy, std::span<const abi::RuleSlot> slots,
                                      const std::optional<ChangeBase>& base) {
    SectionWriter<abi::SettingsSection> out{SectionKind::settings};
    out.section.wire_arp = policy.wire_arp;
    out.section.wire_nd = policy.wire_nd;
    out.section.wire_other = policy.wire_other;
    out.section.seq_check = policy.seq_check;
    out.section.timeouts = policy.timeouts;
    out.section.syn_proxy = policy.syn_proxy;
    out.section.on_change = policy.on_change;
    std::vector<std::uint64_t> untouched;
    if (base) {
        out.section.base_generation = base->generation;
        out.section.base_rules = base->rules_digest;
        untouched = untouched_slots(*base, policy, slots);
    }
    out.section.untouched = out.put(untouched);
    return out.finish();
}

std::vector<std::byte> write_zones(const Policy& policy) {
    SectionWriter<abi::ZonesSection> out{SectionKind::zones};
    std::vector<abi::ZoneRecord> zones;
    std::vector<abi::ZoneBinding> bindings;
    for (const Zone& zone : policy.zones) {
        const abi::ZoneId id{static_cast<std::uint16_t>(zones.size())};
        zones.push_back({.name = out.add_text(zone.name), .limits = zone.limits});
        for (const std::string& port : zone.ports) bindings.push_back({.port = out.add_text(port), .zone = id});
    }
    out.section.zones = out.put(zones);
    out.section.bindings = out.put(bindings);
    out.section.text = out.put_text();
    return out.finish();
}

std::vector<std::uint64_t> zone_rows(const Plan& plan, std::size_t zone_count, Side Term::*side) {
    std::vector<std::uint64_t> rows(zone_count * plan.word_count);
    for (std::size_t t = 0; t < plan.terms.size(); ++t) {
        for (std::size_t z = 0; z < zone_count; ++z) {
            if ((plan.terms[t].*side).zones.test(z)) rows[z * plan.word_count + t / 64] |= std::uint64_t{1} << (t % 64);
        }
    }
    return rows;
}

std::vector<std::byte> write_rules(const Policy& policy, const std::vector<abi::RuleSlot>& slots, const Plan& plan) {
    SectionWriter<abi::RulesSection> out{SectionKind::rules};
    std::vector<abi::RuleRecord> records;
    for (std::size_t i = 0; i < policy.rules.size(); ++i) {
        const Rule& rule = policy.rules[i];
        records.push_back({.slot = slots[i],
                           .verdict = verdict_of(rule.action, policy.default_action),
                           .mode = rule.mode,
                           .log = rule.log,
                           .is_pass = rule.action == Action::pass ? std::uint8_t{1} : std::uint8_t{0},
                           .id = out.add_text(rule.id),
                           .limits = rule.limits,
                           .on_change = rule.on_change.value_or(policy.on_change)});
    }
    records.push_back({.slot = abi::kSlotDefault,
                       .verdict = verdict_of(policy.default_action, Action::deny),
                       .mode = abi::RuleMode::enforce,
                       .log = policy.default_log,
                       .is_pass = 0,
                       .id = out.add_text(abi::kIdDefault),
                       .limits = policy.default_limits,
                       .on_change = policy.on_change});
    std::vector<abi::RuleIndex> term_rule;
    std::vector<std::uint64_t> observe(plan.word_count);
    for (std::size_t t = 0; t < plan.terms.size(); ++t) {
        term_rule.push_back(plan.terms[t].rule);
        if (policy.rules[plan.terms[t].rule].mode == abi::RuleMode::observe)
            observe[t / 64] |= std::uint64_t{1} << (t % 64);
    }
    out.section.term_count = static_cast<std::uint32_t>(plan.terms.size());
    out.section.word_count = plan.word_count;
    out.section.rules = out.put(records);
    out.section.term_rule = out.put(term_rule);
    out.section.observe_mask = out.put(observe);
    out.section.from_zone_rows = out.put(zone_rows(plan, policy.zones.size(), &Term::from));
    out.section.to_zone_rows = out.put(zone_rows(plan, policy.zones.size(), &Term::to));
    out.section.text = out.put_text();
    return out.finish();
}

abi::IntervalV4 interval(std::uint32_t at, std::uint32_t index) { return {.first = at, .class_index = index}; }
abi::IntervalV6 interval(const V6Number& at, std::uint32_t index) {
    return {.first_high = at.high, .first_low = at.low, .class_index = index};
}
/// Whether the interval already holds the first address under a root entry, `at` being that address' top 64 bits (IPv6;
/// its low 64 bits are 0) or all of it (IPv4).
bool starts_by(const abi::IntervalV4& i, std::uint64_t at) { return i.first <= at; }
bool starts_by(const abi::IntervalV6& i, std::uint64_t at) {
    return i.first_high < at || (i.first_high == at && i.first_low == 0);
}

template <typename Interval>
std::vector<std::uint32_t> root_of(const std::vector<Interval>& intervals, unsigned rest_bits) {
    std::vector<std::uint32_t> root(abi::kAddrRootCount);
    std::uint32_t i = 0;
    for (std::uint64_t r = 0; r + 1 < root.size(); ++r) {
        while (i + 1 < intervals.size() && starts_by(intervals[i + 1], r << rest_bits)) ++i;
        root[r] = i;
    }
    root.back() = static_cast<std::uint32_t>(intervals.size() - 1);
    return root;
}

template <typename Interval, typename At>
std::vector<std::byte> write_addresses(SectionKind kind, const std::vector<Cut<At>>& cuts, const Lines& lines,
                                       std::uint32_t word_count, unsigned rest_bits) {
    SectionWriter<abi::AddrClassSection> out{kind};
    ClassTable classes;
    std::vector<Interval> intervals;
    sweep(cuts, lines.list_count, [&](const At& at, const ListSet& set) {
        const std::uint32_t index = classes.intern(set);
        if (intervals.empty() || intervals.back().class_index != index) intervals.push_back(interval(at, index));
    });
    out.section.class_count = static_cast<std::uint32_t>(classes.count());
    out.section.word_count = word_count;
    out.section.root = out.put(root_of(intervals, rest_bits));
    out.section.intervals = out.put(intervals);
    out.section.rows = out.put(term_rows(classes, lines.list_of_term, lines.list_count, word_count));
    return out.finish();
}

std::vector<std::uint16_t> class_table(const std::vector<Cut<std::uint32_t>>& cuts, std::size_t list_count,
                                       std::size_t size, ClassTable& classes) {
    std::vector<std::uint16_t> table;
    table.reserve(size);
    std::uint16_t index = 0;
    sweep(cuts, list_count, [&](std::uint32_t at, const ListSet& set) {
        table.resize(at, index);
        // A range that ends at the last port leaves a cut behind the table: nothing stands there.
        if (at < size) index = static_cast<std::uint16_t>(classes.intern(set));
    });
    table.resize(size, index);
    return table;
}

std::vector<std::byte> write_transport(const ServiceLines& lines, std::uint32_t word_count) {
    SectionWriter<abi::TransportSection> out{SectionKind::transport};
    ClassTable classes;
    out.section.proto_class = out.put(class_table(lines.proto, lines.list_count, 256, classes));
    out.section.tcp_dport = out.put(class_table(lines.tcp, lines.list_count, 65'536, classes));
    out.section.udp_dport = out.put(class_table(lines.udp, lines.list_count, 65'536, classes));
    out.section.icmp = out.put(class_table(lines.icmp, lines.list_count, 65'536, classes));
    out.section.icmp6 = out.put(class_table(lines.icmp6, lines.list_count, 65'536, classes));
    out.section.class_count = static_cast<std::uint32_t>(classes.count());
    out.section.word_count = word_count;
    out.section.rows = out.put(term_rows(classes, lines.list_of_term, lines.list_count, word_count));
    return out.finish();
}

/// For people; cut at a character's start where it is too long.
std::array<char, 64> manifest_name(std::string_view name) {
    std::array<char, 64> out{};
    std::size_t bytes = std::min(name.size(), out.size() - 1);
    if (bytes < name.size()) {
        while (bytes > 0 && (static_cast<unsigned char>(name[bytes]) & 0xc0U) == 0x80) --bytes;
    }
    std::memcpy(out.data(), name.data(), bytes);
    return out;
}

abi::SectionRef ref_of(std::span<const std::byte> section) {
    abi::SectionHeader header;
    std::memcpy(&header, section.data(), sizeof header);
    return {.kind = header.kind, .bytes = header.bytes, .digest = header.digest};
}

/// Identifies what the dataplane would run: the policy, this compiler and every section's content. Independent of the
/// generation number, of time and of what it was compared with, so that "does it run what is stored?" is one
/// comparison, by a control plane that has been restarted too. `settings`: that section as it is without a base.
abi::Digest256 generation_digest(const abi::Manifest& m, std::span<const std::byte> settings) {
    auto sections = m.sections;
    sections[index_of(SectionKind::settings)] = ref_of(settings);
    std::vector<unsigned char> text;
    const auto add = [&](const void* p, std::size_t n) {
        text.insert(text.end(), static_cast<const unsigned char*>(p), static_cast<const unsigned char*>(p) + n);
    };
    add(m.policy_version.bytes.data(), m.policy_version.bytes.size());
    add(&m.compiler_version, sizeof m.compiler_version);
    add(sections.data(), sizeof sections);
    abi::Digest256 digest;
    SHA256(text.data(), text.size(), digest.bytes.data());
    return digest;
}

abi::Manifest make_manifest(const Policy& policy, const std::vector<abi::RuleSlot>& slots,
                            const CompiledGeneration& compiled) {
    abi::Manifest m;
    m.layout_hash = abi::kLayoutHash;
    m.bytes = sizeof m;
    m.policy_version = policy.version;
    m.compiler_version = kCompilerVersion;
    m.rule_slots = static_cast<std::uint32_t>(abi::kSlotFirstFree);
    for (const abi::RuleSlot slot : slots) m.rule_slots = std::max(m.rule_slots, static_cast<std::uint32_t>(slot) + 1);
    m.policy_name = manifest_name(policy.name);
    for (std::size_t i = 0; i < compiled.sections.size(); ++i) m.sections[i] = ref_of(compiled.sections[i]);
    m.generation_digest = generation_digest(m, write_settings(policy, slots, std::nullopt));
    return m;
}

Expected<Plan, CompileRefusal> make_plan(const Policy& policy, const CompileOptions& options) {
    if (policy.zones.size() > abi::kZonesMax)
        return refuse("too-many-zones", figure(policy.zones.size()) + " zones, at most " + figure(abi::kZonesMax),
                      policy.zones.size(), abi::kZonesMax);
    const TermBuilder builder{policy};
    const std::uint64_t terms_max = std::min(options.terms_max, abi::kTermsMax);
    if (builder.term_count() > terms_max) {
        const auto [rule, count] = builder.widest_rule();
        return refuse("too-many-terms",
                      "rules expand to " + figure(builder.term_count()) + " terms, at most " + figure(terms_max) +
                          "; rule \"" + policy.rules[rule].id + "\" alone makes " + figure(count) +
                          ": put its addresses into sets",
                      builder.term_count(), terms_max);
    }
    Plan plan;
    plan.terms = builder.terms();
    plan.word_count = static_cast<std::uint32_t>(std::max<std::size_t>(1, (plan.terms.size() + 63) / 64));
    plan.src = address_lines(plan.terms, builder.addresses(), [](const Term& t) -> const Side& { return t.from; });
    plan.dst = address_lines(plan.terms, builder.addresses(), [](const Term& t) -> const Side& { return t.to; });
    plan.services = service_lines(plan.terms, builder.services());
    if (auto refusal = over_budget(plan, policy.zones.size(), options)) return std::move(*refusal);
    return plan;
}

}  // namespace

dp::SectionBytes CompiledGeneration::section_bytes() const noexcept {
    dp::SectionBytes spans;
    for (std::size_t i = 0; i < sections.size(); ++i) spans[i] = sections[i];
    return spans;
}

std::uint64_t CompiledGeneration::bytes() const noexcept {
    std::uint64_t total = sizeof manifest;
    for (const auto& section : sections) total += section.size();
    return total;
}

Expected<CompiledGeneration, CompileRefusal> compile(const Policy& policy, const SlotMap& slots,
                                                     const CompileOptions& options) {
    std::vector<abi::RuleSlot> rule_slots;
    for (const Rule& rule : policy.rules) {
        const auto slot = slots.find(rule.id);
        if (!slot) return refuse("slot-missing", "rule \"" + rule.id + "\" has no counter slot", 0, 0);
        rule_slots.push_back(*slot);
    }
    const auto plan = make_plan(policy, options);
    if (!plan) return Unexpected<CompileRefusal>{plan.error()};

    CompiledGeneration out;
    const auto put = [&](SectionKind kind, std::vector<std::byte> bytes) {
        out.sections[index_of(kind)] = std::move(bytes);
    };
    const std::uint32_t words = plan->word_count;
    put(SectionKind::settings, write_settings(policy, rule_slots, options.base));
    put(SectionKind::zones, write_zones(policy));
    put(SectionKind::rules, write_rules(policy, rule_slots, *plan));
    put(SectionKind::src_v4, write_addresses<abi::IntervalV4>(SectionKind::src_v4, plan->src.v4, plan->src, words, 16));
    put(SectionKind::dst_v4, write_addresses<abi::IntervalV4>(SectionKind::dst_v4, plan->dst.v4, plan->dst, words, 16));
    put(SectionKind::src_v6, write_addresses<abi::IntervalV6>(SectionKind::src_v6, plan->src.v6, plan->src, words, 48));
    put(SectionKind::dst_v6, write_addresses<abi::IntervalV6>(SectionKind::dst_v6, plan->dst.v6, plan->dst, words, 48));
    put(SectionKind::transport, write_transport(plan->services, words));
    out.manifest = make_manifest(policy, rule_slots, out);
    renumber(out, options.generation, options.created_unix_ns);
    return out;
}

void renumber(CompiledGeneration& compiled, std::uint64_t generation, std::uint64_t created_unix_ns) {
    compiled.manifest.generation = generation;
    compiled.manifest.created_unix_ns = created_unix_ns;
    compiled.manifest.digest = dp::manifest_digest(compiled.manifest);
}

}  // namespace sluice::cp
