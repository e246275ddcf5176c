#include "controlplane/policy/edits.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <string>

namespace sluice::cp {
namespace {

constexpr std::string_view kYaml = R"(sluice: 1
name: edge
default: {action: deny}
zones:
  lan: {ports: [p]}
  wan: {ports: [q]}
sets:
  web: {nets: [10.0.0.1, "2001:db8::1"]}
rules:
  - {id: a, from: lan, to: wan, action: allow}
  - {id: b, from: wan, to: web, service: https, action: allow}
  - {id: c, from: any, to: any, action: reject}
tests:
  - {from: 192.0.2.1@wan, to: "10.0.0.1:443/tcp", expect: allow, by: b}
)";

constexpr std::string_view kJson = R"({"sluice": 1, "name": "edge", "default": {"action": "deny"},
 "zones": {"lan": {"ports": ["p"]}, "wan": {"ports": ["q"]}},
 "rules": [{"id": "a", "from": "lan", "to": "wan", "action": "allow"}]})";

std::string ids(const Policy& policy) {
    std::string text;
    for (const auto& rule : policy.rules) text += rule.id + " ";
    return text;
}

EditedPolicy edit(std::string_view base, PolicyFormat format, std::string_view edits) {
    auto result = apply_edits(base, format, edits);
    if (!result) {
        for (const auto& e : result.error()) ADD_FAILURE() << e.code << " " << e.pointer << " " << e.detail;
        return {};
    }
    return *result;
}

void expect_same_tree(const Node& one, const Node& other) {
    ASSERT_EQ(one.kind, other.kind);
    EXPECT_EQ(one.text, other.text);
    EXPECT_EQ(one.pos.line, other.pos.line) << one.text;
    EXPECT_EQ(one.pos.column, other.pos.column) << one.text;
    ASSERT_EQ(one.children.size(), other.children.size());
    for (std::size_t i = 0; i < one.children.size(); ++i) expect_same_tree(one.children[i], other.children[i]);
}

void expect_reads_back(const EditedPolicy& edited, PolicyFormat format) {
    const auto read = read_written(parse_document(edited.text, format), format);
    ASSERT_TRUE(read) << edited.text;
    // The pieces that are handed on are what the text would be read to.
    expect_same_tree(edited.written.head->root, read->written.head->root);
    EXPECT_EQ(edited.written.head_digest, read->written.head_digest);
    EXPECT_EQ(edited.written.rule_digests, read->written.rule_digests);
    EXPECT_EQ(edited.written.id_hashes, read->written.id_hashes);
    ASSERT_EQ(edited.written.lines.size(), read->written.lines.size());
    for (std::size_t i = 0; i < read->written.lines.size(); ++i)
        EXPECT_EQ(edited.written.lines[i], read->written.lines[i]);
    const Policy* again = &read->policy;
    EXPECT_EQ(again->version, edited.policy.version) << edited.text;
    ASSERT_EQ(again->rules.size(), edited.policy.rules.size());
    for (std::size_t i = 0; i < again->rules.size(); ++i) {
        EXPECT_EQ(again->pos_of_rule(i), edited.policy.pos_of_rule(i));
    }
    for (std::size_t i = 0; i < again->tests.size(); ++i) {
        EXPECT_EQ(again->tests[i].pos.line, edited.policy.tests[i].pos.line);
    }
    for (std::size_t i = 0; i < again->zones.size(); ++i) {
        EXPECT_EQ(again->zones[i].pos.line, edited.policy.zones[i].pos.line);
        EXPECT_EQ(again->zones[i].pos.column, edited.policy.zones[i].pos.column);
    }
}

TEST(Edits, InsertReplaceRemoveInOrder) {
    const auto edited = edit(kYaml, PolicyFormat::yaml, R"([
        {"op": "insert", "before": "b", "rule": {"id": "x", "from": "wan", "to": "2001:db8::/32", "service": ["ping"], "action": "allow"}},
        {"op": "insert", "after": "x", "rule": {"id": "y", "from": "wan", "to": "web", "action": "deny", "mode": "observe"}},
        {"op": "insert", "rule": {"id": "z", "from": "any", "to": "any", "action": "pass"}},
        {"op": "replace", "id": "c", "rule": {"id": "c2", "from": "any", "to": "any", "action": "deny"}},
        {"op": "remove", "id": "a"},
        {"op": "insert", "before": "c2", "rule": {"id": "a", "from": "lan", "to": "any", "action": "allow"}}])");
    EXPECT_EQ(ids(edited.policy), "x y b a c2 z ");
    expect_reads_back(edited, PolicyFormat::yaml);
    EXPECT_NE(edited.text.find("\n  - {id: b, from: wan, to: web, service: https, action: allow}\n"), std::string::npos)
        << edited.text;
    EXPECT_NE(edited.text.find("to: \"2001:db8::/32\""), std::string::npos) << edited.text;
}

TEST(Edits, JsonStaysJson) {
    const auto edited =
        edit(kJson, PolicyFormat::json,
             R"([{"op": "insert", "after": "a", "rule": {"id": "b", "from": "any", "to": "any", "action": "deny"}}])");
    EXPECT_EQ(ids(edited.policy), "a b ");
    EXPECT_EQ(edited.text.front(), '{');
    expect_reads_back(edited, PolicyFormat::json);
}

TEST(Edits, AnInsertedRuleGoesToTheEndOfItsLayer) {
    const std::string_view base = R"(sluice: 1
name: layered
default: {action: deny}
zones: {lan: {ports: [p]}, wan: {ports: [q]}}
rules:
  - {id: a, from: lan, to: wan, action: pass, layer: 10}
  - {id: b, from: wan, to: lan, action: deny, layer: 10}
  - {id: c, from: any, to: any, action: allow}
)";
    const auto edited = edit(base, PolicyFormat::yaml, R"([
        {"op": "insert", "rule": {"id": "x", "from": "wan", "to": "any", "action": "deny", "layer": 10}},
        {"op": "insert", "rule": {"id": "y", "from": "wan", "to": "any", "action": "deny", "layer": 0}},
        {"op": "insert", "rule": {"id": "z", "from": "wan", "to": "any", "action": "deny"}},
        {"op": "insert", "before": "c", "rule": {"id": "w", "from": "wan", "to": "any", "action": "deny", "layer": 20}},
        {"op": "replace", "id": "b", "rule": {"id": "b", "from": "lan", "to": "wan", "action": "deny", "layer": 10}}])");
    EXPECT_EQ(ids(edited.policy), "y a b x w c z ");
    EXPECT_EQ(edited.policy.rules[3].layer, 10);
    expect_reads_back(edited, PolicyFormat::yaml);
    for (
        const auto& [edits, pointer] :
        {std::pair{
             R"([{"op": "insert", "after": "c", "rule": {"id": "x", "from": "any", "to": "any", "action": "deny", "layer": 10}}])",
             "/0/rule"},
         std::pair{
             R"([{"op": "remove", "id": "c"}, {"op": "insert", "before": "a", "rule": {"id": "x", "from": "any", "to": "any", "action": "deny"}}])",
             "/1/rule"},
         std::pair{
             R"([{"op": "replace", "id": "a", "rule": {"id": "a", "from": "any", "to": "any", "action": "deny"}}])",
             "/0/rule"}}) {
        const auto refused = apply_edits(base, PolicyFormat::yaml, edits);
        ASSERT_FALSE(refused) << edits;
        EXPECT_EQ(refused.error().front().code, "layer-order");
        EXPECT_EQ(refused.error().front().pointer, pointer);
    }
}

TEST(Edits, NoChangeKeepsTheVersion) {
    const auto edited = edit(kYaml, PolicyFormat::yaml, R"([
        {"op": "insert", "rule": {"id": "x", "from": "any", "to": "any", "action": "deny"}}, {"op": "remove", "id": "x"}])");
    EXPECT_EQ(edited.policy.version, read_policy(kYaml, PolicyFormat::yaml)->version);
}

TEST(Edits, TheLastRuleMayGoAndTheFirstMayCome) {
    const auto empty = edit(kJson, PolicyFormat::json, R"([{"op": "remove", "id": "a"}])");
    EXPECT_TRUE(empty.policy.rules.empty());
    EXPECT_EQ(empty.text.find("rules"), std::string::npos) << empty.text;
    expect_reads_back(empty, PolicyFormat::json);
    const auto again =
        edit(empty.text, PolicyFormat::json,
             R"([{"op": "insert", "rule": {"id": "a", "from": "lan", "to": "wan", "action": "allow"}}])");
    EXPECT_EQ(again.policy.version, read_policy(kJson, PolicyFormat::json)->version);
    expect_reads_back(again, PolicyFormat::json);
}

TEST(Edits, PointAtWhatIsWrong) {
    struct Case {
        std::string_view edits, code, pointer, remedy;
        SourcePos pos;
    };
    const Case cases[] = {
        {R"([{"op": "remove", "id": "xyz"}])", "undefined-name", "/0/id", "name a rule of the policy", {1, 25}},
        {R"([{"op": "insert", "before": "x1", "rule": {"id": "n", "from": "any", "to": "any", "action": "deny"}}])",
         "undefined-name",
         "/0/before",
         "as it is after the edits before",
         {1, 29}},
        {R"([{"op": "remove"}])", "missing-key", "/0", "lacks \"id\"; add it", {1, 2}},
        {R"([{"op": "insert"}])", "missing-key", "/0", "lacks \"rule\"; add it", {1, 2}},
        {R"([{"op": "insert", "rule": {"id": "a", "from": "any", "to": "any", "action": "deny"}}])",
         "duplicate-id",
         "/0/rule/id",
         "replace that rule",
         {1, 34}},
        {R"([{"op": "replace", "id": "a", "rule": {"id": "b", "from": "any", "to": "any", "action": "deny"}}])",
         "duplicate-id",
         "/0/rule/id",
         "choose another one",
         {1, 46}},
        {R"([{"op": "insert", "before": "a", "after": "b", "rule": {"id": "n", "from": "any", "to": "any", "action": "deny"}}])",
         "edit-conflict",
         "/0/after",
         "keep one",
         {1, 43}},
        {R"([{"op": "insert", "id": "m", "rule": {"id": "n", "from": "any", "to": "any", "action": "deny"}}])",
         "edit-conflict",
         "/0/id",
         "leave it out",
         {1, 25}},
        {R"([{"op": "replace", "id": "a", "after": "b", "rule": {"id": "a", "from": "any", "to": "any", "action": "deny"}}])",
         "edit-conflict",
         "/0/after",
         "remove and insert it to move it",
         {1, 40}},
        {R"([{"op": "remove", "id": "a", "rule": {"id": "a", "from": "any", "to": "any", "action": "deny"}}])",
         "edit-conflict",
         "/0/rule",
         "the id only",
         {1, 38}},
        {R"([{"op": "delete", "id": "a"}])", "bad-choice", "/0/op", "write insert, replace or remove", {1, 9}},
        {R"([{"op": "remove", "id": "a", "foo": 1}])", "unknown-key", "/0/foo", "not part of an edit", {1, 30}},
        {R"([])", "empty-list", "", "list at least one", {1, 1}},
        {R"({})", "wrong-type", "", "write a list", {1, 1}},
        {R"([{"op": "remove", "id": "a"},)", "bad-json", "/1", "RFC 8259", {1, 30}},
        {R"([{"op": "remove", "id": "a"}, {"op": "insert", "rule": {"id": "n", "from": "wam", "to": "any", "action": "deny"}}])",
         "undefined-name",
         "/1/rule/from",
         "did you mean \"wan\"?",
         {1, 76}},
        {R"([{"op": "insert", "rule": {"id": "n", "from": "any", "to": "any", "action": "deny", "sni": "me"}}])",
         "not-supported-yet",
         "/0/rule/sni",
         "not supported yet",
         {1, 85}},
        // Elsewhere in the policy: what an edit breaks is shown where it stands in the stored text.
        {R"([{"op": "remove", "id": "b"}])", "undefined-name", "/tests/0/by", "name a rule", {14, 70}},
    };
    for (const auto& [edits, code, pointer, remedy, pos] : cases) {
        SCOPED_TRACE(edits);
        const auto result = apply_edits(kYaml, PolicyFormat::yaml, edits);
        ASSERT_FALSE(result);
        ASSERT_EQ(result.error().size(), 1U);
        const auto& error = result.error().front();
        EXPECT_EQ(error.code, code);
        EXPECT_EQ(error.pointer, pointer);
        EXPECT_EQ(error.pos.line, pos.line);
        EXPECT_EQ(error.pos.column, pos.column);
        EXPECT_NE(error.detail.find(remedy), std::string::npos) << error.detail;
    }
    std::string many = "[";
    for (int i = 0; i < 1001; ++i) many += (i ? "," : "") + std::string{R"({"op": "remove", "id": "a"})"};
    EXPECT_EQ(apply_edits(kYaml, PolicyFormat::yaml, many + "]").error().front().code, "too-many");
}

TEST(Edits, OfAThousandRulesAreQuick) {
    std::string text{kYaml.substr(0, kYaml.find("tests:"))};
    for (int i = 0; i < 1000; ++i) {
        text += "  - {id: r" + std::to_string(i) + ", from: lan, to: 10.1.0." + std::to_string(i % 256) +
                ", service: tcp/" + std::to_string(i + 1) + ", action: allow}\n";
    }
    const auto started = std::chrono::steady_clock::now();
    const auto edited = edit(text, PolicyFormat::yaml, R"([{"op": "remove", "id": "r500"}])");
    const auto ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - started).count();
    EXPECT_EQ(edited.policy.rules.size(), 1002U);
    std::printf("one edit of 1,000 rules: %.1f ms\n", ms);
    EXPECT_LT(ms, 5000);  // a hang limit
}

// They stand in the head, which an edit does not read again; the sets' numbers are those of the base.
TEST(Edits, KeepWhomNothingBlocksAndWhatTestsGive) {
    const std::string text = R"(sluice: 1
name: n
default: {action: deny}
zones: {lan: {ports: [p]}, wan: {ports: [q]}}
sets: {blocked: {members: api}, regulator: {nets: [203.0.113.128/25]}}
never_block: [regulator, 10.9.0.0/24]
rules: [{id: no, from: blocked, to: any, action: deny}]
tests: [{from: 192.0.2.66@lan, to: "10.0.0.2:1/tcp", given: {blocked: [192.0.2.66]}, expect: deny}]
)";
    const auto kept = *read_written(parse_document(text, PolicyFormat::yaml), PolicyFormat::yaml);
    const auto edited =
        apply_edits({kept.policy, kept.written, text},
                    R"([{"op": "insert", "rule": {"id": "x", "from": "lan", "to": "wan", "action": "allow"}}])");
    ASSERT_TRUE(edited) << edited.error().front().detail;
    EXPECT_EQ(edited->policy.never_block, kept.policy.never_block);
    ASSERT_EQ(edited->policy.tests[0].given.size(), 1U);
    EXPECT_EQ(edited->policy.tests[0].given[0].members.size(), 1U);
    const auto again = read_policy(edited->text, PolicyFormat::yaml);
    ASSERT_TRUE(again) << edited->text;
    EXPECT_EQ(again->never_block, kept.policy.never_block);
    EXPECT_EQ(again->version, edited->policy.version);
}

// A base that is kept in pieces stays as it is, and edits upon edits are edits of the text each time. What no edit
// names is not even copied.
TEST(Edits, KeptPiecesAreAsGoodAsTheText) {
    for (const auto& [text, format] : {std::pair{kYaml, PolicyFormat::yaml}, {kJson, PolicyFormat::json}}) {
        std::string base{text};
        ReadPolicy kept = *read_written(parse_document(base, format), format);
        for (int i = 0; i < 20; ++i) {
            const auto id = "n" + std::to_string(i);
            std::string edits = R"([{"op": "insert", "before": "a", "rule": {"id": ")" + id +
                                R"(", "from": "2001:db8::", "to": ["10.0.0.)" + std::to_string(i) +
                                R"(", "2001:db8::/32"], "service": "tcp/80", "action": "deny"}})";
            if (i > 2) edits += R"(, {"op": "remove", "id": "n)" + std::to_string(i - 2) + R"("})";
            edits += "]";
            const auto from_text = edit(base, format, edits);
            auto from_kept = apply_edits({kept.policy, kept.written, base, kept.written.text_at}, edits);
            ASSERT_TRUE(from_kept);
            EXPECT_EQ(from_kept->text, from_text.text);
            EXPECT_EQ(from_kept->policy.version, from_text.policy.version);
            expect_reads_back(*from_kept, format);
            std::size_t same_bytes = 0;
            for (const SharedRun& run : from_kept->kept) {
                EXPECT_EQ(from_kept->text.substr(run.after, run.count), base.substr(run.before, run.count));
                same_bytes += run.count;
            }
            // The user's own layout is given up with the first edit.
            EXPECT_EQ(same_bytes > 50, i != 0) << same_bytes;
            const auto again = apply_edits({kept.policy, kept.written, base}, edits);
            ASSERT_TRUE(again);
            EXPECT_EQ(again->text, from_text.text);
            const std::size_t last = kept.policy.rules.size() - 1, now_last = from_kept->policy.rules.size() - 1;
            EXPECT_TRUE(from_kept->policy.rules.same(now_last, kept.policy.rules, last));
            EXPECT_TRUE(from_kept->written.lines.same(now_last, kept.written.lines, last));
            base = from_text.text;
            kept = {std::move(from_kept->policy), std::move(from_kept->written)};
        }
        EXPECT_FALSE(apply_edits({kept.policy, kept.written, base}, R"([{"op": "remove", "id": "nowhere"}])"));
    }
}

}  // namespace
}  // namespace sluice::cp
