/// What a worker loses while twenty clients scrape the metrics ten times a second each (CASES A17): the product's
/// policy service and telemetry on the other cores, its copy of the counters renewed once a second as always. HTTP and
/// TLS are not in it; they are other cores' work. Against a control run of the same worker that nobody scrapes.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <deque>
#include <memory>
#include <string>

#include "dataplane/port/conversation.hpp"
#include "tests/bench/control_side.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/other_cpus.hpp"
#include "tests/bench/paced.hpp"
#include "tests/bench/policy_text.hpp"
#include "tests/bench/rig/measure.hpp"
#include "tests/bench/rig/real_worker.hpp"
#include "tests/bench/scene.hpp"

namespace sluice::bench {

namespace {

constexpr std::uint8_t kTcp = 6;
constexpr int kClients = 20;
constexpr std::uint64_t kLateUs = 50;

/// Twenty clients, for one turn.
class Clients {
public:
    explicit Clients(ControlSide& control) {
        for (int i = 0; i < kClients; ++i) {
            threads_.emplace_back(
                kTenth,
                [this, &control] {
                    bytes_ += control.metrics().size();
                    ++scrapes_;
                },
                [] { return false; });
        }
    }
    void stop() {
        for (Paced& client : threads_) client.stop();
        for (Paced& client : threads_) client.join();
    }
    std::uint64_t scrapes() const noexcept { return scrapes_; }
    std::uint64_t bytes() const noexcept { return bytes_; }

private:
    std::atomic<std::uint64_t> scrapes_{}, bytes_{};
    std::deque<Paced> threads_;  // last: they use the others
};

}  // namespace

int bench_scrape(const Options& o, const Machine& machine) {
    const auto scene = Scene::make(o, kTcp);
    if (!scene) return failed(scene.error());
    dp::MemorySource source{scene->source(o, machine, dp::Conversation::tcp)};
    DataplaneMemory memory{scene->tables->rule_slots()};
    RealWorker worker{source, scene->flows, memory.telemetry->worker(0), memory.tables, machine.tsc};
    std::unique_ptr<ControlSide> control;
    {
        const OnOtherCpus here{machine};
        auto started = ControlSide::start(memory, worker.dump_mailbox());
        if (!started) return failed(started.error());
        control = std::move(*started);
        // The worker comes online behind it: a packet before would have been dropped.
        if (auto ok = control->put(policy_json(scene->rules)); !ok) return failed(ok.error());
    }
    worker.run(dp::kHandshakeRounds * std::uint64_t{scene->flows});

    const dp::TscSpan limit{machine.tsc.hz / 1'000'000 * kLateUs};
    std::vector<double> late_with, late_without, scrapes_per_s;
    std::uint64_t scrapes = 0, bytes = 0;
    const auto run = [&](std::vector<double>& late) {
        const std::uint64_t before = source.made();
        const Stopwatch watch;
        const std::uint64_t count = worker.run_watched(o.count, limit);
        const Run timed = watch.stop(source.made() - before);
        late.push_back(static_cast<double>(count) / timed.wall_s);
        return timed;
    };
    const auto with = [&] {
        std::unique_ptr<Clients> clients;
        {
            const OnOtherCpus here{machine};
            clients = std::make_unique<Clients>(*control);
        }
        const Run timed = run(late_with);
        clients->stop();
        scrapes += clients->scrapes();
        bytes = clients->bytes() / std::max<std::uint64_t>(1, clients->scrapes());
        scrapes_per_s.push_back(static_cast<double>(clients->scrapes()) / timed.wall_s);
        return timed;
    };
    std::string complaint;
    const auto runs = take_turns(o.runs, {with, [&] { return run(late_without); }}, [&] {
        complaint = worker.complaint(scene->flows);
        if (scrapes == 0) complaint += " nothing was scraped";
        return complaint.empty();
    });
    if (!complaint.empty()) return failed(complaint);
    Result result{"scrape", "20-clients-10-hz", static_cast<double>(machine.tsc.hz)};
    result.param("flows", scene->flows).param("rules", o.rules).param("packets", o.count).param("seed", o.seed);
    result.ours(runs[0]).against("control run", runs[1]);
    const double kept = median(ratios(each(runs[0], mega_per_second), each(runs[1], mega_per_second)));
    result.number("rate_lost_percent", 100 * (1 - kept))
        .count("scrapes", scrapes)
        .number("scrapes_per_s", median(scrapes_per_s))
        .count("scrape_bytes", bytes)
        .number("late_per_s", median(late_with))
        .number("peer_late_per_s", median(late_without))
        .count("flows_read_back", worker.flows())
        .count("drops", worker.drops());
    std::printf("%s\n", result.json().c_str());
    return 0;
}

}  // namespace sluice::bench
