#include "tests/simulation/world.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <utility>

namespace sluice::sim {

namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::size_t kRingRecords = 1024;
const std::vector<std::string> kPortNames{"p0", "p1", "p2", "p3"};

ModelOptions options_of(const Setup& setup, std::uint32_t entries, std::size_t workers) {
    return {.flow_entries_max = entries,
            .half_open_max = std::max(1U, entries * setup.half_open_percent / 100),
            .workers = static_cast<std::uint32_t>(workers),
            .buffers = setup.buffers,
            .answers_per_second = setup.answers_per_second,
            .events_per_second_and_cause = 100 / static_cast<std::uint32_t>(workers),
            .new_flows_per_second = setup.watched_per_second == 0
                                        ? 0
                                        : std::max(1U, setup.watched_per_second / static_cast<std::uint32_t>(workers)),
            .rule_slots = setup.rule_slots};
}

}  // namespace

World::Lane::Lane(const Setup& setup, const Shape& shape, std::uint8_t index)
    : io{setup.buffers},
      counters{std::make_unique<abi::WorkerCounters>()},
      rules(setup.rule_slots),
      ring_slots(kRingRecords),
      model{options_of(setup, shape.entries, shape.workers), index} {
    for (std::uint8_t p = 0; p < kPorts; ++p) {
        io.memory.link[p] = true;
        io.memory.tx_room[p] = SIZE_MAX;
    }
}

World::World(const Setup& setup, std::function<void(const std::string&)> fail,
             std::function<void(const std::string&)> trace)
    : setup_{setup},
      fail_{std::move(fail)},
      trace_{std::move(trace)},
      now_ns_{setup.start_ns},
      slots_{setup.rule_slots},
      slot_model_{setup.rule_slots},
      shape_{.workers = 2, .entries = setup.flow_entries_max},
      state_{XXH3_createState()} {
    XXH3_64bits_reset(state_);
    if (setup.real_manager) supervisor_ = std::make_unique<Supervisor>();
    start_dataplane();
    if (supervisor_) start_manager();
}

World::~World() {
    lanes_.clear();
    XXH3_freeState(state_);
}

void World::run(const std::vector<Step>& steps) {
    for (next_step_ = 0; next_step_ < steps.size();) step(steps);
    // What is still on its way arrives, and what has been told is compared one last time.
    for (std::size_t w = 0; w < lanes_.size(); ++w) {
        do {
            loop(w, 0, 0, steps);
        } while (lanes_[w]->model.waiting() != 0);
    }
    for (const auto& lane : lanes_) count_flows(*lane);
}

void World::count_flows(const Lane& lane) {
    tally.flows += lane.counters->flows_created.read();
    tally.expired += lane.counters->flows_expired.read();
    tally.ended_by_policy += lane.counters->flows_ended_by_policy.read();
    tally.kept_on_change += lane.counters->flows_kept_on_change.read();
    tally.reopened += lane.counters->flow_reopen.read();
    tally.picked_up += lane.counters->flow_pickup.read();
}

std::uint64_t World::digest() const { return XXH3_64bits_digest(state_); }

void World::step(const std::vector<Step>& steps) {
    const std::size_t number = next_step_;
    const Step& s = steps[next_step_++];
    if (trace_) say(std::to_string(number) + std::string(2 * static_cast<std::size_t>(depth_) + 2, ' ') + to_text(s));
    switch (s.kind) {
        case StepKind::packet: post(traffic_.next(s.a % kConversations, s.b)); break;
        case StepKind::noise: post(traffic_.noise(s.a % kConversations, static_cast<Noise>(s.b % kNoises))); break;
        case StepKind::mutation:
            for (const Letter& letter :
                 traffic_.mutated(s.a % kConversations, static_cast<Mutation>(s.b % kMutations), s.c))
                post(letter);
            break;
        case StepKind::loop:
            loop(s.b == 0 ? s.a % lanes_.size() : Traffic::worker_of(s.a, lanes_.size()), 0, 0, steps);
            break;
        case StepKind::stalled_loop: loop(s.a % lanes_.size(), s.b % kPorts, s.c, steps); break;
        case StepKind::clock:
            now_ns_ += s.a * kNsPerMs;
            manage();
            break;
        case StepKind::publish: publish(s); break;
        case StepKind::confirm: {
            if (manager_) {
                confirm();
                break;
            }
            const auto& running = generations().running();
            check_switch("confirm", running && generations_->confirm(running->manifest.generation),
                         switches_.confirm());
            break;
        }
        case StepKind::revert: {
            if (manager_) {
                revert();
                break;
            }
            const auto running = generations().running();
            const bool done = running && generations_->revert(running->manifest.generation, abi::StateSource::reverted);
            check_switch("revert", done, switches_.revert());
            tally.reverts += done ? 1 : 0;
            break;
        }
        case StepKind::link:
            for (auto& lane : lanes_)
                lane->io.memory.link[s.a % kPorts] = lane->devices.link_up[s.a % kPorts] = s.b != 0;
            break;
        case StepKind::tx_room:
            for (auto& lane : lanes_) lane->io.memory.tx_room[s.a % kPorts] = lane->devices.tx_room[s.a % kPorts] = s.b;
            break;
        case StepKind::no_answers: {
            Lane& lane = *lanes_[s.a % lanes_.size()];
            lane.io.memory.can_allocate = lane.devices.can_allocate = s.b == 0;
            break;
        }
        case StepKind::crash:
        case StepKind::planned_restart: crash(s); break;
        case StepKind::restart_control: restart_control(); break;
    }
    if (depth_ != 0) return;
    if (awaited_) crash(*std::exchange(awaited_, std::nullopt));
    if (crash_) begin_again();
}

void World::post(const std::optional<Letter>& letter) {
    if (!letter) return;
    Lane& lane = *lanes_[Traffic::worker_of(letter->conversation, lanes_.size())];
    const bool taken = lane.io.memory.arrive(letter->port, letter->frame);
    if (trace_) say("        " + to_text(*letter) + (taken ? "" : ": no buffer"));
    check_switch("arrival", taken, lane.model.arrive(*letter));
    if (!taken) traffic_.lose(*letter);
}

// --------------------------------------------------------------------------------------------------------- policies

/// What the compiler makes of a policy takes milliseconds, nearly all of it for arrays that depend on the policy alone;
/// so each policy is compiled once a process, and only what slots and number decide is put right for each generation.
const World::Master& World::master(std::uint32_t number) {
    static std::map<std::uint32_t, Master> masters;
    if (masters.size() > 2 * kPolicies) masters.clear();  // of an earlier seed's pool; editions hold what they need
    const auto known = masters.find(number);
    if (known != masters.end()) return known->second;
    Master m{.policy = policy_of(number), .tables = nullptr};
    cp::SlotMap slots;
    m.tables = std::make_shared<test::CompiledTables>(m.policy, slots, 1, kPortNames);
    return masters.emplace(number, std::move(m)).first->second;
}

/// Harder than the control plane does it, where a slot rests until no flow stands under its rule: here it passes on at
/// once, and every flow must come out right all the same.
void World::assign_slots(const cp::Policy& policy) {
    cp::Policy staying;
    std::ranges::copy_if(policy.rules, std::back_inserter(staying.rules),
                         [&](const cp::Rule& rule) { return slots_.last_of(rule.id).has_value(); });
    (void)slots_.assign(staying);
    slots_.flows_judged();
    if (const auto assigned = slots_.assign(policy); !assigned) failed(assigned.error().to_string());
}

void World::compile(std::uint32_t number, Compiled& out, Edition& edition) {
    const Master& m = master(number);
    edition.policy = m.policy;
    slot_model_.assign(edition.policy);
    assign_slots(edition.policy);
    for (const cp::Rule& rule : edition.policy.rules) {
        const abi::RuleSlot slot = slots_.find(rule.id).value_or(abi::kNoSlot);
        expect_equal("slot of " + rule.id, static_cast<std::uint64_t>(slot), slot_model_.slot(rule.id));
        edition.slots.push_back(slot);
    }
    edition.slots.push_back(abi::kSlotDefault);
    out.tables = m.tables;
    out.generation.view = m.tables->view();
    out.rules.assign(out.generation.view.rules.begin(), out.generation.view.rules.end());
    for (std::size_t i = 0; i < out.rules.size(); ++i) out.rules[i].slot = edition.slots[i];
    if (edition.generation % 64 == 0) {  // as it comes from the compiler, to see that it is the same
        const test::CompiledTables whole{edition.policy, slots_, edition.generation, kPortNames};
        const auto same = [](const abi::RuleRecord& a, const abi::RuleRecord& b) {
            return std::memcmp(&a, &b, sizeof a) == 0;
        };
        const auto& rules = whole.view().rules;
        if (!std::equal(rules.begin(), rules.end(), out.rules.begin(), out.rules.end(), same))
            failed("the compiler's rules are others than those of the same policy with the slots put in");
    }
    out.generation.view.rules = out.rules;
    out.generation.view.generation = out.generation.manifest.generation = edition.generation;
    for (std::size_t z = 0; z < edition.policy.zones.size(); ++z) {
        for (const std::string& port : edition.policy.zones[z].ports)
            edition.zone_of_port[static_cast<std::size_t>(port[1] - '0')] = abi::ZoneId{static_cast<std::uint16_t>(z)};
    }
}

/// What the control plane tells about flows that the change does not concern. The model knows nothing of it: whoever is
/// left out must come out as if judged.
void World::compare_with_running(Compiled& out, const Edition& edition) {
    out.settings = *out.generation.view.settings;
    out.generation.view.settings = &out.settings;
    const auto& running = generations().running();
    if (!running) return;
    const Edition& runs = *switches_.running();
    const cp::ChangeBase base{&runs.policy, runs.rule_slots(), running->manifest.generation, {}};
    out.settings.base_generation = base.generation;
    out.untouched = cp::untouched_slots(base, edition.policy, edition.rule_slots());
    out.generation.view.untouched = out.untouched;
    for (const std::uint64_t word : out.untouched) tally.untouched += static_cast<unsigned>(std::popcount(word));
}

void World::publish(const Step& s) {
    auto compiled = std::make_shared<Compiled>();
    auto edition = std::make_shared<Edition>();
    edition->generation = ++generation_number_;
    compile(setup_.policy_pool * kPolicies + s.a % kPolicies, *compiled, *edition);
    if (manager_) return offer(s, edition);
    compare_with_running(*compiled, *edition);
    const std::uint64_t deadline = s.b == 0 ? 0 : mono_ns() + s.b * kNsPerMs;
    // The manager's own questions before it switches (manager/requests.cpp).
    const bool allowed = (s.b == 0 || generations().running()) && generations_->may_switch();
    if (allowed) {
        const dp::Generations::Held held{compiled, &compiled->generation};
        (void)generations_->switch_to(held, abi::StateSource::publisher, {deadline});
    }
    tally.publishes += allowed ? 1 : 0;
    tally.refused += allowed ? 0 : 1;
    check_switch("publish", allowed, switches_.publish(edition, deadline));
}

/// What the manager's thread does between requests.
void World::manage() {
    if (manager_) return hear(manager_->round(), std::nullopt);
    (void)generations_->collect();
    const abi::MonoTime deadline = generations().confirm_deadline();
    bool reverted = false;
    if (deadline.ns != 0 && mono_ns() >= deadline.ns)
        reverted = generations_->revert(generations().running()->manifest.generation, abi::StateSource::reverted);
    tally.reverts += reverted ? 1 : 0;
    check_switch("revert at the deadline", reverted, switches_.time_is_up(mono_ns()) && switches_.revert());
}

void World::check_switch(const std::string& what, bool got, bool expected) {
    if (trace_ && got != expected) say("        " + what);
    if (got != expected) failed(what + (got ? " was done, " : " was refused, ") + "the model says otherwise");
    const auto number = [](const auto& held) { return held ? held->manifest.generation : 0; };
    const auto model_number = [](const auto& held) { return held ? held->generation : 0; };
    expect_equal("running generation", number(generations().running()), model_number(switches_.running()));
    expect_equal("generation to return to", number(generations().previous()), model_number(switches_.previous()));
    expect_equal("deadline", generations().confirm_deadline().ns, switches_.deadline_ns());
    check_readers();
}

/// A worker in the middle of a loop reads what it began under: that must not have been freed.
void World::check_readers() {
    for (std::size_t w = 0; w < lanes_.size(); ++w) {
        const Lane& lane = *lanes_[w];
        if (lane.busy && lane.reads_something && lane.reads.expired())
            failed("worker " + std::to_string(w) + " stands in a loop, and the generation that it reads was freed");
    }
}

void World::restart_control() {
    const std::string text = slots_.to_text();
    auto loaded = cp::SlotMap::from_text(text, setup_.rule_slots);
    if (!loaded) failed("the slots cannot be read back: " + loaded.error());
    slots_ = std::move(*loaded);
    if (slots_.to_text() != text) failed("the slots read back are others");
}

// -------------------------------------------------------------------------------------------------------- one loop

void World::loop(std::size_t w, std::uint32_t stall_port, std::uint32_t stall_steps, const std::vector<Step>& steps) {
    Lane& lane = *lanes_[w];
    if (lane.busy) return;  // it stands in the middle of one
    lane.busy = true;
    lane.reads = generations().running();
    lane.reads_something = generations().running() != nullptr;
    const auto edition = switches_.running();
    const std::uint64_t number = switches_.number();
    set_clock(lane);
    const Instant began = instant(lane);
    lane.model.begin_loop(edition, number, began);
    lane.io.before_receive = [&](std::uint8_t port) {
        if (port != stall_port || stall_steps == 0) return;
        ++tally.stalls;
        ++depth_;
        for (std::uint32_t n = std::exchange(stall_steps, 0); n != 0 && next_step_ < steps.size() && !crash_; --n)
            step(steps);
        --depth_;
        check_readers();
    };
    lane.io.after_receive = [&](std::uint8_t port, std::size_t count) {
        expect_equal("packets received", count, lane.model.burst(port, lane.devices));
    };
    dp::FlowDumpMailbox& box = lane.worker->dump_mailbox();
    box.position = 0;
    box.count_max = 64;
    box.state.store(dp::FlowDumpMailbox::State::requested);
    (void)lane.worker->run_once(tsc(began.now_ns));
    lane.busy = false;
    if (crash_) return;  // in the middle of it
    switches_.worker_saw(w, number);
    if (manager_) manager_->heard_from(static_cast<std::uint32_t>(w), {began.mono_ns});
    lane.generation = edition ? edition->generation : 0;
    check_loop(lane, w);
}

}  // namespace sluice::sim
