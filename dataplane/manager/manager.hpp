/// The thread that is no worker: takes generations over the tables socket, has them checked, switches workers to them,
/// keeps the way back open until a confirmation, watches the workers, and tells the supervisor and clients about it.
/// One poll loop, nothing in it blocks; no DPDK. Neighbours: tables_socket (transport), attach (what may be trusted),
/// generations (what runs), set_keeper (sets with changing members), descriptor_store and last_good (what outlives us).
#pragma once

#include <poll.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sluice/abi/messages.hpp>
#include <sluice/expected.hpp>

#include "dataplane/manager/attach.hpp"
#include "dataplane/manager/descriptor_store.hpp"
#include "dataplane/manager/flow_dumps.hpp"
#include "dataplane/manager/flow_memory.hpp"
#include "dataplane/manager/generations.hpp"
#include "dataplane/manager/last_good.hpp"
#include "dataplane/manager/set_keeper.hpp"
#include "dataplane/manager/tables_socket.hpp"
#include "dataplane/manager/telemetry_segments.hpp"
#include "dataplane/manager/worker_watch.hpp"

namespace sluice::dp {

std::uint64_t utc_seconds() noexcept;

struct ManagerOptions {
    std::string tables_socket;
    std::optional<std::uint32_t> tables_socket_gid;
    TrustedOwners publishers;  ///< uids: may claim, and own what is offered
    std::vector<std::string> port_names;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> wires;
    std::uint32_t worker_count{};
    std::uint32_t rule_slots_max{};
    std::uint64_t flow_capacity{};
    std::uint32_t half_open_percent{100};  ///< of it
    std::uint64_t boot_id{};
    bool fail_open{};
    std::uint64_t watchdog_period_ns{};  ///< 0 = none
    std::uint64_t pickup_ns{};           ///< after a restart that lost flows; 0 = none are picked up
    KeptFlows flows{};
    std::shared_ptr<SetMemory> sets;  ///< null: in memory that goes with the manager
    /// Injected by tests; the product's is abi::MonoTime::now.
    std::function<abi::MonoTime()> clock{abi::MonoTime::now};
    /// Seconds since 1970 in UTC: when rules with a schedule or an expiry come and go. Injected by tests.
    std::function<std::uint64_t()> unix_s{utc_seconds};
    /// Called once a second: device counters and link state into the manager's block.
    std::function<void(abi::ManagerCounters&)> read_ports{[](abi::ManagerCounters&) {}};
};

class Manager final : private TablesSocket::Handler {
public:
    /// `telemetry`, `tables` and the mailboxes (one per worker) outlive the manager.
    Manager(ManagerOptions options, TelemetrySegments& telemetry, TablesQsbr& tables, DescriptorStore store,
            std::vector<FlowDumpMailbox*> mailboxes);

    /// Before the workers start: the generation that an earlier process ran, else the last good one, else nothing.
    void restore(const LastGood& last_good);
    Expected<void, std::string> listen();

    /// Runs until `stop_fd` is readable.
    void run(int stop_fd);
    /// One round: waits for at most `wait_max_ns`, then does what is due. False: `stop_fd` is readable.
    bool run_once(std::uint64_t wait_max_ns, int stop_fd);

    const Generations& generations() const noexcept { return generations_; }

private:
    using ClientId = TablesSocket::ClientId;
    /// A switch whose publisher waits for the workers.
    struct Pending {
        ClientId client{};
        std::uint32_t request{};
        std::uint64_t sequence{};
        std::uint64_t generation{};
        abi::MonoTime started{}, deadline{};
    };

    /// A batch of set changes whose publisher waits for the workers.
    struct PendingSets {
        ClientId client{};
        std::uint32_t request{};
        std::uint64_t number{};
        std::uint64_t sequence{};  ///< by which it is in force; 0 = not published yet
        abi::MonoTime started{}, deadline{};
    };

    void connected(ClientId client) override;
    bool message(ClientId client, std::span<const std::byte> bytes, std::vector<UniqueFd> fds) override;
    void disconnected(ClientId client) override;

    void on_claim(ClientId client, const abi::Claim& claim);
    bool on_offer(ClientId client, const abi::Offer& offer, std::vector<UniqueFd> fds);
    void on_confirm(ClientId client, const abi::Confirm& confirm);
    void on_revert(ClientId client, const abi::Revert& revert);
    void on_get_running(ClientId client, const abi::GetRunning& request);
    void on_get_status(ClientId client, const abi::GetStatus& request);
    bool on_dump_flows(ClientId client, const abi::DumpFlows& request);
    bool on_end_flows(ClientId client, const abi::EndFlows& request);
    bool on_change_sets(ClientId client, const abi::ChangeSets& batch);
    bool on_get_members(ClientId client, const abi::GetMembers& request);
    bool on_watch_flows(ClientId client, const abi::WatchFlows& request);
    void send_sets_refused(ClientId client, std::uint32_t request, const Refusal& refusal);
    void turn_sets(abi::MonoTime now);

    Expected<std::shared_ptr<const Generation>, Refusal> accept_offer(ClientId client, const abi::Offer& offer,
                                                                      GenerationFds fds);
    void switched(ClientId client, std::uint32_t request, std::uint64_t adopt_within_ms, abi::MonoTime started);
    void refuse(ClientId client, std::uint32_t request, abi::RefuseReason reason, std::string_view where);
    void tell_ready();  ///< once, when every worker turns
    void answer_pending(abi::MonoTime now);
    void revert_at_deadline(abi::MonoTime now);
    void follow_time();
    void watch_workers(abi::MonoTime now);
    void send_dumps(abi::MonoTime now);
    void feed_watchdog(abi::MonoTime now);
    void notice(abi::NoticeKind kind, std::uint32_t worker);
    void record();
    void tell_of_flows();
    bool restore_from_store(const LastGood& last_good);
    void restore_last_good(const LastGood& last_good);
    Generations::Held attach_last_good(const LastGood& last_good);

    abi::Answer answer(abi::AnswerKind kind, std::uint32_t request) const;
    abi::ProcessState state() const;
    std::string status_text() const;
    std::uint64_t wait_ns(abi::MonoTime now, std::uint64_t wait_max_ns) const;
    std::vector<std::string_view> port_views() const;

    ManagerOptions options_;
    TelemetrySegments& telemetry_;
    DescriptorStore store_;
    Attacher attacher_;
    Generations generations_;
    SetKeeper sets_;
    WorkerWatch watch_;
    FlowDumps dumps_;
    std::optional<TablesSocket> socket_;
    ClientId publisher_{};  ///< 0 = nobody
    std::vector<Pending> pending_;
    std::vector<PendingSets> pending_sets_;
    std::vector<pollfd> polled_;
    bool told_ready_{};
    abi::MonoTime started_, next_tick_, next_port_read_, next_watchdog_;
};

}  // namespace sluice::dp
