/// From a one-rule PATCH, and from a PUT, to adoption: the policy service and the dataplane's manager in one process,
/// with real sockets, memfds, validation and fsyncs; only packets are missing. Prints one JSON line per case.
///   patch_bench [state directory on the disk to be measured]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "controlplane/lifecycle/policy_service_impl.hpp"
#include "tests/unit/dataplane/manager/rig.hpp"

namespace {

using namespace sluice;
using namespace sluice::cp;
using Clock = std::chrono::steady_clock;

constexpr int kRuns = 100;

std::string policy_of(int rules, int variant) {
    std::string text =
        "sluice: 1\nname: bench\ndefault: {action: deny}\n"
        "zones:\n  outside: {ports: [p0]}\n  inside: {ports: [p1]}\nrules:\n";
    for (int i = 0; i < rules; ++i) {
        text += "  - {id: rule-" + std::to_string(i) + ", from: 10." + std::to_string(i / 256) + "." +
                std::to_string(i % 256) + ".0/24, to: {zone: inside, set: [192.0.2." + std::to_string(i % 250 + 1) +
                ", 198.51.100.0/25]}, service: [tcp/" + std::to_string(1000 + i + variant) +
                ", udp/53], action: " + (i % 3 == 0 ? "deny" : "allow") + ", log: end}\n";
    }
    return text;
}

struct Times {
    std::vector<double> wall, cpu;  ///< milliseconds; cpu of the calling thread alone
};

double cpu_ms() {
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
}

double at(std::vector<double> ms, double share) {
    std::sort(ms.begin(), ms.end());
    return ms[static_cast<std::size_t>(share * static_cast<double>(ms.size() - 1))];
}

void print(const char* what, int rules, const Times& times) {
    std::printf(
        "{\"bench\": \"%s\", \"rules\": %d, \"runs\": %zu, \"min_ms\": %.2f, \"p50_ms\": %.2f, \"p99_ms\": %.2f, "
        "\"cpu_p50_ms\": %.2f}\n",
        what, rules, times.wall.size(), at(times.wall, 0), at(times.wall, 0.5), at(times.wall, 0.99),
        at(times.cpu, 0.5));
}

bool measure(int rules, const std::string& parent) {
    test::Rig rig;
    test::TempDir own;
    ControlConfig config;
    config.state_dir = (parent.empty() ? own.path() : parent) + "/state-" + std::to_string(rules);
    config.tables_socket = rig.socket();
    config.last_good = config.state_dir + "-last-good";
    config.flow_log_path = own.path("flows.jsonl");
    auto opened = PolicyServiceImpl::open(config);
    if (!opened) return false;
    auto& service = **opened;
    service.start();
    if (!test::eventually(
            [&] { return service.status().not_ready.size() < 2 && service.status().dataplane_connected; }))
        return false;

    Times puts, patches;
    const auto timed = [](Times& into, auto call) {
        const auto start = Clock::now();
        const auto cpu_start = cpu_ms();
        const auto result = call();
        into.wall.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
        into.cpu.push_back(cpu_ms() - cpu_start);
        if (!result) std::fprintf(stderr, "%s\n", result.error().detail.c_str());
        return result && result->state == CommitState::adopted;
    };
    const auto options = [&] {
        CommitOptions o;
        const auto now = service.current();
        o.if_none_match_any = !now;
        if (now) o.if_match = now->hash;
        return o;
    };
    for (int run = 0; run < kRuns; ++run) {
        const auto text = policy_of(rules, run % 7);
        if (!timed(puts, [&] { return service.put(text, PolicyFormat::yaml, options()); })) return false;
    }
    for (int run = 0; run < kRuns; ++run) {
        const auto id = "rule-" + std::to_string(rules / 2);
        const std::string edits = R"([{"op": "replace", "id": ")" + id + R"(", "rule": {"id": ")" + id +
                                  R"(", "from": "any", "to": "inside", "service": "tcp/)" +
                                  std::to_string(20000 + run) + R"(", "action": "allow"}}])";
        if (!timed(patches, [&] { return service.patch(edits, options()); })) return false;
    }
    print("put_to_adopted", rules, puts);
    print("patch_to_adopted", rules, patches);
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string parent = argc > 1 ? argv[1] : "";
    for (const int rules : {10, 1000}) {
        if (!measure(rules, parent)) {
            std::fprintf(stderr, "patch_bench: a policy of %d rules was not adopted\n", rules);
            return 1;
        }
    }
    return 0;
}
