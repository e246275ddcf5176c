/// API tokens: who has which roles until when. A row of the database for each, with the hash of its text and never the
/// text; making one and taking it back are one transaction with their entry in the audit.
///
/// Theory of operation. All rows are in memory too, so that a request is judged without the disk; a change is durable
/// before memory has it, so what was revoked stays revoked. A revoked or expired row is kept as a record of who had
/// access, until kTokenRowsMax is reached; then the oldest of those goes. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/identity/role.hpp"
#include "controlplane/store/audit_log.hpp"
#include "controlplane/store/database.hpp"

namespace sluice::cp {

inline constexpr std::size_t kTokensLiveMax = 1000;
inline constexpr std::size_t kTokenRowsMax = 2000;
inline constexpr std::size_t kTokenNameCharsMax = 63;

struct TokenRecord {
    std::string id;    ///< 8 hex digits; kFirstTokenId: of the first start
    std::string name;  ///< [a-z0-9][a-z0-9._-]*; no two live ones have the same
    Roles roles;
    std::string hash;  ///< Argon2id, PHC string
    std::int64_t created_at_ns{};
    std::string created_by;                     ///< as in the audit
    std::optional<std::int64_t> expires_at_ns;  ///< nothing = never
    std::optional<std::int64_t> revoked_at_ns;
    std::string revoked_by;

    bool live(std::int64_t now_ns) const noexcept {
        return !revoked_at_ns && (!expires_at_ns || now_ns < *expires_at_ns);
    }
    /// For the audit and for messages: token:ci-deploy/7f3a9c21.
    std::string actor() const { return "token:" + name + "/" + id; }
};

enum class TokenRefusal : std::uint8_t {
    storage,     ///< the disk; `error` says what
    name_taken,  ///< by a live one
    too_many,    ///< kTokensLiveMax live ones
    unknown,     ///< no token has this id
    not_live,    ///< it is revoked already
    last_admin,  ///< nobody could hand out tokens any more
};
struct TokenTrouble {
    TokenRefusal refusal{};
    FileError error{};
};

bool is_token_name(std::string_view name) noexcept;

class TokenStore {
public:
    TokenStore(Database& database, AuditLog& audit) : database_{database}, audit_{audit} {}
    /// The caller holds the database's lock.
    Expected<void, FileError> load();

    std::optional<TokenRecord> find(std::string_view id) const;
    /// Newest first.
    std::vector<TokenRecord> list() const;
    bool has_live_admin() const;

    /// `entry`: who and why; what it is about is filled in here.
    Expected<void, TokenTrouble> create(TokenRecord token, AuditRecord entry);
    Expected<TokenRecord, TokenTrouble> revoke(std::string_view id, AuditRecord entry);
    /// Makes the token of the first start, or gives it another text, and with it its life back.
    Expected<void, FileError> set_first(std::string hash);

private:
    Expected<void, FileError> write(const TokenRecord& token, AuditRecord entry);
    bool last_admin(const TokenRecord& token) const;
    void make_room();

    Database& database_;
    AuditLog& audit_;
    std::mutex change_mutex_;   ///< one change at a time; taken before the database's
    mutable std::mutex mutex_;  ///< of what follows; never held while the disk is waited for
    std::map<std::string, TokenRecord, std::less<>> tokens_;  ///< by id
    std::vector<std::string> forgotten_;                      ///< rows to delete with the next change
};

/// The table of tokens.
std::span<const std::string_view> token_schema() noexcept;

}  // namespace sluice::cp
