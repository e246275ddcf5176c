// The part of World that compares.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "tests/simulation/world.hpp"

namespace sluice::sim {

namespace {

/// An answer goes back to who sent the frame, and speaks as who it was for. (What it says: answer_test.cpp.)
bool answers(const test::FrameBytes& answer, const test::FrameBytes& frame) {
    if (answer.size() < 60 || std::memcmp(answer.data(), frame.data() + 6, 6) != 0) return false;
    const bool v6 = frame[12] == 0x86;
    const std::size_t src = v6 ? 22 : 26, dst = v6 ? 38 : 30, bytes = v6 ? 16 : 4;
    return std::memcmp(answer.data() + src, frame.data() + dst, bytes) == 0 &&
           std::memcmp(answer.data() + dst, frame.data() + src, bytes) == 0;
}

/// What can be told of an event for certain: of packets that were not read to their end, no addresses.
abi::FlowEvent comparable(abi::FlowEvent e) {
    switch (e.drop) {
        case abi::DropReason::no_policy:
        case abi::DropReason::vlan_deny:
        case abi::DropReason::ip_malformed:
        case abi::DropReason::ip_options:
        case abi::DropReason::martian:
        case abi::DropReason::frag_malformed:
        case abi::DropReason::bad_l4_csum: break;
        default: return e;
    }
    if (e.kind != abi::EventKind::drop) return e;
    e.src = e.dst = {};
    e.sport = e.dport = {};
    e.family = {};
    e.proto = {};
    return e;
}

std::string text_of(const abi::FlowEvent& e) {
    return "kind " + std::to_string(static_cast<unsigned>(e.kind)) + " slot " +
           std::to_string(static_cast<std::uint32_t>(e.slot)) + " drop " + std::string{abi::to_string(e.drop)} +
           " end " + std::to_string(static_cast<unsigned>(e.end)) + " proto " +
           std::to_string(static_cast<unsigned>(e.proto)) + " ports " + std::to_string(e.sport.to_host()) + ">" +
           std::to_string(e.dport.to_host()) + " packets " + std::to_string(e.packets[0]) + "+" +
           std::to_string(e.packets[1]) + " generation " + std::to_string(e.generation) + " zones " +
           std::to_string(static_cast<unsigned>(e.from_zone)) + ">" + std::to_string(static_cast<unsigned>(e.to_zone)) +
           " suppressed " + std::to_string(e.suppressed);
}

}  // namespace

void World::see(const void* bytes, std::size_t count) { XXH3_64bits_update(state_, bytes, count); }

void World::failed(const std::string& text) {
    fail_(text);
    std::abort();  // `fail` does not return
}

void World::say(const std::string& text) {
    if (trace_) trace_(text);
}

void World::expect_equal(const std::string& what, std::uint64_t got, std::uint64_t expected) {
    if (got != expected) failed(what + " is " + std::to_string(got) + ", the model says " + std::to_string(expected));
}

void World::Tally::add(const Tally& t) {
    forwarded += t.forwarded;
    dropped += t.dropped;
    flows += t.flows;
    expired += t.expired;
    ended_by_policy += t.ended_by_policy;
    kept_on_change += t.kept_on_change;
    reopened += t.reopened;
    publishes += t.publishes;
    refused += t.refused;
    reverts += t.reverts;
    stalls += t.stalls;
    crashes += t.crashes;
    crashes_in_a_loop += t.crashes_in_a_loop;
    restarts += t.restarts;
    flows_kept += t.flows_kept;
    flows_lost += t.flows_lost;
    picked_up += t.picked_up;
    answers += t.answers;
    events += t.events;
    untouched += t.untouched;
}

void World::hear_fates(Lane& lane, std::size_t w) {
    for (const WorkerModel::Fate& fate : lane.model.fates) {
        if (trace_) say("        worker " + std::to_string(w) + ": " + to_text(fate.letter) + ": " + fate.text);
        const bool forwarded = fate.text == "forward";
        ++(forwarded ? tally.forwarded : tally.dropped);
        traffic_.hear(fate.letter, !forwarded && !fate.way_out_only && fate.text != "tcp_closed");
    }
    lane.model.fates.clear();
}

void World::check_loop(Lane& lane, std::size_t w) {
    hear_fates(lane, w);
    check_sent(lane);
    const std::vector<abi::FlowRecord> present = read_dump(lane);
    if (const std::string wrong = lane.model.end_loop(present); !wrong.empty())
        failed("worker " + std::to_string(w) + ": " + wrong);
    check_events(lane);
    check_counters(lane, w);
}

void World::check_sent(Lane& lane) {
    const auto got = lane.io.memory.take_sent();
    const std::vector<Sent> expected = std::exchange(lane.model.sent, {});
    for (const test::Output& out : got) {
        see(&out.port, 1);
        see(out.bytes.data(), out.bytes.size());
    }
    expect_equal("packets sent", got.size(), expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
        expect_equal("port of a packet sent", got[i].port, expected[i].port);
        const bool right =
            expected[i].answer ? answers(got[i].bytes, expected[i].frame) : got[i].bytes == expected[i].frame;
        if (!right) failed(expected[i].answer ? "an answer is for somebody else" : "a packet was changed on its way");
        tally.answers += expected[i].answer ? 1 : 0;
    }
    expect_equal("buffers free", lane.io.memory.buffers_free() + lane.io.memory.waiting(), setup_.buffers);
}

std::vector<abi::FlowRecord> World::read_dump(Lane& lane) {
    dp::FlowDumpMailbox& box = lane.worker->dump_mailbox();
    if (box.state.load() != dp::FlowDumpMailbox::State::done || !box.last)
        failed("the worker does not answer its mailbox");
    std::vector<abi::FlowRecord> records(box.flows.begin(), box.flows.begin() + box.count);
    box.state.store(dp::FlowDumpMailbox::State::idle);
    see(records.data(), records.size() * sizeof(abi::FlowRecord));
    return records;
}

void World::check_events(Lane& lane) {
    std::vector<abi::FlowEvent> got, expected;
    const std::uint64_t written = lane.ring.written.load();
    if (written - lane.events_read > lane.ring_slots.size()) failed("the event ring was lapped within one loop");
    for (; lane.events_read < written; ++lane.events_read) {
        const abi::EventSlot& slot = lane.ring_slots[lane.events_read % lane.ring_slots.size()];
        expect_equal("event number", slot.sequence.load(), lane.events_read + 1);
        see(&slot.event, sizeof slot.event);
        got.push_back(comparable(slot.event));
    }
    for (const abi::FlowEvent& e : std::exchange(lane.model.events, {})) expected.push_back(comparable(e));
    // Which of two flows ends first is the table's business.
    const auto less = [](const abi::FlowEvent& a, const abi::FlowEvent& b) {
        return std::memcmp(&a, &b, sizeof a) < 0;
    };
    std::sort(got.begin(), got.end(), less);
    std::sort(expected.begin(), expected.end(), less);
    tally.events += got.size();
    std::vector<abi::FlowEvent> more, fewer;
    std::set_difference(got.begin(), got.end(), expected.begin(), expected.end(), std::back_inserter(more), less);
    std::set_difference(expected.begin(), expected.end(), got.begin(), got.end(), std::back_inserter(fewer), less);
    if (more.empty() && fewer.empty()) return;
    std::string text = "events differ:";
    for (const auto& e : more) text += "\n      told, not expected: " + text_of(e);
    for (const auto& e : fewer) text += "\n      expected, not told: " + text_of(e);
    failed(text);
}

void World::check_counters(const Lane& lane, std::size_t w) {
    const abi::WorkerCounters& c = *lane.counters;
    const WorkerModel& m = lane.model;
    see(&c, sizeof c);
    see(lane.rules.data(), lane.rules.size() * sizeof(abi::RuleCounters));
    const std::string who = "worker " + std::to_string(w) + ": ";
    for (std::size_t p = 0; p < kPorts; ++p) {
        const abi::PortCounters& got = c.ports[p];
        const WorkerModel::Port& expected = m.ports[p];
        const std::string where = who + "port " + std::to_string(p) + " ";
        std::uint64_t drops = 0;
        for (std::size_t r = 0; r < abi::kDropReasonCount; ++r) {
            drops += got.drops[r].read();
            if (got.drops[r].read() != expected.drops[r])
                expect_equal(where + std::string{abi::kDropReasons[r].name}, got.drops[r].read(), expected.drops[r]);
        }
        expect_equal(where + "rx + originated (conservation)", got.rx_packets.read() + got.originated_packets.read(),
                     got.forwarded_packets.read() + drops + got.consumed_packets.read() + got.held_packets.read());
        expect_equal(where + "rx_packets", got.rx_packets.read(), expected.rx_packets);
        expect_equal(where + "rx_bytes", got.rx_bytes.read(), expected.rx_bytes);
        expect_equal(where + "tx_packets", got.tx_packets.read(), expected.tx_packets);
        expect_equal(where + "originated", got.originated_packets.read(), expected.originated);
        expect_equal(where + "forwarded", got.forwarded_packets.read(), expected.forwarded);
    }
    for (std::size_t s = 0; s < lane.rules.size(); ++s) {
        const abi::RuleCounters& got = lane.rules[s];
        const WorkerModel::Rule& expected = m.rules[s];
        const std::string where = who + "slot " + std::to_string(s) + " ";
        expect_equal(where + "hits", got.hits.read(), expected.hits);
        expect_equal(where + "packets", got.packets.read(), expected.packets);
        expect_equal(where + "bytes", got.bytes.read(), expected.bytes);
        expect_equal(where + "first hit", got.first_hit_ns.read(), expected.first_ns);
        expect_equal(where + "last hit", got.last_hit_ns.read(), expected.last_ns);
    }
    expect_equal(who + "generation", c.generation.read(), lane.generation);
    expect_equal(who + "flows", c.flows.read(), m.flows.size());
    expect_equal(who + "flows_created", c.flows_created.read(), m.created);
    expect_equal(who + "flows_expired", c.flows_expired.read(), m.expired);
    expect_equal(who + "flows_closed", c.flows_closed.read(), m.closed);
    expect_equal(who + "flows_ended_by_policy", c.flows_ended_by_policy.read(), m.ended_by_policy);
    expect_equal(who + "flows_kept_on_change", c.flows_kept_on_change.read(), m.kept_on_change);
    expect_equal(who + "syn_early_drop", c.syn_early_drop.read(), m.syn_early_drop);
    expect_equal(who + "closing_early_drop", c.closing_early_drop.read(), m.closing_early_drop);
    expect_equal(who + "flow_reopen", c.flow_reopen.read(), m.reopened);
    expect_equal(who + "tcp_overshoot", c.tcp_overshoot.read(), m.overshoots);
    expect_equal(who + "tcp_inexact_rst", c.tcp_inexact_rst.read(), m.inexact_resets);
    expect_equal(who + "tcp_window_unknown", c.tcp_window_unknown.read(), m.unchecked);
    expect_equal(who + "flow_pickup", c.flow_pickup.read(), m.picked_up);
    expect_equal(who + "rejects_limited", c.rejects_limited.read(), m.answers_limited);
    expect_equal(who + "events_suppressed", c.events_suppressed.read(), m.events_suppressed);
}

}  // namespace sluice::sim
