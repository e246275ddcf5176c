/// The audit: who did or tried what, from where, why, and what came of it; hash-chained (audit_entry.hpp), in the same
/// database as the policies, so that an intent and its entry are one transaction.
///
/// Theory of operation. What changes something is written before it is done (`begun`) and again when it is settled; if
/// the first can't be written, it is not done. What changes nothing (attempts without a token, the second entries,
/// start and stop) is kept in memory while the disk takes nothing, and written later with its own time.
///
/// The head also stands in `<state>/audit-head`, rewritten at most once a second by `maintain`. It proves that a
/// database whose tail is gone (an old copy put back, a lost -wal) is not whole, up to the last second; whoever may
/// write the directory can rewrite both. Against that, heads have to be held elsewhere: each is in the log line of its
/// entry, in the API and in the metrics. Thread-safe.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "controlplane/store/audit_entry.hpp"
#include "controlplane/store/database.hpp"

namespace sluice::cp {

struct AuditQuery {
    std::int64_t since_ns{};               ///< from, inclusive
    std::optional<std::int64_t> until_ns;  ///< to, exclusive
    std::string actor;                     ///< whole, or the part before a slash; empty = all
    std::string action;                    ///< whole, or the part before a dot; empty = all
    std::size_t count_max{100};
    std::optional<std::uint64_t> before;  ///< only entries below this number
};
struct AuditPage {
    std::vector<AuditEntry> entries;  ///< newest first
    std::optional<std::uint64_t> next;
};

/// What `verify` found.
struct AuditCheck {
    bool whole{};
    std::uint64_t first{}, entries{};  ///< number of the first entry; how many were read
    AuditHead head;                    ///< of what was read
    std::optional<AuditHead> witness;  ///< what the second place says; nothing if there is none
    std::uint64_t broken{};            ///< number of the first entry that is wrong or missing, 0 = none
    std::string what;                  ///< sentence about it
};

struct AuditCounters {
    std::uint64_t written{};         ///< entries since this process started
    std::uint64_t write_failures{};  ///< tries that the disk did not take
    std::uint64_t waiting{};         ///< entries in memory that the disk has not taken yet
    std::uint64_t lost{};            ///< entries that were given up because too many waited
};

/// An attempt that was stopped at the door: no token, a wrong one, or one without the role.
struct DoorRefusal {
    std::string actor{"anonymous"};
    std::string origin;
    std::string what;  ///< code and route; never anything that the peer sent
    std::string request_id;
};

class AuditLog {
public:
    using Printer = std::function<void(const AuditEntry&)>;
    static constexpr std::size_t kWaitingMax = 1000;
    /// Attempts at the door of a minute get at most so many entries of their own; the rest is one entry that counts.
    static constexpr std::size_t kDoorEntriesPerMinute = 20;

    /// `print` hears of each entry once it is durable.
    AuditLog(Database& database, FileOps& files, std::string witness_dir, Printer print = {});

    /// Inside a transaction of the caller, who holds the database's lock, and calls `tell` once it is committed.
    Expected<AuditEntry, FileError> append(AuditRecord record);
    /// An empty chain goes on behind what the second place says that there was; nothing if it says nothing.
    std::optional<AuditHead> begin_behind_witness();
    void tell(const AuditEntry& entry);

    Expected<AuditEntry, FileError> write(const AuditRecord& record);
    /// A step of a store and its entry, both or neither. The step comes first and may complete the entry. Takes the
    /// database's lock.
    using Step = std::function<Database::Outcome(AuditRecord& entry)>;
    Expected<AuditEntry, FileError> write_with(AuditRecord entry, const Step& step);
    /// For what has happened already: kept and tried again if the disk does not take it.
    void write_or_keep(AuditRecord record);
    void note(DoorRefusal refusal);
    /// Once a second, and at the end: what waits, the head's second place, the WAL.
    void maintain(bool last = false);

    Expected<AuditPage, FileError> page(const AuditQuery& query);
    /// Those with one of these beginnings of `action` behind `after`, up to `last` itself, oldest first.
    Expected<std::vector<AuditEntry>, FileError> entries_behind(std::uint64_t after, std::uint64_t last,
                                                                std::initializer_list<std::string_view> actions,
                                                                std::size_t count_max);
    Expected<std::optional<AuditEntry>, FileError> entry(std::uint64_t number);
    /// What came about with a generation, as the one that was meant to be or the one that was left, oldest first:
    /// entries of `policy.`, but for refusals and failures.
    Expected<std::vector<AuditEntry>, FileError> entries_about(std::uint64_t generation, std::size_t count_max);
    AuditCheck verify();
    AuditHead head();
    AuditCounters counters();
    /// Sentence: why entries wait. Empty = none do.
    std::string trouble();

private:
    void keep(AuditRecord record);
    void write_waiting();
    void write_witness();
    std::optional<AuditHead> read_witness();
    Database::Outcome read_entries(std::string_view where, std::initializer_list<SqlValue> values,
                                   const std::function<void(AuditEntry&&)>& on_entry);

    Database& database_;
    FileOps& files_;
    const std::string dir_;
    const Printer print_;
    AuditHead begin_{0, no_hash()};  ///< of the first entry's `prev`; set before there is a second thread

    std::mutex mutex_;  ///< of what follows; never held while the database's is waited for
    std::deque<AuditRecord> waiting_;
    AuditCounters counters_;
    std::string trouble_;
    AuditHead head_, witnessed_;
    std::chrono::steady_clock::time_point door_since_{};  ///< begin of the door's minute
    std::size_t door_entries_{};
    std::map<std::string, std::uint64_t> door_more_;  ///< origin -> how many beyond the entries of their own
};

/// The tables of the audit.
std::span<const std::string_view> audit_schema() noexcept;
/// From version 9 of the store on: entries are found by generation.
std::span<const std::string_view> generation_index_schema() noexcept;

}  // namespace sluice::cp
