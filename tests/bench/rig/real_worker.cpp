#include "tests/bench/rig/real_worker.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <sluice/abi/drop_reasons.hpp>

#include "dataplane/port/eal.hpp"
#include "tests/bench/rig/measure.hpp"

namespace sluice::bench {

namespace {

constexpr std::size_t kRingRecords = 4096;  ///< overwritten, never read: events cost what they cost in the product
constexpr std::uint32_t kSpareSlots = 64;   ///< the built-in rules' and some

dp::WorkerConfig worker_config(std::uint32_t flow_entries_max, const dp::TscRate& tsc, const WorkerSetup& setup) {
    dp::WorkerConfig c;
    c.port_count = 2;
    c.wire_partner.fill(dp::kNoPort);
    c.wire_partner[0] = dp::MemorySource::kServers;
    c.wire_partner[1] = dp::MemorySource::kClients;
    c.flow_entries_max = flow_entries_max;
    c.half_open_percent = setup.half_open_percent;
    c.index = setup.index;
    c.worker_count = setup.worker_count;
    c.steering = setup.steering;
    c.tsc = tsc;
    if (setup.times) c.times.clock = []() noexcept { return dp::tsc_now().cycles; };
    c.hash_secret = {0x243f6a8885a308d3, 0x13198a2e03707344};
    return c;
}

}  // namespace

Expected<std::unique_ptr<Tables>, std::string> Tables::make(const cp::Policy& policy, std::uint64_t generation) {
    const auto slots = static_cast<std::uint32_t>(policy.rules.size()) + kSpareSlots;
    auto made = std::unique_ptr<Tables>{new Tables{slots}};
    if (const auto assigned = made->slots_.assign(policy); !assigned) {
        return Unexpected<std::string>{assigned.error().to_string()};
    }
    const Stopwatch watch;
    auto compiled = cp::compile(policy, made->slots_, {.generation = generation});
    made->compile_s_ = watch.stop(1).cpu_s;
    if (!compiled) return Unexpected<std::string>{compiled.error().code + ": " + compiled.error().detail};
    made->compiled_ = std::move(*compiled);
    made->place();
    static constexpr std::string_view kPorts[] = {"p0", "p1"};
    const auto view =
        dp::validate(made->compiled_.manifest_bytes(), made->sections_, {.rule_slots_max = slots, .ports = kPorts});
    if (!view) return Unexpected<std::string>{view.error().where};
    made->view_ = *view;
    return made;
}

void Tables::place() {
    const dp::SectionBytes made = compiled_.section_bytes();
    for (std::size_t i = 0; i < made.size(); ++i) {
        auto& memory = placed_.emplace_back(std::make_unique<dp::PrefaultedArray<std::byte>>(made[i].size()));
        std::copy(made[i].begin(), made[i].end(), memory->all().begin());
        sections_[i] = memory->all();
    }
}

RealWorker::OwnTelemetry::OwnTelemetry(std::uint32_t rule_slots) : rules(rule_slots), ring_slots(kRingRecords) {}

dp::WorkerTelemetry RealWorker::OwnTelemetry::view() noexcept {
    return {.counters = &counters, .rules = rules, .ring = &ring, .ring_slots = ring_slots};
}

RealWorker::RealWorker(dp::PacketSource& source, std::uint32_t flow_entries_max, std::uint32_t rule_slots,
                       const dp::TscRate& tsc, const WorkerSetup& setup)
    : source_{source},
      stopped_{dp::tsc_now()},
      own_telemetry_{std::make_unique<OwnTelemetry>(rule_slots)},
      telemetry_{own_telemetry_->view()},
      worker_{
          std::make_unique<dp::Worker>(worker_config(flow_entries_max, tsc, setup), source, telemetry_, own_tables_)} {}

RealWorker::RealWorker(dp::PacketSource& source, std::uint32_t flow_entries_max, const dp::WorkerTelemetry& telemetry,
                       dp::TablesQsbr& published, const dp::TscRate& tsc)
    : source_{source},
      stopped_{dp::tsc_now()},
      telemetry_{telemetry},
      worker_{std::make_unique<dp::Worker>(worker_config(flow_entries_max, tsc, {}), source, telemetry_, published)} {}

void RealWorker::publish(const Tables& tables) {
    auto generation = std::make_shared<dp::Generation>();
    generation->manifest = tables.manifest();
    generation->view = tables.view();
    (void)generations_.collect();
    generations_.switch_to(std::move(generation), abi::StateSource::publisher, {});
}

dp::TscTime RealWorker::now() const noexcept { return {dp::tsc_now().cycles - paused_cycles_}; }
void RealWorker::begin_run() noexcept {
    paused_cycles_ += dp::tsc_now().since(stopped_).cycles;
    if (!std::exchange(online_, true)) worker_->go_online();
}
void RealWorker::end_run() noexcept { stopped_ = dp::tsc_now(); }

void RealWorker::run(std::uint64_t packets) noexcept {
    begin_run();
    const std::uint64_t end = source_.made() + packets;
    while (source_.made() < end) worker_->run_once(now());
    end_run();
}

std::array<std::uint64_t, dp::kStageCount> RealWorker::run_by_stage(std::uint64_t packets) noexcept {
    dp::StageCycles stages{.clock = []() noexcept { return dp::tsc_now().cycles; }};
    worker_->watch_stages(&stages);
    run(packets);
    worker_->watch_stages(nullptr);
    return stages.sum;
}

double RealWorker::run_until_rejudged(dp::TscSpan window, double tsc_hz) noexcept {
    begin_run();
    dp::TscTime since = now();
    std::uint64_t before = source_.made();
    double worst = 0;
    bool any = false;
    const auto close = [&](dp::TscTime at) {
        const double rate =
            static_cast<double>(source_.made() - before) * tsc_hz / static_cast<double>(at.since(since).cycles + 1);
        worst = any ? std::min(worst, rate) : rate;
        any = true;
        since = at;
        before = source_.made();
    };
    dp::TscTime at = since;
    do {
        worker_->run_once(at);
        at = now();
        if (at.since(since) > window) close(at);
    } while (counters().rejudge_left.read() != 0);
    if (!any) close(at);
    end_run();
    return worst;
}

std::uint64_t RealWorker::run_watched(std::uint64_t packets, dp::TscSpan limit) noexcept {
    begin_run();
    const std::uint64_t end = source_.made() + packets;
    std::uint64_t late = 0;
    for (dp::TscTime before = now(); source_.made() < end;) {
        worker_->run_once(before);
        const dp::TscTime after = now();
        late += after.since(before) > limit ? 1 : 0;
        before = after;
    }
    end_run();
    return late;
}

std::uint64_t RealWorker::drops() const noexcept {
    std::uint64_t sum = 0;
    for (const abi::PortCounters& port : counters().ports) {
        for (const abi::Counter& drop : port.drops) sum += drop.read();
    }
    return sum;
}

std::string RealWorker::complaint(std::uint64_t flows_expected) const {
    std::string what;
    for (const abi::PortCounters& port : counters().ports) {
        for (std::size_t r = 0; r < port.drops.size(); ++r) {
            if (port.drops[r].read() == 0) continue;
            what += std::to_string(port.drops[r].read()) + " packets dropped as " +
                    std::string{abi::kDropReasons[r].name} + "; ";
        }
    }
    if (source_.made() != source_.sent()) {
        what += std::to_string(source_.made()) + " packets went in, " + std::to_string(source_.sent()) + " came out; ";
    }
    if (flows() != flows_expected) {
        what += std::to_string(flows()) + " flows instead of " + std::to_string(flows_expected) + "; ";
    }
    if (source_.starved() != 0) what += "the source ran out of buffers; ";
    return what.substr(0, what.empty() ? 0 : what.size() - 2);
}

void run_alone(dp::PacketSource& source, std::uint64_t packets) noexcept {
    std::array<dp::Packet, dp::kBurstMax> burst;
    const std::uint64_t end = source.made() + packets;
    while (source.made() < end) {
        for (const auto& [in, out] : {std::pair{dp::MemorySource::kClients, dp::MemorySource::kServers},
                                      std::pair{dp::MemorySource::kServers, dp::MemorySource::kClients}}) {
            source.send(out, {burst.data(), source.receive(in, burst)});
        }
    }
}

}  // namespace sluice::bench
