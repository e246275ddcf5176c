/// What `plan` says about packets, against brute force: worlds that are small enough for every packet to be asked about
/// (every address, port and protocol that any rule tells apart, and one beside), random policies and changes of them,
/// and the reference matcher's word. The boxes of a diff are exactly the packets that are decided otherwise; a rule is
/// shadowed, redundant, contradictory exactly if it is; every example is what it is told to be.
#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "controlplane/analysis/findings.hpp"
#include "controlplane/analysis/semantic_diff.hpp"
#include "controlplane/analysis/service_line.hpp"
#include "controlplane/compiler/range_algebra.hpp"
#include "controlplane/compiler/reference.hpp"
#include "tests/harness/policies.hpp"
#include "tests/harness/random_policies.hpp"
#include "tests/harness/seed.hpp"

namespace sluice::test {
namespace {

using abi::IpFamily;
using abi::L4Proto;

/// Two zones, or three; addresses of a /29 and what is around, or an IPv6 /125; a handful of services.
class SmallWorld {
public:
    explicit SmallWorld(Random& random) : random_{random}, zones_{2 + random() % 2} {
        for (const unsigned bits : {29U, 30U, 31U, 32U}) {
            for (unsigned at = 0; at < 8; at += 1U << (32 - bits)) {
                prefixes_.push_back(prefix("10.0.0." + std::to_string(at) + "/" + std::to_string(bits)));
                prefixes_.push_back(prefix("2001:db8::" + std::to_string(at) + "/" + std::to_string(bits + 96)));
            }
        }
        prefixes_.push_back(prefix("0.0.0.0/0"));
        prefixes_.push_back(prefix("::/0"));
    }

    cp::Policy policy(std::size_t rules) {
        cp::Policy p;
        p.name = "small";
        p.default_action = std::array{cp::Action::deny, cp::Action::allow, cp::Action::reject}[pick(3)];
        for (std::size_t z = 0; z < zones_; ++z)
            p.zones.push_back({.name = "z" + std::to_string(z), .ports = {"p" + std::to_string(z)}, .pos = {}});
        for (int s = 0; s < 3; ++s) {
            cp::NetSet set{.name = "s" + std::to_string(s), .nets = {}, .pos = {}};
            for (std::size_t n = pick(4); n > 0; --n) set.nets.push_back(prefixes_[pick(prefixes_.size())]);
            p.sets.push_back(std::move(set));
        }
        for (std::size_t r = 0; r < rules; ++r) p.rules.push_back(rule("r" + std::to_string(r)));
        return p;
    }

    cp::Rule rule(std::string id) {
        cp::Rule rule{.id = std::move(id)};
        rule.from = side();
        rule.to = side();
        for (std::size_t n = pick(4) == 0 ? 2 : pick(2); n > 0; --n) rule.service.push_back(service());
        rule.action = static_cast<cp::Action>(pick(4));
        rule.mode = pick(5) == 0 ? abi::RuleMode::observe : abi::RuleMode::enforce;
        rule.log = pick(3) == 0 ? abi::RuleLog::both : abi::RuleLog::none;
        return rule;
    }

    /// One change as people make it.
    void change(cp::Policy& p) {
        auto& rules = p.rules;
        const auto place = [&] { return rules.begin() + static_cast<std::ptrdiff_t>(pick(rules.size())); };
        if (rules.empty() || pick(8) == 0) {
            rules.insert(rules.empty() ? rules.begin() : place(), rule("new" + std::to_string(next_id_++)));
            return;
        }
        const auto at = place();
        switch (pick(9)) {
            case 0: rules.erase(at); break;
            case 1: std::rotate(at, at + 1, rules.end()); break;
            case 2: *at = rule(at->id); break;
            case 3: at->action = static_cast<cp::Action>(pick(4)); break;
            case 4:
                at->mode = at->mode == abi::RuleMode::observe ? abi::RuleMode::enforce : abi::RuleMode::observe;
                break;
            case 5: at->log = at->log == abi::RuleLog::none ? abi::RuleLog::both : abi::RuleLog::none; break;
            case 6: (pick(2) == 0 ? at->from : at->to).push_back(end()); break;
            case 7: p.sets[pick(p.sets.size())].nets.push_back(prefixes_[pick(prefixes_.size())]); break;
            default:
                p.default_action = p.default_action == cp::Action::deny ? cp::Action::allow : cp::Action::deny;
                break;
        }
    }

    /// Each packet that could be told from another one, and no other.
    const std::vector<dp::LookupKey>& packets() {
        if (packets_.empty()) make_packets();
        return packets_;
    }
    std::size_t pick(std::size_t below) { return static_cast<std::size_t>(random_() % below); }

private:
    cp::Endpoint end() {
        cp::Endpoint e = named();
        if (pick(6) == 0) e.except.push_back(static_cast<std::uint16_t>(pick(3)));
        return e;
    }
    cp::Endpoint named() {
        cp::Endpoint e;
        if (pick(3) == 0) e.zone = static_cast<std::uint16_t>(pick(zones_));
        if (pick(4) == 0) return e;
        e.any_addr = false;
        if (pick(3) == 0) {
            e.sets.push_back(static_cast<std::uint16_t>(pick(3)));
        } else {
            e.nets.push_back(prefixes_[pick(prefixes_.size())]);
        }
        return e;
    }
    std::vector<cp::Endpoint> side() {
        std::vector<cp::Endpoint> side{end()};
        if (pick(5) == 0) side.push_back(end());
        return side;
    }
    cp::ServiceTerm service() {
        const auto low = static_cast<std::uint16_t>(1 + pick(5));
        const auto high = static_cast<std::uint16_t>(low + pick(3));
        switch (pick(8)) {
            case 0:
            case 1:
            case 2: return {L4Proto::tcp, low, high};
            case 3: return {L4Proto::udp, low, high};
            case 4: return {L4Proto::icmp, 0x0800, 0x08ff};
            case 5: return {L4Proto::icmp6, 0x8000, static_cast<std::uint16_t>(0x8000 + pick(2) * 255)};
            case 6: return {pick(2) == 0 ? L4Proto::tcp : L4Proto::icmp, 0, 0xffff};
            default: return {pick(2) == 0 ? L4Proto::gre : L4Proto::ipv6_no_next};
        }
    }

    void make_packets() {
        std::vector<std::pair<L4Proto, std::uint16_t>> services;
        for (std::uint16_t port = 0; port <= 9; ++port) {
            services.emplace_back(L4Proto::tcp, port);
            services.emplace_back(L4Proto::udp, port);
        }
        for (const unsigned icmp : {0x0700U, 0x0800U, 0x08ffU, 0x0900U, 0x8000U, 0x80ffU})
            services.emplace_back(L4Proto::icmp, static_cast<std::uint16_t>(icmp));
        for (const unsigned icmp : {0x0800U, 0x7fffU, 0x8000U, 0x8001U, 0x80ffU, 0x8100U})
            services.emplace_back(L4Proto::icmp6, static_cast<std::uint16_t>(icmp));
        for (const unsigned proto : {0U, 47U, 48U, 59U, 255U})
            services.emplace_back(L4Proto{static_cast<std::uint8_t>(proto)}, 0);
        for (const IpFamily family : {IpFamily::v4, IpFamily::v6}) {
            std::vector<abi::IpAddr> addresses;
            const std::string net = family == IpFamily::v4 ? "10.0.0." : "2001:db8::";
            for (const char* at : {"0", "1", "2", "3", "4", "5", "6", "7", "8"}) addresses.push_back(address(net + at));
            for (const auto& src : addresses) {
                for (const auto& dst : addresses) add(family, src, dst, services);
            }
        }
    }
    void add(IpFamily family, const abi::IpAddr& src, const abi::IpAddr& dst,
             const std::vector<std::pair<L4Proto, std::uint16_t>>& services) {
        for (const auto& [proto, port] : services) {
            // ICMP of the other family is a protocol without types.
            const bool foreign = proto == (family == IpFamily::v4 ? L4Proto::icmp6 : L4Proto::icmp);
            if (foreign && port != 0x0800) continue;
            for (std::uint16_t from = 0; from < zones_; ++from) {
                for (std::uint16_t to = 0; to < zones_; ++to) {
                    packets_.push_back({src, dst, abi::ZoneId{from}, abi::ZoneId{to}, foreign ? std::uint16_t{0} : port,
                                        family, proto});
                }
            }
        }
    }

    Random& random_;
    std::size_t zones_;
    std::vector<cp::Prefix> prefixes_;
    std::vector<dp::LookupKey> packets_;
    unsigned next_id_{0};
};

template <typename At>
bool holds(const cp::Ranges<At>& list, const At& at) {
    return std::ranges::any_of(list, [&](const cp::Range<At>& r) { return r.first <= at && at <= r.last; });
}

/// The zones of a small world are its places, in the same order.
bool holds(const cp::Box& box, const dp::LookupKey& key) {
    return box.family == key.family && box.from[static_cast<std::size_t>(key.from)] &&
           box.to[static_cast<std::size_t>(key.to)] && holds(*box.src, cp::to_number(key.src, key.family)) &&
           holds(*box.dst, cp::to_number(key.dst, key.family)) &&
           holds(*box.service, cp::place_of({key.proto, key.dport_or_icmp}, key.family));
}

struct Answer {
    cp::Decision decided, observed;
    abi::RuleLog log{};
};

Answer ask(const cp::Policy& p, const dp::LookupKey& key) {
    const dp::LookupResult found = cp::reference_lookup(p, key);
    Answer answer;
    answer.decided = {std::string{cp::reference_rule_id(p, found.rule)}, cp::reference_verdict(p, found.rule)};
    answer.log = found.rule < p.rules.size() ? p.rules[found.rule].log : p.default_log;
    if (found.observe != abi::kNoRule)
        answer.observed = {p.rules[found.observe].id, cp::reference_verdict(p, found.observe)};
    return answer;
}

/// What a box of this kind would say of the packet; nothing if nothing of the kind changed.
std::optional<std::pair<cp::Decision, cp::Decision>> change_of(cp::ChangeKind kind, const Answer& was,
                                                               const Answer& is) {
    const bool verdict = was.decided.verdict != is.decided.verdict, log = was.log != is.log;
    const bool rule = was.decided.rule != is.decided.rule;
    switch (kind) {
        case cp::ChangeKind::verdict:
            if (verdict) return std::pair{was.decided, is.decided};
            break;
        case cp::ChangeKind::log:
            if (!verdict && log) return std::pair{was.decided, is.decided};
            break;
        case cp::ChangeKind::rule:
            if (!verdict && !log && rule) return std::pair{was.decided, is.decided};
            break;
        case cp::ChangeKind::observed:
            if (was.observed != is.observed) return std::pair{was.observed, is.observed};
            break;
    }
    return std::nullopt;
}

void check_diff(const cp::Policy& before, const cp::Policy& after, const std::vector<dp::LookupKey>& packets,
                std::uint64_t& changed) {
    const cp::EntryPlaces places{&before, after, nullptr};
    const cp::RuleBoxes rules{&before, after, places};
    const cp::SemanticDiff diff = cp::semantic_diff(before, after, rules);
    for (const auto& ids : diff.unfinished) ASSERT_TRUE(ids.empty()) << "gave up on " << ids.front();
    for (const dp::LookupKey& key : packets) {
        const Answer was = ask(before, key), is = ask(after, key);
        std::array<unsigned, 4> told{};
        for (const auto& box : diff.boxes) {
            if (!holds(box.packets, key)) continue;
            ++told[static_cast<std::size_t>(box.kind)];
            const auto change = change_of(box.kind, was, is);
            ASSERT_TRUE(change) << to_text(key) << " is said to change by " << cp::to_string(box.kind) << ", from "
                                << box.before.rule << " to " << box.after.rule << "; it was decided by "
                                << was.decided.rule << " and is by " << is.decided.rule;
            ASSERT_EQ(change->first, box.before)
                << to_text(key) << ": " << change->first.rule << " said before, not " << box.before.rule;
            ASSERT_EQ(change->second, box.after)
                << to_text(key) << ": " << change->second.rule << " says after, not " << box.after.rule;
        }
        for (std::size_t kind = 0; kind < told.size(); ++kind) {
            const bool due = change_of(static_cast<cp::ChangeKind>(kind), was, is).has_value();
            changed += due ? 1 : 0;
            ASSERT_EQ(told[kind], due ? 1U : 0U)
                << to_text(key) << " changes by " << cp::to_string(static_cast<cp::ChangeKind>(kind)) << " from "
                << was.decided.rule << " to " << is.decided.rule << "; boxes tell it " << told[kind] << " times";
        }
    }
    for (const auto& box : diff.boxes) {
        const auto key = cp::key_after(box.example, places);
        ASSERT_TRUE(holds(box.packets, key)) << to_text(key);
        const auto change = change_of(box.kind, ask(before, cp::key_before(box.example, places)), ask(after, key));
        ASSERT_TRUE(change && change->first == box.before && change->second == box.after)
            << "no example: " << to_text(key);
    }
}

TEST(AnalysisProperty, P15_TheBoxesOfADiffAreThePacketsThatAreDecidedOtherwise) {
    const std::uint64_t first = seed_of_this_run();
    std::uint64_t changed = 0;
    for (std::uint64_t run = 0; run < 120; ++run) {
        SCOPED_TRACE("SEED=" + std::to_string(first + run));
        Random random{first + run};
        SmallWorld world{random};
        // A long list of rules is taken away by halves, a short one box by box: now and then a long one.
        const cp::Policy before = world.policy(run % 8 == 0 ? 40 + world.pick(60) : world.pick(7));
        cp::Policy after = before;
        for (std::size_t n = 1 + world.pick(3); n != 0; --n) world.change(after);
        if (world.pick(10) == 0) after = world.policy(world.pick(7));  // nothing in common but names
        check_diff(before, after, world.packets(), changed);
        if (testing::Test::HasFatalFailure()) return;
    }
    EXPECT_GT(changed, 1'000U) << "hardly a change";
}

/// All that brute force knows about one policy.
struct Facts {
    std::vector<std::uint64_t> decides;  ///< packets by rule, of an observe rule those that it records
    std::vector<bool> matters;           ///< without it some packet had another verdict
    std::map<std::pair<std::uint32_t, std::uint32_t>, bool> meets;  ///< (i, j): i decides a packet that j matches
    std::set<std::pair<std::uint32_t, std::uint32_t>> beyond;       ///< (i, j): i matches a packet that j does not
};

Facts facts_of(const cp::Policy& p, const std::vector<dp::LookupKey>& packets) {
    const auto count = static_cast<std::uint32_t>(p.rules.size());
    Facts facts{.decides = std::vector<std::uint64_t>(count + 1),
                .matters = std::vector<bool>(count),
                .meets = {},
                .beyond = {}};
    for (const dp::LookupKey& key : packets) {
        const dp::LookupResult found = cp::reference_lookup(p, key);
        ++facts.decides[found.rule];
        if (found.observe != abi::kNoRule) ++facts.decides[found.observe];
        std::vector<std::uint32_t> matching;
        for (std::uint32_t r = 0; r < count; ++r) {
            if (p.rules[r].mode == abi::RuleMode::enforce && !cp::first_excluding_field(p, p.rules[r], key))
                matching.push_back(r);
        }
        for (const std::uint32_t r : matching) {
            if (r != found.rule) facts.meets[{found.rule, r}] = true;
            for (std::uint32_t other = 0; other < count; ++other) {
                if (p.rules[other].mode == abi::RuleMode::enforce &&
                    std::ranges::find(matching, other) == matching.end())
                    facts.beyond.insert({r, other});
            }
        }
        if (found.rule == count) continue;
        const std::uint32_t next = matching.size() > 1 ? matching[1] : count;
        if (cp::reference_verdict(p, next) != cp::reference_verdict(p, found.rule)) facts.matters[found.rule] = true;
    }
    return facts;
}

bool contradicts(const cp::Policy& p, const Facts& facts, std::uint32_t i, std::uint32_t j) {
    const auto allows = [&](std::uint32_t r) { return cp::reference_verdict(p, r) == abi::Verdict::allow; };
    return i < j && facts.meets.contains({i, j}) && allows(i) != allows(j) && facts.beyond.contains({i, j}) &&
           facts.beyond.contains({j, i});
}

void check_findings(const cp::Policy& p, const std::vector<dp::LookupKey>& packets,
                    std::array<std::uint64_t, 5>& tally) {
    const cp::EntryPlaces places{nullptr, p, nullptr};
    const cp::RuleBoxes rules{nullptr, p, places};
    const cp::Findings findings = cp::find_oddities(
        p, rules, [](std::string_view id) { return id.back() % 2 == 0 ? std::optional{5.0} : std::nullopt; });
    ASSERT_EQ(findings.unexamined + findings.unpaired, 0U);
    const Facts facts = facts_of(p, packets);
    std::set<std::pair<cp::FindingKind, std::uint32_t>> told;
    for (const auto& finding : findings.told) {
        ++tally[static_cast<std::size_t>(finding.kind)];
        ASSERT_TRUE(told.insert({finding.kind, finding.rule}).second) << "told twice";
        const std::string id{cp::reference_rule_id(p, finding.rule)};
        if (!finding.example) {
            ASSERT_EQ(finding.kind, cp::FindingKind::shadowed) << id;
            continue;
        }
        const auto key = cp::key_after(*finding.example, places);
        const dp::LookupResult found = cp::reference_lookup(p, key);
        const bool observe = finding.rule < p.rules.size() && p.rules[finding.rule].mode == abi::RuleMode::observe;
        if (finding.kind == cp::FindingKind::contradictory) {
            ASSERT_EQ(found.rule, finding.others.front()) << id << ": " << to_text(key);
            ASSERT_FALSE(cp::first_excluding_field(p, p.rules[finding.rule], key)) << id << ": " << to_text(key);
            for (const std::uint32_t other : finding.others)
                ASSERT_TRUE(contradicts(p, facts, other, finding.rule)) << id;
        } else if (finding.kind == cp::FindingKind::shadowed) {
            ASSERT_FALSE(cp::first_excluding_field(p, p.rules[finding.rule], key)) << id << ": " << to_text(key);
            ASSERT_FALSE(finding.others.empty()) << id;
            for (const std::uint32_t other : finding.others) ASSERT_LT(other, finding.rule);
        } else {
            ASSERT_EQ(observe ? found.observe : found.rule, finding.rule) << id << ": " << to_text(key);
        }
        if (finding.kind == cp::FindingKind::redundant) {
            ASSERT_EQ(cp::reference_verdict(p, finding.others.front()), cp::reference_verdict(p, finding.rule)) << id;
        }
    }
    for (std::uint32_t r = 0; r < p.rules.size(); ++r) {
        const auto is_told = [&](cp::FindingKind kind) { return told.contains({kind, r}); };
        const bool shadowed = facts.decides[r] == 0, observe = p.rules[r].mode == abi::RuleMode::observe;
        ASSERT_EQ(is_told(cp::FindingKind::shadowed), shadowed) << p.rules[r].id;
        ASSERT_EQ(is_told(cp::FindingKind::redundant), !shadowed && !observe && !facts.matters[r]) << p.rules[r].id;
        bool contradictory = false;
        for (std::uint32_t i = 0; i < r; ++i) contradictory |= !observe && !shadowed && contradicts(p, facts, i, r);
        ASSERT_EQ(is_told(cp::FindingKind::contradictory), contradictory) << p.rules[r].id;
    }
}

TEST(AnalysisProperty, P15_OfLayersToo) {
    const std::uint64_t first = seed_of_this_run() + 5'000;
    std::uint64_t changed = 0;
    for (std::uint64_t run = 0; run < 60; ++run) {
        SCOPED_TRACE("SEED=" + std::to_string(first + run - 5'000));
        Random random{first + run};
        SmallWorld world{random};
        cp::Policy before = world.policy(2 + world.pick(9));
        add_layers(before, random);
        cp::Policy after = before;
        for (std::size_t n = 1 + world.pick(3); n != 0; --n) world.change(after);
        settle_layers(after);
        if (world.pick(4) == 0) add_layers(after, random);
        check_diff(before, after, world.packets(), changed);
        if (testing::Test::HasFatalFailure()) return;
    }
    EXPECT_GT(changed, 1'000U) << "hardly a change";
}

/// Of layers, by taking each rule away: a rule that passes on is not looked at.
void check_layered_findings(const cp::Policy& p, const std::vector<dp::LookupKey>& packets, std::uint64_t& told) {
    const cp::EntryPlaces places{nullptr, p, nullptr};
    const cp::RuleBoxes rules{nullptr, p, places};
    ASSERT_TRUE(rules.complete());
    const cp::Findings findings = cp::find_oddities(p, rules, {});
    ASSERT_EQ(findings.unexamined, 0U);
    std::vector<std::uint64_t> decides(p.rules.size() + 1);
    std::vector<abi::Verdict> verdicts;
    for (const dp::LookupKey& key : packets) {
        const auto found = cp::reference_lookup(p, key);
        ++decides[found.rule];
        if (found.observe != abi::kNoRule) ++decides[found.observe];
        verdicts.push_back(cp::reference_verdict(p, found.rule));
    }
    const auto is_told = [&](cp::FindingKind kind, std::uint32_t rule) {
        return std::ranges::any_of(findings.told,
                                   [&](const cp::Finding& f) { return f.kind == kind && f.rule == rule; });
    };
    for (std::uint32_t r = 0; r < p.rules.size(); ++r) {
        const bool observe = p.rules[r].mode == abi::RuleMode::observe;
        const bool shadowed = !p.passes_on(r) && decides[r] == 0;
        ASSERT_EQ(is_told(cp::FindingKind::shadowed, r), shadowed) << p.rules[r].id;
        bool redundant = !p.passes_on(r) && !shadowed && !observe;
        cp::Policy without = p;
        without.rules.erase(without.rules.begin() + static_cast<std::ptrdiff_t>(r));
        for (std::size_t k = 0; redundant && k < packets.size(); ++k)
            redundant = cp::reference_verdict(without, cp::reference_lookup(without, packets[k]).rule) == verdicts[k];
        ASSERT_EQ(is_told(cp::FindingKind::redundant, r), redundant) << p.rules[r].id;
        told += (shadowed ? 1 : 0) + (redundant ? 1 : 0);
    }
}

TEST(AnalysisProperty, P16_OfLayersToo) {
    const std::uint64_t first = seed_of_this_run() + 9'000;
    std::uint64_t told = 0;
    for (std::uint64_t run = 0; run < 40; ++run) {
        SCOPED_TRACE("SEED=" + std::to_string(first + run - 9'000));
        Random random{first + run};
        SmallWorld world{random};
        cp::Policy policy = world.policy(2 + world.pick(7));
        add_layers(policy, random);
        check_layered_findings(policy, world.packets(), told);
        if (testing::Test::HasFatalFailure()) return;
    }
    EXPECT_GT(told, 40U) << "hardly a finding";
}

TEST(AnalysisProperty, P16_FindingsAreWhatBruteForceFinds) {
    const std::uint64_t first = seed_of_this_run();
    std::array<std::uint64_t, 5> tally{};
    for (std::uint64_t run = 0; run < 120; ++run) {
        SCOPED_TRACE("SEED=" + std::to_string(first + run));
        Random random{first + run};
        SmallWorld world{random};
        check_findings(world.policy(run % 8 == 0 ? 30 + world.pick(30) : 1 + world.pick(9)), world.packets(), tally);
        if (testing::Test::HasFatalFailure()) return;
    }
    for (std::size_t kind = 0; kind < tally.size(); ++kind)
        EXPECT_GT(tally[kind], 5U) << cp::to_string(static_cast<cp::FindingKind>(kind)) << " was hardly ever found";
}

}  // namespace
}  // namespace sluice::test
