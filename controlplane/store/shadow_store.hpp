/// The shadow policy: a candidate that is asked about new flows beside the policy in force and decides nothing. One at
/// a time; its text is kept over restarts, put and removed in one transaction with its entry in the audit. What it
/// would have said is nobody's to keep: it is counted anew.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "controlplane/store/audit_log.hpp"
#include "controlplane/store/database.hpp"

namespace sluice::cp {

struct ShadowText {
    std::string format;  ///< yaml or json
    std::string text;
    std::string hash, version;  ///< of the policy that it is
    std::string draft;          ///< whose text it was; empty = it came by itself
    std::string started_by, reason;
    std::int64_t started_at_ns{};
};

class ShadowStore {
public:
    ShadowStore(Database& database, AuditLog& audit) : database_{database}, audit_{audit} {}
    /// Reads the table, inside the caller's lock of the database.
    Expected<void, FileError> load();

    /// From memory; null = there is none.
    std::shared_ptr<const ShadowText> current() const;
    /// In place of the one before. `entry`: who and why; its actor and reason are the shadow's.
    Expected<void, FileError> put(ShadowText shadow, AuditRecord entry);
    Expected<void, FileError> remove(AuditRecord entry);

private:
    Expected<void, FileError> write(std::shared_ptr<const ShadowText> shadow, AuditRecord entry);

    Database& database_;
    AuditLog& audit_;
    std::mutex change_mutex_;
    mutable std::mutex mutex_;
    std::shared_ptr<const ShadowText> current_;  // mutex_
};

/// Its table.
std::span<const std::string_view> shadow_schema() noexcept;

}  // namespace sluice::cp
