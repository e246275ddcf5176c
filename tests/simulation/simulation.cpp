/// Deterministic simulation (CASES Q22, Q27, P1, P2, A2): one seed is one run, bit for bit.
///
///     simulation                       20,000 seeds, two minutes of one core (SLUICE_TEST_LONG=1: 10^6)
///     simulation --seeds FIRST COUNT   those
///     simulation --seed N [--trace]    one run, with its steps as a list; a failure is not made smaller
///
/// A failure prints its seed and the smallest part of its schedule that still fails. SEED in the environment is the
/// first seed. The last line has a digest over everything that could be observed: the same seeds give the same line.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/simulation/world.hpp"

namespace sluice::sim {
namespace {

constexpr std::uint64_t kSeedsShort = 20'000, kSeedsLong = 1'000'000;
constexpr int kDifferent = 3;  ///< exit code of a run that found a difference

/// What a child tells its parent; a child may die at any moment.
struct Board {
    std::uint64_t seed{}, digest{};
    World::Tally tally;
    char text[4096]{};
};

Board& board() {
    static auto* const shared =
        static_cast<Board*>(::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    return *shared;
}

[[noreturn]] void give_up(const std::string& text) {
    std::strncpy(board().text, text.c_str(), sizeof board().text - 1);
    std::fflush(stdout);
    ::_exit(kDifferent);
}

void run_one(std::uint64_t seed, const std::vector<Step>& steps, bool trace) {
    World world{
        setup_of(seed), give_up,
        trace ? [](const std::string& line) { std::puts(line.c_str()); } : std::function<void(const std::string&)>{}};
    world.run(steps);
    board().digest = board().digest * 0x9e3779b97f4a7c15ULL + world.digest();
    board().tally.add(world.tally);
}

/// Runs `body` in a process of its own, so that a crash is a result like others. Nothing: all was well.
template <typename Body>
std::optional<std::string> apart(Body body) {
    board().text[0] = 0;
    std::fflush(stdout);
    const pid_t child = ::fork();
    if (child < 0) return "fork failed";
    if (child == 0) {
        body();
        std::fflush(stdout);
        ::_exit(0);
    }
    int status = 0;
    if (::waitpid(child, &status, 0) != child) return "the child is lost";
    if (WIFSIGNALED(status)) return "died of signal " + std::to_string(WTERMSIG(status));
    if (WEXITSTATUS(status) == 0) return std::nullopt;
    return board().text[0] != 0 ? std::string{board().text} : "exit code " + std::to_string(WEXITSTATUS(status));
}

/// A failure's sentence without its figures: while steps are left out, it shall stay the same failure.
std::string kind_of(const std::string& what) {
    std::string kind = what.substr(0, what.find('\n'));
    std::erase_if(kind, [](char c) { return c >= '0' && c <= '9'; });
    return kind;
}

/// Leaves out steps, halves first, as long as the same still goes wrong.
std::vector<Step> smallest(std::uint64_t seed, std::vector<Step> steps, std::string& what) {
    const std::string kind = kind_of(what);
    for (std::size_t chunk = std::max<std::size_t>(1, steps.size() / 2);; chunk /= 2) {
        for (std::size_t at = 0; at < steps.size();) {
            std::vector<Step> fewer = steps;
            const auto first = fewer.begin() + static_cast<std::ptrdiff_t>(at);
            fewer.erase(first, first + static_cast<std::ptrdiff_t>(std::min(chunk, steps.size() - at)));
            const auto still = apart([&] { run_one(seed, fewer, false); });
            if (still && kind_of(*still) == kind) {
                steps = std::move(fewer);
                what = *still;
            } else {
                at += chunk;
            }
        }
        if (chunk <= 1) return steps;
    }
}

void report(std::uint64_t seed, std::string what) {
    std::printf("FAILED seed %lu: %s\n", seed, what.c_str());
    const std::vector<Step> steps = smallest(seed, schedule_of(seed), what);
    std::printf("smallest schedule, %zu steps: %s\n", steps.size(), what.c_str());
    (void)apart([&] { run_one(seed, steps, true); });
    std::printf("again: simulation --seed %lu --trace\n", seed);
}

int run_seeds(std::uint64_t first, std::uint64_t count) {
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t at = first; at < first + count;) {
        const std::uint64_t end = std::min(first + count, (at / kSeedsPerPool + 1) * kSeedsPerPool);
        const auto what = apart([&] {
            for (std::uint64_t seed = at; seed < end; ++seed) {
                board().seed = seed;
                run_one(seed, schedule_of(seed), false);
            }
        });
        at = end;
        if (!what) continue;
        report(board().seed, *what);
        return 1;
    }
    const World::Tally& t = board().tally;
    std::printf(
        "%lu packets forwarded, %lu dropped, %lu answered; %lu flows, %lu expired, %lu ended by policy, "
        "%lu kept against it, %lu reopened, "
        "%lu picked up; "
        "%lu publishes, %lu refused, %lu reverts; %lu stalls; %lu crashes, %lu more in a loop, %lu planned restarts: "
        "%lu "
        "flows kept, %lu lost; %lu events; %.0f s (others run here too)\n",
        t.forwarded, t.dropped, t.answers, t.flows, t.expired, t.ended_by_policy, t.kept_on_change, t.reopened,
        t.picked_up, t.publishes, t.refused, t.reverts, t.stalls, t.crashes, t.crashes_in_a_loop, t.restarts,
        t.flows_kept, t.flows_lost, t.events,
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    std::printf("seeds %lu to %lu: digest %016lx\n", first, first + count - 1, board().digest);
    return 0;
}

int run_seed(std::uint64_t seed, bool trace) {
    const auto what = apart([&] { run_one(seed, schedule_of(seed), trace); });
    std::printf("seed %lu: %s\n", seed, what ? what->c_str() : "as the model says");
    std::printf("digest %016lx\n", board().digest);
    return what ? 1 : 0;
}

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t n{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return n;
}

int main_of(const std::vector<std::string_view>& words) {
    if (words.size() >= 2 && words[0] == "--seed" && number(words[1]))
        return run_seed(*number(words[1]), words.size() == 3 && words[2] == "--trace");
    if (words.size() == 3 && words[0] == "--seeds" && number(words[1]) && number(words[2]))
        return run_seeds(*number(words[1]), *number(words[2]));
    if (!words.empty()) {
        std::fputs("usage: simulation [--seeds FIRST COUNT | --seed N [--trace]]\n", stderr);
        return 2;
    }
    const char* const seed = std::getenv("SEED");
    const char* const is_long = std::getenv("SLUICE_TEST_LONG");
    const char* const count = std::getenv("SIMULATION_SEEDS");  // sanitizers take fewer: they are ten times as slow
    const std::uint64_t usual = is_long != nullptr && *is_long != 0 ? kSeedsLong : kSeedsShort;
    return run_seeds(seed != nullptr ? number(seed).value_or(1) : 1,
                     count != nullptr ? number(count).value_or(usual) : usual);
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) { return sluice::sim::main_of({argv + 1, argv + argc}); }
