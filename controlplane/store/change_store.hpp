/// Changes of the policy that wait: for the approval of others, for their time, or for both. A change is what its
/// author sent, the policy that it was written over (its base), and what it was sent with.
///
/// Theory of operation. A row per change; it goes from `pending` (approvals are missing) to `scheduled` (it is to be
/// applied at `due_ns`), to `applying` (staged as the store's intent), to one of the ends, and never leaves an end.
/// Each step is one transaction with its entry in the audit. The steps to `applying` and from there stand in the
/// transactions of PolicyStore that stage, promote and discard the intent: so a change is applied exactly when its
/// policy is in the history, whatever dies when. Ended ones are kept without their text, the last kChangesEndedKept of
/// them.
///
/// Who approves is known by the subject that was authenticated, not by the token: a second token of the same name is
/// the same person. Steps are serialised by the commit lock of the lifecycle; reading is thread-safe.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/store/audit_log.hpp"
#include "controlplane/store/database.hpp"
#include "controlplane/store/policy_ref.hpp"

namespace sluice::cp {

inline constexpr std::size_t kChangesWaitingMax = 100;
inline constexpr std::size_t kChangeBytesMax = 128U << 20;  ///< of all texts
inline constexpr std::size_t kChangesEndedKept = 1000;

enum class ChangeState : std::uint8_t {
    pending,
    scheduled,
    applying,
    applied,
    rejected,
    withdrawn,
    expired,
    stale,
    failed,
};
std::string_view to_text(ChangeState state) noexcept;
std::optional<ChangeState> change_state_from(std::string_view text) noexcept;
constexpr bool waits(ChangeState state) noexcept { return state <= ChangeState::applying; }

struct ChangeApproval {
    std::string by;  ///< actor, as in the audit
    std::string reason;
    std::int64_t at_ns{};
    bool glass{};  ///< broken: it stands for all approvals that were missing
};

struct Change {
    std::uint64_t id{};  ///< from 1, never given twice
    std::string kind;    ///< put, patch, draft, restore, rollback
    ChangeState state{};
    std::string format;  ///< of `text`: yaml, json, or edits
    std::string text;    ///< empty in lists, and of ended ones
    std::uint64_t bytes{};
    PolicyBase base{};
    std::string hash, version;  ///< of the policy that comes of it
    std::string by, origin, request_id, reason;
    std::int64_t made_ns{};
    std::uint32_t needed{};     ///< approvals
    std::int64_t at_ns{};       ///< when it is to be applied; 0 = as soon as it has its approvals
    std::int64_t expires_ns{};  ///< pending no longer than until then; 0 = it needs no approval
    std::int64_t due_ns{};      ///< scheduled: from when it is applied
    std::uint64_t confirm_ms{};
    std::string guard;   ///< parse_guard; empty = none
    bool break_glass{};  ///< of a freeze that holds when it is applied
    std::int64_t ended_ns{};
    std::string detail;          ///< what came of it, where there is more to say
    std::uint64_t generation{};  ///< applied: the one that came of it
    std::vector<ChangeApproval> approvals;
};

/// `anna, bert`, or `anna, carl (break-glass)`: the actors who approved.
std::string approvers_of(const Change& change);
/// `token:anna/7f3a9c21` -> `token:anna`; anything else is a subject already.
std::string_view subject_of(std::string_view actor) noexcept;

struct ChangeTrouble {
    enum class Kind : std::uint8_t { storage, absent, not_waiting, own, twice, not_author, too_many, too_large };
    Kind kind{};
    FileError storage{};  ///< only with `storage`
    ChangeState is{};     ///< only with `not_waiting`
};

/// What a change becomes. `scheduled`: it was not applied, and is due again.
struct ChangeEnd {
    ChangeState state{ChangeState::scheduled};
    std::string detail{};
};

struct ChangePage {
    std::vector<Change> changes;  ///< newest first
    std::optional<std::uint64_t> next;
};

class ChangeStore {
public:
    using Outcome = Expected<void, FileError>;
    ChangeStore(Database& database, AuditLog& audit) : database_{database}, audit_{audit} {}
    /// The caller holds the database's lock.
    Outcome load();

    Expected<ChangePage, FileError> list(std::optional<ChangeState> state, std::size_t count_max,
                                         std::optional<std::uint64_t> before = {});
    Expected<std::optional<Change>, FileError> find(std::uint64_t id);
    /// Those that have not ended, oldest first; from memory.
    std::vector<Change> waiting() const;

    /// `change`: all but its id, bytes and when it was made. `entry`: its detail is put behind the number.
    Expected<Change, ChangeTrouble> add(Change change, AuditRecord entry);
    /// By the actor of `entry`. With the last one that is needed, or with `glass`, it is due at its time, or now.
    Expected<Change, ChangeTrouble> approve(std::uint64_t id, bool glass, AuditRecord entry);
    /// `by_author`: the actor of `entry` must be who made it.
    Expected<Change, ChangeTrouble> end(std::uint64_t id, const ChangeEnd& end, AuditRecord entry,
                                        bool by_author = false);

    /// Steps inside transactions of PolicyStore, which calls `reload` behind each, without the lock.
    Outcome begin_applying(std::uint64_t id);
    Outcome settle(std::uint64_t id, const ChangeEnd& end, std::uint64_t generation);
    void reload();

private:
    Expected<std::vector<Change>, FileError> read(std::string_view where, std::initializer_list<SqlValue> values,
                                                  bool with_text);
    Outcome read_into(std::vector<Change>& found, std::string_view where, std::initializer_list<SqlValue> values,
                      bool with_text);
    Expected<Change, ChangeTrouble> changed(std::uint64_t id);
    Outcome prune();

    Database& database_;
    AuditLog& audit_;
    std::mutex change_mutex_;  ///< one change at a time; taken before the database's
    mutable std::mutex mutex_;
    std::vector<Change> waiting_;  // mutex_
};

/// The tables of changes, and the column of the intent that names one.
std::span<const std::string_view> change_schema() noexcept;

}  // namespace sluice::cp
