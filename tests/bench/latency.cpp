/// What the worker adds to a packet's way at half of its own rate: packets of live TCP flows that arrive at random
/// moments, against a control run in which the same packets at the same rate are only fetched and sent. Then what the
/// product's own sampling of latency costs: the same worker without it, in turns, as fast as it can.
#include <array>
#include <cstdio>
#include <memory>

#include "controlplane/telemetry/times.hpp"
#include "dataplane/port/conversation.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/rig/measure.hpp"
#include "tests/bench/rig/paced_source.hpp"
#include "tests/bench/rig/real_worker.hpp"
#include "tests/bench/scene.hpp"

namespace sluice::bench {

namespace {

constexpr std::uint8_t kTcp = 6;
constexpr double kLoad = 0.5;

/// The worker, or nobody, behind a source of its own.
class Lane {
public:
    Lane(const dp::MemorySourceConfig& config, std::uint64_t seed) : source_{config}, paced_{source_, seed} {}

    void give_worker(const Machine& machine, const Scene& scene, bool times) {
        worker_ = std::make_unique<RealWorker>(paced_, scene.flows, scene.tables->rule_slots(), machine.tsc,
                                               WorkerSetup{.times = times});
        worker_->publish(*scene.tables);
    }
    void run(std::uint64_t packets) {
        if (worker_) return worker_->run(packets);
        run_alone(paced_, packets);
    }
    Run timed(std::uint64_t packets) {
        const std::uint64_t before = source_.made();
        const Stopwatch watch;
        run(packets);
        return watch.stop(source_.made() - before);
    }
    /// At one packet in `cycles_each`.
    Run paced(std::uint64_t packets, double cycles_each, double tsc_hz) {
        paced_.pace(cycles_each);
        const Run run = timed(packets);
        p50_us.push_back(paced_.latency().quantile(0.5) / tsc_hz * 1e6);
        p99_us.push_back(paced_.latency().quantile(0.99) / tsc_hz * 1e6);
        paced_.at_once();
        return run;
    }
    RealWorker* worker() noexcept { return worker_.get(); }

    std::vector<double> p50_us, p99_us;

private:
    dp::MemorySource source_;
    PacedSource paced_;
    std::unique_ptr<RealWorker> worker_;
};

std::vector<double> differences(const std::vector<double>& a, const std::vector<double>& b) {
    std::vector<double> values;
    for (std::size_t i = 0; i < a.size(); ++i) values.push_back(a[i] - b[i]);
    return values;
}

/// Behind the first, which is not kept.
std::vector<double> kept(const std::vector<double>& values) { return {values.begin() + 1, values.end()}; }

Result result_of(const Options& o, const Scene& scene, const Machine& machine, std::string_view variant) {
    Result result{"latency", variant, static_cast<double>(machine.tsc.hz)};
    result.param("flows", scene.flows).param("rules", o.rules).param("packets", o.count).param("frame_bytes", 64);
    result.param("seed", o.seed);
    return result;
}

/// The product's own word about the same packets: from receive to send, so without their wait in the source.
class OwnWord {
public:
    explicit OwnWord(const abi::LatencyHistogram& latency) : latency_{latency}, before_{read()} {}
    void add_to(Result& result) const {
        auto counts = read();
        for (std::size_t i = 0; i < counts.size(); ++i) counts[i] -= before_[i];
        const auto us = [&counts](double part) {
            return cp::quantile(counts, abi::kLatencyBoundsNs, part).value_or(0) * 1e-3;
        };
        result.number("product_p50_us", us(0.5)).number("product_p99_us", us(0.99));
    }

private:
    using Counts = std::array<std::uint64_t, abi::kLatencyBoundsNs.size() + 1>;
    Counts read() const {
        Counts counts{};
        for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = latency_.packets[i].read();
        return counts;
    }
    const abi::LatencyHistogram& latency_;
    Counts before_;
};

}  // namespace

int bench_latency(const Options& o, const Machine& machine) {
    const auto scene = Scene::make(o, kTcp);
    if (!scene) return failed(scene.error());
    const auto config = scene->source(o, machine, dp::Conversation::tcp);
    Lane ours{config, o.seed}, control{config, o.seed}, untimed{config, o.seed};
    ours.give_worker(machine, *scene, true);
    untimed.give_worker(machine, *scene, false);
    const std::uint64_t warm_up = dp::kHandshakeRounds * std::uint64_t{scene->flows};
    for (Lane* lane : {&ours, &control, &untimed}) lane->run(warm_up);
    std::string complaint;
    const auto good = [&] {
        complaint = ours.worker()->complaint(scene->flows) + untimed.worker()->complaint(scene->flows);
        return complaint.empty();
    };

    const auto sampling =
        take_turns(o.runs, {[&] { return ours.timed(o.count); }, [&] { return untimed.timed(o.count); }}, good);
    if (!complaint.empty()) return failed(complaint);

    const OwnWord own_word{ours.worker()->counters().times.latency};
    const double hz = static_cast<double>(machine.tsc.hz);
    const double cycles_each = median(each(sampling[0], nanoseconds_each)) * hz * 1e-9 / kLoad;
    const auto runs = take_turns(
        o.runs,
        {[&] { return ours.paced(o.count, cycles_each, hz); }, [&] { return control.paced(o.count, cycles_each, hz); }},
        good);
    if (!complaint.empty()) return failed(complaint);

    const auto ours_p50 = kept(ours.p50_us), ours_p99 = kept(ours.p99_us);
    const auto control_p50 = kept(control.p50_us), control_p99 = kept(control.p99_us);
    Result added = result_of(o, *scene, machine, "half-load");
    added.ours(runs[0]).peer_alone("control run", runs[1]);
    added.number("load", kLoad)
        .number("offered_mpps", hz / cycles_each * 1e-6)
        .number("p50_us", median(ours_p50))
        .number("p99_us", median(ours_p99))
        .number("peer_p50_us", median(control_p50))
        .number("peer_p99_us", median(control_p99))
        .number("added_p50_us", median(differences(ours_p50, control_p50)))
        .number("added_p99_us", median(differences(ours_p99, control_p99)))
        .count("drops", ours.worker()->drops());
    own_word.add_to(added);
    std::printf("%s\n", added.json().c_str());

    Result cost = result_of(o, *scene, machine, "sampling");
    cost.ours(sampling[0]).against("without sampling", sampling[1]);
    cost.count("flows_read_back", ours.worker()->flows()).count("drops", ours.worker()->drops());
    std::printf("%s\n", cost.json().c_str());
    return 0;
}

}  // namespace sluice::bench
