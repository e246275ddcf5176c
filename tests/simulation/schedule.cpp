#include "tests/simulation/schedule.hpp"

#include <array>
#include <random>
#include <utility>

#include "tests/harness/policies.hpp"
#include "tests/simulation/traffic.hpp"

namespace sluice::sim {

namespace {

using Random = std::mt19937_64;
constexpr std::uint64_t kRuleIds = 10;

std::uint32_t pick(Random& random, std::uint64_t below) { return static_cast<std::uint32_t>(random() % below); }

/// Small steps mostly; now and then to the edges of the timeouts that policies have, or far beyond all of them.
std::uint32_t milliseconds(Random& random) {
    static constexpr std::array<std::uint32_t, 12> kEdges{990,  995,  999,  1000, 1001, 1010,
                                                          1995, 2000, 2010, 4990, 5000, 5010};
    switch (pick(random, 8)) {
        case 0:
        case 1: return pick(random, 10);
        case 2:
        case 3: return 10 * pick(random, 30);
        case 4: return kEdges[pick(random, kEdges.size())];
        case 5: return pick(random, 6'000);
        case 6: return pick(random, 60'000);
        default: return pick(random, 16) == 0 ? pick(random, 1'000'000'000) : pick(random, 400'000);
    }
}

/// Packets of one conversation that are forwarded one by one.
void go_on(std::vector<Step>& steps, std::uint32_t conversation, std::uint32_t count, Random& random) {
    for (; count != 0; --count) {
        steps.push_back({StepKind::packet, conversation, pick(random, 1U << 16), 0});
        steps.push_back({StepKind::loop, conversation, 1, 0});
    }
}

}  // namespace

Setup setup_of(std::uint64_t seed) {
    Random random{seed ^ 0x5e7009};
    constexpr std::uint64_t kTickWrapNs = (std::uint64_t{1} << 32) * 10'000'000;
    Setup s;
    s.flow_entries_max = pick(random, 3) == 0 ? 6 : 48;
    s.buffers = pick(random, 3) == 0 ? 8 : 64;
    // Tight: fewer slots than ids, so that they are used again.
    s.rule_slots = static_cast<std::uint32_t>(abi::kSlotFirstFree) + (pick(random, 3) == 0 ? 7 : 12);
    s.answers_per_second = pick(random, 2) == 0 ? 3 : 100;
    s.real_manager = seed % 32 == 31;
    s.pickup_ms = pick(random, 2) == 0 ? 0 : 30'000;
    s.clock_ppm = std::array{0, 0, -50, 50}[pick(random, 4)];
    s.start_ns = pick(random, 4) == 0 ? kTickWrapNs - std::uint64_t{pick(random, 30'000)} * 1'000'000 : 0;
    s.hash_secret = random();
    s.half_open_percent = pick(random, 2) == 0 ? 25 : 100;
    s.policy_pool = static_cast<std::uint32_t>(seed / kSeedsPerPool);
    // A manager would take the wish away with its publisher's connection.
    if (!s.real_manager) s.watched_per_second = std::array{0U, 0U, 4U, 200U}[pick(random, 4)];
    return s;
}

std::vector<Step> schedule_of(std::uint64_t seed) {
    Random random{seed};
    std::vector<Step> steps;
    const std::uint32_t count = 60 + pick(random, 240);
    // Few conversations a run, so that each lives through much.
    const std::uint32_t first = pick(random, kConversations), some = 1 + pick(random, 8);
    if (pick(random, 8) != 0) steps.push_back({StepKind::publish, pick(random, 1U << 20), 0, 0});
    while (steps.size() < count) {
        const std::uint32_t conversation = (first + pick(random, some)) % kConversations;
        const std::uint32_t worker = pick(random, 6);  // of one, two or three
        const std::uint32_t dice = pick(random, 100);
        const std::uint32_t port = pick(random, kPorts);
        if (dice < 18) {
            steps.push_back({StepKind::packet, conversation, pick(random, 1U << 16), 0});
        } else if (dice < 26) {
            const std::uint32_t which = pick(random, kMutations);
            steps.push_back({StepKind::mutation, conversation, which, static_cast<std::uint32_t>(random())});
        } else if (dice < 34) {
            go_on(steps, conversation, 2 + pick(random, 14), random);
        } else if (dice < 41) {
            steps.push_back({StepKind::noise, conversation, pick(random, kNoises), 0});
        } else if (dice < 66) {
            steps.push_back({StepKind::loop, worker, 0, 0});
        } else if (dice < 70) {
            steps.push_back({StepKind::stalled_loop, worker, port, 1 + pick(random, 12)});
        } else if (dice < 83) {
            steps.push_back({StepKind::clock, milliseconds(random), 0, 0});
        } else if (dice < 90) {
            const std::uint32_t confirm = pick(random, 3) == 0 ? 1 + pick(random, 5'000) : 0;
            steps.push_back({StepKind::publish, pick(random, 1U << 20), confirm, 0});
            if (confirm != 0 && pick(random, 3) == 0) {
                steps.push_back({StepKind::clock, pick(random, confirm + 10), 0, 0});
                steps.push_back({StepKind::confirm, 0, 0, 0});
            }
        } else if (dice < 92) {
            steps.push_back({pick(random, 2) == 0 ? StepKind::confirm : StepKind::revert, 0, 0, 0});
        } else if (dice < 94) {
            steps.push_back({StepKind::link, port, pick(random, 4) != 0, 0});
        } else if (dice < 96) {
            steps.push_back({StepKind::tx_room, port, pick(random, 3) == 0 ? pick(random, 3) : 1'000'000, 0});
        } else if (dice < 97) {
            steps.push_back({StepKind::no_answers, worker, pick(random, 2), 0});
        } else if (dice < 98) {
            const StepKind kind = pick(random, 3) == 0 ? StepKind::planned_restart : StepKind::crash;
            static constexpr std::array kLosses{Loss::everything, Loss::tables, Loss::memory_of_a_worker,
                                                Loss::memory_of_a_worker};
            const Loss loss = pick(random, 2) == 0 ? kLosses[pick(random, kLosses.size())] : Loss::nothing;
            const std::uint32_t after = pick(random, 3) == 0 ? pick(random, 8) : 0;
            const bool live = pick(random, 2) == 0;  // in the middle of a conversation, which goes on afterwards
            if (live) go_on(steps, conversation, 2 + pick(random, 8), random);
            steps.push_back({kind, static_cast<std::uint32_t>(loss), after, milliseconds(random)});
            if (live) go_on(steps, conversation, 1 + pick(random, 6), random);
        } else if (pick(random, 3) == 0) {
            steps.push_back({StepKind::restart_control, 0, 0, 0});
        } else {  // a burst of one conversation, longer than the device hands over at once
            const std::uint32_t n = 10 + pick(random, 40);
            for (std::uint32_t i = 0; i < n; ++i)
                steps.push_back({StepKind::packet, conversation, pick(random, 1U << 16), 0});
        }
    }
    return steps;
}

std::string to_text(const Step& s) {
    static constexpr std::array<const char*, 15> kNames{
        "packet", "noise", "mutation", "loop",       "stalled-loop", "clock",           "publish",        "confirm",
        "revert", "link",  "tx-room",  "no-answers", "crash",        "planned-restart", "restart-control"};
    return std::string{kNames[static_cast<std::size_t>(s.kind)]} + " " + std::to_string(s.a) + " " +
           std::to_string(s.b) + " " + std::to_string(s.c);
}

namespace {

/// Tight, so that few packets meet them; most rules and zones have none.
void limit(cp::Policy& policy, Random& random) {
    const auto some = [&](std::uint32_t most) { return pick(random, 6) == 0 ? 1 + pick(random, most) : 0; };
    const auto of_rule = [&](cp::Action action) {
        const abi::RuleLimits limits{.states_max = some(5),
                                     .states_per_source_max = some(3),
                                     .new_per_second_max = some(4),
                                     .new_per_second_per_source_max = some(3)};
        return action == cp::Action::allow ? limits : abi::RuleLimits{};
    };
    for (cp::Rule& rule : policy.rules) rule.limits = of_rule(rule.action);
    policy.default_limits = of_rule(policy.default_action);
    for (cp::Zone& zone : policy.zones) {
        if (pick(random, 4) == 0) zone.limits = {.states_max = some(20), .new_per_second_max = some(10)};
    }
}

}  // namespace

cp::Policy policy_of(std::uint32_t number) {
    Random random{number};
    test::PolicyBuilder p;
    static const std::array<std::vector<std::vector<std::string>>, 6> kZones{{
        {{"p0", "p2"}, {"p1", "p3"}},
        {{"p1", "p3"}, {"p0", "p2"}},
        {{"p0"}, {"p1"}, {"p2"}, {"p3"}},
        {{"p3"}, {"p2"}, {"p0"}, {"p1"}},
        {{"p0", "p1", "p2", "p3"}},
        {{"p1", "p2"}, {"p0", "p3"}},
    }};
    const auto& zones = kZones[pick(random, kZones.size())];
    std::vector<std::string> sides{"any",         "any",         "any",         "10.0.0.0/16", "10.0.1.0/28",
                                   "10.1.0.0/16", "10.0.2.1/32", "10.1.2.2/32", "fd00::/32",   "fd00:1::/64"};
    for (std::size_t z = 0; z < zones.size(); ++z) {
        p.zone("z" + std::to_string(z), zones[z]);
        sides.push_back("z" + std::to_string(z));
        sides.push_back("z" + std::to_string(z));
    }
    static const std::array<std::vector<std::string>, 10> kServices{{{},
                                                                     {},
                                                                     {"udp/53"},
                                                                     {"udp", "icmp", "icmp6"},
                                                                     {"tcp/443"},
                                                                     {"tcp"},
                                                                     {"icmp", "icmp6"},
                                                                     {"proto/47", "proto/132"},
                                                                     {"tcp/1-1023", "udp/1-1023"},
                                                                     {"udp/8000", "tcp/8000"}}};
    static constexpr std::array kActions{cp::Action::allow, cp::Action::allow,  cp::Action::allow,
                                         cp::Action::deny,  cp::Action::reject, cp::Action::pass};
    const std::uint32_t first_id = pick(random, kRuleIds), rules = pick(random, 7);
    for (std::uint32_t i = 0; i < rules; ++i) {
        p.rule({.id = "r" + std::to_string((first_id + i * 3) % kRuleIds),
                .from = {sides[pick(random, sides.size())]},
                .to = {sides[pick(random, sides.size())]},
                .service = kServices[pick(random, kServices.size())],
                .action = kActions[pick(random, kActions.size())],
                .mode = pick(random, 6) == 0 ? abi::RuleMode::observe : abi::RuleMode::enforce,
                .log = static_cast<abi::RuleLog>(pick(random, 4))});
    }
    static constexpr std::array kDefaults{cp::Action::allow, cp::Action::allow, cp::Action::deny, cp::Action::reject};
    p.default_action(kDefaults[pick(random, 4)], static_cast<abi::RuleLog>(pick(random, 4)));
    p.wire(static_cast<abi::WireAction>(pick(random, 2)), abi::WireAction::allow,
           static_cast<abi::WireAction>(pick(random, 2)));
    static constexpr std::array<std::uint32_t, 7> kTimeouts{1000, 1005, 2000, 5000, 30'000, 400'000, 600'000'000};
    const auto timeout = [&] { return kTimeouts[pick(random, kTimeouts.size())]; };
    p.timeouts({.tcp_opening_ms = timeout(),
                .tcp_established_ms = timeout(),
                .tcp_closing_ms = timeout(),
                .tcp_closed_ms = timeout(),
                .udp_oneway_ms = timeout(),
                .udp_stream_ms = timeout(),
                .icmp_ms = timeout(),
                .other_ms = timeout(),
                .tcp_unacknowledged_ms = timeout()});
    limit(p.policy, random);
    // Some rules keep the flows that they decide against, some policies all.
    for (cp::Rule& rule : p.policy.rules) {
        if (pick(random, 4) == 0) rule.on_change = static_cast<abi::OnChange>(pick(random, 2));
    }
    p.policy.on_change = pick(random, 4) == 0 ? abi::OnChange::keep : abi::OnChange::reevaluate;
    return p.policy;
}

}  // namespace sluice::sim
