#include "controlplane/compiler/overlay.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "controlplane/compiler/edit_reach.hpp"
#include "controlplane/compiler/lookup_sections.hpp"
#include "controlplane/compiler/manifest.hpp"
#include "controlplane/compiler/overlay_section.hpp"
#include "controlplane/compiler/periods.hpp"
#include "controlplane/compiler/sections.hpp"
#include "controlplane/compiler/term_box.hpp"
#include "controlplane/policy/schedule.hpp"

namespace sluice::cp {

namespace {

using abi::SectionKind;

/// The small tables: a block of pairs as large as a small policy's would take longer than all the rest.
constexpr std::uint64_t kOverlayPairsBytes = 128U << 10;

struct Fresh {
    std::size_t rule{};       ///< in the edited policy
    abi::RuleIndex before{};  ///< of the whole
};

/// Where the edited policy is not the whole.
struct Edited {
    std::vector<abi::RuleIndex> hidden;
    std::vector<Fresh> fresh;
};

Edited edited_since(const Policy& whole, const Policy& policy) {
    Edited edited;
    for (const SharedGap& gap : shared_gaps(whole.rules, policy.rules)) {
        for (std::size_t i = gap.before_first; i < gap.before_last; ++i)
            edited.hidden.push_back(static_cast<abi::RuleIndex>(i));
        for (std::size_t i = gap.after_first; i < gap.after_last; ++i)
            edited.fresh.push_back({.rule = i, .before = static_cast<abi::RuleIndex>(gap.before_last)});
    }
    return edited;
}

class Overlay {
public:
    Overlay(const CompiledGeneration& before, const Policy& policy, const RuleSlots& slots, UnixSeconds now)
        : before_{before}, whole_{*before.whole}, policy_{policy}, slots_{slots}, now_{now}, boxes_{*whole_.terms} {}

    std::optional<std::string> plan() {
        edited_ = edited_since(whole_.policy, policy_);
        if (edited_.fresh.size() > kOverlayFreshMax || edited_.hidden.size() > kOverlayGoneMax)
            return "too many rules are other ones";
        if (auto why = other_layers()) return why;
        for (const Fresh& fresh : edited_.fresh) {
            if (depends_on_time(policy_.rules[fresh.rule])) return "a new rule depends on time";
        }
        if (whole_.periods.transitions().size() > 1 &&
            written_out(policy_, now_).first != written_out(policy_, whole_.compiled_at).first)
            return "schedules are due to be written out for other years";
        if (!find_met()) return "too many rules may match where one was that went";
        return std::nullopt;
    }

    Expected<OverlayContent, std::string> content() {
        OverlayContent out;
        if (nothing()) return out;
        const Policy part = put_in_order(out);
        std::vector<std::uint32_t> of_whole;
        for (const abi::OverlayPlace& place : out.places)
            of_whole.push_back(place.rule < whole_.policy.rules.size() ? place.rule : kNotShared);
        const TermBuilder terms{part, whole_.policy, *whole_.terms, of_whole};
        if (range_count(terms) > kOverlayRangesMax) return Unexpected<std::string>("its sets are too big");
        if (!asks_nothing_new(terms)) return Unexpected<std::string>("a rule asks another set");
        const Entries entries = entries_of(part, out.places);
        const ClassifiedTerms classified{terms, part, whole_.periods, entries, &whole_.asked};
        if (const auto refusal = too_many_classes(classified)) return Unexpected<std::string>("too many classes");
        Budget budget{kOverlayBytesMax, classified.terms.size()};
        auto tables = write_lookup_sections(classified, whole_.periods, entries,
                                            {.zone_count = policy_.zones.size(),
                                             .rule_count = out.places.size() + 1,
                                             .trees = {.pairs_bytes_max = kOverlayPairsBytes}},
                                            budget);
        if (!tables) return Unexpected<std::string>(std::move(tables.error().detail));
        out.tables = std::move(*tables);
        return out;
    }

    /// The policy is that of the whole again.
    bool nothing() const { return edited_.fresh.empty() && edited_.hidden.empty(); }
    Overlaid take() {
        return {.hidden = std::move(edited_.hidden),
                .met = std::move(met_),
                .met_count = met_count_,
                .fresh = edited_.fresh.size()};
    }

private:
    /// Rules that pass packets on, and the layers that they pass them to, are numbered in all tables.
    std::optional<std::string> other_layers() const {
        const Policy& was = whole_.policy;
        if (was.rules.empty() || policy_.rules.empty()) return "all rules are other ones";
        for (const Fresh& fresh : edited_.fresh) {
            if (policy_.passes_on(fresh.rule)) return "a new rule passes packets on";
        }
        for (const abi::RuleIndex rule : edited_.hidden) {
            if (was.passes_on(rule)) return "a rule that passes packets on is another one";
        }
        if (was.rules.back().layer != policy_.rules.back().layer) return "the last layer is another one";
        // Whom never_block spares at a rule that passes on depends on the layers behind it.
        const auto passes = [](const Rule& rule) { return rule.action == Action::pass; };
        if (!was.never_block.empty() &&
            (std::ranges::any_of(was.rules, passes) || std::ranges::any_of(policy_.rules, passes)))
            return "rules pass, and some are spared";
        if (whole_.entries.count() == 1) return std::nullopt;
        std::vector<bool> layers_were(256), layers_are(256);
        for (const Rule& rule : was.rules) layers_were[rule.layer] = true;
        for (const Rule& rule : policy_.rules) layers_are[rule.layer] = true;
        if (layers_were != layers_are) return "there are other layers";
        return std::nullopt;
    }

    /// Rules of the whole that may match where one that is hidden did, and stand behind it. False: too many.
    bool find_met() {
        const Overlaid* known = before_.overlaid.get();
        if (known != nullptr && !std::ranges::includes(edited_.hidden, known->hidden)) known = nullptr;
        met_.assign(whole_.policy.rules.size(), false);
        const auto is_hidden = [&](abi::RuleIndex rule) { return std::ranges::binary_search(edited_.hidden, rule); };
        if (known != nullptr) {
            met_ = known->met;
            met_count_ = known->met_count;
        }
        for (const abi::RuleIndex gone : edited_.hidden) {
            if (met_[gone]) --met_count_;
            met_[gone] = false;
            // What has gone since, and took all that this one did, has those behind it met on its own account.
            if (known != nullptr && std::ranges::binary_search(known->hidden, gone)) continue;
            boxes_.for_each_of(gone, [&](const TermBox& box) { meet(box, gone, is_hidden); });
            if (met_count_ > kOverlayMetMax) return false;
        }
        return true;
    }

    template <typename IsHidden>
    void meet(const TermBox& box, abi::RuleIndex gone, const IsHidden& is_hidden) {
        whole_.hulls.for_each_met(hull_of(box), gone + std::size_t{1}, [&](abi::RuleIndex rule) {
            if (is_hidden(rule)) return true;
            bool meets = false, takes_all = false;
            boxes_.for_each_of(rule, [&](const TermBox& other) {
                meets = meets || overlaps(other, box);
                takes_all = takes_all || covers(other, box);
            });
            if (!meets) return true;
            if (!met_[rule]) {
                met_[rule] = true;
                ++met_count_;
            }
            return met_count_ <= kOverlayMetMax && !(takes_all && is_unconditional(rule));
        });
    }

    /// Decides whatever it matches, at any time.
    bool is_unconditional(abi::RuleIndex rule) const {
        const Rule& r = whole_.policy.rules[rule];
        return r.mode == abi::RuleMode::enforce && r.action != Action::pass && !depends_on_time(r);
    }

    /// A policy of the overlay's rules only.
    Policy put_in_order(OverlayContent& out) const {
        Policy part;
        part.default_action = policy_.default_action;
        part.on_change = policy_.on_change;
        part.zones = policy_.zones;
        part.sets = policy_.sets;
        part.never_block = policy_.never_block;
        part.schedules = policy_.schedules;
        out.hidden = edited_.hidden;
        const auto base_count = static_cast<abi::RuleIndex>(whole_.policy.rules.size() + 1);
        std::size_t next = 0;
        const auto add_fresh = [&](abi::RuleIndex before) {
            for (; next < edited_.fresh.size() && edited_.fresh[next].before <= before; ++next) {
                const Fresh& fresh = edited_.fresh[next];
                const Rule& rule = policy_.rules[fresh.rule];
                part.rules.push_back(policy_.rules.handle(fresh.rule));
                out.places.push_back(
                    {.before = fresh.before, .rule = base_count + static_cast<abi::RuleIndex>(out.rules.size())});
                out.rules.emplace_back(rule_record(policy_, rule, slots_[fresh.rule], decides_as_default(rule), {}),
                                       rule.id);
            }
        };
        for (abi::RuleIndex rule = 0; rule < met_.size(); ++rule) {
            if (!met_[rule]) continue;
            add_fresh(rule);
            part.rules.push_back(whole_.policy.rules.handle(rule));
            out.places.push_back({.before = rule, .rule = rule});
        }
        add_fresh(base_count - 1);
        return part;
    }

    /// Of places: an entry is where a layer begins.
    Entries entries_of(const Policy& part, const std::vector<abi::OverlayPlace>& places) const {
        std::vector<std::size_t> first_rules{0};
        for (std::size_t entry = 1; entry < whole_.entries.count(); ++entry) {
            const std::uint8_t layer = whole_.policy.rules[whole_.entries.first_rules()[entry]].layer;
            std::size_t at = 0;
            while (at < places.size() && part.rules[at].layer < layer) ++at;
            first_rules.push_back(at);
        }
        std::vector<std::uint8_t> is_pass;
        for (std::size_t i = 0; i < places.size(); ++i)
            is_pass.push_back(places[i].rule < whole_.policy.rules.size() ? whole_.entries.is_pass(places[i].rule)
                                                                          : decides_as_default(part.rules[i]));
        return {std::move(first_rules), std::move(is_pass)};
    }

    /// RuleRecord::is_pass of a rule that passes packets on to nobody.
    static std::uint8_t decides_as_default(const Rule& rule) { return rule.action == Action::pass ? 1 : 0; }

    static std::size_t range_count(const TermBuilder& terms) {
        std::size_t count = 0;
        for (const AddressList& list : terms.addresses()) count += list.v4.size() + list.v6.size();
        return count;
    }

    bool asks_nothing_new(const TermBuilder& terms) const {
        const SetQuestions asked = set_questions(terms.terms());
        return std::ranges::all_of(asked.uses, [&](const abi::SetUse& use) {
            return std::ranges::find(whole_.asked.uses, use) != whole_.asked.uses.end();
        });
    }

    const CompiledGeneration& before_;
    const WholeTables& whole_;
    const Policy& policy_;
    const RuleSlots& slots_;
    UnixSeconds now_;
    TermBoxes boxes_;
    Edited edited_;
    std::vector<bool> met_;
    std::size_t met_count_{};
};

}  // namespace

Expected<CompiledGeneration, std::string> compile_beside(const CompiledGeneration& before, const Policy& policy,
                                                         const RuleSlots& slots, const ChangeBase& base,
                                                         const CompileOptions& options) {
    Overlay overlay{before, policy, slots, static_cast<UnixSeconds>(options.created_unix_ns / 1'000'000'000)};
    if (auto why = overlay.plan()) return Unexpected<std::string>(std::move(*why));
    const auto content = overlay.content();
    if (!content) return Unexpected<std::string>(content.error());

    CompiledGeneration out;
    out.sections = before.sections;
    out.whole = before.whole;
    out.section(SectionKind::overlay) = SharedSection{write_overlay(*content)};
    const auto untouched = untouched_by_edits(*before.whole, base, policy, slots);
    out.section(SectionKind::settings) = SharedSection{write_settings(policy, base, untouched)};
    if (!overlay.nothing()) out.overlaid = std::make_shared<const Overlaid>(overlay.take());
    out.manifest = make_manifest(policy, slots, out.whole->periods.transitions(), out);
    out.manifest.set_epoch = options.set_epoch;
    out.manifest.set_delta = options.set_delta;
    renumber(out, options.generation, options.created_unix_ns);
    return out;
}

}  // namespace sluice::cp
