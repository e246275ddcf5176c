#include "tests/harness/harness.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/harness/paired_ports.hpp"

namespace sluice::test {

namespace {

std::vector<std::string> port_names(std::uint32_t count) {
    std::vector<std::string> names;
    for (std::uint32_t i = 0; i < count; ++i) names.push_back("p" + std::to_string(i));
    return names;
}

dp::WorkerConfig worker_config(const HarnessOptions& o, dp::TscTime origin) {
    dp::WorkerConfig c = over_paired_ports(o.ports, origin);
    c.flow_entries_max = o.flow_entries_max;
    c.fail_open = o.fail_open;
    c.hash_secret = kHarnessSecret;
    c.rejects_per_second_max = o.rejects_per_second_max;
    c.fragments = o.fragments;
    c.flow_home = o.flow_home;
    c.times = o.times;
    if (c.fragments.packets_max == 0) c.fragments.packets_max = static_cast<std::uint32_t>(o.buffers / 2);
    return c;
}

std::uint64_t drop_sum(const abi::PortCounters& port) {
    std::uint64_t sum = 0;
    for (const abi::Counter& c : port.drops) sum += c.read();
    return sum;
}

}  // namespace

Harness::Harness(const HarnessOptions& o)
    : io{o.buffers},
      config_{worker_config(o, kStart)},
      counters_{std::make_unique<abi::WorkerCounters>()},
      rules_(o.rule_slots),
      ring_slots_(o.ring_records),
      slots_{o.rule_slots},
      buffers_{o.buffers} {
    for (std::uint32_t p = 0; p < o.ports; ++p) {
        io.link[p] = true;
        io.tx_room[p] = SIZE_MAX;
    }
    worker_ = std::make_unique<dp::Worker>(
        config_, io,
        dp::WorkerTelemetry{.counters = counters_.get(), .rules = rules_, .ring = &ring_, .ring_slots = ring_slots_},
        tables);
    if (o.pickup.count() != 0) {
        pickup_until_ = {now_mono().ns + static_cast<std::uint64_t>(o.pickup.count()) * 1'000'000};
    }
    worker_->go_online();
}

void Harness::use(const cp::Policy& policy) {
    use_in_next_loop(policy);
    let_worker_switch();
}

void Harness::use_in_next_loop(const cp::Policy& policy) {
    auto compiled =
        std::make_unique<CompiledTables>(policy, slots_, published_.size() + 1, port_names(config_.port_count));
    const dp::TableView view = compiled->view();
    publish(view, std::move(compiled));
}

void Harness::refresh_sets() {
    auto next = std::make_unique<Published>();
    next->valid_since = published_.back()->valid_since;
    next->live_slots = published_.back()->live_slots;
    next->active = published_.back()->active;
    const std::uint64_t sequence = published_.size() + 2 + skipped_switches_;
    next->active.sequence = sequence;
    next->active.policy_seq = static_cast<std::uint32_t>(sequence);
    next->active.valid_since = next->valid_since;
    next->active.live_slots = next->live_slots;
    published_.push_back(std::move(next));
    tables.publish(&published_.back()->active);
}

void Harness::use(const CompiledTables& compiled) {
    publish(compiled.view(), nullptr);
    let_worker_switch();
}

void Harness::publish(const dp::TableView& view, std::unique_ptr<CompiledTables> compiled) {
    auto next = std::make_unique<Published>();
    next->compiled = std::move(compiled);
    next->valid_since = valid_since_;
    next->live_slots.resize((rules_.size() + 63) / 64);
    for (abi::RuleIndex i = 0; i < view.rules_end(); ++i) {
        if (!view.in_force(i)) continue;
        const auto slot = static_cast<std::size_t>(view.rule(i).slot);
        next->live_slots.at(slot / 64) |= std::uint64_t{1} << (slot % 64);
    }
    const std::uint64_t sequence = published_.size() + 2 + skipped_switches_;
    next->active = {.view = view,
                    .sequence = sequence,
                    .tables_sequence = sequence,
                    .policy_seq = static_cast<std::uint32_t>(sequence),
                    .valid_since = next->valid_since,
                    .live_slots = next->live_slots,
                    .pickup_until = pickup_until_};
    published_.push_back(std::move(next));
    tables.publish(&published_.back()->active);
}

void Harness::let_worker_switch() {
    (void)run_once();
    EXPECT_EQ(tables.readers_before(published_.back()->active.sequence), 0U)
        << "the worker did not let the old tables go";
}

std::size_t Harness::run_once() {
    const std::size_t n = worker_->run_once(now_);
    check();
    return n;
}

void Harness::go_offline() {
    worker_->go_offline();
    check();
}

void Harness::check() const {
    std::uint64_t forwarded = 0, sent = 0, held = 0;
    for (std::size_t p = 0; p < config_.port_count; ++p) {
        const abi::PortCounters& c = counters_->ports[p];
        EXPECT_EQ(c.rx_packets.read() + c.originated_packets.read(),
                  c.forwarded_packets.read() + drop_sum(c) + c.consumed_packets.read() + c.held_packets.read())
            << "conservation law, port " << p;
        forwarded += c.forwarded_packets.read();
        sent += c.tx_packets.read();
        held += c.held_packets.read();
    }
    EXPECT_EQ(forwarded, sent);
    EXPECT_EQ(io.buffers_free() + io.waiting() + held, buffers_) << "buffers leak";
}

std::vector<Output> Harness::send(const std::vector<std::pair<std::uint8_t, FrameBytes>>& frames) {
    for (const auto& [port, bytes] : frames) EXPECT_TRUE(io.arrive(port, bytes)) << "no buffer to receive into";
    do {
        (void)run_once();
    } while (io.waiting() != 0);
    return io.take_sent();
}

std::string Harness::fate(std::uint8_t port, const FrameBytes& frame, dp::L4Checksum checksum) {
    std::array<std::uint64_t, abi::kDropReasonCount> before{};
    for (std::size_t r = 0; r < before.size(); ++r) before[r] = counters_->ports[port].drops[r].read();
    EXPECT_TRUE(io.arrive(port, frame, checksum)) << "no buffer to receive into";
    (void)run_once();
    const auto sent = io.take_sent();

    std::string result;
    for (std::size_t r = 0; r < before.size(); ++r) {
        const std::uint64_t more = counters_->ports[port].drops[r].read() - before[r];
        if (more == 0) continue;
        result += result.empty() ? "" : ", ";
        result += abi::kDropReasons[r].name;
        if (more > 1) result += " x " + std::to_string(more);
    }
    for (const Output& out : sent) {
        if (out.port == port) {
            result += "+answer";
        } else if (out.port != static_cast<std::uint8_t>(config_.wire_partner[port])) {
            result += "+sent to the wrong port";
        } else if (out.bytes != frame) {
            result += "+forwarded with other bytes";
        } else {
            result += "forward";
        }
    }
    return result.empty() ? "lost" : result;
}

void Harness::advance(std::chrono::milliseconds by) {
    constexpr std::uint64_t kStepNs = 100'000'000, kNsPerMs = 1'000'000;
    for (auto left = static_cast<std::uint64_t>(by.count()) * kNsPerMs; left != 0;) {
        const std::uint64_t step = std::min(left, kStepNs);
        now_ = now_ + dp::TscSpan{step};
        left -= step;
        (void)run_once();
    }
}

std::uint64_t Harness::drops(std::uint8_t port, abi::DropReason reason) const {
    return counters_->ports[port].drops[static_cast<std::size_t>(reason)].read();
}

std::uint64_t Harness::drops(abi::DropReason reason) const {
    std::uint64_t sum = 0;
    for (std::uint8_t p = 0; p < config_.port_count; ++p) sum += drops(p, reason);
    return sum;
}

const abi::RuleCounters& Harness::rule(const std::string& id) const {
    static constexpr std::array<std::pair<std::string_view, abi::RuleSlot>, 4> kBuiltins{
        {{abi::kIdDefault, abi::kSlotDefault},
         {abi::kIdBuiltinArp, abi::kSlotBuiltinArp},
         {abi::kIdBuiltinNd, abi::kSlotBuiltinNd},
         {abi::kIdBuiltinOther, abi::kSlotBuiltinOther}}};
    for (const auto& [name, slot] : kBuiltins) {
        if (name == id) return rules_[static_cast<std::size_t>(slot)];
    }
    const auto slot = slots_.find(id);
    if (!slot) throw std::invalid_argument("no rule " + id);
    return rules_[static_cast<std::size_t>(*slot)];
}

std::vector<abi::FlowEvent> Harness::events() {
    std::vector<abi::FlowEvent> out;
    const std::uint64_t written = ring_.written.load(std::memory_order_acquire);
    EXPECT_LE(written - events_read_, ring_slots_.size()) << "the ring was lapped: read it more often";
    for (; events_read_ < written; ++events_read_) {
        const abi::EventSlot& slot = ring_slots_[events_read_ % ring_slots_.size()];
        EXPECT_EQ(slot.sequence.load(std::memory_order_acquire), events_read_ + 1);
        out.push_back(slot.event);
    }
    return out;
}

/// Runs the worker until it has answered.
bool Harness::serve_mailbox() {
    dp::FlowDumpMailbox& box = worker_->dump_mailbox();
    box.state.store(dp::FlowDumpMailbox::State::requested, std::memory_order_release);
    for (int loops = 0; box.state.load(std::memory_order_acquire) != dp::FlowDumpMailbox::State::done; ++loops) {
        if (loops == 10'000) {
            ADD_FAILURE() << "the worker does not answer its mailbox";
            return false;
        }
        (void)run_once();
        dump_loops = std::max(dump_loops, loops + 1);
    }
    return true;
}

std::vector<abi::FlowRecord> Harness::dump(std::uint32_t page, const abi::FlowFilter& filter) {
    std::vector<abi::FlowRecord> out;
    dp::FlowDumpMailbox& box = worker_->dump_mailbox();
    dump_loops = 0;
    box.task = dp::FlowTask::dump;
    box.filter = filter;
    for (std::uint32_t position = 0;;) {
        box.position = position;
        box.count_max = page;
        if (!serve_mailbox()) return out;
        EXPECT_LE(box.count, page);
        out.insert(out.end(), box.flows.begin(), box.flows.begin() + box.count);
        position = box.next;
        const bool last = box.last;
        box.state.store(dp::FlowDumpMailbox::State::idle, std::memory_order_relaxed);
        if (last) return out;
    }
}

std::uint32_t Harness::end_flows(const abi::FlowFilter& filter, bool answered) {
    dp::FlowDumpMailbox& box = worker_->dump_mailbox();
    box.task = answered ? dp::FlowTask::end_answered : dp::FlowTask::end;
    box.filter = filter;
    std::uint32_t ended = 0;
    for (box.position = 0;; box.position = box.next) {
        if (!serve_mailbox()) return ended;
        ended += box.count;
        box.state.store(dp::FlowDumpMailbox::State::idle, std::memory_order_relaxed);
        if (box.last) return ended;
    }
}

}  // namespace sluice::test
