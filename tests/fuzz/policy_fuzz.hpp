/// What must hold for any text that is handed to the policy reader, whatever its format. Aborts with a sentence.
#pragma once

#include <string_view>

#include "controlplane/policy/edits.hpp"
#include "controlplane/policy/emit.hpp"
#include "controlplane/policy/reader.hpp"
#include "tests/fuzz/input.hpp"

namespace sluice::test {

inline bool same_tree(const cp::Node& a, const cp::Node& b) {
    if (a.kind != b.kind || a.text != b.text || a.children.size() != b.children.size()) return false;
    for (std::size_t i = 0; i < a.children.size(); ++i) {
        if (!same_tree(a.children[i], b.children[i])) return false;
    }
    return true;
}

/// YAML takes no key of more than 1,024 characters on one line. No policy has one; a tree from JSON may.
inline bool has_long_key(const cp::Node& node) {
    for (std::size_t i = 0; i < node.children.size(); ++i) {
        if (node.kind == cp::Node::Kind::map && i % 2 == 0 && node.children[i].text.size() > 150) return true;
        if (has_long_key(node.children[i])) return true;
    }
    return false;
}

/// Levels of maps and lists.
inline std::size_t depth_of(const cp::Node& node) {
    std::size_t deepest = 0;
    for (const cp::Node& child : node.children) deepest = std::max(deepest, depth_of(child));
    return node.kind == cp::Node::Kind::map || node.kind == cp::Node::Kind::list ? deepest + 1 : 0;
}

inline void check_policy_text(std::string_view text, cp::PolicyFormat format) {
    constexpr cp::PolicyFormat kFormats[] = {cp::PolicyFormat::yaml, cp::PolicyFormat::json};
    auto parsed = cp::parse_document(text, format);
    const bool is_good = parsed.whole && parsed.errors.empty();
    must(is_good || !parsed.errors.empty(), "refused without a reason");
    must(depth_of(parsed.document.root) <= cp::DocumentLimits{}.depth_max, "no tree is deeper than the limit");
    if (is_good && !has_long_key(parsed.document.root)) {
        for (const auto to : kFormats) {
            auto written = parsed.document.root;
            const auto again = cp::parse_document(cp::emit(written, to), to);
            must(again.whole && again.errors.empty(), "what was written out does not read");
            must(same_tree(parsed.document.root, again.document.root), "what was written out reads as something else");
        }
    }
    const auto policy = cp::read_policy(text, format);
    if (!policy) {
        must(!policy.error().empty() && policy.error().size() <= 100, "no error, or more than a hundred");
        for (const auto& error : policy.error()) {
            must(!error.code.empty() && error.detail.size() < 1000 && error.pointer.size() < 4000,
                 "an error of odd size");
        }
        return;
    }
    for (const auto to : kFormats) {
        auto written = parsed.document.root;
        const auto again = cp::read_policy(cp::emit(written, to), to);
        must(again.has_value(), "an accepted policy is refused when written out");
        must(again->version == policy->version, "an accepted policy has another version when written out");
    }
}

}  // namespace sluice::test
