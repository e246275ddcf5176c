/// What a worker loses while its policy is changed ten times a second, by a PATCH of ten rules of N, and its counters
/// are scraped ten times a second. All of it is the product's, on the other cores: policy service, store, compiler,
/// tables socket, manager; the flows of the changed rules are judged anew, all others are only looked at (`rejudge` is
/// the bench of the whole table). Against a control run of the same worker, whose policy service has nothing to do.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

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

using Clock = std::chrono::steady_clock;

constexpr std::uint8_t kTcp = 6;
constexpr std::size_t kChangedRules = 10;
constexpr std::uint64_t kLateNs = 50'000;
constexpr std::uint64_t kPacketsBetween = 4096;  ///< the worker goes on while somebody waits for it

/// Ten rules get another service, or lose it again.
std::string edits_json(const std::vector<FilterRule>& rules, bool more) {
    std::string text;
    const std::size_t count = std::min(kChangedRules, rules.size());
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t at = i * rules.size() / count;
        text += (i == 0 ? "[" : ", ") + replace_json(rules[at], at, more ? R"(, "tcp/65000")" : "");
    }
    return text + "]";
}

double milliseconds_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

/// Who changes the policy and who scrapes, for one turn.
class Disturbance {
public:
    struct Done {
        std::vector<double> patch_ms;
        std::uint64_t scrapes{}, scraped_bytes{};
        std::string complaint;
    };

    /// `edits`: there and back, in turns.
    Disturbance(ControlSide& control, const std::array<std::string, 2>& edits)
        : publisher_{kTenth,
                     [this, &control, &edits] {
                         const auto start = Clock::now();
                         const auto ok = control.patch(edits[done_.patch_ms.size() % 2]);
                         done_.patch_ms.push_back(milliseconds_since(start));
                         if (!ok) refused_ = ok.error();
                     },
                     [this] { return done_.patch_ms.size() % 2 != 0; }},
          scraper_{kTenth,
                   [this, &control] {
                       done_.scraped_bytes += control.scrape().size();
                       ++done_.scrapes;
                   },
                   [] { return false; }} {}

    /// Ends with the policy that it began with. The worker has to go on meanwhile.
    Done stop(RealWorker& worker) {
        publisher_.stop();
        scraper_.stop();
        while (!publisher_.ended()) worker.run(kPacketsBetween);
        publisher_.join();
        scraper_.join();
        done_.complaint = refused_;
        if (done_.scraped_bytes == 0) done_.complaint += "nothing was scraped";
        return std::move(done_);
    }

private:
    Done done_;
    std::string refused_;
    Paced publisher_, scraper_;  // last: they use the others
};

/// The scene, and what its turns have shown.
class Swaps {
public:
    Swaps(const Options& o, const Machine& machine, const Scene& scene)
        : options_{o},
          machine_{machine},
          flows_{scene.flows},
          edits_{edits_json(scene.rules, true), edits_json(scene.rules, false)},
          source_{scene.source(o, machine, dp::Conversation::tcp)},
          memory_{scene.tables->rule_slots()},
          worker_{source_, flows_, memory_.telemetry->worker(0), memory_.tables, machine.tsc} {}

    /// Error: a sentence.
    Expected<void, std::string> begin(const Scene& scene);
    Run with_changes();
    Run without() { return run(late_without_); }
    /// Empty, or why the figures are none.
    std::string complaint() const { return complaint_.empty() ? worker_.complaint(flows_) : complaint_; }
    void add_to(Result& result) const;

private:
    Run run(std::vector<double>& late);

    const Options& options_;
    const Machine& machine_;
    const std::uint32_t flows_;
    const std::array<std::string, 2> edits_;
    dp::MemorySource source_;
    DataplaneMemory memory_;
    RealWorker worker_;
    std::unique_ptr<ControlSide> control_;  // behind what it reads and writes
    std::string complaint_;
    std::uint64_t publishes_{}, scrapes_{}, rejudged_{};
    std::vector<double> late_with_, late_without_, patch_ms_, publishes_per_s_;
};

Expected<void, std::string> Swaps::begin(const Scene& scene) {
    {
        const OnOtherCpus here{machine_};
        auto control = ControlSide::start(memory_, worker_.dump_mailbox());
        if (!control) return Unexpected<std::string>{control.error()};
        control_ = std::move(*control);
        // The worker comes online behind it: a packet before would have been dropped.
        if (auto ok = control_->put(policy_json(scene.rules)); !ok) return ok;
    }
    worker_.run(dp::kHandshakeRounds * std::uint64_t{flows_});
    return {};
}

Run Swaps::run(std::vector<double>& late) {
    const dp::TscSpan limit{machine_.tsc.hz / 1'000'000 * (kLateNs / 1'000)};
    const std::uint64_t before = source_.made();
    const Stopwatch watch;
    const std::uint64_t count = worker_.run_watched(options_.count, limit);
    const Run timed = watch.stop(source_.made() - before);
    late.push_back(static_cast<double>(count) / timed.wall_s);
    return timed;
}

Run Swaps::with_changes() {
    const std::uint64_t before = worker_.flows_rejudged();
    const auto start = Clock::now();
    std::optional<Disturbance> disturbance;
    {
        const OnOtherCpus here{machine_};
        disturbance.emplace(*control_, edits_);
    }
    const Run timed = run(late_with_);
    const auto done = disturbance->stop(worker_);
    publishes_per_s_.push_back(static_cast<double>(done.patch_ms.size()) / milliseconds_since(start) * 1e3);
    complaint_ = done.complaint;
    publishes_ += done.patch_ms.size();
    scrapes_ += done.scrapes;
    patch_ms_.insert(patch_ms_.end(), done.patch_ms.begin(), done.patch_ms.end());
    worker_.run(flows_);  // what was published last is judged here, not in the control run
    rejudged_ += worker_.flows_rejudged() - before;
    return timed;
}

void Swaps::add_to(Result& result) const {
    result.count("publishes", publishes_)
        .number("publishes_per_s", median(publishes_per_s_))
        .number("patch_to_adopted_ms", median(patch_ms_))
        .count("scrapes", scrapes_)
        .count("flows_rejudged", rejudged_)
        .number("late_per_s", median(late_with_))
        .number("peer_late_per_s", median(late_without_))
        .count("flows_read_back", worker_.flows())
        .count("drops", worker_.drops());
}

}  // namespace

int bench_policy_swap(const Options& o, const Machine& machine) {
    const auto scene = Scene::make(o, kTcp);
    if (!scene) return failed(scene.error());
    Swaps swaps{o, machine, *scene};
    if (auto ok = swaps.begin(*scene); !ok) return failed(ok.error());
    const auto runs = take_turns(o.runs, {[&] { return swaps.with_changes(); }, [&] { return swaps.without(); }},
                                 [&] { return swaps.complaint().empty(); });
    if (const auto complaint = swaps.complaint(); !complaint.empty()) return failed(complaint);
    Result result{"policy-swap", "10-a-second", static_cast<double>(machine.tsc.hz)};
    result.param("flows", scene->flows)
        .param("rules", o.rules)
        .param("changed", kChangedRules)
        .param("packets", o.count)
        .param("seed", o.seed);
    result.ours(runs[0]).against("control run", runs[1]);
    const double kept = median(ratios(each(runs[0], mega_per_second), each(runs[1], mega_per_second)));
    swaps.add_to(result.number("rate_lost_percent", 100 * (1 - kept)));
    std::printf("%s\n", result.json().c_str());
    return 0;
}

}  // namespace sluice::bench
