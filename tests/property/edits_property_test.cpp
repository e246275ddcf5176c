/// Incremental changes against rebuilding: a policy that was reached by any row of edits, its slots carried along, is
/// the policy that says the same written down at once: same version, same answers, same bytes of every section, the
/// same flows concerned, and a rule that survived has its counters' slot still. Each policy is edited from the one
/// before and compiled with what that one's compile left; the one beside it is read and compiled from nothing.
/// rapidcheck prints its seed and leaves out edits until few are left.
#include <algorithm>
#include <array>
#include <map>
#include <ostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "controlplane/compiler/compiler.hpp"
#include "controlplane/compiler/reference.hpp"
#include "controlplane/policy/edits.hpp"
#include "controlplane/policy/reader.hpp"
#include "dataplane/acl/lookup.hpp"
#include "dataplane/acl/validator.hpp"
#include "tests/harness/policies.hpp"
#include "tests/harness/random_policies.hpp"

namespace sluice::test {

/// Numbers that pick: an operation, the rule it is about, its place, the new rule.
struct RawEdit {
    std::uint32_t op{}, which{}, where{}, rule{};
    static constexpr std::uint32_t kMax = 1U << 20;
};
void showValue(const RawEdit& e, std::ostream& os) {
    os << "RawEdit{" << e.op << "," << e.which << "," << e.where << "," << e.rule << "}";
}

}  // namespace sluice::test

namespace rc {
template <>
struct Arbitrary<sluice::test::RawEdit> {
    static Gen<sluice::test::RawEdit> arbitrary() {
        using sluice::test::RawEdit;
        const auto number = gen::resize(kNominalSize, gen::inRange<std::uint32_t>(0, RawEdit::kMax));
        return gen::build<RawEdit>(gen::set(&RawEdit::op, number), gen::set(&RawEdit::which, number),
                                   gen::set(&RawEdit::where, number), gen::set(&RawEdit::rule, number));
    }
};
}  // namespace rc

namespace sluice::test {
namespace {

using cp::PolicyFormat;

constexpr std::uint32_t kIds = 9;  // few, so that ids come back
constexpr std::uint32_t kSlotsAmple = 4096;

std::string rule_json(const std::string& id, std::uint32_t n) {
    static constexpr std::array<const char*, 12> kSides{
        R"("any")",
        R"("lan")",
        R"("wan")",
        R"("web")",
        R"("10.0.0.0/8")",
        R"("2001:db8::/32")",
        R"("192.0.2.7")",
        R"(["web", "192.0.2.7"])",
        R"("blocked")",
        R"({"zone": "wan", "not": "blocked"})",
        R"([{"zone": "wan", "set": "web"}, "192.0.2.7", "10.0.0.0/8"])",
        R"([{"zone": "lan", "set": "192.0.2.7"}, {"zone": "wan", "set": ["web", "192.0.2.7"]}])"};
    static constexpr std::array<const char*, 6> kServices{"", "https", "tcp/1-1023", "udp/53", "icmp", "proto/47"};
    static constexpr std::array<const char*, 4> kActions{"allow", "deny", "reject", "pass"};
    const auto pick = [&n](const auto& from) {
        const char* const text = from[n % from.size()];
        n = n / static_cast<std::uint32_t>(from.size()) + 1;
        return std::string{text};
    };
    std::string json = R"({"id": ")" + id + R"(", "from": )" + pick(kSides) + R"(, "to": )" + pick(kSides);
    if (const std::string service = pick(kServices); !service.empty()) json += R"(, "service": ")" + service + "\"";
    json += R"(, "action": ")" + pick(kActions) + "\"";
    if (n % 5 == 0) json += R"(, "mode": "observe")";
    if (n % 3 == 0) json += R"(, "log": "both")";
    return json + "}";
}

/// What the edits should come to, by hand: ids and the rules' text in their order.
using Rules = std::vector<std::pair<std::string, std::string>>;

std::string policy_json(const Rules& rules) {
    std::string json = R"({"sluice": 1, "name": "edits", "default": {"action": "deny"},
 "zones": {"lan": {"ports": ["p0"]}, "wan": {"ports": ["p1"]}},
 "sets": {"web": {"nets": ["10.0.0.0/24", "2001:db8:1::/48"]}, "blocked": {"members": "api"}},
 "never_block": ["web", "192.0.2.0/24"], "rules": [)";
    for (std::size_t i = 0; i < rules.size(); ++i) json += (i == 0 ? "" : ",\n  ") + rules[i].second;
    return json + "]}";
}

/// The edit as a request, and done to `rules`. Empty: there is nothing that it could be about.
std::string edit_json(const RawEdit& e, Rules& rules) {
    const auto present = [&](const std::string& id) {
        return std::find_if(rules.begin(), rules.end(), [&](const auto& r) { return r.first == id; });
    };
    if (e.op % 3 == 0 || rules.empty()) {
        std::string id;
        for (std::uint32_t i = 0; i < kIds; ++i) {
            id = "r" + std::to_string((e.which + i) % kIds);
            if (present(id) == rules.end()) break;
        }
        if (present(id) != rules.end()) return {};
        const std::string rule = rule_json(id, e.rule);
        auto at = rules.end();
        std::string place;
        if (!rules.empty() && e.where % 4 != 0) {
            at = rules.begin() + static_cast<std::ptrdiff_t>(e.where / 4 % rules.size());
            place = std::string{e.where % 4 == 1 ? R"(, "after": ")" : R"(, "before": ")"} + at->first + "\"";
            if (e.where % 4 == 1) ++at;
        }
        rules.insert(at, {id, rule});
        return R"({"op": "insert")" + place + R"(, "rule": )" + rule + "}";
    }
    const auto target = rules.begin() + static_cast<std::ptrdiff_t>(e.which % rules.size());
    const std::string id = target->first;
    if (e.op % 3 == 1) {
        if (rules.size() == 1) return {};  // a policy without rules leaves the key out, which an edit cannot
        rules.erase(target);
        return R"({"op": "remove", "id": ")" + id + R"("})";
    }
    target->second = rule_json(id, e.rule);
    return R"({"op": "replace", "id": ")" + id + R"(", "rule": )" + target->second + "}";
}

cp::Policy read(const std::string& text, PolicyFormat format) {
    auto policy = cp::read_policy(text, format);
    if (!policy) RC_FAIL("the policy is refused: " + policy.error().front().detail);
    return std::move(*policy);
}

/// `from`, `left`: the policy that this one was edited from, and what its compile left.
cp::CompiledGeneration compile(const cp::Policy& policy, const cp::SlotMap& slots, const cp::Policy* from = nullptr,
                               const cp::TermBuilder* left = nullptr) {
    auto compiled = cp::compile(policy, slots, {.generation = 1, .edited_from = from, .terms_before = left});
    if (!compiled) RC_FAIL("it does not compile: " + compiled.error().detail);
    return std::move(*compiled);
}

std::vector<std::string> digests(const cp::CompiledGeneration& g) {
    std::vector<std::string> out;
    for (const abi::SectionRef& s : g.manifest.sections)
        out.push_back(std::to_string(static_cast<unsigned>(s.kind)) + ":" + std::to_string(s.digest.high) + "." +
                      std::to_string(s.digest.low));
    return out;
}

std::vector<std::string> ids(const cp::Policy& policy) {
    std::vector<std::string> out;
    for (const cp::Rule& rule : policy.rules) out.push_back(rule.id);
    return out;
}

/// Addresses, zones and services on both sides of what the rules speak about.
std::vector<dp::LookupKey> keys() {
    static const std::array<const char*, 5> kV4{"10.0.0.5", "10.0.1.5", "192.0.2.7", "192.0.2.8", "11.0.0.0"};
    static const std::array<const char*, 3> kV6{"2001:db8:1::5", "2001:db8:2::5", "2001:db9::"};
    static constexpr std::array<std::pair<abi::L4Proto, std::uint16_t>, 9> kServices{{{abi::L4Proto::tcp, 443},
                                                                                      {abi::L4Proto::tcp, 1023},
                                                                                      {abi::L4Proto::tcp, 1024},
                                                                                      {abi::L4Proto::tcp, 0},
                                                                                      {abi::L4Proto::udp, 53},
                                                                                      {abi::L4Proto::udp, 54},
                                                                                      {abi::L4Proto::icmp, 8 << 8},
                                                                                      {abi::L4Proto::gre, 0},
                                                                                      {abi::L4Proto{0xff}, 0}}};
    std::vector<dp::LookupKey> out;
    const auto add = [&](const char* src, const char* dst) {
        for (const auto& [proto, port] : kServices) {
            for (const std::uint16_t zone : {std::uint16_t{0}, std::uint16_t{1}})
                out.push_back(key(zone, src, static_cast<std::uint16_t>(1 - zone), dst, proto, port));
        }
    };
    for (const char* src : kV4)
        for (const char* dst : kV4) add(src, dst);
    for (const char* src : kV6)
        for (const char* dst : kV6) add(src, dst);
    return out;
}

void expect_same_answers(const cp::Policy& policy, const cp::CompiledGeneration& compiled) {
    static const std::vector<dp::LookupKey> kKeys = keys();
    const auto view =
        dp::validate(compiled.manifest_bytes(), compiled.section_bytes(), {.rule_slots_max = kSlotsAmple});
    if (!view) RC_FAIL("the validator refuses it: " + view.error().where);
    std::vector<dp::LookupResult> got(kKeys.size());
    for (std::size_t i = 0; i < kKeys.size(); i += 64) {
        const std::size_t n = std::min<std::size_t>(64, kKeys.size() - i);
        dp::lookup(*view, std::span{kKeys}.subspan(i, n), std::span{got}.subspan(i, n));
    }
    for (std::size_t i = 0; i < kKeys.size(); ++i) {
        const dp::LookupResult expected = cp::reference_lookup(policy, kKeys[i]);
        if (got[i].rule != expected.rule || got[i].observe != expected.observe)
            RC_FAIL(to_text(kKeys[i]) + ": rule " + std::to_string(got[i].rule) + ", expected " +
                    std::to_string(expected.rule));
    }
}

/// An edit changed the rules only: what the other sections are made of is the same, unless the rules' sides, services,
/// modes or number changed. A replaced action or log touches the rules section alone, so the dataplane maps one memfd
/// anew.
void expect_small(const cp::Policy& before, const cp::CompiledGeneration& old, const cp::Policy& after,
                  const cp::CompiledGeneration& now) {
    const auto shape = [](const cp::Policy& p) {
        std::string text;
        for (const cp::Rule& r : p.rules) {
            for (const auto* side : {&r.from, &r.to}) {
                for (const cp::Endpoint& e : *side) {
                    text += "|" + std::to_string(e.zone.value_or(999)) + (e.any_addr ? "*" : "");
                    for (const auto set : e.sets) text += "s" + std::to_string(set);
                    for (const auto& net : e.nets)
                        text += std::string(net.addr.bytes.begin(), net.addr.bytes.end()) + std::to_string(net.bits);
                }
            }
            for (const auto& t : r.service)
                text += ">" + std::to_string(static_cast<unsigned>(t.proto)) + "." + std::to_string(t.first) + "-" +
                        std::to_string(t.last);
            text += r.mode == abi::RuleMode::observe ? "?\n" : "\n";
        }
        return text;
    };
    const auto kind = [](abi::SectionKind k) { return static_cast<std::size_t>(k) - 1; };
    for (const auto k : {abi::SectionKind::settings, abi::SectionKind::zones})
        RC_ASSERT(old.manifest.sections[kind(k)].digest == now.manifest.sections[kind(k)].digest);
    if (shape(before) != shape(after)) return;
    for (const abi::SectionRef& s : now.manifest.sections) {
        if (s.kind != abi::SectionKind::rules) RC_ASSERT(old.manifest.sections[kind(s.kind)].digest == s.digest);
    }
}

/// Which flows a change concerns is told alike, whether both policies share what they have in common or nothing.
void expect_same_reach(const cp::Policy& before, const cp::CompiledGeneration& old, const cp::Policy& edited,
                       const cp::CompiledGeneration& now, const cp::Policy& before_alone, const cp::Policy& alone) {
    const auto& were = old.whole->slots;
    const auto& are = now.whole->slots;
    const auto shared =
        cp::untouched_slots({&before, were, 1, {}, old.whole->terms.get()}, edited, are, now.whole->terms.get());
    RC_ASSERT(shared == cp::untouched_slots({&before_alone, were, 1, {}}, alone, are));
}

/// Slots as they are promised, for as long as there are enough: once given, always that id's.
void expect_slots_kept(std::map<std::string, abi::RuleSlot>& given, const cp::Policy& policy,
                       const cp::SlotMap& slots) {
    for (const cp::Rule& rule : policy.rules) {
        const auto slot = slots.find(rule.id);
        RC_ASSERT(slot.has_value());
        const auto [known, fresh] = given.emplace(rule.id, *slot);
        if (!fresh && known->second != *slot)
            RC_FAIL("slot of " + rule.id + " was " + std::to_string(static_cast<unsigned>(known->second)) + ", is " +
                    std::to_string(static_cast<unsigned>(*slot)));
        const auto same = [&](const auto& g) { return g.second == *slot; };
        RC_ASSERT(std::count_if(given.begin(), given.end(), same) == 1);
    }
}

RC_GTEST_PROP(EditsProperty, EditsComeToWhatIsWrittenAtOnce, ()) {
    const auto first = *rc::gen::scale(0.1, rc::gen::arbitrary<std::vector<RawEdit>>()).as("rules at the start");
    const auto batches = *rc::gen::scale(0.2, rc::gen::arbitrary<std::vector<std::vector<RawEdit>>>()).as("edits");
    const PolicyFormat format = *rc::gen::arbitrary<bool>().as("YAML") ? PolicyFormat::yaml : PolicyFormat::json;
    Rules rules;
    rules.emplace_back("base", rule_json("base", 0));
    for (const RawEdit& e : first) (void)edit_json({0, e.which, e.where, e.rule}, rules);

    cp::SlotMap slots{kSlotsAmple};
    std::map<std::string, abi::RuleSlot> given;
    auto first_read = cp::read_written(cp::parse_document(policy_json(rules), format), format);
    RC_ASSERT(first_read.has_value());
    std::string text = policy_json(rules);
    cp::Policy before = read(text, format);
    auto assigned = slots.assign(before);
    RC_ASSERT(assigned.has_value());
    cp::RuleSlots rule_slots = std::move(*assigned);
    cp::SlotMap slots_before = slots;
    cp::CompiledGeneration old = compile(before, slots);
    cp::Policy before_alone = before;
    expect_slots_kept(given, before, slots);
    cp::WrittenPolicy written = std::move(first_read->written);

    for (const auto& batch : batches) {
        std::string edits;
        for (const RawEdit& e : batch) {
            const std::string json = edit_json(e, rules);
            if (!json.empty()) edits += (edits.empty() ? "[" : ",\n ") + json;
        }
        if (edits.empty()) continue;
        auto edited = cp::apply_edits({before, written, text, written.text_at}, edits + "]");
        if (!edited) RC_FAIL("refused: " + edited.error().front().detail + "\n" + edits + "]");

        // At once: the same rules, read from text as a whole, and from the text that the edits left.
        const cp::Policy whole = read(policy_json(rules), PolicyFormat::json);
        const cp::Policy again = read(edited->text, format);
        for (const cp::SharedRun& run : edited->kept)
            RC_ASSERT(edited->text.substr(run.after, run.count) == text.substr(run.before, run.count));
        RC_ASSERT(ids(edited->policy) == ids(whole));
        RC_ASSERT(edited->policy.version == whole.version);
        RC_ASSERT(again.version == whole.version);

        cp::SlotMap quick = slots;
        const cp::SlotMap::Before assigned_before{&before, &rule_slots, &slots_before};
        const auto quick_slots = quick.assign(edited->policy, &assigned_before);
        const auto whole_slots = slots.assign(edited->policy);
        RC_ASSERT(quick_slots.has_value() && whole_slots.has_value());
        RC_ASSERT(*quick_slots == *whole_slots);
        RC_ASSERT(quick.to_text() == slots.to_text());
        const cp::CompiledGeneration now = compile(edited->policy, slots, &before, old.whole->terms.get());
        RC_ASSERT(digests(now) == digests(compile(whole, slots)));
        RC_ASSERT(now.manifest.generation_digest == compile(whole, slots).manifest.generation_digest);
        expect_same_answers(whole, now);
        expect_slots_kept(given, edited->policy, slots);
        expect_small(before, old, edited->policy, now);
        expect_same_reach(before, old, edited->policy, now, before_alone, whole);
        auto reloaded = cp::SlotMap::from_text(slots.to_text(), kSlotsAmple);
        RC_ASSERT(reloaded.has_value());
        if (batch.size() % 2 == 0) slots = std::move(*reloaded);  // the control plane was restarted in between
        rule_slots = *whole_slots;
        slots_before = slots;
        before = std::move(edited->policy);
        before_alone = whole;
        old = now;
        written = std::move(edited->written);
        text = std::move(edited->text);
    }
}

}  // namespace
}  // namespace sluice::test
