/// The change freeze: a window of time in which policies are not changed, but for whoever breaks the glass. One at a
/// time; kept over restarts; set and lifted in one transaction with its entry in the audit.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "controlplane/store/audit_log.hpp"
#include "controlplane/store/database.hpp"

namespace sluice::cp {

struct Freeze {
    std::int64_t from_ns{}, until_ns{};  ///< UTC; the second is outside
    std::string reason, set_by;
    std::int64_t set_at_ns{};
    bool holds(std::int64_t now_ns) const noexcept { return from_ns <= now_ns && now_ns < until_ns; }
};

class FreezeStore {
public:
    FreezeStore(Database& database, AuditLog& audit) : database_{database}, audit_{audit} {}
    /// Makes the table, if it is not there, and reads it.
    Expected<void, FileError> open();

    /// The window that was set last, also if it is over or has not begun; from memory.
    std::optional<Freeze> window() const;
    /// `entry`: who and why; its reason and actor are the freeze's.
    Expected<void, FileError> set(Freeze freeze, AuditRecord entry);
    /// False: there was none.
    Expected<bool, FileError> lift(AuditRecord entry);

private:
    Expected<void, FileError> write(const std::optional<Freeze>& freeze, AuditRecord entry);

    Database& database_;
    AuditLog& audit_;
    std::mutex change_mutex_;
    mutable std::mutex mutex_;
    std::optional<Freeze> window_;  // mutex_
};

}  // namespace sluice::cp
