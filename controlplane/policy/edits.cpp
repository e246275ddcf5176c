#include "controlplane/policy/edits.hpp"

#include <algorithm>
#include <cstdint>
#include <future>
#include <numeric>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "controlplane/policy/names.hpp"
#include "controlplane/policy/shape.hpp"
#include "controlplane/policy/spelling.hpp"

namespace sluice::cp {

namespace {

/// Each edit walks the rules: beyond this many a whole policy is the better request.
constexpr std::size_t kEditsMax = 1000;

/// Where a rule of the edited policy comes from: below the base's count, from there; else, so much behind it, from the
/// edits.
using Origin = std::uint32_t;

class Editor {
public:
    Editor(const Policy& base, const WrittenPolicy& written, Report& report)
        : base_{base},
          hashes_{written.id_hashes},
          base_count_{base.rules.size()},
          standard_layer_{layer_of(word(written.head->root, "layer")).value_or(kLayerStandard)},
          report_{report} {
        order_.resize(base_count_);
        std::iota(order_.begin(), order_.end(), Origin{0});
    }

    void apply(const Node& edits) {
        for (std::size_t i = 0; i < edits.children.size() && !report_.full(); ++i) {
            const Path path{top_, i};
            const Node& edit = edits.children[i];
            const auto op = word(edit, "op");
            if (op == "insert") insert(edit, i, path);
            if (op == "replace") replace(edit, i, path);
            if (op == "remove") remove(edit, path);
        }
    }

    const std::vector<Origin>& order() const noexcept { return order_; }
    bool is_fresh(Origin from) const noexcept { return from >= base_count_; }
    const FreshRule& fresh(Origin from) const { return fresh_[from - base_count_]; }
    std::uint64_t hash(Origin from) const { return hashes_[from]; }
    std::string_view id(Origin from) const {
        return is_fresh(from) ? word(*fresh(from).node, "id") : std::string_view{base_.rules[from].id};
    }
    bool has(std::string_view id) const { return place_of(id) != order_.end(); }
    std::vector<std::string_view> ids() const {
        std::vector<std::string_view> all;
        all.reserve(order_.size());
        for (const Origin from : order_) all.push_back(id(from));
        return all;
    }

private:
    using Place = std::vector<Origin>::const_iterator;

    Origin bring(const Node& rule, std::size_t edit) {
        hashes_.push_back(hash_of_id(word(rule, "id")));
        fresh_.push_back({.node = &rule, .edit = edit});
        return static_cast<Origin>(base_count_ + fresh_.size() - 1);
    }

    Place place_of(std::string_view id) const {
        const std::uint64_t hash = hash_of_id(id);
        return std::find_if(order_.begin(), order_.end(),
                            [&](Origin from) { return hashes_[from] == hash && this->id(from) == id; });
    }

    void insert(const Node& edit, std::size_t index, const Path& path) {
        const auto* before = edit.find("before");
        const auto* after = edit.find("after");
        if (before != nullptr && after != nullptr) {
            return report_.add(Path{path, "after"}, after->pos, "edit-conflict",
                               "both before and after are given; keep one");
        }
        const auto* rule = need_rule(edit, path);
        if (rule == nullptr) return;
        const auto* id = edit.find("id");
        if (id != nullptr && id->text != word(*rule, "id")) {
            return report_.add(Path{path, "id"}, id->pos, "edit-conflict",
                               "id " + quoted(id->text) + " is not that of the rule; leave it out when inserting");
        }
        if (!check_free(*rule, order_.end(), path)) return;
        Place place = end_of_layer(layer_of_rule(*rule));
        if (before != nullptr || after != nullptr) {
            const auto found =
                find(before != nullptr ? *before : *after, Path{path, before != nullptr ? "before" : "after"});
            if (!found) return;
            place = before != nullptr ? *found : std::next(*found);
        }
        const auto at = place - order_.begin();
        order_.insert(order_.begin() + at, bring(*rule, index));
    }

    std::uint8_t layer_of_rule(const Node& rule) const {
        return layer_of(word(rule, "layer")).value_or(standard_layer_);
    }
    std::uint8_t layer(Origin from) const {
        return is_fresh(from) ? layer_of_rule(*fresh(from).node) : base_.rules[from].layer;
    }
    Place end_of_layer(std::uint8_t layer) const {
        const auto above =
            std::find_if(order_.rbegin(), order_.rend(), [&](Origin from) { return this->layer(from) <= layer; });
        return above.base();
    }

    void replace(const Node& edit, std::size_t index, const Path& path) {
        refuse(edit, "before", path, "a replaced rule keeps its place; remove and insert it to move it");
        refuse(edit, "after", path, "a replaced rule keeps its place; remove and insert it to move it");
        const auto* rule = need_rule(edit, path);
        const auto place = find_id(edit, path);
        if (rule == nullptr || !place || !check_free(*rule, *place, path)) return;
        const auto at = static_cast<std::size_t>(*place - order_.begin());
        order_[at] = bring(*rule, index);
    }

    void remove(const Node& edit, const Path& path) {
        for (const std::string_view key : {"before", "after", "rule"}) {
            refuse(edit, key, path, "removing needs the id only; leave this out");
        }
        if (const auto place = find_id(edit, path)) order_.erase(*place);
    }

    void refuse(const Node& edit, std::string_view key, const Path& path, std::string_view detail) {
        if (const auto* node = edit.find(key)) {
            report_.add(Path{path, key}, node->pos, "edit-conflict", std::string{detail});
        }
    }

    const Node* need_rule(const Node& edit, const Path& path) {
        const auto* rule = edit.find("rule");
        if (rule == nullptr) report_.add(path, edit.pos, "missing-key", "this edit lacks \"rule\"; add it");
        return rule;
    }

    std::optional<Place> find_id(const Node& edit, const Path& path) {
        if (const auto* id = edit.find("id")) return find(*id, Path{path, "id"});
        report_.add(path, edit.pos, "missing-key", "this edit lacks \"id\"; add it");
        return std::nullopt;
    }

    std::optional<Place> find(const Node& id, const Path& path) {
        const Place place = place_of(id.text);
        if (place != order_.end()) return place;
        auto hint = did_you_mean(id.text, ids());
        if (hint.empty()) hint = "; name a rule of the policy as it is after the edits before this one";
        report_.add(path, id.pos, "undefined-name", "rule " + quoted(id.text) + " is not defined" + hint);
        return std::nullopt;
    }

    /// No other rule than that at `own` has the id.
    bool check_free(const Node& rule, Place own, const Path& path) {
        const auto id = word(rule, "id");
        const Place taken = place_of(id);
        if (taken == order_.end() || taken == own) return true;
        report_.add(Path{Path{path, "rule"}, "id"}, rule.find("id")->pos, "duplicate-id",
                    "rule id " + quoted(id) + " is taken; ids are unique, choose another one or replace that rule");
        return false;
    }

    const Policy& base_;
    std::vector<std::uint64_t> hashes_;  // by origin
    std::size_t base_count_;
    std::uint8_t standard_layer_;
    std::vector<Origin> order_;
    std::vector<FreshRule> fresh_;
    Report& report_;
    Path top_;
};

/// Only a rule that an edit brought can stand among rules of other layers.
void check_layers(const Policy& base, const Editor& editor, const std::vector<Rule>& fresh, Report& report) {
    std::size_t next_fresh = 0;
    const auto& order = editor.order();
    const auto rule_at = [&](std::size_t i, std::size_t fresh_index) -> const Rule& {
        return editor.is_fresh(order[i]) ? fresh[fresh_index] : base.rules[order[i]];
    };
    for (std::size_t i = 0; i < order.size(); ++i) {
        const bool is_fresh = editor.is_fresh(order[i]), above_is_fresh = i != 0 && editor.is_fresh(order[i - 1]);
        if (i != 0 && (is_fresh || above_is_fresh)) {
            const Rule& above = rule_at(i - 1, next_fresh - 1);
            const Rule& rule = rule_at(i, next_fresh);
            if (rule.layer < above.layer) {
                const FreshRule& brought = editor.fresh(order[is_fresh ? i : i - 1]);
                const Path top, edit{top, brought.edit};
                report.add(Path{edit, "rule"}, brought.node->pos, "layer-order", layer_order_text(rule, above.layer));
            }
        }
        next_fresh += is_fresh ? 1 : 0;
    }
}

/// Those that are still there when all edits are done.
std::vector<FreshRule> fresh_rules(const Editor& editor) {
    std::vector<FreshRule> fresh;
    for (const Origin from : editor.order()) {
        if (editor.is_fresh(from)) fresh.push_back(editor.fresh(from));
    }
    return fresh;
}

/// Fresh rules in their places, all others shared with the base.
EditedPolicy put_together(const EditBase& of, const Editor& editor, EditedRead read) {
    const auto& [base, written, base_text, base_text_at] = of;
    EditedPolicy result{std::move(read.policy), {}, {.format = written.format, .head = written.head}};
    auto& [policy, text, out, kept] = result;
    out.head_digest = written.head_digest;
    const auto& order = editor.order();
    out.rule_digests.reserve(order.size());
    out.id_hashes.reserve(order.size());
    std::vector<SharedRun> shared;
    std::size_t next_fresh = 0;
    for (std::size_t i = 0; i < order.size();) {
        const Origin from = order[i];
        if (editor.is_fresh(from)) {
            policy.rules.push_back(std::move(read.fresh[next_fresh++]));
            auto fresh = written_rule(*editor.fresh(from).node, written.format);
            out.lines.push_back(std::move(fresh.line));
            out.rule_digests.push_back(fresh.digest);
            out.id_hashes.push_back(editor.hash(from));
            ++i;
            continue;
        }
        std::size_t run = 1;
        while (i + run < order.size() && order[i + run] == from + run && !editor.is_fresh(order[i + run])) ++run;
        const auto hashes = std::span{written.id_hashes}.subspan(from, run);
        out.id_hashes.insert(out.id_hashes.end(), hashes.begin(), hashes.end());
        shared.push_back({.before = from, .after = i, .count = run});
        policy.rules.append(base.rules, from, from + run);
        out.lines.append(written.lines, from, from + run);
        const auto digests = std::span{written.rule_digests}.subspan(from, run);
        out.rule_digests.insert(out.rule_digests.end(), digests.begin(), digests.end());
        i += run;
    }
    // Both walk along all rules, one along their lines, the other along their digests.
    auto version = std::async(order.size() < kRulesWorthAThread ? std::launch::deferred : kAThreadIfThereIsOne,
                              [&out = result.written] { return out.version(); });
    auto written_out = write_out(out, policy, {.text = base_text, .text_at = base_text_at, .rules = shared});
    text = std::move(written_out.text);
    kept = std::move(written_out.kept);
    policy.version = version.get();
    return result;
}

}  // namespace

Expected<EditedPolicy, PolicyErrors> apply_edits(std::string_view base, PolicyFormat format, std::string_view edits,
                                                 const ReadOptions& options) {
    // Ports may have changed since: what the result says of them counts.
    auto read = read_written(parse_document(base, format), format, {.wires = options.wires});
    if (!read) return Unexpected<PolicyErrors>{std::move(read.error())};
    return apply_edits({read->policy, read->written, base, {}}, edits, options);
}

Expected<EditedPolicy, PolicyErrors> apply_edits(const EditBase& of, std::string_view edits,
                                                 const ReadOptions& options) {
    const auto& [base, written, text, text_at] = of;
    auto edit_list = parse_document(edits, PolicyFormat::json);
    Report report;
    if (edit_list.whole) check_object_list(edit_list.document.root, edit_schema(), Path{}, report);
    if (!edit_list.whole || !report.empty() || !edit_list.errors.empty()) {
        return Unexpected<PolicyErrors>{report.take(std::move(edit_list.errors))};
    }
    if (const auto count = edit_list.document.root.children.size(); count > kEditsMax) {
        report.add(
            Path{}, edit_list.document.root.pos, "too-many",
            std::to_string(count) + " edits, at most " + std::to_string(kEditsMax) + " in one request; PUT the policy");
        return Unexpected<PolicyErrors>{report.take()};
    }
    Editor editor{base, written, report};
    editor.apply(edit_list.document.root);
    if (!report.empty()) return Unexpected<PolicyErrors>{report.take()};
    const RuleNames names{.has = [&](std::string_view id) { return editor.has(id); },
                          .all = [&] { return editor.ids(); }};
    auto read = read_edited(base, *written.head, fresh_rules(editor), names, options, report);
    if (report.empty()) check_layers(base, editor, read.fresh, report);
    if (!report.empty()) return Unexpected<PolicyErrors>{report.take()};
    return put_together(of, editor, std::move(read));
}

}  // namespace sluice::cp
