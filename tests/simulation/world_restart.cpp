// The part of World that ends a dataplane and begins the next one.
#include <unistd.h>
#include <algorithm>
#include <cstring>
#include <utility>

#include "tests/simulation/world.hpp"

namespace sluice::sim {

namespace {

constexpr std::uint64_t kTickNs = std::uint64_t{dp::kTickMs} * 1'000'000;
constexpr std::uint64_t kTickWrapNs = (std::uint64_t{1} << 32) * kTickNs;
/// Of new memory; the product's is 0. Far enough from 0 that a flow which comes from elsewhere began behind it.
constexpr std::uint64_t kFirstTick = std::uint64_t{1} << 36;
const std::vector<std::string> kPortNames{"p0", "p1", "p2", "p3"};

std::string key_of(const dp::FlowHot& e, const dp::FlowSlab& slab) {
    const auto read = [&](const auto& key, auto address) {
        const bool low_first = e.has(dp::flow_flag::original_is_low), straight = low_first || is_icmp(key.proto);
        const auto low = address(key.low_addr), high = address(key.high_addr);
        const std::uint16_t low_port = key.low_port.to_host(), high_port = key.high_port.to_host();
        const Tuple t = told_tuple(e.family(), low_first ? low : high, low_first ? high : low, key.proto,
                                   straight ? low_port : high_port, straight ? high_port : low_port);
        return flow_key(static_cast<std::uint8_t>(key.domain), t, Role::plain);
    };
    if (e.has(dp::flow_flag::v6)) return read(slab.v6[e.v6.line].key, [](auto a) { return abi::IpAddr::of_v6(a); });
    return read(e.v4, [](auto a) { return abi::IpAddr::of_v4(a); });
}

/// A table that finds flows where they stand takes them by family, sixteen whenever twice as many have been seen; their
/// age is lost. It matters only for who goes first when there is no room.
std::vector<WorkerModel::Kept> as_found(std::vector<WorkerModel::Kept> by_place) {
    constexpr std::size_t kTogether = 16;
    std::vector<WorkerModel::Kept> found;
    std::vector<WorkerModel::Kept> v4, v6;
    std::size_t taken_v4 = 0, taken_v6 = 0;
    const auto take = [&](std::vector<WorkerModel::Kept>& from, std::size_t& taken, std::size_t end) {
        for (; taken < end; ++taken) found.push_back(std::move(from[taken]));
    };
    for (WorkerModel::Kept& kept : by_place) {
        const bool is_v6 = kept.second.original.family == abi::IpFamily::v6;
        auto& family = is_v6 ? v6 : v4;
        family.push_back(std::move(kept));
        if (family.size() % kTogether == 0) take(family, is_v6 ? taken_v6 : taken_v4, family.size() - kTogether);
    }
    take(v4, taken_v4, v4.size());
    take(v6, taken_v6, v6.size());
    return found;
}

dp::RecoveryCount lost(abi::FlowLoss why, std::uint64_t count) {
    dp::RecoveryCount c;
    c.lose(why, count);
    return c;
}

}  // namespace

// ------------------------------------------------------------------------------------------------------------ the end

/// In the middle of a loop as well: what has been done up to here was done, the rest never happens.
void World::crash(const Step& s) {
    const bool planned = s.kind == StepKind::planned_restart;
    if (planned && depth_ != 0) {
        awaited_ = s;
        return;
    }
    ++(planned ? tally.restarts : depth_ == 0 ? tally.crashes : tally.crashes_in_a_loop);
    for (std::size_t w = 0; w < lanes_.size(); ++w) {
        Lane& lane = *lanes_[w];
        if (planned) lane.worker->go_offline();
        hear_fates(lane, w);
        check_sent(lane);
        check_events(lane);
        check_counters(lane, w);
        left_.push_back(leave(lane, w));
        lane.io.dead = true;
    }
    if (manager_) check_store();
    crash_ = s;
    awaited_.reset();
}

World::Left World::leave(const Lane& lane, std::size_t w) {
    Left left{.memory = {}, .flows = {}, .tick_zero_ns = lane.clock.tick_zero_ns};
    const auto* const bytes = reinterpret_cast<const std::byte*>(lane.home.slab.hot.data());
    left.memory.assign(bytes, bytes + dp::FlowSlab::bytes(shape_.entries, shape_.entries));
    for (const dp::FlowHot& e : lane.home.slab.hot) {
        if (e.phase == dp::FlowPhase::free) continue;
        const auto flow = lane.model.flows.find(key_of(e, lane.home.slab));
        if (flow == lane.model.flows.end())
            failed("worker " + std::to_string(w) + " leaves a flow in its memory that it should not have");
        left.flows.push_back(*flow);
    }
    expect_equal("flows in the memory of worker " + std::to_string(w), left.flows.size(), lane.model.flows.size());
    return left;
}

/// What ran is torn down, and what crash() has found is all that counts.
void World::begin_again() {
    const Step s = *std::exchange(crash_, std::nullopt);
    std::vector<Left> left = std::exchange(left_, {});
    const auto running = generations().running(), previous = generations().previous();
    const abi::MonoTime deadline = generations().confirm_deadline();
    const std::uint64_t highest = generations().highest_seen();
    for (std::size_t w = 0; w < lanes_.size(); ++w) {
        Lane& lane = *lanes_[w];
        for (std::uint8_t p = 0; p < kPorts; ++p) lane.model.abandon(p, [this](const Letter& l) { traffic_.lose(l); });
        count_flows(lane);
        std::memcpy(lane.home.slab.hot.data(), left[w].memory.data(), left[w].memory.size());
    }
    lanes_.clear();
    generations_.reset();
    manager_.reset();
    asked_.clear();
    memory_.reset();

    const Shape before = shape_;
    if ((s.b & after::other_entries) != 0) shape_.entries = shape_.entries == 6 ? 48 : 6;
    if ((s.b & after::more_workers) != 0 && shape_.workers < kWorkersMost) ++shape_.workers;
    if ((s.b & after::fewer_workers) != 0 && shape_.workers > 1) --shape_.workers;
    const auto loss = static_cast<Loss>(s.a);
    if (loss == Loss::everything) store_.clear();
    if (loss == Loss::memory_of_a_worker && !store_.empty()) store_.erase(store_.begin());
    if (supervisor_) lose(loss);
    now_ns_ += s.c * std::uint64_t{1'000'000};

    start_dataplane();
    inherit(std::move(left), before, loss == Loss::nothing || loss == Loss::tables);
    // What is lost may be picked up in mid-stream, if there is a generation under which it may have been.
    const bool pickup = setup_.pickup_ms != 0 && !kept_.whole();
    const std::uint64_t until_ns = pickup ? mono_ns() + setup_.pickup_ms * std::uint64_t{1'000'000} : 0;
    const bool tables_survive = loss == Loss::nothing || loss == Loss::memory_of_a_worker;
    if (tables_survive && running) {
        for (auto& lane : lanes_) lane->model.pickup_until_ns = until_ns;
    }
    switches_.begin_again(tables_survive, shape_.workers);
    if (supervisor_) {
        start_manager();
        const bool reverted = switches_.time_is_up(mono_ns()) && switches_.revert();
        tally.reverts += reverted ? 1 : 0;
        return check_switch("restore", true, true);
    }
    generations_->restore_highest_seen(highest);
    if (tables_survive && running) {
        generations_->open_pickup({until_ns});
        (void)generations_->switch_to(running, abi::StateSource::descriptor_store, deadline);
        generations_->restore_previous(previous);
    }
    check_switch("restore", true, true);
    manage();
}

/// With a manager the store is the supervisor's.
void World::lose(Loss loss) {
    if (loss == Loss::everything) supervisor_->lose("");
    if (loss == Loss::memory_of_a_worker) supervisor_->lose("f.", 1);
    if (loss == Loss::tables) {
        supervisor_->lose("m.");
        supervisor_->lose("s.");
    }
    store_ = supervisor_->stored();
}

// ---------------------------------------------------------------------------------------------------------- beginning

void World::start_dataplane() {
    ++processes_;
    qsbr_ = std::make_unique<dp::TablesQsbr>();
    if (!supervisor_) generations_ = std::make_unique<dp::Generations>(*qsbr_);
    dp::FlowMemoryShape shape;
    shape.worker_count = static_cast<std::uint32_t>(shape_.workers);
    shape.entries = shape_.entries;
    shape.ports = kPortNames;
    shape.wires = {{0, 1}, {2, 3}};
    shape.rule_slots = setup_.rule_slots;
    auto memory = dp::FlowMemory::open(shape, store_, {mono_ns()});
    if (!memory) failed(memory.error());
    memory_.emplace(std::move(*memory));
    dp::RecoveryCount recovered;
    for (std::uint8_t w = 0; w < shape_.workers; ++w) {
        lanes_.push_back(std::make_unique<Lane>(setup_, shape_, w));
        start_worker(w);
        recovered += lanes_.back()->worker->recovered();
    }
    kept_ = memory_->finish(recovered);
    // The new set is stored before the old one goes.
    dp::StoredFds stored;
    for (const auto& [name, fd] : kept_.fds) stored.emplace(name, dp::UniqueFd{::dup(fd)});
    store_ = std::move(stored);
}

void World::start_worker(std::uint8_t w) {
    Lane& lane = *lanes_[w];
    // The first process began with the clock, so that its ticks stand where the seed wants them.
    lane.clock.origin_ns = processes_ == 1 ? 0 : now_ns_;
    const std::uint64_t origin_mono = mono_ns_at(lane.clock.origin_ns);
    lane.home = memory_->home(w, {origin_mono});
    dp::WorkerConfig c{};
    c.index = w;
    c.worker_count = static_cast<std::uint32_t>(shape_.workers);
    c.port_count = kPorts;
    c.wire_partner.fill(dp::kNoPort);
    for (std::uint8_t p = 0; p < kPorts; ++p) c.wire_partner[p] = dp::PortIndex{partner(p)};
    c.flow_entries_max = shape_.entries;
    c.half_open_percent = setup_.half_open_percent;
    c.tsc = {.hz = 1'000'000'000, .origin = tsc(lane.clock.origin_ns), .origin_mono = {origin_mono}};
    c.hash_secret = {setup_.hash_secret + processes_, ~setup_.hash_secret};
    c.rejects_per_second_max = setup_.answers_per_second;
    c.flow_home = lane.home;
    lane.worker = std::make_unique<dp::Worker>(
        c, lane.io,
        dp::WorkerTelemetry{
            .counters = lane.counters.get(), .rules = lane.rules, .ring = &lane.ring, .ring_slots = lane.ring_slots},
        *qsbr_);
    lane.worker->dump_mailbox().new_flows_per_second = setup_.watched_per_second;
    for (const auto& source : memory_->sources(w, {origin_mono})) lane.worker->take_over(source.slab, source.move);
    lane.worker->go_online();
    lane.clock.tick_at_origin = kFirstTick;
    lane.clock.tick_zero_ns = origin_mono - kFirstTick * kTickNs;
}

/// Who of the flows lives on, and where. `found`: the store gave back the memory of all workers.
void World::inherit(std::vector<Left> left, const Shape& before, bool found) {
    dp::RecoveryCount expected;
    std::vector<std::vector<WorkerModel::Kept>> mine(shape_.workers);
    const auto ticks_by = [](const Left& l, std::uint64_t mono) { return (mono - l.tick_zero_ns) / kTickNs; };
    for (std::size_t w = 0; found && w < left.size(); ++w) {
        std::vector<WorkerModel::Kept>& flows = left[w].flows;
        LaneClock* clock = nullptr;
        if (shape_ == before) {  // the memory is used where it lies, and its ticks go on
            clock = &lanes_[w]->clock;
            clock->tick_zero_ns = left[w].tick_zero_ns;
            clock->tick_at_origin = ticks_by(left[w], mono_ns());
            expected.kept += flows.size();
            mine[w] = as_found(std::move(flows));
        } else if (shape_.workers == before.workers || shape_.workers == 1) {  // copied, into ticks of their own
            const std::size_t to = shape_.workers == 1 ? 0 : w;
            const std::uint64_t shift = kFirstTick - ticks_by(left[w], mono_ns());
            for (auto& [key, flow] : flows) {
                if (mine[to].size() == shape_.entries) {
                    expected.lose(abi::FlowLoss::room);
                    continue;
                }
                ++expected.kept;
                flow.seen_tick += shift;
                flow.started_tick += shift;
                mine[to].emplace_back(key, flow);
            }
        } else {  // which worker gets their packets, nobody can tell
            expected += lost(abi::FlowLoss::workers, flows.size());
        }
    }
    for (std::size_t w = 0; w < lanes_.size(); ++w) {
        Lane& lane = *lanes_[w];
        lane.model.adopt(std::move(mine[w]), lane.clock.tick_at_origin);
        expect_equal("flows of worker " + std::to_string(w) + " at its start", lane.counters->flows.read(),
                     lane.model.flows.size());
    }
    tally.flows_kept += expected.kept;
    tally.flows_lost += expected.lost_total();
    see(&kept_.count, sizeof kept_.count);
    expect_equal("flows kept", kept_.count.kept, expected.kept);
    for (std::size_t i = 0; i < abi::kFlowLossCount; ++i)
        expect_equal("flows lost, " + std::string{abi::kFlowLosses[i].name}, kept_.count.lost[i], expected.lost[i]);
    expect_equal("flows of an earlier process were found", kept_.had_predecessor, found && processes_ > 1);
}

// --------------------------------------------------------------------------------------------------------------- time

std::uint64_t World::mono_ns_at(std::uint64_t now_ns) const {
    return kOriginMonoNs + now_ns +
           static_cast<std::uint64_t>(static_cast<std::int64_t>(now_ns / 1'000'000) * setup_.clock_ppm);
}

Instant World::instant(const Lane& lane) const {
    const LaneClock& c = lane.clock;
    return {.now_ns = now_ns_, .mono_ns = c.mono_at_set + (now_ns_ - c.set_ns), .ticks = c.ticks(now_ns_)};
}

/// Once a second a worker is told the monotonic time, and tells its successor since when it counts its ticks.
void World::set_clock(Lane& lane) {
    LaneClock& c = lane.clock;
    if (c.is_set && now_ns_ - c.set_ns < 1'000'000'000) return;
    c.is_set = true;
    c.set_ns = now_ns_;
    c.mono_at_set = mono_ns();
    c.tick_zero_ns = c.mono_at_set - (now_ns_ - c.origin_ns) - c.tick_at_origin * kTickNs;
    lane.worker->set_clock(tsc(now_ns_), {c.mono_at_set});
    const std::uint64_t told = lane.home.anchor->tick_zero_ns.load();
    expect_equal("beginning of a worker's ticks, in nanoseconds within their wrap",
                 static_cast<std::uint64_t>(static_cast<std::int64_t>(told - c.tick_zero_ns) %
                                            static_cast<std::int64_t>(kTickWrapNs)),
                 0);
}

}  // namespace sluice::sim
