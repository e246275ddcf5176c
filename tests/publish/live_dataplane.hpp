/// A dataplane without DPDK: real manager, real tables socket, real telemetry memory, and real workers on threads of
/// their own over ports in memory, two of them, wired. What the workers' threads do is the test's: see Painter.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/manager/manager.hpp"
#include "dataplane/pipeline/worker.hpp"
#include "tests/harness/memory_io.hpp"
#include "tests/publish/colours.hpp"
#include "tests/unit/dataplane/manager/rig.hpp"

namespace sluice::test {

/// Sanitizers cost a factor of ten; how much is asked of a test follows.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)  // gcc's word
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)  // clang's
inline constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool kSanitized = false;
#endif

bool long_run();  ///< SLUICE_TEST_LONG

struct LiveWorker {
    LiveWorker(std::uint32_t worker_index, std::uint32_t worker_count, const dp::WorkerTelemetry& memory,
               dp::TablesQsbr& tables);

    std::uint32_t index;
    dp::WorkerTelemetry telemetry;
    MemoryIo io{256};
    dp::Worker worker;
    std::size_t run_once();  ///< at the real time
};

class LiveDataplane {
public:
    using Life = std::function<void(LiveWorker&, const std::atomic<bool>& stop)>;

    /// `life` runs on each worker's thread until `stop`.
    LiveDataplane(std::uint32_t workers, Life life);
    ~LiveDataplane();

    std::string socket() const { return dir_.path("tables.sock"); }

private:
    TempDir dir_;
    dp::TablesQsbr tables_;
    std::unique_ptr<dp::TelemetrySegments> telemetry_;
    std::vector<std::unique_ptr<LiveWorker>> workers_;
    std::unique_ptr<dp::Manager> manager_;
    dp::UniqueFd stop_fd_;
    std::atomic<bool> stop_{false};
    std::vector<std::thread> threads_;
    std::thread manager_thread_;
};

/// What the publisher has told and been told, for those who judge packets against it.
struct Published {
    std::atomic<std::uint64_t> offered{0};  ///< highest generation sent to the manager
    std::atomic<std::uint64_t> acknowledged{0};
};

/// The first complaints, from any thread.
class Complaints {
public:
    void add(const std::string& text);
    std::uint64_t count() const { return count_; }
    std::string text() const;

private:
    std::atomic<std::uint64_t> count_{0};
    mutable std::mutex mutex_;
    std::string text_;
};

/// Sends all tags from both sides through one worker, a burst each, and holds what came out against the one generation
/// that the worker says it ran.
class Painter {
public:
    Painter(const Colours& colours, LiveWorker& worker, const Published& published, Complaints& complaints,
            std::uint32_t seed);

    /// One loop of the worker. `only_forward`: no reverts happen, so a generation is never followed by a lower one, and
    /// nothing older than what was acknowledged before may run.
    void round(bool only_forward);
    /// Between two rounds: a moment for the others, of another length each time.
    void pause();

    std::uint64_t packets() const { return packets_; }
    std::uint64_t generations_seen() const { return generations_seen_; }

private:
    void send_all();
    void judge(std::uint64_t generation);
    void judge_counters(const Colour& running, const std::string& where);
    void judge_events();

    const Colours& colours_;
    LiveWorker& worker_;
    const Published& published_;
    Complaints& complaints_;
    std::mt19937 random_;
    std::vector<std::pair<FrameBytes, FrameBytes>> frames_;  ///< from port 0, from port 1
    std::vector<std::uint64_t> rule_packets_;                ///< by slot, before the round
    std::uint64_t events_read_{}, packets_{}, last_{}, generations_seen_{};
};

}  // namespace sluice::test
