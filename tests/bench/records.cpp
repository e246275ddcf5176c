/// Flow records from real rings: event writers as a worker has them fill the rings of a dataplane's telemetry segments,
/// and what the control plane does with the events is timed until they are on the disk: draining, records, blocks,
/// checksums, files, syncs. All threads that do it are held to one core, and what counts is their CPU time; the thread
/// that plays the workers is left out of it, and waits when the rings are half full. Peer: the same events as lines of
/// the flow log.
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "controlplane/records/record_store.hpp"
#include "controlplane/telemetry/event_lines.hpp"
#include "controlplane/telemetry/event_reader.hpp"
#include "controlplane/telemetry/segments.hpp"
#include "dataplane/manager/telemetry_segments.hpp"
#include "dataplane/pipeline/events.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/rig/measure.hpp"

namespace sluice::bench {

namespace {

constexpr std::uint32_t kWorkers = 2, kRules = 64, kFirstSlot = 16;
constexpr std::uint32_t kBurst = 256;
/// Of the events that nobody has written down yet.
constexpr std::uint64_t kAheadMax = 32'768;
constexpr auto kHangLimit = std::chrono::seconds{120};

/// Starts and ends of flows in turns, as `log: both` makes them; every fourth is IPv6.
abi::FlowEvent event_of(std::uint64_t n, abi::MonoTime now) {
    abi::FlowEvent e;
    const bool starts = n % 2 == 0;
    const auto dice = static_cast<std::uint32_t>(n * 2'654'435'761U);
    e.time = now;
    e.started = {now.ns - 1'000'000'000};
    e.kind = starts ? abi::EventKind::flow_start : abi::EventKind::flow_end;
    e.end = starts ? abi::FlowEnd::none : abi::FlowEnd::closed;
    e.verdict = abi::Verdict::allow;
    e.family = n % 4 == 3 ? abi::IpFamily::v6 : abi::IpFamily::v4;
    e.proto = abi::L4Proto::tcp;
    e.src = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(dice));
    e.dst = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(0x0a000000 | (dice >> 12U)));
    e.sport = abi::L4Port::of_host(static_cast<std::uint16_t>(dice));
    e.dport = abi::L4Port::of_host(443);
    e.slot = abi::RuleSlot{kFirstSlot + dice % kRules};
    e.generation = 7;
    e.from_zone = abi::ZoneId{0};
    e.to_zone = abi::ZoneId{1};
    e.packets = {10 + n % 100, 8 + n % 50};
    e.bytes = {n % 100'000, n % 1'000'000};
    return e;
}

double seconds(const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; }

/// CPU time of this process without this thread, in seconds.
double cpu_of_the_others() {
    rusage process{}, thread{};
    ::getrusage(RUSAGE_SELF, &process);
    ::getrusage(RUSAGE_THREAD, &thread);
    return seconds(process.ru_utime) + seconds(process.ru_stime) - seconds(thread.ru_utime) - seconds(thread.ru_stime);
}

/// This thread, and those that it starts from then on.
void run_on(std::uint32_t cpu, bool on_it) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (std::uint32_t c = 0; c < std::max(1U, std::thread::hardware_concurrency()); ++c) {
        if ((c == cpu) == on_it) CPU_SET(c, &set);
    }
    if (CPU_COUNT(&set) != 0) (void)::sched_setaffinity(0, sizeof set, &set);
}

class Folder {
public:
    Folder() : path{(std::filesystem::temp_directory_path() / "sluice-bench-XXXXXX").string()} {
        if (::mkdtemp(path.data()) == nullptr) path.clear();
    }
    ~Folder() { std::filesystem::remove_all(path); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    std::string path;
};

std::shared_ptr<const cp::Names> names_of_rules() {
    auto names = std::make_shared<cp::Names>();
    auto rules = std::make_shared<cp::SharedList<std::string>>();
    rules->resize(kFirstSlot);
    for (std::uint32_t r = 0; r < kRules; ++r) rules->push_back("rule-" + std::to_string(r));
    names->rules = std::move(rules);
    names->zones.emplace_back(7, std::vector<std::string>{"internet", "servers"});
    names->ports = {"outside", "inside"};
    return names;
}

/// The control plane's side: drains 40 times a second as telemetry.cpp does, and has one of the two that write.
class Keeper {
public:
    Keeper(const std::string& dir, bool records)
        : records_{records},
          store_{{.dir = records ? dir + "/records" : "", .bytes_max = 1ULL << 30}},
          lines_{{records ? "" : dir + "/flows.jsonl", 64ULL << 20, 2}, recent_} {}

    bool start(const std::array<int, 3>& fds) {
        auto segments = cp::TelemetrySegments::map(
            {cp::UniqueFd{::dup(fds[0])}, cp::UniqueFd{::dup(fds[1])}, cp::UniqueFd{::dup(fds[2])}});
        if (!segments) return false;
        reader_.attach(std::move(*segments), [](const cp::RingEvent&) {});
        store_.start();
        lines_.start();
        thread_ = std::thread{[this] {
            while (!stop_) {
                drain();
                std::this_thread::sleep_for(std::chrono::milliseconds{25});
            }
            drain();
        }};
        return true;
    }
    void stop() {
        stop_ = true;
        thread_.join();
        lines_.stop();
        store_.stop();
    }
    /// Written down or lost.
    std::uint64_t done() const {
        if (!records_) return lines_.stats().written + lines_.stats().failed;
        const auto s = store_.stats();
        return s.written + s.lost_queue + s.lost_disk;
    }
    /// After `stop`.
    std::uint64_t lost() const {
        const auto s = store_.stats();
        return reader_.lost() + reader_.invalid() + lines_.stats().failed + s.lost_queue + s.lost_disk + s.lost_sync;
    }
    std::uint64_t bytes() const { return store_.stats().bytes; }

private:
    void drain() {
        auto batch = std::make_shared<cp::EventBatch>();
        reader_.drain([&](const cp::RingEvent& event) { batch->events.push_back(event); });
        if (batch->events.empty()) return;
        batch->boot_id = reader_.boot_id();
        batch->names = names_;
        if (records_) {
            store_.submit(std::move(batch));
        } else {
            lines_.submit(std::move(batch));
        }
    }

    const bool records_;
    const std::shared_ptr<const cp::Names> names_{names_of_rules()};
    cp::RecordStore store_;
    cp::EventRing recent_{16'384};
    cp::EventLines lines_;
    cp::EventReader reader_;  // the thread's
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

class Contest {
public:
    explicit Contest(const Options& o) : o_{o} {}

    Run run(bool records) {
        const Folder folder;
        auto rings = dp::TelemetrySegments::create(
            {.boot_id = 1, .worker_count = kWorkers, .port_count = 2, .rule_slots = kFirstSlot + kRules});
        if (folder.path.empty() || !rings) return fail("no folder or no rings");
        const auto fds = (*rings)->fds();
        run_on(o_.cpu, true);
        Keeper keeper{folder.path, records};
        const double cpu_before = cpu_of_the_others();
        const Stopwatch watch;
        if (!keeper.start(fds)) return fail("the rings can't be mapped");
        run_on(o_.cpu, false);
        if (!feed(**rings, keeper)) return fail("events stay in the rings");
        keeper.stop();
        Run timed = watch.stop(o_.count);
        timed.cpu_s = cpu_of_the_others() - cpu_before;
        if (keeper.lost() != 0) return fail(std::to_string(keeper.lost()) + " events were lost");
        if (records) bytes_ = keeper.bytes();
        return timed;
    }
    const std::string& complaint() const noexcept { return complaint_; }
    std::uint64_t bytes() const noexcept { return bytes_; }

private:
    bool feed(dp::TelemetrySegments& rings, const Keeper& keeper) const {
        std::vector<dp::EventWriter> writers;
        for (std::uint32_t w = 0; w < kWorkers; ++w) {
            const auto t = rings.worker(w);
            writers.emplace_back(*t.ring, t.ring_slots, *t.counters, kWorkers);
        }
        const auto deadline = std::chrono::steady_clock::now() + kHangLimit;
        std::uint64_t written = 0, done = 0;
        while (done < o_.count) {
            const auto now = abi::MonoTime::now();
            for (std::uint32_t i = 0; i < kBurst && written < o_.count && written < done + kAheadMax; ++i, ++written)
                writers[written % kWorkers].write(event_of(written, now));
            if (written < o_.count && written < done + kAheadMax) continue;
            std::this_thread::sleep_for(std::chrono::milliseconds{1});
            done = keeper.done();
            if (std::chrono::steady_clock::now() > deadline) return false;
        }
        return true;
    }
    Run fail(std::string why) {
        complaint_ = std::move(why);
        return {1, 1, 1};
    }

    const Options& o_;
    std::string complaint_;
    std::uint64_t bytes_{};
};

}  // namespace

int bench_records(const Options& o, const Machine& machine) {
    Contest contest{o};
    const auto runs = take_turns(o.runs, {[&] { return contest.run(true); }, [&] { return contest.run(false); }},
                                 [&] { return contest.complaint().empty(); });
    if (!contest.complaint().empty()) return failed(contest.complaint());
    Result result{"records", "starts-and-ends", static_cast<double>(machine.tsc.hz)};
    result.param("events", o.count).param("rings", kWorkers).param("rules", kRules);
    result.ours(runs[0]).against("flow log (JSON lines)", runs[1]);
    result.count("records_per_core_second", static_cast<std::uint64_t>(1e6 * median(each(runs[0], mega_per_second))))
        .number("bytes_per_record", static_cast<double>(contest.bytes()) / static_cast<double>(o.count))
        .count("lost", 0);
    std::printf("%s\n", result.json().c_str());
    return 0;
}

}  // namespace sluice::bench
