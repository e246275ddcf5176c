/// The control plane's end of the tables socket: connects, claims to be the publisher, hands generations over, asks
/// questions, and comes back by itself when the dataplane went away.
///
/// Theory of operation. One background thread owns the connection: it connects, receives, checks and routes. Any thread
/// may ask a question; it sends its datagram itself and sleeps until the background thread hands it the answer with its
/// sequence number, until the deadline, or until the connection ends. A question that ran into its deadline ends the
/// connection, because a late answer would say what nobody knows how to place; what the dataplane then runs is found
/// out at the next hello. The listener is called on the background thread and must not ask questions from there.
///
/// Of a generation only those sections are sent that the last adopted one on this connection did not have. After a new
/// hello, a revert or a refusal `section_not_held` everything is sent.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <sluice/abi/messages.hpp>
#include <sluice/abi/set_messages.hpp>
#include <sluice/expected.hpp>

#include "controlplane/publish/generation_memfds.hpp"
#include "controlplane/publish/tables_wire.hpp"

namespace sluice::cp {

struct TelemetryFds {
    UniqueFd counters, rules, events;
};

class TablesListener {
public:
    virtual ~TablesListener() = default;
    /// A dataplane that speaks our ABI is there. Calls for it may start when `on_claim` follows.
    virtual void on_hello(const abi::Hello& hello, TelemetryFds telemetry) = 0;
    virtual void on_claim(bool granted, std::uint32_t holder_pid) = 0;
    virtual void on_notice(const abi::Notice& notice) = 0;
    /// The answer to get_status(), before whoever asked has it: in one order with hellos and notices, so that an older
    /// state never overwrites a newer one.
    virtual void on_status(const abi::ProcessState& state) = 0;
    virtual void on_lost(const std::string& why) = 0;
};

struct ClientError {
    enum class Kind : std::uint8_t {
        no_dataplane,   ///< nothing was sent
        not_publisher,  ///< nothing was sent
        local,          ///< nothing was sent: memory or descriptors ran out here
        unknown,        ///< sent, and the connection ended before the answer: what happened is known at the next hello
    };
    Kind kind{};
    std::string what;
};

struct RunningTables {
    std::uint64_t generation{};  ///< 0 = none
    std::vector<UniqueFd> fds;   ///< manifest, sections by kind
};
struct FlowsEndedPart {
    std::uint32_t count{};
    std::uint64_t next{};
    bool last{};
};
struct FlowDumpPage {
    std::vector<abi::FlowRecord> flows;
    std::uint64_t next{};
    bool last{};
};

class TablesClient {
public:
    TablesClient(std::string socket_path, TablesListener& listener);
    ~TablesClient();
    TablesClient(const TablesClient&) = delete;
    TablesClient& operator=(const TablesClient&) = delete;

    void start();
    void stop();

    /// The last hello of a connection that still stands.
    std::optional<abi::Hello> hello() const;
    /// Why there is no dataplane, for people; empty while there is one.
    std::string trouble() const;

    Expected<abi::Answer, ClientError> offer(const GenerationBytes& generation,
                                             std::chrono::milliseconds confirm_within,
                                             std::chrono::milliseconds adopt_within);
    Expected<abi::Answer, ClientError> confirm(std::uint64_t generation);
    Expected<abi::Answer, ClientError> revert(std::uint64_t generation);
    Expected<abi::ProcessState, ClientError> get_status();
    Expected<RunningTables, ClientError> get_running();
    Expected<FlowDumpPage, ClientError> dump_flows(std::uint64_t cursor, std::uint32_t count_max,
                                                   const abi::FlowFilter& filter = {});
    /// One batch; `bytes`, `sequence` and the length of `batch` are filled in. Waits until every worker decides by it.
    Expected<abi::SetsChanged, ClientError> change_sets(abi::ChangeSets& batch,
                                                        std::chrono::milliseconds enforce_within);
    /// Of at most kSetChangesMax members, in their order.
    Expected<std::vector<abi::MemberState>, ClientError> get_members(abi::SetId set,
                                                                     std::span<const abi::SetMember> members);
    /// A part of the walk, as with a dump.
    Expected<FlowsEndedPart, ClientError> end_flows(std::uint64_t cursor, bool answered, const abi::FlowFilter& filter);
    /// Events about new flows from now on, and as long as this connection stands; 0 = no more.
    Expected<void, ClientError> watch_flows(std::uint32_t per_second);

private:
    struct Waiter {
        abi::MessageType expected{};
        std::optional<Datagram> answer;
    };

    // background thread
    void run();
    bool serve_connection(int socket);  ///< true if there was a hello
    Expected<void, std::string> handle(Datagram&& datagram);
    void send_claim();
    bool wait_for(int socket, int timeout_ms);
    bool lose(const std::string& why);

    // any thread
    Expected<Datagram, ClientError> ask(std::span<std::byte> request, std::span<const int> fds,
                                        abi::MessageType expected, std::chrono::milliseconds timeout,
                                        bool publisher_only);
    template <typename Request>
    Expected<Datagram, ClientError> ask(Request request, abi::MessageType expected, bool publisher_only = false,
                                        std::span<const int> fds = {},
                                        std::chrono::milliseconds timeout = std::chrono::seconds(5));
    Expected<abi::Answer, ClientError> offer_once(const GenerationBytes& generation, abi::Offer offer, bool everything,
                                                  std::chrono::milliseconds timeout);
    void hold(const abi::Manifest* manifest);

    const std::string path_;
    TablesListener& listener_;
    UniqueFd wake_;
    std::thread thread_;
    std::atomic<bool> stopping_{false};

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    // guarded by mutex_
    UniqueFd socket_;
    std::optional<abi::Hello> hello_;
    bool publisher_{false};
    bool broken_{false};  ///< a question timed out: the background thread must end the connection
    std::string trouble_{"not connected yet"};
    std::uint32_t last_sequence_{0};
    std::uint32_t claim_sequence_{0};
    std::map<std::uint32_t, Waiter*> waiters_;
    std::array<std::optional<abi::Digest128>, abi::kSectionKindCount> held_;
};

}  // namespace sluice::cp
