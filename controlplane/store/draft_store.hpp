/// Drafts: policies by name that are worked on and are not in force. Each was written over a version of the policy, its
/// base; whoever applies a draft must know whether that is still the one in force. Kept over restarts, bounded in count
/// and bytes; saved and deleted in one transaction with its entry in the audit. Thread-safe.
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

inline constexpr std::size_t kDraftsMax = 100;
inline constexpr std::size_t kDraftBytesMax = 128U << 20;  ///< of all texts

struct Draft {
    std::string name;
    std::string format;  ///< yaml or json
    std::string text;    ///< empty in lists
    std::uint64_t bytes{};
    PolicyBase base{};
    std::string hash, version;  ///< of the policy that it is; empty if it has errors
    std::uint64_t errors{};     ///< when it was saved
    std::string saved_by, reason;
    std::int64_t saved_at_ns{};
    std::string tag;  ///< 64 hex digits; another one for another text, format or base
};

struct DraftTrouble {
    enum class Kind : std::uint8_t { storage, absent, changed, exists, too_many, too_large };
    Kind kind{};
    FileError storage{};  ///< only with `storage`
};

/// What must hold of the draft that is there already.
struct DraftCondition {
    std::optional<std::string> tag{};
    bool absent{};
};

class DraftStore {
public:
    DraftStore(Database& database, AuditLog& audit) : database_{database}, audit_{audit} {}

    /// By name, without texts.
    Expected<std::vector<Draft>, FileError> list();
    Expected<std::optional<Draft>, FileError> find(std::string_view name);
    /// `draft`: all but bytes, tag and who saved it when. `entry`: who and why.
    Expected<Draft, DraftTrouble> save(Draft draft, const DraftCondition& condition, AuditRecord entry);
    /// What was deleted.
    Expected<Draft, DraftTrouble> remove(std::string_view name, const DraftCondition& condition, AuditRecord entry);

private:
    Expected<std::vector<Draft>, FileError> read(std::string_view where, std::initializer_list<SqlValue> values,
                                                 bool with_text);

    Database& database_;
    AuditLog& audit_;
    std::mutex change_mutex_;  ///< one change at a time; taken before the database's
};

/// `[a-z0-9][a-z0-9-]{0,62}`, as the ids of rules.
bool is_draft_name(std::string_view name) noexcept;

/// The table of drafts.
std::span<const std::string_view> draft_schema() noexcept;

}  // namespace sluice::cp
