// Every error that a policy can have, with its exact place and the words of its remedy. `<!>` marks the place and is
// taken out before reading. A case has exactly the one error it names.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "controlplane/policy/reader.hpp"

namespace sluice::cp {
namespace {

struct Case {
    std::string code, pointer, text, remedy;
    PolicyFormat format{PolicyFormat::yaml};
};

struct Marked {
    std::string text;
    std::uint32_t line{1}, column{1};
};

Marked unmark(std::string_view text) {
    constexpr std::string_view kMark = "<!>";
    const auto at = text.find(kMark);
    Marked result{std::string{text}};
    if (at == std::string_view::npos) return {std::string{text}, 0, 0};
    result.text.erase(at, kMark.size());
    for (const char c : text.substr(0, at)) {
        if (c == '\n') {
            ++result.line;
            result.column = 1;
        } else if ((static_cast<unsigned char>(c) & 0xc0U) != 0x80U) {
            ++result.column;
        }
    }
    return result;
}

void expect_only(const Case& wanted, const std::string& text) {
    const auto marked = unmark(text);
    SCOPED_TRACE(text);
    const auto policy = read_policy(marked.text, wanted.format);
    ASSERT_FALSE(policy) << "accepted";
    std::string all;
    for (const auto& e : policy.error()) {
        all += std::to_string(e.pos.line) + ":" + std::to_string(e.pos.column) + " " + e.code + " " + e.pointer + " " +
               e.detail + "\n";
    }
    ASSERT_EQ(policy.error().size(), 1U) << all;
    const auto& error = policy.error().front();
    EXPECT_EQ(error.code, wanted.code) << all;
    EXPECT_EQ(error.pointer, wanted.pointer) << all;
    EXPECT_EQ(error.pos.line, marked.line) << all;
    EXPECT_EQ(error.pos.column, marked.column) << all;
    EXPECT_NE(error.detail.find(wanted.remedy), std::string::npos) << all;
}

/// Whole documents.
TEST(ReaderErrors, OfTheDocument) {
    const std::string good =
        "sluice: 1\nname: n\ndefault: {action: deny}\nzones:\n  a: {ports: [p]}\n  b: {ports: [q]}\n";
    const std::vector<Case> cases{
        {"bad-version", "/sluice", "sluice: <!>2\nname: n\ndefault: {action: deny}\nzones: {a: {ports: [p]}}\n",
         "write the number 1"},
        {"bad-version", "/sluice", "sluice: <!>\"1\"\nname: n\ndefault: {action: deny}\nzones: {a: {ports: [p]}}\n",
         "write the number 1"},
        {"missing-key", "", "<!>name: n\ndefault: {action: deny}\nzones: {a: {ports: [p]}}\n",
         "lacks \"sluice\"; add it"},
        {"missing-key", "", "<!>sluice: 1\nname: n\nzones: {a: {ports: [p]}}\n", "lacks \"default\"; add it"},
        {"missing-key", "/default", "sluice: 1\nname: n\ndefault: <!>{log: end}\nzones: {a: {ports: [p]}}\n",
         "lacks \"action\"; add it"},
        {"bad-choice", "/default/action", "sluice: 1\nname: n\ndefault: {action: <!>pass}\nzones: {a: {ports: [p]}}\n",
         "write allow, deny or reject"},
        {"wrong-type", "/name", "sluice: 1\n<!>name:\ndefault: {action: deny}\nzones: {a: {ports: [p]}}\n",
         "nothing is written here; write a text"},
        {"wrong-type", "/name", "sluice: 1\nname: <!>[n]\ndefault: {action: deny}\nzones: {a: {ports: [p]}}\n",
         "this is a list; write a text"},
        {"bad-name", "/name", "sluice: 1\nname: <!>N\ndefault: {action: deny}\nzones: {a: {ports: [p]}}\n",
         "write 1 to 63 of a-z, 0-9 and -"},
        {"unknown-key", "/zone", good + "<!>zone: {}\n", "did you mean \"zones\"?"},
        {"unknown-key", "/xyzzy", good + "<!>xyzzy: {}\n",
         "not part of the policy; it may have sluice, name, default, approvals, layer, wire"},
        {"duplicate-key", "/name", good + "<!>name: again\n", "stands here and at 2:1; keep one"},
        {"duplicate-key", "/zones/a",
         "sluice: 1\nname: n\ndefault: {action: deny}\nzones:\n  a: {ports: [p]}\n  <!>a: {ports: [q]}\n",
         "stands here and at 5:3; keep one"},
        {"several-documents", "", good + "<!>---\nname: m\n", "a policy is one document"},
        {"alias", "/sets/s/nets/0", good + "sets: {s: {nets: [<!>*x]}}\n", "write the value out"},
        {"anchor", "/sets/s", good + "sets: {s: <!>&x {nets: [10.0.0.1]}}\n", "remove the &name"},
        {"tag", "/sets/s/nets/0", good + "sets: {s: {nets: [<!>!!str 10.0.0.1]}}\n", "remove the !tag"},
        {"tag", "/sets/s/nets/0", good + "sets: {s: {nets: [<!>! 10.0.0.1]}}\n", "remove the !tag"},
        {"bad-key", "/sets", good + "sets: {<!>[a]: {nets: [10.0.0.1]}}\n", "a key must be a plain word"},
        {"bad-yaml", "/sets/s/nets/0", good + "sets: {s: {nets: [10.0.0.1<!>}}\n",
         "check indentation, brackets and quotes"},
        {"bad-encoding", "", good + "# caf\xc3\xa9 <!>\xe9\n", "save the file as UTF-8"},
        {"bad-encoding", "", good + "# <!>\x01\n", "remove it"},
        {"wrong-type", "", "<!>- a\n", "this is a list; write a map"},
        {"wrong-type", "/rules", good + "rules: <!>{id: r}\n", "this is a map; write a list"},
        {"empty-list", "/rules", good + "rules: <!>[]\n", "list at least one"},
        {"empty-list", "/zones", "sluice: 1\nname: n\ndefault: {action: deny}\nzones: <!>{}\n", "list at least one"},
        {"bad-choice", "/wire/arp", good + "wire: {arp: <!>no}\n", "write allow or deny"},
        {"bad-choice", "/seq_check", good + "seq_check: <!>maybe\n", "write strict, log or off"},
        {"bad-choice", "/on_change", good + "on_change: <!>maybe\n", "write reevaluate, keep or kill"},
        {"never-used", "/rules/0/on_change",
         good + "rules:\n  - {id: r, from: any, to: any, action: allow, on_change: <!>kill}\n",
         "write it in the rule that denies"},
        {"unknown-key", "/timeouts/tcp_open", good + "timeouts: {<!>tcp_open: 3s}\n", "tcp_opening"},
        {"bad-duration", "/timeouts/icmp", good + "timeouts: {icmp: <!>30}\n",
         "write a number and one of ms, s, m, h, d"},
        {"bad-duration", "/timeouts/icmp", good + "timeouts: {icmp: <!>999ms}\n", "write at least 1s"},
        {"bad-duration", "/timeouts/icmp", good + "timeouts: {icmp: <!>31d}\n", "write at most 30d"},
        {"wrong-type", "/timeouts", good + "timeouts: <!>30s\n", "write a map"},
    };
    for (const auto& c : cases) expect_only(c, c.text);
}

constexpr std::string_view kGood =
    "sluice: 1\nname: n\ndefault: {action: deny}\nzones:\n  lan: {ports: [p]}\n  wan: {ports: [q]}\nsets:\n"
    "  web: {nets: [10.0.0.1]}\nservices:\n  mgmt: [tcp/22]\n";

TEST(ReaderErrors, OfZonesSetsAndServices) {
    const std::string head = "sluice: 1\nname: n\ndefault: {action: deny}\n";
    const std::string zones = "zones:\n  lan: {ports: [p]}\n  wan: {ports: [q]}\n";
    const std::vector<Case> cases{
        {"empty-list", "/zones/lan/ports", head + "zones: {lan: {ports: <!>[]}}\n", "list at least one"},
        {"bad-name", "/zones/lan/ports/0", head + "zones: {lan: {ports: [<!>a b]}}\n", "write 1 to 31 letters"},
        {"port-in-two-zones", "/zones/wan/ports/0", head + "zones:\n  lan: {ports: [p]}\n  wan: {ports: [<!>p]}\n",
         "stands here and at 5:17; each port is in one zone"},
        {"not-supported-yet", "/zones/lan/vlan", head + "zones: {lan: {ports: [p], <!>vlan: 7}}\n",
         "not supported yet"},
        {"bad-name", "/zones/La_n", head + "zones: {<!>La_n: {ports: [p]}}\n", "is no name"},
        {"reserved-name", "/zones/any", head + "zones: {<!>any: {ports: [p]}}\n", "choose another name"},
        {"name-clash", "/zones/dns", head + "zones: {<!>dns: {ports: [p]}}\n",
         "a built-in service; choose another name"},
        {"name-clash", "/sets/lan", head + zones + "sets:\n  <!>lan: {nets: [10.0.0.1]}\n",
         "set \"lan\" at 8:3 has the name of the zone at 5:3; zones, sets and services share one name space, rename "
         "one"},
        {"name-clash", "/services/wan", head + zones + "services: {<!>wan: [tcp/1]}\n", "of the zone at 6:3"},
        {"empty-list", "/sets/web/nets", head + zones + "sets: {web: {nets: <!>[]}}\n", "list at least one"},
        {"missing-key", "/sets/web", head + zones + "sets: {web: <!>{}}\n", "a set needs nets, or members: api"},
        {"not-supported-yet", "/sets/web/fqdn", head + zones + "sets: {web: {<!>fqdn: [a.example]}}\n",
         "not supported yet"},
        {"empty-list", "/services/mgmt", head + zones + "services: {mgmt: <!>[]}\n", "list at least one"},
        {"bad-service", "/services/mgmt/0", head + zones + "services: {mgmt: [<!>tcp]}\n", "write tcp/443"},
        // A service is made of terms: a name in it would be a second thing to look up and a cycle to refuse.
        {"bad-service", "/services/mgmt/0", head + zones + "services: {mgmt: [<!>https]}\n", "is no service"},
        {"quote-address", "/sets/web/nets/0", head + zones + "sets:\n  web:\n    nets:\n      - <!>2001:db8::\n",
         "quote this address: \"2001:db8::\""},
        {"quote-address", "/sets/web/nets/1", head + zones + "sets: {web: {nets: [10.0.0.1, <!>2001:db8::]}}\n",
         "quote this address: \"2001:db8::\""},
    };
    for (const auto& c : cases) expect_only(c, c.text);
}

/// P5: each refused with the path of the field.
TEST(ReaderErrors, P5_OfAddresses) {
    struct Net {
        std::string code, text, remedy;
    };
    const std::vector<Net> nets{
        {"host-bits", "10.0.0.1/8", "write 10.0.0.0/8 for the network or 10.0.0.1 for the host"},
        {"host-bits", "\"2001:db8::1/64\"", "write 2001:db8::/64 for the network or 2001:db8::1 for the host"},
        {"prefix-length", "10.0.0.0/33", "write /0 to /32"},
        {"prefix-length", "\"2001:db8::/129\"", "write /0 to /128"},
        {"prefix-length", "10.0.0.0/", "write /0 to /32"},
        {"prefix-length", "10.0.0.0/08", "write /0 to /32"},
        {"prefix-length", "10.0.0.0/-1", "write /0 to /32"},
        {"prefix-length", "10.0.0.0/255.0.0.0", "write /0 to /32"},
        {"leading-zero", "010.0.0.1", "write it without"},
        {"leading-zero", "10.0.0.00", "write it without"},
        {"mapped-address", "\"::ffff:10.0.0.1\"", "write the IPv4 address"},
        {"mapped-address", "\"::ffff:0a00:0/112\"", "write the IPv4 address"},
        {"scope-id", "\"fe80::1%eth0\"", "name the zone instead"},
        {"bad-address", "10.0.0", "write four numbers up to 255"},
        {"bad-address", "10.0.0.256", "write four numbers up to 255"},
        {"bad-address", "0x0a.0.0.1", "write four numbers up to 255"},
        {"bad-address", "10.0.0.1.2", "write four numbers up to 255"},
        {"bad-address", "web.example", "write four numbers up to 255"},
        {"bad-address", "\"2001:db8:::1\"", "write it like 2001:db8::1"},
        {"bad-address", "\"2001:db8::12345\"", "write it like 2001:db8::1"},
    };
    for (const auto& net : nets) {
        const auto text =
            std::string{kGood} + "rules:\n  - {id: r, from: [lan, <!>" + net.text + "], to: any, action: deny}\n";
        expect_only({net.code, "/rules/0/from/1", {}, net.remedy}, text);
        auto set = std::string{kGood};
        set.replace(set.find("10.0.0.1]"), 8, "<!>" + net.text);
        expect_only({net.code, "/sets/web/nets/0", {}, net.remedy}, set);
    }
}

/// P5: ports.
TEST(ReaderErrors, P5_OfServices) {
    struct Service {
        std::string code, text, remedy;
    };
    const std::vector<Service> services{
        {"bad-port", "tcp/65536", "write 1 to 65535"},
        {"bad-port", "tcp/0", "write 1 to 65535"},
        {"bad-port", "tcp/0443", "write 1 to 65535"},
        {"bad-port", "tcp/", "write 1 to 65535"},
        {"bad-port", "tcp/80-", "a range like 8000-8100"},
        {"bad-port", "udp/0-53", "write 1 to 65535"},
        {"bad-port", "tcp/+80", "write 1 to 65535"},
        {"bad-port", "tcp/http", "write 1 to 65535"},
        {"reversed-range", "tcp/8100-8000", "write 8000-8100"},
        {"bad-icmp-type", "icmp/echo-reqest", "did you mean \"echo-request\"?"},
        {"bad-icmp-type", "icmp/256", "0 to 255"},
        {"bad-icmp-type", "icmp6/packet-to-big", "did you mean \"packet-too-big\"?"},
        {"bad-icmp-type", "icmp/3/256", "write 0 to 255"},
        {"bad-protocol", "proto/256", "write proto/0 to proto/255"},
        {"bad-service", "sctp/80", "write tcp/443, udp/53"},
        {"bad-service", "any", "leave the key out"},
        {"undefined-name", "htps", "did you mean \"https\"?"},
        {"undefined-name", "mgnt", "did you mean \"mgmt\"?"},
        {"undefined-name", "web-things", "define it or correct the name"},
        {"undefined-name", "22", "write \"tcp/22\" or \"udp/22\""},
        {"wrong-kind", "lan", "is a zone (defined at 5:3); write a service here"},
    };
    for (const auto& service : services) {
        expect_only({service.code, "/rules/0/service", {}, service.remedy},
                    std::string{kGood} + "rules:\n  - {id: r, from: any, to: any, service: <!>" + service.text +
                        ", action: deny}\n");
    }
}

TEST(ReaderErrors, OfRules) {
    const std::vector<Case> cases{
        {"missing-key", "/rules/0", "<!>{id: r, to: any, action: deny}", "lacks \"from\"; add it"},
        {"missing-key", "/rules/0", "<!>{id: r, from: any, action: deny}", "lacks \"to\"; add it"},
        {"missing-key", "/rules/0", "<!>{from: any, to: any, action: deny}", "lacks \"id\"; add it"},
        {"missing-key", "/rules/0", "<!>{id: r, from: any, to: any}", "lacks \"action\"; add it"},
        {"undefined-name", "/rules/0/from", "{id: r, from: <!>lna, to: any, action: deny}",
         "zone or set \"lna\" is not defined; did you mean \"lan\"?"},
        {"undefined-name", "/rules/0/to/1", "{id: r, from: any, to: [lan, <!>dmz7], action: deny}",
         "define it or correct"},
        {"wrong-kind", "/rules/0/from", "{id: r, from: <!>mgmt, to: any, action: deny}",
         "\"mgmt\" is a service (defined at 10:3); write a zone or set here"},
        {"undefined-name", "/rules/0/from/zone", "{id: r, from: {zone: <!>wann}, to: any, action: deny}",
         "did you mean \"wan\"?"},
        {"wrong-kind", "/rules/0/from/set/0", "{id: r, from: {zone: wan, set: [<!>lan]}, to: any, action: deny}",
         "write a set here"},
        {"wrong-kind", "/rules/0/from/not", "{id: r, from: {not: <!>lan}, to: any, action: deny}",
         "\"lan\" is a zone (defined at 5:3); write a set here"},
        {"wrong-kind", "/rules/0/from/not/1", "{id: r, from: {not: [web, <!>10.0.0.1]}, to: any, action: deny}",
         "is an address; put it into a set"},
        {"undefined-name", "/rules/0/to/0/not", "{id: r, from: any, to: [{zone: lan, not: <!>wbe}], action: deny}",
         "set \"wbe\" is not defined; did you mean \"web\"?"},
        {"empty-list", "/rules/0/from/not", "{id: r, from: {zone: lan, not: <!>[]}, to: any, action: deny}",
         "list at least one"},
        {"nothing-left", "/rules/0/from/not", "{id: r, from: {set: web, not: <!>web}, to: any, action: deny}",
         "take one of them away"},
        {"wrong-type", "/rules/0/from/not/0", "{id: r, from: {not: [<!>{set: web}]}, to: any, action: deny}",
         "write a text"},
        {"missing-key", "/rules/0/from", "{id: r, from: <!>{}, to: any, action: deny}", "write zone, set or not"},
        {"any-with-others", "/rules/0/from/1", "{id: r, from: [lan, <!>any], to: any, action: deny}",
         "write it alone or leave it out"},
        {"empty-list", "/rules/0/to", "{id: r, from: any, to: <!>[], action: deny}", "list at least one"},
        {"empty-list", "/rules/0/service", "{id: r, from: any, to: any, service: <!>[], action: deny}",
         "list at least one"},
        {"bad-choice", "/rules/0/action", "{id: r, from: any, to: any, action: <!>drop}",
         "write allow, deny, reject or pass"},
        {"bad-choice", "/rules/0/mode", "{id: r, from: any, to: any, action: deny, mode: <!>audit}",
         "write enforce or observe"},
        {"bad-layer", "/rules/0/layer", "{id: r, from: any, to: any, action: deny, layer: <!>90}",
         "is no layer; write 0 to 9 for emergency"},
        {"bad-layer", "/rules/0/layer", "{id: r, from: any, to: any, action: deny, layer: <!>010}", "is no layer"},
        {"wrong-type", "/rules/0/layer", "{id: r, from: any, to: any, action: deny, layer: <!>[10]}", "write a number"},
        {"layer-order", "/rules/1/layer",
         "{id: r, from: any, to: any, action: deny}\n  - {id: s, from: any, to: any, action: deny, layer: <!>49}",
         "rule \"s\" is of layer 49 and stands behind one of layer 50; rules stand layer by layer"},
        {"layer-order", "/rules/1/layer",
         "{id: r, from: any, to: any, action: deny, layer: 60}\n  - <!>{id: s, from: any, to: any, action: deny}",
         "rule \"s\" is of layer 50"},
        {"bad-choice", "/rules/0/log", "{id: r, from: any, to: any, action: deny, log: <!>yes}",
         "write none, start, end or both"},
        {"bad-name", "/rules/0/id", "{id: <!>-r, from: any, to: any, action: deny}", "not beginning with -"},
        {"bad-name", "/rules/0/id", "{id: <!>\"builtin:arp\", from: any, to: any, action: deny}", "is no name"},
        {"reserved-name", "/rules/0/id", "{id: <!>default, from: any, to: any, action: deny}", "choose another id"},
        {"duplicate-id", "/rules/1/id",
         "{id: r, from: any, to: any, action: deny}\n  - {id: <!>r, from: any, to: any, action: deny}",
         "stands here and at 12:10; ids are unique, rename one"},
        {"unknown-key", "/rules/0/acton", "{id: r, from: any, to: any, action: deny, <!>acton: deny}",
         "did you mean \"action\"?"},
        {"wrong-type", "/rules/0", "<!>r", "this is a text; write a map"},
        {"quote-address", "/rules/0/from",
         "\n      id: r\n      from:\n        <!>2001:db8::\n      to: any\n      action: deny",
         "quote this address: \"2001:db8::\""},
    };
    for (const auto& c : cases) expect_only(c, std::string{kGood} + "rules:\n  - " + c.text + "\n");
}

TEST(ReaderErrors, OfLimits) {
    const std::vector<Case> cases{
        {"limits-without-allow", "/rules/0/limits", "{id: r, from: any, to: any, action: deny, limits: <!>{states: 1}}",
         "write action: allow, or remove limits"},
        {"missing-key", "/rules/0/limits", "{id: r, from: any, to: any, action: allow, limits: <!>{}}",
         "write a limit or remove it"},
        {"bad-count", "/rules/0/limits/states", "{id: r, from: any, to: any, action: allow, limits: {states: <!>0}}",
         "from 1 to 1000000000; write digits only"},
        {"bad-count", "/rules/0/limits/states", "{id: r, from: any, to: any, action: allow, limits: {states: <!>1k}}",
         "write digits only"},
        {"bad-count", "/rules/0/limits/states", "{id: r, from: any, to: any, action: allow, limits: {states: <!>007}}",
         "write digits only"},
        {"bad-count", "/rules/0/limits/states",
         "{id: r, from: any, to: any, action: allow, limits: {states: <!>1000000001}}", "from 1 to 1000000000"},
        {"bad-count", "/rules/0/limits/new_per_second",
         "{id: r, from: any, to: any, action: allow, limits: {new_per_second: <!>4294967297}}", "from 1 to 10000000"},
        {"unknown-key", "/rules/0/limits/state", "{id: r, from: any, to: any, action: allow, limits: {<!>state: 1}}",
         "did you mean \"states\"?"},
        {"unknown-key", "/rules/0/limit", "{id: r, from: any, to: any, action: allow, <!>limit: {states: 1}}",
         "did you mean \"limits\"?"},
        {"wrong-type", "/rules/0/limits", "{id: r, from: any, to: any, action: allow, limits: <!>5}", "write a map"},
        {"limits-without-allow", "/rules/0/limits",
         "{id: r, from: any, to: any, action: deny, limits: <!>{over: syn-cookie}}",
         "write action: allow, or remove limits"},
        {"bad-choice", "/rules/0/limits/over",
         "{id: r, from: any, to: any, action: allow, limits: {half_open: 5, over: <!>cookie}}", "refuse or syn-cookie"},
        {"missing-key", "/rules/0/limits/half_open",
         "{id: r, from: any, to: any, action: allow, limits: {over: <!>refuse}}", "write half_open"},
    };
    for (const auto& c : cases) expect_only(c, std::string{kGood} + "rules:\n  - " + c.text + "\n");
    const auto syn_proxy = [](std::string_view text) {
        return "syn_proxy: {" + std::string{text} + "}\n" + std::string{kGood};
    };
    expect_only({"bad-count", "/syn_proxy/mss", {}, "from 536 to 9176"}, syn_proxy("mss: <!>535"));
    expect_only({"bad-count", "/syn_proxy/wscale", {}, "from 1 to 14"}, syn_proxy("wscale: <!>15"));
    expect_only({"bad-choice", "/syn_proxy/sack", {}, "on, learn or off"}, syn_proxy("sack: <!>maybe"));
    expect_only({"unknown-key", "/syn_proxy/ts", {}, "syn_proxy"}, syn_proxy("<!>ts: on"));
    const auto approvals = [](std::string_view text) {
        return "approvals: " + std::string{text} + "\n" + std::string{kGood};
    };
    expect_only({"missing-key", "/approvals", {}, "needed"}, approvals("<!>{within: 1h}"));
    expect_only({"bad-count", "/approvals/needed", {}, "from 1 to 5"}, approvals("{needed: <!>6}"));
    expect_only({"bad-count", "/approvals/needed", {}, "from 1 to 5"}, approvals("{needed: <!>0}"));
    expect_only({"bad-duration", "/approvals/within", {}, "at most 30d"}, approvals("{needed: 1, within: <!>31d}"));
    expect_only({"unknown-key", "/approvals/by", {}, "approvals"}, approvals("{needed: 1, <!>by: ops}"));
    expect_only({"limits-without-allow", "/default/limits", {}, "only what is allowed can be limited"},
                "sluice: 1\nname: n\ndefault: {action: reject, limits: <!>{states: 1}}\nzones: {lan: {ports: [p]}}\n");
    expect_only({"unknown-key", "/zones/lan/limits/states_per_source", {}, "limits of a zone"},
                "sluice: 1\nname: n\ndefault: {action: deny}\nzones: {lan: {ports: [p], limits: {<!>states_per_source: "
                "1}}}\n");
}

TEST(ReaderErrors, WhatTheLanguageHasAndThisVersionDoesNotIsRefusedByName) {
    for (const std::string_view key : {"active", "feeds", "nat", "limits", "auto_block"}) {
        expect_only({"not-supported-yet", "/" + std::string{key}, {}, "not supported yet"},
                    std::string{kGood} + "<!>" + std::string{key} + ": x\n");
    }
    for (const std::string_view key : {"active", "sample", "sni", "tag"}) {
        expect_only({"not-supported-yet", "/rules/0/" + std::string{key}, {}, "not supported yet"},
                    std::string{kGood} + "rules:\n  - {id: r, from: any, to: any, action: deny, <!>" +
                        std::string{key} + ": x}\n");
    }
    for (const std::string_view key : {"asn", "fqdn", "feed", "geo", "identity", "kind"}) {
        expect_only({"not-supported-yet", "/sets/s/" + std::string{key}, {}, "not supported yet"},
                    "sluice: 1\nname: n\ndefault: {action: deny}\nzones: {lan: {ports: [p]}}\nsets: {s: {<!>" +
                        std::string{key} + ": x}}\n");
    }
    expect_only(
        {"not-supported-yet", "/tests/0/sni", {}, "not supported yet"},
        std::string{kGood} + "tests:\n  - {from: 10.0.0.1@lan, to: \"10.0.0.2:1/tcp\", expect: deny, <!>sni: x}\n");
}

TEST(ReaderErrors, OfTests) {
    const std::vector<Case> cases{
        {"bad-test", "/tests/0/from", "{from: <!>10.0.0.1, to: \"10.0.0.2:1/tcp\", expect: deny}",
         "names no zone; write it like 192.0.2.7@internet"},
        {"undefined-name", "/tests/0/from", "{from: <!>10.0.0.1@lam, to: \"10.0.0.2:1/tcp\", expect: deny}",
         "did you mean \"lan\"?"},
        {"wrong-kind", "/tests/0/to", "{from: 10.0.0.1@lan, to: <!>\"10.0.0.2@web:1/tcp\", expect: deny}",
         "write a zone here"},
        {"bad-port", "/tests/0/from", "{from: <!>\"10.0.0.1@lan:0\", to: \"10.0.0.2:1/tcp\", expect: deny}",
         "write 1 to 65535"},
        {"bad-address", "/tests/0/from", "{from: <!>10.0.0.0/8@lan, to: \"10.0.0.2:1/tcp\", expect: deny}",
         "write four numbers"},
        {"bad-test", "/tests/0/to", "{from: \"2001:db8::1@lan\", to: <!>\"2001:db8::2:443/tcp\", expect: deny}",
         "write [2001:db8::1]:443/tcp"},
        {"bad-test", "/tests/0/to", "{from: 10.0.0.1@lan, to: <!>\"10.0.0.2:443\", expect: deny}",
         "names no protocol; write it like 192.0.2.80:443/tcp"},
        {"bad-test", "/tests/0/to", "{from: 10.0.0.1@lan, to: <!>\"10.0.0.2:1-2/tcp\", expect: deny}", "name one port"},
        {"bad-test", "/tests/0/service", "{from: 10.0.0.1@lan, to: 10.0.0.2, service: <!>icmp, expect: deny}",
         "name one type"},
        {"bad-test", "/tests/0/service", "{from: 10.0.0.1@lan, to: 10.0.0.2, service: <!>dns, expect: deny}",
         "write one term"},
        {"bad-test", "/tests/0/to", "{from: 10.0.0.1@lan, to: <!>\"10.0.0.2:echo-request/icmp6\", expect: deny}",
         "write icmp for IPv4, icmp6 for IPv6"},
        {"bad-port", "/tests/0/to", "{from: 10.0.0.1@lan, to: <!>\"10.0.0.2:0/tcp\", expect: deny}",
         "write 1 to 65535"},
        {"family-mismatch", "/tests/0/to", "{from: 10.0.0.1@lan, to: <!>\"2001:db8::1@wan:1/tcp\", expect: deny}",
         "different IP versions"},
        {"two-services", "/tests/0/service",
         "{from: 10.0.0.1@lan, to: \"10.0.0.2:1/tcp\", service: <!>tcp/1, expect: deny}", "keep one"},
        {"missing-service", "/tests/0/to", "{from: 10.0.0.1@lan, to: <!>10.0.0.2, expect: deny}", "write :443/tcp"},
        {"bad-choice", "/tests/0/expect", "{from: 10.0.0.1@lan, to: \"10.0.0.2:1/tcp\", expect: <!>pass}",
         "write allow, deny or reject"},
        {"undefined-name", "/tests/0/by", "{from: 10.0.0.1@lan, to: \"10.0.0.2:1/tcp\", expect: deny, by: <!>web-in}",
         "name a rule of this policy, or default"},
        {"missing-key", "/tests/0", "<!>{from: 10.0.0.1@lan, to: \"10.0.0.2:1/tcp\"}", "lacks \"expect\"; add it"},
    };
    for (const auto& c : cases) expect_only(c, std::string{kGood} + "tests:\n  - " + c.text + "\n");
    auto three = std::string{kGood};
    three.insert(three.find("sets:"), "  dmz: {ports: [r]}\n");
    expect_only({"zone-needed", "/tests/0/to", {}, "write ADDR@zone"},
                three + "tests:\n  - {from: 10.0.0.1@lan, to: <!>\"10.0.0.2:1/tcp\", expect: deny}\n");
}

TEST(ReaderErrors, OfTestsThatRepeat) {
    const auto test = [](std::string_view more, std::string_view target = "10.0.0.2:1/tcp") {
        return std::string{kGood} + "tests:\n  - {from: 10.0.0.1@lan, to: \"" + std::string{target} + "\", " +
               std::string{more} + "}\n";
    };
    EXPECT_TRUE(read_policy(test("expect: allow, repeat: 100/s"), PolicyFormat::yaml));
    const auto read = read_policy(test("expect: deny, repeat: 20/s, limit: new_per_second"), PolicyFormat::yaml);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->tests[0].repeat_per_second, 20U);
    EXPECT_EQ(read->tests[0].limit, TestLimit::rule);
    EXPECT_TRUE(read_policy(test("expect: allow, repeat: 5/s", "10.0.0.2:echo-request/icmp"), PolicyFormat::yaml));
    expect_only({"bad-rate", "/tests/0/repeat", {}, "such as 100/s"}, test("expect: deny, repeat: <!>100"));
    expect_only({"bad-choice", "/tests/0/limit", {}, "write zone, new_per_second_per_source or new_per_second"},
                test("expect: deny, repeat: 1/s, limit: <!>states"));
    for (const std::string_view alone : {"expect: deny, limit: <!>zone", "expect: allow, repeat: 1/s, limit: <!>zone"})
        expect_only({"bad-test", "/tests/0/limit", {}, "write repeat and expect: deny with it"}, test(alone));
    expect_only({"bad-test", "/tests/0/repeat", {}, "has one flow only"},
                test("expect: deny, repeat: <!>5/s", "10.0.0.2:47/proto"));
}

TEST(ReaderErrors, OfMembersThatATestGives) {
    const auto given = [](std::string_view text) {
        auto policy = std::string{kGood};
        policy.insert(policy.find("sets:\n") + 6, "  blocked: {members: api}\n");
        return policy +
               "tests:\n  - {from: 10.0.0.1@lan, to: \"10.0.0.2:1/tcp\", expect: deny, given: " + std::string{text} +
               "}\n";
    };
    EXPECT_TRUE(read_policy(given("{blocked: [10.0.0.0/8, 192.0.2.7]}"), PolicyFormat::yaml));
    EXPECT_TRUE(read_policy(given("{blocked: 192.0.2.7}"), PolicyFormat::yaml));
    expect_only({"undefined-name", "/tests/0/given/blokked", {}, "did you mean \"blocked\"?"},
                given("{<!>blokked: [10.0.0.1]}"));
    expect_only({"members-not-by-api", "/tests/0/given/web", {}, "sets with members: api only; leave it out"},
                given("{<!>web: [10.0.0.1]}"));
    expect_only({"wrong-kind", "/tests/0/given/lan", {}, "write a set here"}, given("{<!>lan: [10.0.0.1]}"));
    expect_only({"bad-address", "/tests/0/given/blocked/1", {}, "write four numbers"},
                given("{blocked: [10.0.0.1, <!>10.0.0.256]}"));
    expect_only({"empty-list", "/tests/0/given/blocked", {}, "list at least one"}, given("{blocked: <!>[]}"));
    expect_only({"wrong-type", "/tests/0/given", {}, "write a map from names"}, given("<!>[blocked]"));
    std::string many;
    for (std::size_t i = 0; i <= kGivenMembersMax; ++i)
        many += (many.empty() ? "" : ", ") + ("10.0." + std::to_string(i / 200) + "." + std::to_string(i % 200));
    expect_only({"too-many", "/tests/0/given", {}, "at most 1000 in a test"}, given("<!>{blocked: [" + many + "]}"));
}

TEST(ReaderErrors, OfWhomNothingBlocks) {
    const auto never_block = [](std::string_view text) {
        auto policy = std::string{kGood};
        policy.insert(policy.find("sets:\n") + 6, "  blocked: {members: api}\n");
        return policy + "never_block: " + std::string{text} + "\n";
    };
    EXPECT_TRUE(read_policy(never_block("[web, 10.9.0.0/24]"), PolicyFormat::yaml));
    expect_only({"members-by-api", "/never_block/1", {}, "write addresses, or a set with nets"},
                never_block("[web, <!>blocked]"));
    expect_only({"members-by-api", "/never_block", {}, "come over the API"}, never_block("<!>blocked"));
    expect_only({"undefined-name", "/never_block/0", {}, "did you mean \"web\"?"}, never_block("[<!>wep]"));
    expect_only({"wrong-kind", "/never_block", {}, "write a set here"}, never_block("<!>lan"));
    expect_only({"undefined-name", "/never_block/0", {}, "is not defined"}, never_block("[<!>any]"));
    expect_only({"host-bits", "/never_block/0", {}, "write 10.9.0.0/24"}, never_block("[<!>10.9.0.1/24]"));
    expect_only({"empty-list", "/never_block", {}, "list at least one"}, never_block("<!>[]"));
}

TEST(ReaderErrors, TooManyZones) {
    std::string text = "sluice: 1\nname: n\ndefault: {action: deny}\nzones:\n";
    for (int i = 0; i < 257; ++i) {
        text += (i == 256 ? "  <!>z" : "  z") + std::to_string(i) + ": {ports: [p" + std::to_string(i) + "]}\n";
    }
    expect_only({"too-many", "/zones/z256", {}, "more than 256 zones; remove some"}, text);
}

TEST(ReaderErrors, OfJson) {
    const std::string_view head = R"({"sluice": 1, "name": "n", "default": {"action": "deny"},)";
    const std::vector<Case> cases{
        {"wrong-type", "/zones/a/ports/0", R"("zones": {"a": {"ports": [<!>7]}}})",
         "this is a number; write a text in quotes"},
        {"wrong-type", "/zones/a/ports/0", R"("zones": {"a": {"ports": [<!>true]}}})",
         "this is true or false; write a text in quotes"},
        {"duplicate-key", "/zones/a", "\"zones\": {\"a\": {\"ports\": [\"p\"]},\n <!>\"a\": {\"ports\": [\"q\"]}}}",
         "stands here and at 1:68; keep one"},
        {"bad-json", "/zones", R"("zones": <!>nul})", "see RFC 8259"},
        {"bad-json", "/zones", R"("zones": {<!>]})", "see RFC 8259"},
        {"bad-json", "/zones", R"("zones": <!>-})", "see RFC 8259"},
        {"bad-json", "", R"("zones": <!>01})", "see RFC 8259"},
    };
    for (const auto& c : cases) {
        auto wanted = c;
        wanted.format = PolicyFormat::json;
        expect_only(wanted, std::string{head} + c.text);
    }
}

TEST(ReaderErrors, HostileWordsDoNotReachTheTerminal) {
    const auto policy =
        read_policy("{\"sluice\": 1, \"\\u001b[2J" + std::string(5000, 'x') + "\": 1}", PolicyFormat::json);
    ASSERT_FALSE(policy);
    for (const auto& error : policy.error()) {
        EXPECT_EQ(error.detail.find('\x1b'), std::string::npos);
        EXPECT_LT(error.detail.size(), 300U);
        EXPECT_LT(error.pointer.size(), 300U);
    }
}

TEST(ReaderErrors, AreAHundredAtMost) {
    std::string text = std::string{kGood} + "rules:\n";
    for (int i = 0; i < 5000; ++i) text += "  - {id: A, from: x, to: y, action: z}\n";
    const auto policy = read_policy(text, PolicyFormat::yaml);
    ASSERT_FALSE(policy);
    EXPECT_EQ(policy.error().size(), 100U);
}

}  // namespace
}  // namespace sluice::cp
