/// What it costs that workers hand packets to each other: 1, 2, 4 and 8 of them, each fetches packets of live TCP flows
/// from a queue of its own, and a flow's owner is whoever the keyed hash says. Against the same workers with every flow
/// on its owner's queue, as devices place them.
///
/// All of them take turns on one core, so that the figure is what the work costs and not what the machine's other cores
/// were doing: cycles of a packet, all workers together. What it leaves out are caches of two cores that both touch a
/// packet; `end-to-end` and the tests of `hand_over` run them on threads, where order is checked by a sequence for each
/// flow.
#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/pipeline/hand_over.hpp"
#include "dataplane/port/conversation.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/rig/measure.hpp"
#include "tests/bench/rig/real_worker.hpp"
#include "tests/bench/rig/rules.hpp"

namespace sluice::bench {

namespace {

constexpr std::uint8_t kTcp = 6;
constexpr std::uint32_t kWorkerCounts[] = {1, 2, 4, 8};

/// So many workers, each with a source of flows that no other source has.
class Crew {
public:
    Crew(const Options& o, const Machine& machine, const Tables& tables,
         std::span<const std::vector<dp::FlowTarget>> targets, std::uint32_t flows_each, bool hands_over)
        : flows_{flows_each * targets.size()} {
        const auto count = static_cast<std::uint32_t>(targets.size());
        if (hands_over && count > 1) {
            steering_ = std::make_unique<dp::Steering>(dp::Owners::software({o.seed, 0x5eed}, count));
        }
        for (std::uint32_t w = 0; w < count; ++w) {
            sources_.push_back(
                std::make_unique<dp::MemorySource>(dp::MemorySourceConfig{.pool = machine.pool,
                                                                          .conversation = dp::Conversation::tcp,
                                                                          .flow_count = flows_each,
                                                                          .targets = targets[w],
                                                                          .seed = o.seed + w}));
            WorkerSetup setup;
            if (steering_) setup = {.index = w, .worker_count = count, .steering = steering_.get()};
            // The hash does not share out evenly.
            workers_.push_back(std::make_unique<RealWorker>(*sources_[w], flows_each + flows_each / 8 + 1024,
                                                            tables.rule_slots(), machine.tsc, setup));
            workers_[w]->publish(tables);
        }
    }

    ~Crew() {
        if (!steering_) return;
        std::array<dp::Packet, dp::kBurstMax> left;
        for (std::uint32_t from = 0; from < workers_.size(); ++from) {
            for (std::uint32_t to = 0; to < workers_.size(); ++to) {
                if (from == to) continue;
                auto& ring = steering_->rings.between(from, to);
                while (const std::size_t n = ring.pop_while(std::span{left}, [](const dp::Packet&) { return true; })) {
                    sources_[to]->release({left.data(), n});
                }
            }
        }
    }
    Crew(const Crew&) = delete;
    Crew& operator=(const Crew&) = delete;

    /// Until the sources have made `packets` more.
    Run run(std::uint64_t packets) {
        const std::uint64_t before = made(), end = before + packets;
        for (const auto& worker : workers_) worker->begin_run();
        const Stopwatch watch;
        while (made() < end) {
            for (const auto& worker : workers_) worker->step();
        }
        const Run done = watch.stop(made() - before);
        for (const auto& worker : workers_) worker->end_run();
        return done;
    }

    std::uint64_t made() const {
        std::uint64_t sum = 0;
        for (const auto& source : sources_) sum += source->made();
        return sum;
    }
    std::uint64_t handed() const {
        std::uint64_t sum = 0;
        for (const auto& worker : workers_) {
            for (const abi::PortCounters& port : worker->counters().ports) sum += port.handed_in_packets.read();
        }
        return sum;
    }
    /// Empty, or what must not be. What waits in rings is on its way.
    std::string complaint() const {
        std::uint64_t flows = 0, sent = 0, drops = 0, starved = 0;
        for (std::size_t w = 0; w < workers_.size(); ++w) {
            flows += workers_[w]->flows();
            drops += workers_[w]->drops();
            sent += sources_[w]->sent();
            starved += sources_[w]->starved();
        }
        const std::uint64_t waiting = steering_ ? steering_->rings.waiting() : 0;
        std::string what;
        if (drops != 0) what += std::to_string(drops) + " packets dropped; ";
        if (sent + waiting != made()) what += std::to_string(made() - sent - waiting) + " packets did not come out; ";
        if (flows != flows_) what += std::to_string(flows) + " flows instead of " + std::to_string(flows_) + "; ";
        if (starved != 0) what += "the source ran out of buffers; ";
        return what;
    }

private:
    std::uint64_t flows_;
    std::unique_ptr<dp::Steering> steering_;
    std::vector<std::unique_ptr<dp::MemorySource>> sources_;
    std::vector<std::unique_ptr<RealWorker>> workers_;
};

int measure(const Options& o, const Machine& machine, const Tables& tables, std::span<const dp::FlowTarget> all,
            std::uint32_t count) {
    std::vector<std::vector<dp::FlowTarget>> targets(count);
    for (std::size_t i = 0; i < all.size(); ++i) targets[i % count].push_back(all[i]);
    const std::uint32_t flows_each = whole_flows(o.flows / count);
    if (flows_each > std::uint64_t{targets.back().size()} * dp::MemorySource::kPerTargetMax)
        return failed("more flows than tuples");
    Crew software{o, machine, tables, targets, flows_each, true},
        placed{o, machine, tables, targets, flows_each, false};
    const std::uint64_t warm_up = dp::kHandshakeRounds * std::uint64_t{flows_each} * count;
    software.run(warm_up);
    placed.run(warm_up);
    const std::uint64_t handed_before = software.handed(), made_before = software.made();
    std::string complaint;
    const auto runs =
        take_turns(o.runs, {[&] { return software.run(o.count); }, [&] { return placed.run(o.count); }}, [&] {
            complaint = software.complaint() + placed.complaint();
            return complaint.empty();
        });
    if (!complaint.empty()) return failed(std::to_string(count) + " workers: " + complaint);
    Result result{"workers", "software-" + std::to_string(count), static_cast<double>(machine.tsc.hz)};
    result.param("workers", count).param("flows", flows_each * count).param("rules", o.rules).param("packets", o.count);
    result.param("seed", o.seed);
    result.ours(runs[0]).against("flows on their owners' queues", runs[1]);
    const double kept = median(ratios(each(runs[0], mega_per_second), each(runs[1], mega_per_second)));
    result.number("steering_cost_percent", 100 * (1 - kept))
        .number("handed_over_percent", 100 * static_cast<double>(software.handed() - handed_before) /
                                           static_cast<double>(software.made() - made_before));
    std::printf("%s\n", result.json().c_str());
    return 0;
}

}  // namespace

int bench_workers(const Options& o, const Machine& machine) {
    const auto rules = made_rules(std::max(o.rules, 8U), kTcp);
    const auto targets = targets_of(rules);
    const auto tables = Tables::make(policy_of(rules), 1);
    if (!tables) return failed(tables.error());
    for (const std::uint32_t count : kWorkerCounts) {
        if (const int code = measure(o, machine, **tables, targets, count); code != 0) return code;
    }
    return 0;
}

}  // namespace sluice::bench
