#include "controlplane/policy/written.hpp"

#include <functional>
#include <utility>

#include "controlplane/policy/emit.hpp"

namespace sluice::cp {

namespace {

constexpr std::string_view kRules = "rules";

std::string_view id_of(const Node& rule) {
    const auto* id = rule.find("id");
    return id == nullptr ? std::string_view{} : id->text;
}

/// An empty list has no place in a policy: without rules there is no key.
void put_rules_key(Document& head, bool wanted) {
    Node& root = head.root;
    if ((root.find(kRules) != nullptr) == wanted) return;
    if (wanted) {
        root.children.push_back({.kind = Node::Kind::scalar, .form = Node::Form::text, .text = head.keep(kRules)});
        root.children.push_back({.kind = Node::Kind::list});
        return;
    }
    for (std::size_t i = 0; i < root.member_count(); ++i) {
        if (root.key(i).text != kRules) continue;
        const auto at = root.children.begin() + static_cast<std::ptrdiff_t>(2 * i);
        root.children.erase(at, at + 2);
        return;
    }
}

template <typename Items>
void stamp(Items& items, std::size_t i, SourcePos pos) {
    // Written to only where it differs: what is shared stays so.
    if (std::as_const(items)[i].pos != pos) items[i].pos = pos;
}

/// After the text was written out, the policy's places are those in it.
void restamp(Policy& policy, const Node& root) {
    const auto from_map = [&](std::string_view key, auto& items) {
        const auto* map = root.find(key);
        for (std::size_t i = 0; map != nullptr && i < items.size(); ++i) stamp(items, i, map->key(i).pos);
    };
    from_map("zones", policy.zones);
    from_map("sets", policy.sets);
    const auto* tests = root.find("tests");
    for (std::size_t i = 0; tests != nullptr && i < policy.tests.size(); ++i)
        stamp(policy.tests, i, tests->children[i].pos);
}

}  // namespace

std::uint64_t hash_of_id(std::string_view id) noexcept { return std::hash<std::string_view>{}(id); }

WrittenRule written_rule(Node& rule, PolicyFormat format) {
    auto canonical = canonical_rule(rule);
    return {emit_rule(rule, format), std::move(canonical)};
}

WrittenPolicy written_policy(Document document, PolicyFormat format) {
    WrittenPolicy written{.format = format};
    if (auto* rules = document.root.find(kRules)) {
        written.rules.reserve(rules->children.size());
        written.id_hashes.reserve(rules->children.size());
        for (Node& rule : rules->children) {
            written.id_hashes.push_back(hash_of_id(id_of(rule)));
            written.rules.push_back(written_rule(rule, format));
        }
        rules->children = {};
    }
    written.canonical = std::make_shared<const CanonicalFrame>(canonical_frame(document.root));
    // A copy has no more bytes than it needs: the rules' are most.
    written.head = std::make_shared<const Document>(document.copy());
    return written;
}

abi::Digest256 version_of(const WrittenPolicy& written) {
    if (written.rules.empty()) {
        Document head = written.head->copy();  // its rules may have gone since it was written out
        put_rules_key(head, false);
        return sha256(canonical_text(head));
    }
    std::string text = written.canonical->before;
    bool first = true;
    for (const WrittenRule& rule : written.rules) {
        if (!std::exchange(first, false)) text += ',';
        text += rule.canonical;
    }
    text += written.canonical->after;
    return sha256(text);
}

std::string write_out(WrittenPolicy& written, Policy& policy) {
    Document head = written.head->copy();
    const std::size_t count = written.rules.size();
    put_rules_key(head, count != 0);
    std::string text;
    policy.rule_pos.clear();
    if (count == 0) {
        text = emit(head.root, written.format);
    } else {
        const TextFrame frame = emit_frame(head.root, written.format, count);
        text = frame.before;
        policy.rule_pos.reserve(count);
        SourcePos pos = frame.first_rule;
        for (const WrittenRule& rule : std::as_const(written.rules)) {
            if (!policy.rule_pos.empty()) text += frame.between;
            text += rule.text;
            policy.rule_pos.push_back(pos);
            ++pos.line;
        }
        text += frame.after;
    }
    restamp(policy, head.root);
    written.head = std::make_shared<const Document>(std::move(head));
    return text;
}

}  // namespace sluice::cp
