#include "tests/publish/live_dataplane.hpp"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace sluice::test {

namespace {

constexpr std::uint32_t kPorts = 2;

dp::TscTime now_tsc() { return {abi::MonoTime::now().ns}; }

dp::WorkerConfig worker_config(std::uint32_t index, std::uint32_t count) {
    dp::WorkerConfig c{};
    c.index = index;
    c.worker_count = count;
    c.port_count = kPorts;
    c.wire_partner.fill(dp::kNoPort);
    c.wire_partner[0] = dp::PortIndex{1};
    c.wire_partner[1] = dp::PortIndex{0};
    c.flow_entries_max = 1024;
    c.tsc = {.hz = 1'000'000'000, .origin = now_tsc(), .origin_mono = abi::MonoTime::now()};
    c.hash_secret = {0x1234, 0x5678};
    return c;
}

}  // namespace

bool long_run() {
    const char* const wanted = std::getenv("SLUICE_TEST_LONG");
    return wanted != nullptr && *wanted != '\0';
}

LiveWorker::LiveWorker(std::uint32_t worker_index, std::uint32_t worker_count, const dp::WorkerTelemetry& memory,
                       dp::TablesQsbr& tables)
    : index{worker_index}, telemetry{memory}, worker{worker_config(worker_index, worker_count), io, memory, tables} {
    for (std::size_t p = 0; p < kPorts; ++p) {
        io.link[p] = true;
        io.tx_room[p] = SIZE_MAX;
    }
}

std::size_t LiveWorker::run_once() { return worker.run_once(now_tsc()); }

LiveDataplane::LiveDataplane(std::uint32_t workers, Life life) : stop_fd_{eventfd(0, EFD_CLOEXEC)} {
    dp::TelemetrySegments::Shape shape{
        .boot_id = 7, .worker_count = workers, .port_count = kPorts, .rule_slots = Colours::kRuleSlots};
    shape.ring_records = 1024;
    telemetry_ = std::move(*dp::TelemetrySegments::create(shape));
    std::vector<dp::FlowDumpMailbox*> mailboxes;
    for (std::uint32_t w = 0; w < workers; ++w) {
        workers_.push_back(std::make_unique<LiveWorker>(w, workers, telemetry_->worker(w), tables_));
        mailboxes.push_back(&workers_.back()->worker.dump_mailbox());
    }
    auto store = dp::DescriptorStore::open(dp::Notifier{}, dp::StoredFds{});
    EXPECT_TRUE(store.has_value());
    manager_ = std::make_unique<dp::Manager>(one_wire(socket(), workers, Colours::kRuleSlots), *telemetry_, tables_,
                                             std::move(*store), mailboxes);
    EXPECT_TRUE(manager_->listen().has_value());
    manager_thread_ = std::thread{[this] { manager_->run(stop_fd_.get()); }};
    for (auto& worker : workers_) {
        threads_.emplace_back([this, life, &w = *worker] {
            w.worker.go_online();
            life(w, stop_);
            w.worker.go_offline();
        });
    }
}

LiveDataplane::~LiveDataplane() {
    const std::uint64_t one = 1;
    EXPECT_EQ(write(stop_fd_.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
    manager_thread_.join();
    stop_ = true;
    for (auto& thread : threads_) thread.join();
    manager_.reset();
}

void Complaints::add(const std::string& text) {
    if (++count_ > 5) return;
    const std::lock_guard lock{mutex_};
    text_ += text + "\n";
}

std::string Complaints::text() const {
    const std::lock_guard lock{mutex_};
    return text_;
}

Painter::Painter(const Colours& colours, LiveWorker& worker, const Published& published, Complaints& complaints,
                 std::uint32_t seed)
    : colours_{colours},
      worker_{worker},
      published_{published},
      complaints_{complaints},
      random_{seed + worker.index},
      rule_packets_(Colours::kRuleSlots) {
    for (std::uint32_t t = 0; t < kTags; ++t) frames_.emplace_back(tagged_frame(t, false), tagged_frame(t, true));
    frames_.emplace_back(wire_frame(false), wire_frame(true));
}

void Painter::send_all() {
    std::shuffle(frames_.begin(), frames_.end(), random_);
    for (const auto& [original, reply] : frames_) {
        if (!worker_.io.arrive(0, original) || !worker_.io.arrive(1, reply)) complaints_.add("no buffer left");
    }
    packets_ += 2 * frames_.size();
}

void Painter::round(bool only_forward) {
    const std::uint64_t at_least = published_.acknowledged.load(std::memory_order_acquire);
    for (std::size_t s = 0; s < rule_packets_.size(); ++s) rule_packets_[s] = worker_.telemetry.rules[s].packets.read();
    send_all();
    worker_.run_once();
    const std::uint64_t generation = worker_.telemetry.counters->generation.read();
    const std::uint64_t at_most = published_.offered.load(std::memory_order_acquire);
    const std::string stamp = "worker " + std::to_string(worker_.index) + ": generation " + std::to_string(generation);
    if (generation > at_most) complaints_.add(stamp + ", but only " + std::to_string(at_most) + " was offered");
    if (only_forward && generation < at_least) {
        complaints_.add(stamp + " after " + std::to_string(at_least) + " was acknowledged");
    }
    if (only_forward && generation < last_) complaints_.add(stamp + " after " + std::to_string(last_));
    if (generation != last_) ++generations_seen_;
    last_ = generation;
    judge(generation);
}

void Painter::pause() { std::this_thread::sleep_for(std::chrono::microseconds{random_() % 200}); }

void Painter::judge(std::uint64_t generation) {
    std::array<Verdicts, kPorts> passed{};  // by port of arrival
    for (const Output& out : worker_.io.take_sent()) passed[1U - out.port] |= bit_of(out.bytes);
    const std::string where = "worker " + std::to_string(worker_.index) + ", generation " + std::to_string(generation);
    if (generation == 0) {
        if ((passed[0] | passed[1]) != 0) complaints_.add(where + ": something passed without a policy");
        return;
    }
    const Colour& colour = colours_.of(generation);
    for (std::size_t port = 0; port < kPorts; ++port) {
        if (passed[port] == colour.verdicts) continue;
        complaints_.add(where + ": mixed verdicts at port " + std::to_string(port) + ": " +
                        std::to_string(passed[port]) + " passed, not " + std::to_string(colour.verdicts));
    }
    judge_counters(colour, where);
    judge_events();
}

/// What passed was counted for the rule of this colour, twice for each tag; rules of others did not move.
void Painter::judge_counters(const Colour& running, const std::string& where) {
    const auto tags = static_cast<std::uint64_t>(__builtin_popcount(running.verdicts & ~kWireBit));
    for (const Colour& colour : colours_.all()) {
        for (const abi::RuleSlot slot : colour.slots) {
            const auto s = static_cast<std::size_t>(slot);
            const std::uint64_t more = worker_.telemetry.rules[s].packets.read() - rule_packets_[s];
            if (&colour != &running && more != 0) complaints_.add(where + ": a rule of another policy has counted");
            if (slot == running.pass && more != 2 * tags) {
                complaints_.add(where + ": the rule that passes counted " + std::to_string(more) + " packets, not " +
                                std::to_string(2 * tags));
            }
        }
    }
}

/// Of each event: generation, rule and zones belong together.
void Painter::judge_events() {
    const auto& ring = worker_.telemetry.ring_slots;
    const std::uint64_t written = worker_.telemetry.ring->written.load(std::memory_order_acquire);
    if (written - events_read_ > ring.size()) complaints_.add("an event ring was lapped in one round");
    for (; events_read_ < written; ++events_read_) {
        const abi::FlowEvent& e = ring[events_read_ % ring.size()].event;
        if (e.kind == abi::EventKind::drop) continue;
        const Colour& colour = colours_.of(e.generation);
        const bool ended = e.kind == abi::EventKind::flow_end;  // its zones are those that the flow began with
        const bool zones_fit = ended || e.from_zone == (e.in_port == 0 ? colour.outside : colour.inside);
        if (!colours_.owns(e.generation, e.slot) || !zones_fit) {
            complaints_.add("an event of generation " + std::to_string(e.generation) + " names rule slot " +
                            std::to_string(static_cast<std::uint32_t>(e.slot)) + " and zone " +
                            std::to_string(static_cast<std::uint16_t>(e.from_zone)));
        }
    }
}

}  // namespace sluice::test
