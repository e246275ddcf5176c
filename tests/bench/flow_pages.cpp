/// Live flows read and ended over the REST API while the worker goes on: every flow, page by page, then those of one
/// rule, which are ended and looked for again. All of it is the product's: HTTPS, policy service, tables socket,
/// manager, worker. What the worker forwards while somebody reads stands against a control run without a reader.
#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "dataplane/port/conversation.hpp"
#include "tests/bench/control_side.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/other_cpus.hpp"
#include "tests/bench/policy_text.hpp"
#include "tests/bench/rig/measure.hpp"
#include "tests/bench/rig/real_worker.hpp"
#include "tests/bench/scene.hpp"

namespace sluice::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint8_t kTcp = 6;
constexpr std::uint64_t kPacketsBetween = 4096;  ///< the worker goes on while somebody waits for it
constexpr std::string_view kOfOneRule = "filter=rule%3D%3Dr0";

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// A whole walk, or a request that ended flows.
struct Read {
    std::vector<double> page_ms;
    std::uint64_t flows{};
    double seconds{};
    std::string complaint;  ///< empty: good
};

std::size_t count_of(std::string_view text, std::string_view what) {
    std::size_t count = 0;
    for (auto at = text.find(what); at != std::string_view::npos; at = text.find(what, at + what.size())) ++count;
    return count;
}

/// What stands behind `"NAME":`, up to the next comma or bracket, without quotes.
std::string_view field(std::string_view body, std::string_view name) {
    const auto at = body.rfind("\"" + std::string{name} + "\":");
    if (at == std::string_view::npos) return {};
    auto value = body.substr(at + name.size() + 3);
    value = value.substr(0, value.find_first_of(",}"));
    return value.starts_with('"') ? value.substr(1, value.size() - 2) : value;
}

/// The answer's body. Error: what it is instead.
Expected<std::string, std::string> ask(const ctl::HttpClient& client, std::string method, std::string target) {
    auto reply = client.send({.method = std::move(method), .target = std::move(target), .headers = {}, .body = {}});
    if (!reply) return Unexpected{reply.error()};
    if (reply->status != 200) return Unexpected{std::to_string(reply->status) + ": " + reply->body};
    return std::move(reply->body);
}

/// From the first page to the last. `which`: a filter's parameter, or empty.
Read read_all(const ctl::HttpClient& client, std::string_view which) {
    Read read;
    const auto start = Clock::now();
    const std::string first = "/v1/flows?limit=1000" + (which.empty() ? "" : "&" + std::string{which});
    for (std::string target = first;;) {
        const auto asked = Clock::now();
        const auto body = ask(client, "GET", target);
        if (!body) return read.complaint = body.error(), read;
        read.page_ms.push_back(seconds_since(asked) * 1e3);
        read.flows += count_of(*body, "\"src\":");
        const std::string_view next = field(*body, "next");
        if (next == "null") break;
        if (next.empty()) return read.complaint = "a page does not say where the next one is", read;
        target = first + "&cursor=" + std::string{next};
    }
    read.seconds = seconds_since(start);
    return read;
}

Read end_some(const ctl::HttpClient& client, std::string_view which) {
    Read read;
    const auto start = Clock::now();
    const auto body = ask(client, "DELETE", "/v1/flows?" + std::string{which});
    if (!body) return read.complaint = body.error(), read;
    read.seconds = seconds_since(start);
    const auto ended = field(*body, "ended");
    (void)std::from_chars(ended.data(), ended.data() + ended.size(), read.flows);
    if (field(*body, "complete") != "true") read.complaint = "not every flow was looked at: " + *body;
    return read;
}

class Pages {
public:
    Pages(const Options& o, const Machine& machine, const Scene& scene)
        : machine_{machine},
          flows_{scene.flows},
          source_{scene.source(o, machine, dp::Conversation::tcp)},
          memory_{scene.tables->rule_slots()},
          worker_{source_, flows_, memory_.telemetry->worker(0), memory_.tables, machine.tsc},
          packets_{o.count} {}

    /// Error: a sentence.
    Expected<void, std::string> begin(const Scene& scene);
    /// All flows are read, each once.
    Run with_reader();
    Run without();
    /// The flows of one rule: found, ended, and gone. Error: what is not so.
    Expected<void, std::string> end_flows_of_one_rule();
    /// Empty, or why the figures are none.
    std::string complaint() const { return complaint_.empty() ? worker_.complaint(flows_) : complaint_; }
    void add_to(Result& result) const;

private:
    /// The worker goes on until `what` is done on another core.
    Read meanwhile(const std::function<Read(const ctl::HttpClient&)>& what);

    const Machine& machine_;
    const std::uint32_t flows_;
    dp::MemorySource source_;
    DataplaneMemory memory_;
    RealWorker worker_;
    std::unique_ptr<ControlSide> control_;  // behind what it reads and writes
    std::optional<ctl::HttpClient> client_;
    std::uint64_t packets_;
    std::string complaint_;
    std::vector<double> page_ms_, walk_s_;
    Read filtered_, ended_;
};

Expected<void, std::string> Pages::begin(const Scene& scene) {
    {
        const OnOtherCpus here{machine_};
        auto control = ControlSide::start(memory_, worker_.dump_mailbox());
        if (!control) return Unexpected<std::string>{control.error()};
        control_ = std::move(*control);
        // The worker comes online behind it: a packet before would have been dropped.
        if (auto ok = control_->put(policy_json(scene.rules)); !ok) return ok;
        auto client = control_->serve();
        if (!client) return Unexpected<std::string>{client.error()};
        client_.emplace(std::move(*client));
    }
    worker_.run(dp::kHandshakeRounds * std::uint64_t{flows_});
    return {};
}

Read Pages::meanwhile(const std::function<Read(const ctl::HttpClient&)>& what) {
    Read read;
    std::atomic<bool> done{false};
    std::optional<std::thread> reader;
    {
        const OnOtherCpus here{machine_};
        reader.emplace([&] {
            read = what(*client_);
            done.store(true, std::memory_order_release);  // pairs with the acquire below; join() hands over the rest
        });
    }
    while (!done.load(std::memory_order_acquire)) worker_.run(kPacketsBetween);
    reader->join();
    return read;
}

Run Pages::with_reader() {
    const std::uint64_t before = source_.made();
    const Stopwatch watch;
    const Read read = meanwhile([](const ctl::HttpClient& client) { return read_all(client, {}); });
    packets_ = source_.made() - before;
    const Run timed = watch.stop(packets_);
    complaint_ = read.complaint;
    if (complaint_.empty() && read.flows != flows_) {
        complaint_ = std::to_string(read.flows) + " flows stood on the pages instead of " + std::to_string(flows_);
    }
    page_ms_.insert(page_ms_.end(), read.page_ms.begin(), read.page_ms.end());
    walk_s_.push_back(read.seconds);
    return timed;
}

Run Pages::without() {
    const std::uint64_t before = source_.made();
    const Stopwatch watch;
    // In pieces as beside a reader: the piece's two clock reads are in both.
    while (source_.made() - before < packets_) worker_.run(kPacketsBetween);
    return watch.stop(source_.made() - before);
}

Expected<void, std::string> Pages::end_flows_of_one_rule() {
    const auto find = [](const ctl::HttpClient& client) { return read_all(client, kOfOneRule); };
    filtered_ = meanwhile(find);
    ended_ = meanwhile([](const ctl::HttpClient& client) { return end_some(client, kOfOneRule); });
    const Read left = meanwhile(find);
    for (const std::string& complaint : {filtered_.complaint, ended_.complaint, left.complaint}) {
        if (!complaint.empty()) return Unexpected{complaint};
    }
    if (filtered_.flows == 0 || ended_.flows != filtered_.flows || left.flows != 0) {
        return Unexpected{std::to_string(filtered_.flows) + " flows were found by the filter, " +
                          std::to_string(ended_.flows) + " ended, " + std::to_string(left.flows) + " left"};
    }
    if (worker_.flows() != flows_ - ended_.flows) {
        return Unexpected{std::to_string(worker_.flows()) + " flows are left of " + std::to_string(flows_) + ", " +
                          std::to_string(ended_.flows) + " were ended"};
    }
    return {};
}

void Pages::add_to(Result& result) const {
    auto pages = page_ms_;
    std::sort(pages.begin(), pages.end());
    result.number("walk_s", median(walk_s_))
        .count("pages", pages.size())
        .number("page_p50_ms", pages[pages.size() / 2])
        .number("page_p99_ms", pages[pages.size() * 99 / 100])
        .number("page_max_ms", pages.back())
        .count("filter_flows", filtered_.flows)
        .number("filter_s", filtered_.seconds)
        .number("end_s", ended_.seconds)
        .count("flows_ended", ended_.flows)
        .count("flows_read_back", worker_.flows());
}

}  // namespace

int bench_flow_pages(const Options& o, const Machine& machine) {
    const auto scene = Scene::make(o, kTcp);
    if (!scene) return failed(scene.error());
    Pages pages{o, machine, *scene};
    if (auto ok = pages.begin(*scene); !ok) return failed(ok.error());
    const auto runs = take_turns(o.runs, {[&] { return pages.with_reader(); }, [&] { return pages.without(); }},
                                 [&] { return pages.complaint().empty(); });
    // Not one packet was dropped or lost beside a reader. Those of ended flows are, from here on.
    if (const auto complaint = pages.complaint(); !complaint.empty()) return failed(complaint);
    if (auto ok = pages.end_flows_of_one_rule(); !ok) return failed(ok.error());
    Result result{"flow-pages", "all-and-one-rule", static_cast<double>(machine.tsc.hz)};
    result.param("flows", scene->flows).param("rules", o.rules).param("seed", o.seed);
    result.ours(runs[0]).against("control run", runs[1]);
    const double kept = median(ratios(each(runs[0], mega_per_second), each(runs[1], mega_per_second)));
    pages.add_to(result.number("rate_lost_percent", 100 * (1 - kept)));
    std::printf("%s\n", result.json().c_str());
    return 0;
}

}  // namespace sluice::bench
