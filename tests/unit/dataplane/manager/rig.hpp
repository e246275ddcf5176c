/// A whole manager with real sockets, memfds and reader threads in the workers' places, for tests; only DPDK and the
/// stages are missing. The clock is the real one plus what a test adds.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/manager/manager.hpp"
#include "tests/harness/policies.hpp"

namespace sluice::test {

/// Polls until `condition` holds; false after the hang limit.
template <typename Condition>
bool eventually(Condition condition, std::chrono::milliseconds limit = std::chrono::seconds{10}) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(std::chrono::microseconds{200});
    }
    return true;
}

std::size_t open_descriptors();

/// Of a manager with one wire, p0 to p1, that whoever runs the tests may publish to.
dp::ManagerOptions one_wire(std::string tables_socket, std::uint32_t workers, std::uint32_t rule_slots);

/// A directory of its own, removed with everything in it.
class TempDir {
public:
    TempDir();
    ~TempDir();
    std::string path(const std::string& name = "") const { return name.empty() ? path_ : path_ + "/" + name; }

private:
    std::string path_;
};

/// `web_action` makes policies differ in their rules sections only.
std::unique_ptr<CompiledTables> tables_for(std::uint64_t generation, cp::Action web_action = cp::Action::allow);

dp::UniqueFd sealed(std::span<const std::byte> bytes);
dp::GenerationFds sealed_generation(const CompiledTables& tables);
/// Manifest first, then the sections that are not left out; fills `offer`.
std::vector<dp::UniqueFd> offer_fds(const CompiledTables& tables, abi::Offer& offer, bool all_sections = true);

/// The content of a last-good file, and the file in a directory made for it, as a control plane leaves them.
std::string last_good_file(const CompiledTables& tables);
void write_last_good(const std::string& directory, const CompiledTables& tables);

/// Reads tables as a worker does, without packets.
class TestWorker {
public:
    TestWorker(std::uint32_t index, dp::TablesQsbr& tables, abi::WorkerCounters& counters,
               const std::atomic<std::uint64_t>& offset_ns);
    ~TestWorker();

    std::atomic<bool> stall{false};
    std::atomic<std::uint64_t> generation{0};
    std::atomic<std::uint64_t> pickup_until_ns{0};
    dp::FlowDumpMailbox mailbox;
    std::uint32_t flow_count{0};  ///< set before the first dump

private:
    void run();
    void answer_dump();

    std::uint32_t index_;
    dp::TablesQsbr& tables_;
    abi::WorkerCounters& counters_;
    const std::atomic<std::uint64_t>& offset_ns_;
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

class Rig {
public:
    struct Options {
        std::uint32_t workers{2};
        std::string notify_socket{};
        dp::StoredFds stored{};
        std::string last_good{};
        bool fail_open{false};
        std::uint64_t pickup_ns{30'000'000'000};
        dp::KeptFlows flows{};
        std::shared_ptr<dp::SetMemory> sets{};
    };
    Rig() : Rig(Options{}) {}
    explicit Rig(Options options);
    ~Rig();

    void advance(std::chrono::nanoseconds time) { offset_ns += static_cast<std::uint64_t>(time.count()); }
    std::string socket() const { return dir.path("tables.sock"); }

    TempDir dir;
    std::atomic<std::uint64_t> offset_ns{0};
    dp::TablesQsbr tables;
    std::unique_ptr<dp::TelemetrySegments> telemetry;
    std::vector<std::unique_ptr<TestWorker>> workers;
    std::unique_ptr<dp::Manager> manager;

private:
    dp::UniqueFd stop_fd_;
    std::thread thread_;
};

/// The other end of the tables socket.
class Client {
public:
    explicit Client(const std::string& path);

    struct Message {
        std::vector<std::byte> bytes;
        std::vector<dp::UniqueFd> fds;
        abi::MessageType type() const;
        template <typename T>
        T as() const {
            T message;
            std::memcpy(&message, bytes.data(), std::min(bytes.size(), sizeof message));
            return message;
        }
    };
    /// Empty: the connection has ended, or nothing came within the hang limit.
    std::optional<Message> receive();
    /// The next message of that type; others before it are dropped, but notices are kept.
    std::optional<Message> expect(abi::MessageType type);
    bool send_bytes(std::span<const std::byte> bytes, std::span<const int> fds = {});
    template <typename T>
    bool send(T message, std::span<const int> fds = {}) {
        message.header.bytes = sizeof message;
        return send_bytes(std::as_bytes(std::span{&message, 1}), fds);
    }
    bool send_fds(abi::Offer offer, const std::vector<dp::UniqueFd>& fds);
    bool claim();
    abi::Answer publish(const CompiledTables& tables, std::uint64_t confirm_within_ms = 0,
                        std::uint64_t adopt_within_ms = 5'000, bool all_sections = true);
    abi::Answer answer();
    bool ended();
    int fd() const { return fd_.get(); }

    std::vector<abi::Notice> notices;

private:
    dp::UniqueFd fd_;
};

}  // namespace sluice::test
