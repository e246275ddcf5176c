#include "controlplane/policy/canonical.hpp"

#include <gtest/gtest.h>

#include <string>

#include "controlplane/policy/emit.hpp"
#include "controlplane/policy/reader.hpp"
#include "controlplane/policy/sha256.hpp"
#include "controlplane/policy/version.hpp"

namespace sluice::cp {
namespace {

constexpr std::string_view kBase = R"(sluice: 1
name: edge
default: {action: deny}
zones:
  lan: {ports: [p, q]}
  wan: {ports: [r]}
sets:
  web: {nets: [10.0.0.0/8, "2001:db8::/32"]}
services:
  mgmt: [tcp/22, tcp/3389]
rules:
  - {id: one, from: lan, to: [web, wan], service: [https, mgmt], action: allow}
  - {id: two, from: {zone: wan, set: web}, to: any, action: deny}
tests:
  - {from: 10.0.0.1@lan, to: "192.0.2.1@wan:443/tcp", expect: allow}
)";

std::string version(std::string_view text, PolicyFormat format = PolicyFormat::yaml) {
    const auto policy = read_policy(text, format);
    if (policy) return to_hex(policy->version);
    ADD_FAILURE() << policy.error().front().detail << "\n" << text;
    return {};
}

std::string with(std::string_view from, std::string_view to) {
    std::string text{kBase};
    const auto at = text.find(from);
    if (at == std::string::npos) {
        ADD_FAILURE() << "the base has no " << from;
        return text;
    }
    return text.replace(at, from.size(), to);
}

TEST(Canonical, IsOneTextForOnePolicy) {
    const auto parsed = parse_document(kBase, PolicyFormat::yaml);
    const auto text = canonical_text(parsed.document);
    EXPECT_EQ(
        text,
        R"({"default":{"action":"deny","log":"none"},"name":"edge","rules":[)"
        R"({"action":"allow","from":["lan"],"id":"one","log":"none","mode":"enforce","service":["https","mgmt"],"to":["wan","web"]},)"
        R"({"action":"deny","from":[{"set":["web"],"zone":"wan"}],"id":"two","log":"none","mode":"enforce","to":["any"]}],)"
        R"("seq_check":"strict",)"
        R"("services":{"mgmt":["tcp/22","tcp/3389"]},"sets":{"web":{"nets":["10.0.0.0/8","2001:db8::/32"]}},"sluice":1,)"
        R"("tests":[{"expect":"allow","from":"10.0.0.1@lan","to":"192.0.2.1@wan tcp/443"}],)"
        R"("timeouts":{"icmp":"1m","other":"10m","tcp_closed":"10s","tcp_closing":"2m","tcp_established":"124m",)"
        R"("tcp_opening":"30s","tcp_unacknowledged":"5m","udp_oneway":"30s","udp_stream":"3m"},)"
        R"("wire":{"arp":"allow","nd":"allow","other":"deny"},"zones":{"lan":{"ports":["p","q"]},"wan":{"ports":["r"]}}})");
    EXPECT_EQ(to_hex(flat_version_of(parsed.document)), to_hex(sha256(text)));
}

TEST(Canonical, DoesNotSeeSpellingAndLayout) {
    const auto base = version(kBase);
    for (const auto& same : {
             "# a comment\n" + std::string{kBase},
             "on_change: reevaluate\n" + std::string{kBase},
             with("[p, q]", "[q, p]"),
             with("[10.0.0.0/8, \"2001:db8::/32\"]", "[\"2001:0DB8:0::/32\", '10.0.0.0/8', 10.0.0.0/8]"),
             with("to: [web, wan]", "to: [wan, {set: web}]"),
             with("service: [https, mgmt]", "service: [mgmt, https, mgmt]"),
             with("to: any", "to: [any]"),
             with("from: lan", "from: {zone: lan}"),
             with("set: web", "set: [web]"),
             with("id: two, ", "mode: enforce, log: none, id: two, "),
             with("{action: deny}\n", "\n  log: none\n  action: deny\nwire: {nd: allow}\n"),
             with("tcp/22, tcp/3389", "tcp/3389-3389, tcp/22"),
             with("10.0.0.1@lan", "\"10.0.0.1@lan:49152\""),
         }) {
        EXPECT_EQ(version(same), base) << same;
    }
}

TEST(Canonical, SeesEverythingElse) {
    const auto base = version(kBase);
    for (const auto& other : {
             with("name: edge", "name: edges"),
             with("{action: deny}\n", "{action: deny, log: start}\n"),
             with("[p, q]", "[p]"),
             with("lan: {ports: [p, q]}\n  wan: {ports: [r]}", "wan: {ports: [p, q]}\n  lan: {ports: [r]}"),
             with("10.0.0.0/8", "10.0.0.0/9"),
             with("tcp/3389", "udp/3389"),
             with("id: two, from: {zone: wan, set: web}", "id: two, from: [wan, web]"),
             with("id: two", "id: three"),
             with("service: [https, mgmt], ", ""),
             with("to: any, action: deny", "to: any, action: reject"),
             with("to: any, action: deny", "to: any, action: deny, mode: observe"),
             with("to: any, action: deny", "to: any, action: deny, log: end"),
             with("to: any, action: deny", "to: any, action: deny, layer: 60"),
             with("expect: allow", "expect: deny"),
             with("expect: allow", "expect: allow, by: one"),
             with("443/tcp", "444/tcp"),
             with("zones:", "wire: {arp: deny}\nzones:"),
         }) {
        EXPECT_NE(version(other), base) << other;
    }
    const auto swapped = with(R"(  - {id: two, from: {zone: wan, set: web}, to: any, action: deny}
)",
                              "");
    auto reordered = swapped;
    reordered.insert(reordered.find("  - {id: one"),
                     "  - {id: two, from: {zone: wan, set: web}, to: any, action: deny}\n");
    EXPECT_NE(version(reordered), base);
}

TEST(Canonical, TellsWhatIsLeftOut) {
    const auto but = [](std::string_view from) { return with("from: {zone: wan, set: web}", from); };
    const auto base = version(but("from: {zone: wan, not: web}"));
    EXPECT_EQ(version(but("from: {not: [web, web], zone: wan}")), base);
    for (const auto& other : {but("from: wan"), but("from: {not: web}"), but("from: {zone: wan, set: web}"),
                              but("from: {zone: lan, not: web}"), but("from: {zone: wan, set: 10.0.0.1, not: web}")}) {
        EXPECT_NE(version(other), base) << other;
    }
    const auto parsed = parse_document(but("from: [{set: [10.0.0.1], not: web}, lan]"), PolicyFormat::yaml);
    EXPECT_NE(canonical_text(parsed.document).find(R"("from":["lan",{"not":["web"],"set":["10.0.0.1"]}])"),
              std::string::npos)
        << canonical_text(parsed.document);
}

TEST(Canonical, TellsWhoIsNeverBlockedAndWhatTestsGive) {
    const auto but = [](std::string_view never_block, std::string_view given) {
        auto text = with("sets:\n", "sets:\n  blocked: {members: api}\n  bad: {members: api}\n");
        const std::string_view test = "expect: allow";
        text.replace(text.find(test), test.size(), "expect: allow, given: " + std::string{given});
        return text + "never_block: " + std::string{never_block} + "\n";
    };
    const auto base = version(but("[web, 10.9.0.0/24]", "{blocked: [10.0.0.1, 10.1.0.0/16], bad: [10.0.0.2]}"));
    EXPECT_EQ(version(but("[10.9.0.0/24, web, web]", "{bad: 10.0.0.2, blocked: [10.1.0.0/16, 10.0.0.1/32]}")), base);
    for (const auto& other : {
             but("[web]", "{blocked: [10.0.0.1, 10.1.0.0/16], bad: [10.0.0.2]}"),
             but("[web, 10.9.0.0/25]", "{blocked: [10.0.0.1, 10.1.0.0/16], bad: [10.0.0.2]}"),
             but("[web, 10.9.0.0/24]", "{blocked: [10.0.0.1, 10.1.0.0/16]}"),
             but("[web, 10.9.0.0/24]", "{blocked: [10.0.0.1, 10.2.0.0/16], bad: [10.0.0.2]}"),
             but("[web, 10.9.0.0/24]", "{bad: [10.0.0.1, 10.1.0.0/16], blocked: [10.0.0.2]}"),
         }) {
        EXPECT_NE(version(other), base) << other;
    }
    auto parsed =
        parse_document(but("[web, 10.9.0.0/24]", "{blocked: [10.0.0.1], bad: [10.0.0.2]}"), PolicyFormat::yaml);
    const auto written = version(but("[web, 10.9.0.0/24]", "{blocked: [10.0.0.1], bad: [10.0.0.2]}"));
    for (const auto format : {PolicyFormat::yaml, PolicyFormat::json})
        EXPECT_EQ(version(emit(parsed.document.root, format), format), written);
}

TEST(Canonical, ApprovalsThatAreNotAskedForAreNotTold) {
    const auto asked = [](std::string_view what) { return version(with("zones:", std::string{what} + "\nzones:")); };
    const auto one = asked("approvals: {needed: 1}");
    EXPECT_NE(one, version(kBase));
    EXPECT_EQ(asked("approvals: {within: 24h, needed: 1}"), one);
    EXPECT_EQ(asked("approvals: {needed: 1, within: 1440m}"), one);
    EXPECT_NE(asked("approvals: {needed: 1, within: 23h}"), one);
    EXPECT_NE(asked("approvals: {needed: 2}"), one);
}

TEST(Canonical, SurvivesBeingWrittenOutInBothFormats) {
    auto parsed = parse_document(kBase, PolicyFormat::yaml);
    for (const auto format : {PolicyFormat::yaml, PolicyFormat::json}) {
        const auto text = emit(parsed.document.root, format);
        EXPECT_EQ(version(text, format), version(kBase)) << text;
        // Places in the tree are those in the text just written: reading it again finds the same.
        const auto again = parse_document(text, format);
        const auto& rules = *again.document.root.find("rules");
        const auto& ours = *parsed.document.root.find("rules");
        ASSERT_EQ(rules.children.size(), ours.children.size());
        for (std::size_t i = 0; i < rules.children.size(); ++i) {
            EXPECT_EQ(rules.children[i].pos.line, ours.children[i].pos.line);
            EXPECT_EQ(rules.children[i].pos.column, ours.children[i].pos.column);
            EXPECT_EQ(rules.children[i].key(0).pos.column, ours.children[i].key(0).pos.column);
        }
        auto second = parse_document(text, format);
        EXPECT_EQ(emit(second.document.root, format), text) << "writing is not stable";
    }
}

TEST(Emit, NamesOfDigitsStayNames) {
    const std::string_view text =
        "sluice: 1\nname: 7\ndefault: {action: deny}\nzones: {4: {ports: [0]}}\nsets: {08: {nets: [::1]}}\n";
    auto parsed = parse_document(text, PolicyFormat::yaml);
    const auto json = emit(parsed.document.root, PolicyFormat::json);
    EXPECT_EQ(version(json, PolicyFormat::json), version(text)) << json;
}

TEST(Emit, WordsThatYaml11TakesForBooleansAreQuoted) {
    auto parsed = parse_document("[on, Off, \"yes\", NO, y, n, only, none]", PolicyFormat::yaml);
    EXPECT_EQ(emit(parsed.document.root, PolicyFormat::yaml),
              "- \"on\"\n- \"Off\"\n- \"yes\"\n- \"NO\"\n- \"y\"\n- \"n\"\n- only\n- none\n");
}

TEST(Emit, QuotesWhatYamlWouldReadOtherwise) {
    const std::string words =
        R"(["", "null", "~", "- a", "-a", "a: b", "a #b", "{", "*x", "&x", "!x", "%x", "@x", "`x", "2001:db8::", "yes", " a ", "a\nb", "\u0001", "\u007f", "\"", "\\", "café", "😀", "'", "?", "...", "---", "a/b", "1.5", "0x1f", "=", "<<", "|", ">"])";
    auto parsed = parse_document(words, PolicyFormat::json);
    ASSERT_TRUE(parsed.whole);
    const auto text = emit(parsed.document.root, PolicyFormat::yaml);
    const auto again = parse_document(text, PolicyFormat::yaml);
    ASSERT_TRUE(again.whole && again.errors.empty()) << text;
    ASSERT_EQ(again.document.root.children.size(), parsed.document.root.children.size()) << text;
    for (std::size_t i = 0; i < again.document.root.children.size(); ++i) {
        EXPECT_EQ(again.document.root.children[i].kind, Node::Kind::scalar) << i;
        EXPECT_EQ(again.document.root.children[i].text, parsed.document.root.children[i].text);
    }
}

}  // namespace
}  // namespace sluice::cp
