#include "controlplane/policy/test_reader.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "controlplane/policy/names.hpp"
#include "controlplane/policy/rate.hpp"
#include "controlplane/policy/schedule.hpp"
#include "controlplane/policy/service.hpp"
#include "controlplane/policy/spelling.hpp"
#include "controlplane/policy/test_address.hpp"

namespace sluice::cp {

namespace {

class TestReader {
public:
    TestReader(const TestContext& context, Report& report) : context_{context}, report_{report} {}

    PolicyTest read(const Node& node, const Path& path) {
        PolicyTest test;
        test.pos = node.pos;
        test.text_from = word(node, "from");
        test.text_to = word(node, "to");
        test.by = word(node, "by");
        const auto expect = word(node, "expect");
        test.expect = expect == "allow"    ? abi::Verdict::allow
                      : expect == "reject" ? abi::Verdict::reject
                                           : abi::Verdict::deny;
        if (const auto at = parse_instant(word(node, "at"))) test.at = *at;
        if (!test.by.empty()) check_by(*node.find("by"), Path{path, "by"});
        if (const auto* given = node.find("given")) test.given = read_given(*given, Path{path, "given"});
        if (!test.text_from.empty() && !test.text_to.empty()) read_ends(node, path, test);
        read_repeat(node, path, test);
        return test;
    }

private:
    void read_repeat(const Node& node, const Path& path, PolicyTest& test) {
        const auto* repeat = node.find("repeat");
        const auto* limit = node.find("limit");
        if (limit != nullptr) {
            const auto* const name = std::ranges::find(kTestLimitNames, limit->text);
            if (name != kTestLimitNames.end()) test.limit = static_cast<TestLimit>(name - kTestLimitNames.begin());
            const bool is_known = test.limit != TestLimit::none;
            if (is_known && (repeat == nullptr || word(node, "expect") != "deny")) {
                report_.add(Path{path, "limit"}, limit->pos, "bad-test",
                            "a limit refuses in silence what comes too often; write repeat and expect: deny with it, "
                            "or leave it out");
            }
        }
        if (repeat == nullptr) return;
        if (const auto rate = parse_rate(repeat->text)) test.repeat_per_second = *rate;
        // Of all others a packet that comes again belongs to the flow that is there.
        using enum abi::L4Proto;
        static constexpr std::array kManyFlows{tcp, udp, sctp, icmp, icmp6};
        if (test.proto != abi::L4Proto{} && std::ranges::find(kManyFlows, test.proto) == kManyFlows.end()) {
            report_.add(Path{path, "repeat"}, repeat->pos, "bad-test",
                        "between two addresses this protocol has one flow only; leave repeat out");
        }
    }

    std::vector<GivenMembers> read_given(const Node& node, const Path& path) {
        std::vector<GivenMembers> given;
        std::size_t count = 0;
        for (std::size_t i = 0; node.kind == Node::Kind::map && i < node.member_count() && !report_.full(); ++i) {
            const Node& name = node.key(i);
            const Path at{path, name.text};
            const auto set = context_.symbols.set(name.text, name.pos, at);
            if (!set) continue;
            if (!context_.policy.sets[*set].by_api) {
                report_.add(at, name.pos, "members-not-by-api",
                            "the members of " + quoted(name.text) +
                                " stand in the policy, and a test gives members to sets with members: api only; "
                                "leave it out");
                continue;
            }
            given.push_back({*set, context_.symbols.prefixes(node.value(i), at)});
            count += given.back().members.size();
        }
        if (count > kGivenMembersMax) {
            report_.add(path, node.pos, "too-many",
                        std::to_string(count) + " members are given, at most " + std::to_string(kGivenMembersMax) +
                            " in a test; give those that its packet is about");
        }
        return given;
    }

    void check_by(const Node& by, const Path& path) {
        if (by.text == abi::kIdDefault || context_.rules.has(by.text)) return;
        auto known = context_.rules.all();
        known.insert(known.begin(), abi::kIdDefault);
        auto hint = did_you_mean(by.text, known);
        if (hint.empty()) hint = "; name a rule of this policy, or default";
        report_.add(path, by.pos, "undefined-name", "rule " + quoted(by.text) + " is not defined" + hint);
    }

    void read_ends(const Node& node, const Path& path, PolicyTest& test) {
        const Node& from = *node.find("from");
        const Node& to = *node.find("to");
        const Path from_path{path, "from"}, to_path{path, "to"};
        auto source = parse_test_source(from.text);
        auto target = parse_test_target(to.text);
        if (!source) report_.add(from_path, from.pos, std::move(source.error()));
        if (!target) report_.add(to_path, to.pos, std::move(target.error()));
        std::optional<std::uint16_t> from_zone;
        if (source) from_zone = context_.symbols.zone(source->zone, from.pos, from_path);
        if (!source || !target) return;
        test.family = source->address.family;
        test.src = source->address.addr;
        test.dst = target->address.addr;
        test.sport = source->port.value_or(test.sport);
        test.from_zone = from_zone.value_or(0);
        if (source->address.family != target->address.family) {
            report_.add(to_path, to.pos, "family-mismatch", "from and to are of different IP versions; use one");
        }
        if (!target->zone.empty()) {
            test.to_zone = context_.symbols.zone(target->zone, to.pos, to_path).value_or(0);
        } else if (from_zone) {
            imply_zone(test, to, to_path);
        }
        read_test_service(node, path, *target, test);
    }

    std::optional<std::size_t> zone_of(std::string_view port) const {
        const auto& zones = context_.policy.zones;
        const auto found = std::ranges::find_if(
            zones, [&](const Zone& zone) { return std::ranges::find(zone.ports, port) != zone.ports.end(); });
        if (found == zones.end()) return std::nullopt;
        return static_cast<std::size_t>(found - zones.begin());
    }

    /// The zone at the other end, where the ports leave one answer only.
    void imply_zone(PolicyTest& test, const Node& to, const Path& path) {
        std::vector<std::uint16_t> others;
        const auto add = [&](std::size_t zone) {
            const auto index = static_cast<std::uint16_t>(zone);
            if (std::ranges::find(others, index) == others.end()) others.push_back(index);
        };
        if (context_.wires == nullptr) {
            if (context_.policy.zones.size() == 2) add(test.from_zone == 0 ? 1 : 0);
        } else {
            for (const auto& [a, b] : context_.wires->wires) {
                const auto at_a = zone_of(a), at_b = zone_of(b);
                if (!at_a || !at_b) continue;
                if (*at_a == test.from_zone) add(*at_b);
                if (*at_b == test.from_zone) add(*at_a);
            }
        }
        if (others.size() == 1) {
            test.to_zone = others.front();
            return;
        }
        report_.add(path, to.pos, "zone-needed",
                    "the ports don't imply the zone of " + quoted(to.text) + "; write ADDR@zone");
    }

    void read_test_service(const Node& node, const Path& path, const TestTarget& target, PolicyTest& test) {
        const auto* service = node.find("service");
        const Node& place_node = service != nullptr ? *service : *node.find("to");
        const Path at{path, service != nullptr ? "service" : "to"};
        if (service != nullptr && target.service) {
            return report_.add(at, service->pos, "two-services", "the service stands here and in `to`; keep one");
        }
        if (service == nullptr && !target.service) {
            return report_.add(at, place_node.pos, "missing-service",
                               "nothing says what is sent; write :443/tcp behind the address, or service: tcp/443");
        }
        if (place_node.kind != Node::Kind::scalar) return;
        std::vector<ServiceTerm> terms;
        if (service != nullptr) {
            terms = context_.symbols.services(*service, at);
        } else if (auto term = parse_service_term(*target.service)) {
            terms = {*term};
        } else {
            report_.add(at, place_node.pos, std::move(term).error());
        }
        if (terms.empty()) return;
        // `ping` is one term per IP version: the other one can't be meant.
        const auto foreign = test.family == abi::IpFamily::v4 ? abi::L4Proto::icmp6 : abi::L4Proto::icmp;
        const bool had_foreign = std::erase_if(terms, [&](const ServiceTerm& t) { return t.proto == foreign; }) > 0;
        if (terms.size() != 1) {
            return report_.add(at, place_node.pos, "bad-test",
                               terms.empty() && had_foreign
                                   ? "this ICMP belongs to the other IP version; write icmp for IPv4, icmp6 for IPv6"
                                   : "this service stands for many packets; a test sends one: write one term");
        }
        test.proto = terms.front().proto;
        if (auto value = one_packet_of(terms.front())) {
            test.dport_or_icmp = *value;
        } else {
            report_.add(at, place_node.pos, std::move(value).error());
        }
    }

    const TestContext& context_;
    Report& report_;
};

}  // namespace

std::vector<PolicyTest> read_tests(const Node& root, const TestContext& context, Report& report) {
    std::vector<PolicyTest> tests;
    const auto* list = root.find("tests");
    if (list == nullptr || list->kind != Node::Kind::list) return tests;
    const Path top, path{top, "tests"};
    TestReader reader{context, report};
    for (std::size_t i = 0; i < list->children.size() && !report.full(); ++i) {
        if (list->children[i].kind == Node::Kind::map) tests.push_back(reader.read(list->children[i], Path{path, i}));
    }
    return tests;
}

}  // namespace sluice::cp
