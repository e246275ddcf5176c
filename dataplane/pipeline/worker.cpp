#include "dataplane/pipeline/worker.hpp"

#include <algorithm>
#include <optional>

#include "dataplane/pipeline/act.hpp"
#include "dataplane/pipeline/admit.hpp"
#include "dataplane/pipeline/burst.hpp"
#include "dataplane/pipeline/classify.hpp"
#include "dataplane/pipeline/events.hpp"
#include "dataplane/pipeline/flow_book.hpp"
#include "dataplane/pipeline/flow_walk.hpp"
#include "dataplane/pipeline/hand_over.hpp"
#include "dataplane/pipeline/reassemble.hpp"
#include "dataplane/pipeline/rule_meter.hpp"
#include "dataplane/pipeline/rx.hpp"
#include "dataplane/pipeline/sweep.hpp"
#include "dataplane/pipeline/time_sampler.hpp"
#include "dataplane/pipeline/track.hpp"
#include "dataplane/pipeline/tx.hpp"

namespace sluice::dp {

struct Worker::Impl {
    Impl(const WorkerConfig& worker_config, PacketIo& packet_io, const WorkerTelemetry& telemetry,
         TablesQsbr& published)
        : config{worker_config},
          io{packet_io},
          tables{published},
          counters{*telemetry.counters},
          events{*telemetry.ring, telemetry.ring_slots, counters, worker_config.worker_count},
          rules{telemetry.rules},
          flows{config, counters, events, static_cast<std::uint32_t>(telemetry.rules.size())},
          fragments{config, packet_io, counters, events},
          answers{config.rejects_per_second_max, config.tsc.hz},
          times{config.times, config.tsc, config.hash_secret[0] + config.index, counters.times} {
        if (config.steering != nullptr) {
            others.emplace(*config.steering, config.index, packet_io, counters, events);
        }
    }

    Moment moment_of(TscTime now) const noexcept {
        const std::uint64_t ms = config.tsc.to_ms(now.since(config.tsc.origin));
        return {now, clock.to_mono(now), static_cast<std::uint32_t>(ms / kTickMs) + config.flow_home.tick_at_origin};
    }
    /// Around each receive: which bursts are measured, and for whom.
    void before_receive(const ActiveTables* active) noexcept {
        stages = watched != nullptr || active == nullptr ? watched : times.before_receive();
    }
    Passage passage_of(PortIndex in, const ActiveTables* active) const noexcept;
    std::size_t walk(Burst& burst, const ActiveTables& active) noexcept;
    void walk_timed(Burst& burst, const ActiveTables& active) noexcept;
    void lap(Stage stage) noexcept {
        if (stages != nullptr) stages->lap(stage);
    }
    void walk_without_policy(Burst& burst) noexcept;
    template <typename Pass>
    void take_from_others(const ActiveTables* active, const Moment& moment, const Pass& pass) noexcept;

    WorkerConfig config;
    TscRate clock{config.tsc};  ///< its origin is the last set_clock
    PacketIo& io;
    TablesQsbr& tables;
    abi::WorkerCounters& counters;
    EventWriter events;
    RuleMeter rules;
    FlowBook flows;
    Reassembly fragments;
    AnswerBudget answers;
    Sweep sweep;
    FlowDumpMailbox mailbox;
    FlowWalk walk_of_manager;
    Burst burst;
    std::optional<HandOver> others;  ///< other workers, if there are any
    bool burst_is_from_port{true};   ///< and not from another worker
    TimeSampler times;
    StageCycles* watched{};  ///< the bench's, of every burst
    StageCycles* stages{};   ///< of the burst in hand: `watched`, or the sampler's, or nobody's
};

Passage Worker::Impl::passage_of(PortIndex in, const ActiveTables* active) const noexcept {
    const PortIndex out = config.wire_partner[static_cast<std::size_t>(in)];
    Passage p{.in_port = in, .out_port = out};
    const PortIndex low = out == kNoPort ? in : std::min(in, out);
    p.domain = FlowDomain{static_cast<std::uint16_t>(low)};  // a wire is known by its lower port
    p.in_is_high_port = in != low;
    if (active != nullptr) {
        p.from = active->view.port_zone[static_cast<std::size_t>(in)];
        if (out != kNoPort) p.to = active->view.port_zone[static_cast<std::size_t>(out)];
    }
    return p;
}

/// The policy_seq under which these tables came, as far back as the difference of two such numbers reaches: sets may
/// change a billion times meanwhile.
std::uint32_t since_when(const ActiveTables& active) noexcept {
    const std::uint64_t age = std::min<std::uint64_t>(active.sequence - active.tables_sequence, 1U << 30);
    return active.policy_seq - static_cast<std::uint32_t>(age);
}

/// A packet's whole life, in order; each call is a file of this folder. Read this first. Returns how many were judged
/// here.
std::size_t Worker::Impl::walk(Burst& b, const ActiveTables& active) noexcept {
    abi::PortCounters& port = counters.ports[static_cast<std::size_t>(b.passage.in_port)];
    const std::uint64_t generation = active.view.generation;
    parse_burst(b, counters);  // bytes -> ParsedPacket, or as little as a usual packet needs, or a drop reason
    if (others && burst_is_from_port) others->pass_on(b);  // what other workers' flows are about is theirs
    if (b.fragment_count != 0) {
        fragments.collect(b, generation);  // held until their datagram is whole, which then is one packet
        if (others && b.datagram_count != 0) others->pass_on_datagrams(b, fragments, generation);
    }
    lap(Stage::parse);
    const std::size_t judged = b.count;
    judge_wire_frames(b, active.view, rules);  // ARP, neighbour discovery, other ethertypes
    track(b, flows, rules, counters);          // packets of live flows are decided here
    lap(Stage::track);
    classify(b, active.view, counters);  // new flows, and old ones after a switch
    lap(Stage::classify);
    admit(b, active.view, flows, rules, events, counters);  // allowed flows get an entry
    lap(Stage::admit);
    // Count, log, answer rejects, free what is dropped.
    act(b, io, answers, port, events, counters, fragments, generation);
    rules.flush();
    lap(Stage::act);
    transmit(b, io, counters.ports, events, fragments, generation);  // each packet has left exactly once
    lap(Stage::tx);
    return judged;
}

/// The same for telemetry: some bursts are measured.
void Worker::Impl::walk_timed(Burst& b, const ActiveTables& active) noexcept {
    if (watched != nullptr) {
        (void)walk(b, active);
        return;
    }
    const std::size_t received = b.count;
    times.after_receive(b, received, burst_is_from_port);
    const std::size_t judged = walk(b, active);
    times.after_send(b, received, judged, stages != nullptr);
}

/// No valid policy was ever seen. Closed: nothing passes. Open, if configured: everything crosses its wire, untracked.
void Worker::Impl::walk_without_policy(Burst& b) noexcept {
    for (std::size_t i = 0; i < b.count; ++i) {
        b.parsed[i] = ParsedPacket{};
        if (config.fail_open) {
            b.forward(i);
        } else {
            b.drop(i, abi::DropReason::no_policy);
        }
    }
    act(b, io, answers, counters.ports[static_cast<std::size_t>(b.passage.in_port)], events, counters, fragments, 0);
    transmit(b, io, counters.ports, events, fragments, 0);
}

/// A few bursts for each port and other worker, so that its own ports are not kept waiting.
template <typename Pass>
void Worker::Impl::take_from_others(const ActiveTables* active, const Moment& moment, const Pass& pass) noexcept {
    const std::size_t bursts_max = 2 * config.port_count * (config.worker_count - 1);
    for (std::size_t n = 0; n < bursts_max; ++n) {
        before_receive(active);
        const std::size_t count = others->take(burst);
        if (count == 0) break;
        begin_burst(burst, count, passage_of(burst.packet[0].in_port, active), moment);
        pass(count);
    }
}

Worker::Worker(const WorkerConfig& config, PacketIo& io, const WorkerTelemetry& telemetry, TablesQsbr& tables)
    : impl_{std::make_unique<Impl>(config, io, telemetry, tables)} {}
Worker::~Worker() = default;

std::size_t Worker::run_once(TscTime now) noexcept {
    Impl& w = *impl_;
    if (w.watched != nullptr) w.watched->begin();
    const Moment moment = w.moment_of(now);
    const ActiveTables* active = w.tables.current();  // one generation for the whole loop
    if (active != nullptr) {
        w.flows.use({.generation = active->view.generation,
                     .policy_seq = active->policy_seq,
                     .tables_sequence = active->tables_sequence,
                     .tables_since = since_when(*active),
                     .valid_since = active->valid_since,
                     .live_slots = active->live_slots,
                     .members = active->view.set_uses.empty() ? nullptr : &active->view.members},
                    active->view, moment.mono < active->pickup_until);
    }
    w.events.watch_new_flows(w.mailbox.new_flows_per_second.load(std::memory_order_relaxed));
    w.flows.syn_proxy.turn(moment.tick);
    std::size_t received = 0;
    const auto pass = [&](std::size_t count) {
        w.lap(Stage::rx);
        received += count;
        w.counters.bursts.add(1);
        if (active != nullptr) {
            w.walk_timed(w.burst, *active);
        } else {
            w.walk_without_policy(w.burst);
        }
    };
    for (std::size_t port = 0; port < w.config.port_count; ++port) {
        const Passage passage = w.passage_of(PortIndex{static_cast<std::uint8_t>(port)}, active);
        w.before_receive(active);
        const std::size_t count = receive(w.io, passage, moment, w.burst, w.counters.ports[port]);
        if (count != 0) pass(count);
    }
    if (w.others) {
        w.burst_is_from_port = false;
        w.take_from_others(active, moment, pass);
        w.burst_is_from_port = true;
    }
    w.stages = w.watched;
    if (active != nullptr) w.sweep.run(active->view, w.flows, w.rules, moment, received != 0, w.counters);
    run_proxy_timers(w.flows, w.io, moment, w.counters);
    w.flows.age(moment);
    w.fragments.expire(moment, active != nullptr ? active->view.generation : 0);
    w.walk_of_manager.serve(w.mailbox, w.flows, moment, received == 0);
    w.events.settle(moment.mono);
    w.counters.generation.set(active != nullptr ? active->view.generation : 0);
    w.counters.heartbeat_ns.set(moment.mono.ns);
    w.tables.quiesce(w.config.index, active);  // no table pointer outlives this line
    w.lap(Stage::rest);
    return received;
}

void Worker::set_clock(TscTime now, abi::MonoTime mono) noexcept {
    impl_->clock.origin = now;
    impl_->clock.origin_mono = mono;
    if (FlowAnchor* const anchor = impl_->config.flow_home.anchor) {
        const std::uint64_t since_zero_ns = impl_->config.tsc.to_ns(now.since(impl_->config.tsc.origin)) +
                                            std::uint64_t{impl_->config.flow_home.tick_at_origin} * kTickMs * 1'000'000;
        anchor->tick_zero_ns.store(mono.ns - since_zero_ns, std::memory_order_relaxed);
        anchor->flows.store(impl_->flows.table.count(), std::memory_order_relaxed);
    }
}

void Worker::take_over(const FlowSlab& old, const FlowMove& move) noexcept {
    impl_->flows.take_over(old, move, impl_->config.flow_home.limits);
}

const RecoveryCount& Worker::recovered() const noexcept { return impl_->flows.table.recovered(); }
void Worker::watch_stages(StageCycles* stages) noexcept { impl_->watched = stages; }

FlowDumpMailbox& Worker::dump_mailbox() noexcept { return impl_->mailbox; }
void Worker::go_online() noexcept { impl_->tables.online(impl_->config.index); }
void Worker::go_offline() noexcept {
    impl_->fragments.drop_all();
    impl_->tables.offline(impl_->config.index);
}

}  // namespace sluice::dp
