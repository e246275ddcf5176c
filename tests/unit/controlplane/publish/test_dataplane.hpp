/// A dataplane's end of the tables socket for tests of the control plane on its own: real sockets, real memfds,
/// messages by the letter, and misbehaviour on demand. It forwards no packets. What it accepts as a generation is
/// decided by seals and by the validator that the test hands in. The whole against the real manager is another test's
/// business.
#pragma once

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <sluice/abi/messages.hpp>

#include "controlplane/publish/tables_wire.hpp"
#include "controlplane/store/unique_fd.hpp"

namespace sluice::test {

/// The three telemetry memfds of one dataplane boot, with pointers to write through.
class TestTelemetry {
public:
    TestTelemetry(std::uint64_t boot_id, std::uint32_t workers, std::uint32_t ports, std::uint32_t rule_slots = 64,
                  std::uint32_t ring_records = 64);

    abi::ManagerCounters& manager() { return *at<abi::ManagerCounters>(0, sizeof(abi::TelemetryHeader)); }
    abi::WorkerCounters& worker(std::uint32_t w) { return *at<abi::WorkerCounters>(0, block(0, w)); }
    abi::RuleCounters& rule(std::uint32_t w, std::uint32_t slot) {
        return *at<abi::RuleCounters>(1, block(1, w) + slot * sizeof(abi::RuleCounters));
    }
    /// Writes an event as a worker does.
    void emit(std::uint32_t w, const abi::FlowEvent& event);
    /// Lies about how far a ring is.
    void claim_written(std::uint32_t w, std::uint64_t n) {
        at<abi::EventRingHeader>(2, block(2, w))->written.store(n, std::memory_order_release);
    }
    abi::TelemetryHeader& header(std::size_t kind) { return *at<abi::TelemetryHeader>(kind, 0); }
    int fd(std::size_t kind) const { return fds_[kind].get(); }

private:
    template <typename T>
    T* at(std::size_t kind, std::size_t offset) {
        return reinterpret_cast<T*>(maps_[kind] + offset);
    }
    std::size_t block(std::size_t kind, std::uint32_t w) {
        return header(kind).first_block + w * header(kind).block_bytes;
    }
    std::array<cp::UniqueFd, 3> fds_;
    std::array<std::byte*, 3> maps_{};
    std::array<std::size_t, 3> bytes_{};

public:
    ~TestTelemetry() {
        for (std::size_t k = 0; k < 3; ++k) ::munmap(maps_[k], bytes_[k]);
    }
    TestTelemetry(const TestTelemetry&) = delete;
    TestTelemetry& operator=(const TestTelemetry&) = delete;
};

struct Mapping {
    std::byte* data{};
    std::size_t bytes{};
    std::span<const std::byte> span() const { return {data, bytes}; }
};

class TestDataplane {
public:
    using Sections = std::array<std::span<const std::byte>, abi::kSectionKindCount>;
    struct Options {
        std::vector<std::string> ports{"outside", "inside"};
        std::uint64_t boot_id{1};
        /// Sentence of refusal, or nothing.
        std::function<std::optional<std::string>(const abi::Manifest&, const Sections&)> validate;
    };
    /// Survives a "restart": construct the next one with the state of the last.
    struct State {
        abi::ProcessState process{};
        std::optional<abi::Manifest> running, previous;
    };

    TestDataplane(std::string path, Options options) : TestDataplane{std::move(path), std::move(options), State{}} {}
    TestDataplane(std::string path, Options options, State state);
    ~TestDataplane();
    TestDataplane(const TestDataplane&) = delete;
    TestDataplane& operator=(const TestDataplane&) = delete;

    State state();
    std::size_t offers();
    std::vector<std::int32_t> last_offer_fds();
    TestTelemetry& telemetry() { return telemetry_; }

    // Misbehaviour.
    void forget_sections();  ///< as after a restart that lost them
    void stall_workers(std::uint64_t bits) { stalled_ = bits; }
    void be_mute(bool mute) { mute_ = mute; }
    void refuse_next(abi::RefuseReason reason) { refuse_ = reason; }
    void grant_claims(bool grant) { grant_ = grant; }
    void die_at_next_offer() { die_at_offer_ = true; }
    void send_raw(std::vector<std::byte> bytes, std::size_t fd_count = 0);
    void hang_up();
    /// Pages of flows end, and never the walk.
    void stand_still_at_dumps() { stands_still_ = true; }
    void refuse_watching(bool refuse) { deaf_to_watching_ = refuse; }
    std::atomic<bool> stands_still_{};
    /// The confirmation deadline passes: back to the previous generation, with a notice.
    void revert_by_deadline();
    void set_flows(std::vector<abi::FlowRecord> flows);
    /// Whether the last request to end flows wanted answers.
    bool ended_answered() const noexcept { return ended_answered_; }
    /// As the last request of this connection to watch new flows said.
    std::uint32_t watched_per_second() const noexcept { return watched_per_second_; }

private:
    void run();
    void serve(int client);
    void handle(int client, cp::Datagram& datagram);
    void handle_offer(int client, cp::Datagram& datagram);
    abi::Answer go_back(std::uint64_t generation);
    abi::Answer answer(abi::AnswerKind kind, abi::RefuseReason reason = {}, const std::string& where = "");
    void set_running(const std::optional<abi::Manifest>& manifest, abi::StateSource source);
    template <typename T>
    void reply(int client, T message, std::uint32_t sequence, std::span<const int> fds = {});

    const std::string path_;
    const Options options_;
    TestTelemetry telemetry_;
    cp::UniqueFd listener_, wake_;
    std::atomic<bool> stopping_{false}, mute_{false}, grant_{true}, die_at_offer_{false}, deaf_to_watching_{false};
    std::atomic<std::uint64_t> stalled_{0};
    std::atomic<abi::RefuseReason> refuse_{};
    std::mutex mutex_;
    State state_;
    std::map<std::tuple<std::size_t, std::uint64_t, std::uint64_t>, Mapping> held_;  // by kind and digest
    std::vector<abi::FlowRecord> flows_;
    std::atomic<bool> ended_answered_{false};
    std::atomic<std::uint32_t> watched_per_second_{};
    std::size_t offers_{};
    std::vector<std::int32_t> last_fds_;
    int client_{-1};
    std::thread thread_;
};

}  // namespace sluice::test
