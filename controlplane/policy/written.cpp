#include "controlplane/policy/written.hpp"

#include <functional>
#include <future>
#include <span>
#include <utility>

#include "controlplane/policy/canonical.hpp"
#include "controlplane/policy/emit.hpp"
#include "controlplane/policy/sha256.hpp"
#include "controlplane/policy/version.hpp"

namespace sluice::cp {

namespace {

constexpr std::string_view kRules = "rules";
/// Room for what an edit adds to a text.
constexpr std::size_t kTextMore = 64U << 10;

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

/// Rules from i on that stand one behind the other in the text before, too.
std::size_t TextBefore::run_from(const WrittenPolicy& after, std::size_t i) const {
    if (written == nullptr || i >= places.size() || written->text_at.size() != written->lines.size() + 1) return 0;
    std::size_t run = 0;
    while (i + run < after.lines.size() && places[i + run] == places[i] + run && places[i] != kNotShared) ++run;
    return run;
}

std::string_view TextBefore::lines(std::size_t from, std::size_t count, std::size_t between) const {
    const std::size_t begin = written->text_at[from], end = written->text_at[from + count] - between;
    return text.substr(begin, end - begin);
}

std::uint64_t hash_of_id(std::string_view id) noexcept { return std::hash<std::string_view>{}(id); }

WrittenRule written_rule(Node& rule, PolicyFormat format) {
    const auto digest = sha256(canonical_rule(rule));
    return {emit_rule(rule, format), digest};
}

namespace {

/// Below so many rules a thread is not worth its while.
constexpr std::size_t kRulesWorthAThread = 2000;

/// `digests`: a place for each rule's.
SharedList<std::string> written_rules(std::span<Node> rules, PolicyFormat format, abi::Digest256* digests) {
    SharedList<std::string> lines;
    for (Node& rule : rules) {
        auto written = written_rule(rule, format);
        *digests++ = written.digest;
        lines.push_back(std::move(written.line));
    }
    return lines;
}

}  // namespace

WrittenPolicy written_policy(Document document, PolicyFormat format) {
    WrittenPolicy written{.format = format};
    if (auto* rules = document.root.find(kRules)) {
        const std::span<Node> all{rules->children};
        written.id_hashes.reserve(all.size());
        for (const Node& rule : all) written.id_hashes.push_back(hash_of_id(id_of(rule)));
        written.rule_digests.resize(all.size());
        // Spelling 100,000 rules twice takes longest of all that reading does: a second thread spells half of them.
        const std::size_t half = all.size() < kRulesWorthAThread ? all.size() : all.size() / 2;
        auto* const digests = written.rule_digests.data();
        auto rest = std::async(half == all.size() ? std::launch::deferred : std::launch::async,
                               [&] { return written_rules(all.subspan(half), format, digests + half); });
        written.lines = written_rules(all.first(half), format, digests);
        const auto behind = rest.get();
        written.lines.append(behind, 0, behind.size());
        rules->children = {};
    }
    written.head_digest = sha256(canonical_head(document.root));
    // A copy has no more bytes than it needs: the rules' are most.
    written.head = std::make_shared<const Document>(document.copy());
    return written;
}

abi::Digest256 WrittenPolicy::version() const { return version_of(head_digest, rule_digests); }

std::string write_out(WrittenPolicy& written, Policy& policy, const TextBefore& before) {
    Document head = written.head->copy();
    const std::size_t count = written.lines.size();
    put_rules_key(head, count != 0);
    std::string text;
    policy.rule_pos.clear();
    written.text_at.clear();
    if (count == 0) {
        text = emit(head.root, written.format);
    } else {
        const TextFrame frame = emit_frame(head.root, written.format, count);
        text.reserve(before.text.size() + frame.before.size() + frame.after.size() + kTextMore);
        text = frame.before;
        policy.rule_pos.reserve(count);
        written.text_at.reserve(count + 1);
        SourcePos pos = frame.first_rule;
        for (std::size_t i = 0; i < count;) {
            if (i != 0) text += frame.between;
            const std::size_t run = before.run_from(written, i);
            if (run == 0) {
                written.text_at.push_back(text.size());
                text += std::as_const(written.lines)[i++];
                continue;
            }
            const std::size_t from = before.places[i], moved = text.size() - before.written->text_at[from];
            for (std::size_t k = 0; k < run; ++k)
                written.text_at.push_back(before.written->text_at[from + k] + moved);  // may wrap, and wraps back
            text += before.lines(from, run, frame.between.size());
            i += run;
        }
        written.text_at.push_back(text.size() + frame.between.size());
        for (std::size_t i = 0; i < count; ++i) {
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
