#include "controlplane/policy/edits.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "controlplane/policy/emit.hpp"
#include "controlplane/policy/names.hpp"
#include "controlplane/policy/shape.hpp"

namespace sluice::cp {

namespace {

/// Each edit walks the rules: beyond this many a whole policy is the better request.
constexpr std::size_t kEditsMax = 1000;

std::string_view word(const Node& map, std::string_view key) {
    const auto* node = map.find(key);
    return node != nullptr && node->kind == Node::Kind::scalar ? node->text : std::string_view{};
}

/// A rule of the policy while it is edited, and which edit brought it.
struct EditedRule {
    std::string_view id;
    Node node;
    std::optional<std::size_t> edit;
};

class Editor {
public:
    Editor(std::vector<EditedRule> rules, Report& report) : rules_{std::move(rules)}, report_{report} {}

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

    std::vector<EditedRule> take() { return std::move(rules_); }

private:
    using Place = std::vector<EditedRule>::iterator;

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
        if (!check_free(*rule, rules_.end(), path)) return;
        auto place = rules_.end();
        if (before != nullptr || after != nullptr) {
            const auto found =
                find(before != nullptr ? *before : *after, Path{path, before != nullptr ? "before" : "after"});
            if (!found) return;
            place = before != nullptr ? *found : std::next(*found);
        }
        rules_.insert(place, {word(*rule, "id"), *rule, index});
    }

    void replace(const Node& edit, std::size_t index, const Path& path) {
        refuse(edit, "before", path, "a replaced rule keeps its place; remove and insert it to move it");
        refuse(edit, "after", path, "a replaced rule keeps its place; remove and insert it to move it");
        const auto* rule = need_rule(edit, path);
        const auto place = find_id(edit, path);
        if (rule == nullptr || !place || !check_free(*rule, *place, path)) return;
        **place = {word(*rule, "id"), *rule, index};
    }

    void remove(const Node& edit, const Path& path) {
        for (const std::string_view key : {"before", "after", "rule"}) {
            refuse(edit, key, path, "removing needs the id only; leave this out");
        }
        if (const auto place = find_id(edit, path)) rules_.erase(*place);
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
        const auto place = std::ranges::find_if(rules_, [&](const EditedRule& r) { return r.id == id.text; });
        if (place != rules_.end()) return place;
        std::vector<std::string_view> known;
        for (const auto& rule : rules_) known.push_back(rule.id);
        auto hint = did_you_mean(id.text, known);
        if (hint.empty()) hint = "; name a rule of the policy as it is after the edits before this one";
        report_.add(path, id.pos, "undefined-name", "rule " + quoted(id.text) + " is not defined" + hint);
        return std::nullopt;
    }

    /// No other rule than that at `own` has the id.
    bool check_free(const Node& rule, Place own, const Path& path) {
        const auto id = word(rule, "id");
        const auto taken = std::ranges::find_if(rules_, [&](const EditedRule& r) { return r.id == id; });
        if (taken == rules_.end() || taken == own) return true;
        report_.add(Path{Path{path, "rule"}, "id"}, rule.find("id")->pos, "duplicate-id",
                    "rule id " + quoted(id) + " is taken; ids are unique, choose another one or replace that rule");
        return false;
    }

    std::vector<EditedRule> rules_;
    Report& report_;
    Path top_;
};

/// Takes the rules out of the tree.
std::vector<EditedRule> rules_of(Node& root) {
    std::vector<EditedRule> result;
    if (auto* rules = root.find("rules")) {
        result.reserve(rules->children.size());
        for (auto& node : rules->children) {
            const auto id = word(node, "id");
            result.push_back({id, std::move(node), std::nullopt});
        }
    }
    return result;
}

/// Puts the rules back. An empty list has no place in a policy: its key goes.
void put_rules(Document& document, std::vector<EditedRule>& rules) {
    Node& root = document.root;
    auto* list = root.find("rules");
    if (list == nullptr && !rules.empty()) {
        root.children.push_back({.kind = Node::Kind::scalar, .form = Node::Form::text, .text = document.keep("rules")});
        root.children.push_back({.kind = Node::Kind::list});
        list = &root.children.back();
    }
    if (list == nullptr) return;
    list->children.clear();
    for (auto& rule : rules) list->children.push_back(std::move(rule.node));
    if (!list->children.empty()) return;
    for (std::size_t i = 0; i < root.member_count(); ++i) {
        if (root.key(i).text != "rules") continue;
        const auto at = root.children.begin() + static_cast<std::ptrdiff_t>(2 * i);
        root.children.erase(at, at + 2);
        return;
    }
}

/// /rules/7/from of the result is /2/rule/from of the edits, if edit 2 brought rule 7.
void point_into_edits(PolicyErrors& errors, const std::vector<std::optional<std::size_t>>& edit_of_rule) {
    constexpr std::string_view kRules = "/rules/";
    for (auto& error : errors) {
        if (!error.pointer.starts_with(kRules)) continue;
        const auto* begin = error.pointer.data() + kRules.size();
        std::size_t index{};
        const auto [end, ec] = std::from_chars(begin, error.pointer.data() + error.pointer.size(), index);
        if (ec != std::errc{} || index >= edit_of_rule.size() || !edit_of_rule[index]) continue;
        error.pointer = "/" + std::to_string(*edit_of_rule[index]) + "/rule" + std::string{end};
    }
}

/// After the tree was written out, the policy's places are those in the new text.
void restamp(Policy& policy, const Node& root) {
    const auto from_list = [&](std::string_view key, auto& items) {
        const auto* list = root.find(key);
        for (std::size_t i = 0; list != nullptr && i < items.size(); ++i) items[i].pos = list->children[i].pos;
    };
    const auto from_map = [&](std::string_view key, auto& items) {
        const auto* map = root.find(key);
        for (std::size_t i = 0; map != nullptr && i < items.size(); ++i) items[i].pos = map->key(i).pos;
    };
    from_map("zones", policy.zones);
    from_map("sets", policy.sets);
    from_list("rules", policy.rules);
    from_list("tests", policy.tests);
}

}  // namespace

Expected<EditedPolicy, PolicyErrors> apply_edits(std::string_view base, PolicyFormat format, std::string_view edits,
                                                 const ReadOptions& options) {
    auto parsed = parse_document(base, format);
    if (!parsed.whole || !parsed.errors.empty()) return Unexpected<PolicyErrors>{std::move(parsed.errors)};
    return apply_edits(parsed.document, format, edits, options);
}

Expected<EditedPolicy, PolicyErrors> apply_edits(const Document& base, PolicyFormat format, std::string_view edits,
                                                 const ReadOptions& options) {
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
    ParsedDocument result{base.copy(), {}, true};
    Editor editor{rules_of(result.document.root), report};
    editor.apply(edit_list.document.root);
    if (!report.empty()) return Unexpected<PolicyErrors>{report.take()};
    auto rules = editor.take();
    std::vector<std::optional<std::size_t>> edit_of_rule;
    for (const auto& rule : rules) edit_of_rule.push_back(rule.edit);
    result.document.adopt(edit_list.document);
    put_rules(result.document, rules);

    auto policy = read_document(result, options);
    if (!policy) {
        point_into_edits(policy.error(), edit_of_rule);
        return Unexpected<PolicyErrors>{std::move(policy).error()};
    }
    auto text = emit(result.document.root, format);
    restamp(*policy, result.document.root);
    return EditedPolicy{std::move(*policy), std::move(text), std::move(result.document)};
}

}  // namespace sluice::cp
