#include "tests/harness/team.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "tests/harness/paired_ports.hpp"

namespace sluice::test {

/// One worker's queues. A buffer is a heap block of the frame's size; whoever has it gives it back, on any thread.
class Team::QueueIo final : public dp::PacketIo {
public:
    QueueIo(std::uint32_t ports, std::atomic<std::int64_t>& buffers_out) : buffers_out_{buffers_out} {
        for (std::uint32_t p = 0; p < ports; ++p) {
            queues_.push_back(std::make_unique<dp::SpscRing<dp::Packet>>(1024));
        }
    }
    ~QueueIo() override {
        std::array<dp::Packet, dp::kBurstMax> left;
        for (std::uint8_t p = 0; p < queues_.size(); ++p) {
            while (const std::size_t n = receive(dp::PortIndex{p}, left)) release({left.data(), n});
        }
    }

    bool arrive(std::uint8_t port, const FrameBytes& frame) {
        dp::Packet packet;
        make(frame.size(), packet);
        std::copy(frame.begin(), frame.end(), packet.data);
        packet.in_port = dp::PortIndex{port};
        if (queues_[port]->push({&packet, 1}) == 1) return true;
        release({&packet, 1});
        return false;
    }
    std::size_t waiting() const noexcept {
        std::size_t sum = 0;
        for (const auto& q : queues_) sum += q->size();
        return sum;
    }
    std::vector<Output> take_sent() { return std::exchange(sent_, {}); }

    std::size_t receive(dp::PortIndex port, std::span<dp::Packet> out) noexcept override {
        return queues_[static_cast<std::size_t>(port)]->pop_while(out, [](const dp::Packet&) { return true; });
    }
    std::size_t send(dp::PortIndex port, std::span<const dp::Packet> packets) noexcept override {
        for (const dp::Packet& p : packets) {
            sent_.push_back({static_cast<std::uint8_t>(port), FrameBytes(p.data, p.data + p.total_bytes)});
        }
        release(packets);
        return packets.size();
    }
    void release(std::span<const dp::Packet> packets) noexcept override {
        for (const dp::Packet& p : packets) delete[] static_cast<std::uint8_t*>(p.handle);
        buffers_out_.fetch_sub(static_cast<std::int64_t>(packets.size()), std::memory_order_relaxed);
    }
    bool allocate(std::uint32_t bytes, dp::Packet& out) noexcept override {
        make(bytes, out);
        return true;
    }
    bool link_up(dp::PortIndex) const noexcept override { return true; }

private:
    void make(std::size_t bytes, dp::Packet& out) {
        auto* const data = new std::uint8_t[bytes];
        const auto size = static_cast<std::uint32_t>(bytes);
        out = {.data = data, .contiguous_bytes = size, .total_bytes = size, .handle = data};
        buffers_out_.fetch_add(1, std::memory_order_relaxed);
    }

    std::atomic<std::int64_t>& buffers_out_;
    std::vector<std::unique_ptr<dp::SpscRing<dp::Packet>>> queues_;
    std::vector<Output> sent_;
};

struct Team::Unit {
    Unit(std::uint32_t ports, std::atomic<std::int64_t>& buffers_out) : io{ports, buffers_out} {}
    QueueIo io;
    std::unique_ptr<abi::WorkerCounters> counters{std::make_unique<abi::WorkerCounters>()};
    std::vector<abi::RuleCounters> rules{1024};
    abi::EventRingHeader ring{};
    std::vector<abi::EventSlot> ring_slots{256};
    std::unique_ptr<dp::Worker> worker;
    std::thread thread;
};

Team::Team(const TeamOptions& o) : steering_{o.owners, o.ring_capacity}, port_count_{o.ports} {
    if (o.owners.workers() != o.workers) throw std::invalid_argument("owners of another number of workers");
    dp::WorkerConfig c = over_paired_ports(o.ports, now_);
    c.worker_count = o.workers;
    c.flow_entries_max = o.flow_entries_max;
    c.hash_secret = {0x1234, 0x5678};
    c.steering = &steering_;
    c.times = o.times;
    for (c.index = 0; c.index < o.workers; ++c.index) {
        auto unit = std::make_unique<Unit>(o.ports, buffers_out_);
        unit->worker = std::make_unique<dp::Worker>(
            c, unit->io, dp::WorkerTelemetry{unit->counters.get(), unit->rules, &unit->ring, unit->ring_slots},
            tables_);
        unit->worker->go_online();
        workers_.push_back(std::move(unit));
    }
}

Team::~Team() {
    stop_threads();
    std::array<dp::Packet, dp::kBurstMax> left;
    for (std::uint32_t from = 0; from < count(); ++from) {
        for (std::uint32_t to = 0; to < count(); ++to) {
            if (from == to) continue;
            auto& ring = steering_.rings.between(from, to);
            while (const std::size_t n = ring.pop_while(std::span{left}, [](const dp::Packet&) { return true; })) {
                workers_[to]->io.release({left.data(), n});
            }
        }
    }
    for (const auto& unit : workers_) unit->worker->go_offline();  // gives held fragments back
}

std::size_t Team::run(std::uint32_t worker) { return workers_[worker]->worker->run_once(now_); }

const abi::WorkerCounters& Team::counters(std::uint32_t worker) const noexcept { return *workers_[worker]->counters; }

void Team::use(const cp::Policy& policy) {
    std::vector<std::string> names;
    for (std::uint32_t i = 0; i < port_count_; ++i) names.push_back("p" + std::to_string(i));
    compiled_ = std::make_unique<CompiledTables>(policy, slots_, 1, names);
    active_ = {.view = compiled_->view(),
               .sequence = 2,
               .tables_sequence = 2,
               .policy_seq = 2,
               .valid_since = {},
               .live_slots = {},
               .pickup_until = {}};
    tables_.publish(&active_);
    for (std::uint32_t w = 0; w < count(); ++w) (void)run(w);
}

bool Team::arrive(std::uint32_t worker, std::uint8_t port, const FrameBytes& frame) {
    return workers_[worker]->io.arrive(port, frame);
}

bool Team::idle() const noexcept {
    for (const auto& unit : workers_) {
        if (unit->io.waiting() != 0) return false;
    }
    return steering_.rings.waiting() == 0;
}

void Team::drain() {
    while (!idle()) {
        for (std::uint32_t w = 0; w < count(); ++w) (void)run(w);
    }
}

void Team::start_threads() {
    stop_.store(false, std::memory_order_relaxed);
    for (auto& unit : workers_) {
        unit->thread = std::thread{[this, u = unit.get()] {
            while (!stop_.load(std::memory_order_relaxed)) {
                if (u->worker->run_once(now_) == 0) std::this_thread::yield();
            }
        }};
    }
}

void Team::stop_threads() {
    stop_.store(true, std::memory_order_relaxed);
    for (auto& unit : workers_) {
        if (unit->thread.joinable()) unit->thread.join();
    }
}

std::vector<Sent> Team::take_sent() {
    std::vector<Sent> all;
    for (std::uint32_t w = 0; w < count(); ++w) {
        for (Output& out : workers_[w]->io.take_sent()) all.push_back({w, out.port, std::move(out.bytes)});
    }
    return all;
}

void Team::check() const {
    std::uint64_t forwarded = 0, sent = 0, held = 0, in_rings = 0, waiting = 0;
    for (std::size_t p = 0; p < port_count_; ++p) {
        for (std::uint32_t w = 0; w < count(); ++w) {
            const abi::PortCounters& c = counters(w).ports[p];
            std::uint64_t ends = c.forwarded_packets.read() + c.consumed_packets.read() + c.held_packets.read() +
                                 c.handed_out_packets.read();
            for (const abi::Counter& drop : c.drops) ends += drop.read();
            EXPECT_EQ(c.rx_packets.read() + c.originated_packets.read() + c.handed_in_packets.read(), ends)
                << "conservation law, worker " << w << " port " << p;
            forwarded += c.forwarded_packets.read();
            sent += c.tx_packets.read();
            held += c.held_packets.read();
            in_rings += c.handed_out_packets.read() - c.handed_in_packets.read();
        }
    }
    for (const auto& unit : workers_) waiting += unit->io.waiting();
    EXPECT_EQ(forwarded, sent);
    EXPECT_EQ(in_rings, steering_.rings.waiting()) << "what was handed out and not in is in the rings";
    EXPECT_EQ(static_cast<std::uint64_t>(buffers_out_.load()), waiting + held + in_rings) << "buffers leak";
}

std::uint64_t Team::drops(abi::DropReason reason) const noexcept {
    std::uint64_t sum = 0;
    for (const auto& unit : workers_) {
        for (const abi::PortCounters& port : unit->counters->ports) {
            sum += port.drops[static_cast<std::size_t>(reason)].read();
        }
    }
    return sum;
}

std::uint64_t Team::handed_over() const noexcept {
    std::uint64_t sum = 0;
    for (const auto& unit : workers_) {
        for (const abi::PortCounters& port : unit->counters->ports) sum += port.handed_in_packets.read();
    }
    return sum;
}

std::vector<abi::FlowRecord> Team::flows(std::uint32_t worker) {
    std::vector<abi::FlowRecord> out;
    dp::FlowDumpMailbox& box = workers_[worker]->worker->dump_mailbox();
    box.task = dp::FlowTask::dump;
    box.filter = {};
    box.position = 0;
    for (bool last = false; !last;) {
        box.count_max = 64;
        box.state.store(dp::FlowDumpMailbox::State::requested, std::memory_order_release);
        for (int loops = 0; box.state.load(std::memory_order_acquire) != dp::FlowDumpMailbox::State::done; ++loops) {
            if (loops == 10'000) {
                ADD_FAILURE() << "the worker does not answer its mailbox";
                return out;
            }
            (void)run(worker);
        }
        out.insert(out.end(), box.flows.begin(), box.flows.begin() + box.count);
        last = box.last;
        box.position = box.next;
        box.state.store(dp::FlowDumpMailbox::State::idle, std::memory_order_relaxed);
    }
    return out;
}

}  // namespace sluice::test
