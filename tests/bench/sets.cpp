/// What a change of a set's members costs, who makes it and the worker that goes on meanwhile: one member at a time,
/// from the call to the moment when it is enforced for new and live flows; and a thousand at a time, as fast as it
/// goes. All of it is the product's, on the other cores: policy service, store with its fsync, tables socket, manager.
/// Against a control run of the same worker. No flow of the source is ever concerned: members are addresses that nobody
/// has.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
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
constexpr const char* kSet = "blocked";
constexpr std::uint32_t kFirstMember = 100U << 24 | 64U << 16;  // 100.64.0.0/10: room for four millions
constexpr std::uint32_t kPoured = 1'000;                        ///< members of one call
constexpr std::uint64_t kPacketsBetween = 4096;
constexpr std::chrono::milliseconds kOnePace{20};

double milliseconds_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double percentile(std::vector<double> values, double share) {
    std::sort(values.begin(), values.end());
    return values[std::min(values.size() - 1, static_cast<std::size_t>(share * static_cast<double>(values.size())))];
}

/// `count` members from the n-th on.
cp::SetChangeQuery query_of(cp::SetEdit edit, std::uint32_t first, std::uint32_t count) {
    cp::SetChangeQuery query{.name = kSet, .edit = edit};
    query.members.reserve(count);
    for (std::uint32_t n = first; n < first + count; ++n) {
        const auto addr = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(kFirstMember + n));
        query.members.push_back({.member = {.family = abi::IpFamily::v4, .bits = 32, .addr = addr}});
    }
    return query;
}

/// Members behind those that stay come and go, `size` in a call, for one turn.
class Changes {
public:
    struct Done {
        std::vector<double> call_ms;
        double seconds{};
        std::string complaint;
    };
    Changes(ControlSide& control, std::uint32_t behind, std::uint32_t size, std::chrono::milliseconds pace)
        : caller_{pace,
                  [this, &control, behind, size] {
                      const bool comes = done_.call_ms.size() % 2 == 0;
                      const auto query = query_of(comes ? cp::SetEdit::add : cp::SetEdit::remove, behind, size);
                      const auto call = Clock::now();
                      if (const auto ok = control.change_set(query); !ok) done_.complaint = ok.error();
                      done_.call_ms.push_back(milliseconds_since(call));
                  },
                  [this] { return done_.call_ms.size() % 2 != 0; }} {}
    /// The set has the members that it had. The worker has to go on meanwhile.
    Done stop(RealWorker& worker) {
        caller_.stop();
        while (!caller_.ended()) worker.run(kPacketsBetween);
        caller_.join();
        done_.seconds = milliseconds_since(start_) / 1e3;
        return std::move(done_);
    }

private:
    Clock::time_point start_{Clock::now()};
    Done done_;
    Paced caller_;  // last: it uses the others
};

class SetTurns {
public:
    SetTurns(const Options& o, const Machine& machine, const Scene& scene)
        : options_{o},
          machine_{machine},
          flows_{scene.flows},
          members_{o.members - std::min(kPoured, o.members / 2)},
          source_{scene.source(o, machine, dp::Conversation::tcp)},
          memory_{scene.tables->rule_slots()},
          worker_{source_, flows_, memory_.telemetry->worker(0), memory_.tables, machine.tsc} {}

    Expected<void, std::string> begin(const Scene& scene);
    Run one_by_one() { return with_changes(1, kOnePace, one_ms_, nullptr); }
    Run poured() { return with_changes(options_.members - members_, {}, poured_ms_, &poured_per_s_); }
    Run without() { return run(); }
    std::string complaint() const { return complaint_.empty() ? worker_.complaint(flows_) : complaint_; }
    void add_to(Result& one, Result& pour) const;

private:
    Run run();
    Run with_changes(std::uint32_t size, std::chrono::milliseconds pace, std::vector<double>& call_ms,
                     std::vector<double>* per_s);

    const Options& options_;
    const Machine& machine_;
    const std::uint32_t flows_, members_;
    dp::MemorySource source_;
    DataplaneMemory memory_;
    RealWorker worker_;
    std::unique_ptr<ControlSide> control_;  // behind what it reads and writes
    std::string complaint_;
    double fill_s_{};
    std::vector<double> one_ms_, poured_ms_, poured_per_s_;
};

Expected<void, std::string> SetTurns::begin(const Scene& scene) {
    {
        const OnOtherCpus here{machine_};
        auto control = ControlSide::start(memory_, worker_.dump_mailbox());
        if (!control) return Unexpected<std::string>{control.error()};
        control_ = std::move(*control);
        const std::string set = R"("sets": {"blocked": {"members": "api", "max_ips": 2000000}}, )";
        const std::string rule = R"({"id": "blocked", "from": "blocked", "to": "any", "action": "deny"})";
        if (auto ok = control_->put(policy_json(scene.rules, rule, set)); !ok) return ok;
        const auto start = Clock::now();
        if (auto ok = control_->change_set(query_of(cp::SetEdit::replace, 0, members_)); !ok) return ok;
        fill_s_ = milliseconds_since(start) / 1e3;
    }
    worker_.run(dp::kHandshakeRounds * std::uint64_t{flows_});
    return {};
}

Run SetTurns::run() {
    const std::uint64_t before = source_.made();
    const Stopwatch watch;
    worker_.run(options_.count);
    return watch.stop(source_.made() - before);
}

Run SetTurns::with_changes(std::uint32_t size, std::chrono::milliseconds pace, std::vector<double>& call_ms,
                           std::vector<double>* per_s) {
    std::optional<Changes> changes;
    {
        const OnOtherCpus here{machine_};
        changes.emplace(*control_, members_, size, pace);
    }
    const Run timed = run();
    const auto done = changes->stop(worker_);
    complaint_ = done.complaint;
    call_ms.insert(call_ms.end(), done.call_ms.begin(), done.call_ms.end());
    if (per_s != nullptr) per_s->push_back(static_cast<double>(done.call_ms.size()) * size / done.seconds);
    return timed;
}

void SetTurns::add_to(Result& one, Result& pour) const {
    one.count("calls", one_ms_.size())
        .number("call_p50_ms", percentile(one_ms_, 0.5))
        .number("call_p99_ms", percentile(one_ms_, 0.99))
        .number("fill_s", fill_s_);
    pour.count("calls", poured_ms_.size())
        .number("changes_per_s", median(poured_per_s_))
        .number("call_p50_ms", percentile(poured_ms_, 0.5))
        .number("call_p99_ms", percentile(poured_ms_, 0.99));
    for (Result* result : {&one, &pour})
        result->count("flows_read_back", worker_.flows()).count("drops", worker_.drops());
}

}  // namespace

int bench_sets(const Options& o, const Machine& machine) {
    const auto scene = Scene::make(o, kTcp);
    if (!scene) return failed(scene.error());
    SetTurns turns{o, machine, *scene};
    if (auto ok = turns.begin(*scene); !ok) return failed(ok.error());
    const auto runs = take_turns(
        o.runs, {[&] { return turns.one_by_one(); }, [&] { return turns.poured(); }, [&] { return turns.without(); }},
        [&] { return turns.complaint().empty(); });
    if (const auto complaint = turns.complaint(); !complaint.empty()) return failed(complaint);
    Result one{"sets", "one-by-one", static_cast<double>(machine.tsc.hz)};
    Result pour{"sets", "poured", static_cast<double>(machine.tsc.hz)};
    for (Result* result : {&one, &pour}) {
        result->param("members", o.members)
            .param("flows", scene->flows)
            .param("rules", o.rules)
            .param("packets", o.count)
            .param("seed", o.seed);
    }
    one.ours(runs[0]).against("control run", runs[2]);
    pour.ours(runs[1]).against("control run", runs[2]);
    turns.add_to(one, pour);
    for (const auto& [result, with] : {std::pair{&one, &runs[0]}, std::pair{&pour, &runs[1]}}) {
        const double kept = median(ratios(each(*with, mega_per_second), each(runs[2], mega_per_second)));
        result->number("rate_lost_percent", 100 * (1 - kept));
        std::printf("%s\n", result->json().c_str());
    }
    return 0;
}

}  // namespace sluice::bench
