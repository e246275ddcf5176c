#include "controlplane/policy/written.hpp"

#include <algorithm>
#include <functional>
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

std::uint64_t hash_of_id(std::string_view id) noexcept { return std::hash<std::string_view>{}(id); }

WrittenRule written_rule(const Node& rule, PolicyFormat format) {
    return {emit_rule(rule, format), sha256(canonical_rule(rule))};
}

/// Rules side by side, written by one thread.
struct WrittenRules::Piece {
    std::vector<std::string> lines;
    std::vector<abi::Digest256> digests;
};

namespace {

constexpr std::size_t kRulesOfAPiece = 512;

std::span<const Node> rules_of(const Document& document) {
    const auto* rules = document.root.find(kRules);
    return rules == nullptr ? std::span<const Node>{} : std::span{rules->children};
}

}  // namespace

WrittenRules::WrittenRules(const Document& document, PolicyFormat format)
    : rules_{rules_of(document)}, format_{format}, pieces_((rules_.size() + kRulesOfAPiece - 1) / kRulesOfAPiece) {
    if (rules_.size() >= kRulesWorthAThread) helper_ = std::async(kAThreadIfThereIsOne, [this] { write_pieces(); });
}

WrittenRules::~WrittenRules() {
    next_ = pieces_.size();
    if (helper_.valid()) helper_.wait();
}

void WrittenRules::write_pieces() {
    for (std::size_t p = next_++; p < pieces_.size(); p = next_++) {
        const std::size_t first = p * kRulesOfAPiece;
        for (const Node& rule : rules_.subspan(first, std::min(kRulesOfAPiece, rules_.size() - first))) {
            auto written = written_rule(rule, format_);
            pieces_[p].lines.push_back(std::move(written.line));
            pieces_[p].digests.push_back(written.digest);
        }
    }
}

void WrittenRules::take(WrittenPolicy& written) {
    try {
        write_pieces();
    } catch (...) {  // the document may go with whoever called: nobody may look at it any more
        next_ = pieces_.size();
        if (helper_.valid()) helper_.wait();
        throw;
    }
    if (helper_.valid()) helper_.get();
    written.rule_digests.reserve(rules_.size());
    for (Piece& piece : pieces_) {
        for (std::string& line : piece.lines) written.lines.push_back(std::move(line));
        written.rule_digests.insert(written.rule_digests.end(), piece.digests.begin(), piece.digests.end());
    }
}

WrittenPolicy written_policy(Document document, PolicyFormat format, WrittenRules& rules) {
    WrittenPolicy written{.format = format};
    rules.take(written);
    if (auto* list = document.root.find(kRules)) {
        written.id_hashes.reserve(list->children.size());
        for (const Node& rule : list->children) written.id_hashes.push_back(hash_of_id(id_of(rule)));
        list->children = {};
    }
    written.head_digest = sha256(canonical_head(document.root));
    // A copy has no more bytes than it needs: the rules' are most.
    written.head = std::make_shared<const Document>(document.copy());
    return written;
}

abi::Digest256 WrittenPolicy::version() const { return version_of(head_digest, rule_digests); }

namespace {

/// The text of a policy's rules, one line each, behind what stands before them.
class RuleLines {
public:
    RuleLines(WrittenPolicy& written, const TextFrame& frame, const TextBefore& before, WrittenText& out)
        : written_{written}, between_{frame.between}, before_{before}, out_{out} {}

    void write() {
        const std::size_t count = written_.lines.size();
        written_.text_at.reserve(count + 1);
        const auto shared = before_.text_at.empty() ? std::span<const SharedRun>{} : before_.rules;
        std::size_t i = 0;
        for (const SharedRun& run : shared) {
            while (i < run.after) add(i++);
            copy(run);
            i += run.count;
        }
        while (i < count) add(i++);
        written_.text_at.push_back(out_.text.size() + between_.size());
    }

private:
    void begin_line() {
        if (!written_.text_at.empty()) out_.text += between_;
    }
    void add(std::size_t i) {
        begin_line();
        written_.text_at.push_back(out_.text.size());
        out_.text += std::as_const(written_.lines)[i];
    }
    void copy(const SharedRun& run) {
        begin_line();
        const auto were_at = before_.text_at.subspan(run.before, run.count + 1);
        const SharedRun bytes{.before = were_at.front(),
                              .after = out_.text.size(),
                              .count = were_at.back() - were_at.front() - between_.size()};
        const std::size_t moved = bytes.after - bytes.before;  // may wrap, and wraps back
        for (const std::size_t at : were_at.first(run.count)) written_.text_at.push_back(at + moved);
        out_.text += before_.text.substr(bytes.before, bytes.count);
        add_run(out_.kept, bytes);
    }

    WrittenPolicy& written_;
    std::string_view between_;
    const TextBefore& before_;
    WrittenText& out_;
};

}  // namespace

WrittenText write_out(WrittenPolicy& written, Policy& policy, const TextBefore& before) {
    Document head = written.head->copy();
    const std::size_t count = written.lines.size();
    put_rules_key(head, count != 0);
    WrittenText out;
    policy.rule_pos.clear();
    written.text_at.clear();
    if (count == 0) {
        out.text = emit(head.root, written.format);
    } else {
        const TextFrame frame = emit_frame(head.root, written.format, count);
        out.text.reserve(before.text.size() + frame.before.size() + frame.after.size() + kTextMore);
        out.text = frame.before;
        RuleLines{written, frame, before, out}.write();
        out.text += frame.after;
        policy.rule_pos.reserve(count);
        SourcePos pos = frame.first_rule;
        for (std::size_t i = 0; i < count; ++i) {
            policy.rule_pos.push_back(pos);
            ++pos.line;
        }
    }
    restamp(policy, head.root);
    written.head = std::make_shared<const Document>(std::move(head));
    return out;
}

}  // namespace sluice::cp
