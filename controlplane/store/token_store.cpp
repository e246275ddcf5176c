#include "controlplane/store/token_store.hpp"

#include <algorithm>
#include <chrono>

#include "controlplane/identity/secret.hpp"
#include "controlplane/store/wall_clock.hpp"

namespace sluice::cp {
namespace {

using Text = std::string_view;

constexpr std::string_view kFirstTokenName = "first-start";

SqlValue sql_time(const std::optional<std::int64_t>& at_ns) { return at_ns ? SqlValue{*at_ns} : SqlValue{}; }

std::optional<std::int64_t> time_of(const SqlRow& row, int column) {
    if (row.is_null(column)) return std::nullopt;
    return row.integer(column);
}

Unexpected<TokenTrouble> refused(TokenRefusal refusal) { return Unexpected(TokenTrouble{refusal, {}}); }

std::string described(const TokenRecord& token) {
    std::string text = token.name + "/" + token.id + ": " + to_text(token.roles);
    if (!token.expires_at_ns) return text + ", never expires";
    const auto days = (*token.expires_at_ns - token.created_at_ns) / 86'400'000'000'000;
    return text + ", expires after " + std::to_string(days) + " days";
}

}  // namespace

std::span<const std::string_view> token_schema() noexcept {
    static constexpr std::string_view kStatements[] = {
        "CREATE TABLE tokens(id TEXT PRIMARY KEY, name TEXT NOT NULL, roles TEXT NOT NULL, hash TEXT NOT NULL, "
        "created_at_ns INTEGER NOT NULL, created_by TEXT NOT NULL, expires_at_ns INTEGER, revoked_at_ns INTEGER, "
        "revoked_by TEXT NOT NULL) STRICT",
    };
    return kStatements;
}

bool is_token_name(std::string_view name) noexcept {
    const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    return !name.empty() && name.size() <= kTokenNameCharsMax && plain(name.front()) &&
           std::ranges::all_of(name, [&](char c) { return plain(c) || c == '.' || c == '_' || c == '-'; });
}

// ------------------------------------------------------------------------------------------------------------ reading
Expected<void, FileError> TokenStore::load() {
    std::map<std::string, TokenRecord, std::less<>> tokens;
    auto read = database_.run(
        "SELECT id, name, roles, hash, created_at_ns, created_by, expires_at_ns, revoked_at_ns, revoked_by FROM tokens",
        {}, [&](const SqlRow& row) {
            TokenRecord token{.id = row.text(0), .name = row.text(1)};
            // A word that this version does not know gives nothing.
            token.roles = roles_from(row.text(2)).value_or(Roles{});
            token.hash = row.text(3);
            token.created_at_ns = row.integer(4);
            token.created_by = row.text(5);
            token.expires_at_ns = time_of(row, 6);
            token.revoked_at_ns = time_of(row, 7);
            token.revoked_by = row.text(8);
            tokens.emplace(token.id, std::move(token));
        });
    if (!read) return read;
    const std::lock_guard lock{mutex_};
    tokens_ = std::move(tokens);
    return {};
}

std::optional<TokenRecord> TokenStore::find(std::string_view id) const {
    const std::lock_guard lock{mutex_};
    const auto found = tokens_.find(id);
    if (found == tokens_.end()) return std::nullopt;
    return found->second;
}

std::vector<TokenRecord> TokenStore::list() const {
    std::vector<TokenRecord> out;
    {
        const std::lock_guard lock{mutex_};
        for (const auto& [id, token] : tokens_) out.push_back(token);
    }
    std::ranges::stable_sort(out, std::ranges::greater{}, &TokenRecord::created_at_ns);
    return out;
}

bool TokenStore::has_live_admin() const {
    const auto now_ns = wall_clock_ns();
    const std::lock_guard lock{mutex_};
    return std::ranges::any_of(
        tokens_, [&](const auto& entry) { return entry.second.roles.has(Role::admin) && entry.second.live(now_ns); });
}

// ------------------------------------------------------------------------------------------------------------ writing
/// Row and entry, or neither.
Expected<void, FileError> TokenStore::write(const TokenRecord& token, AuditRecord entry) {
    entry.result = "done";
    entry.detail = described(token);
    const auto done = audit_.write_with(std::move(entry), [&](AuditRecord&) -> Database::Outcome {
        for (const auto& id : forgotten_) {
            if (auto gone = database_.run("DELETE FROM tokens WHERE id = ?", {Text{id}}); !gone) return gone;
        }
        return database_.run("INSERT OR REPLACE INTO tokens VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
                             {Text{token.id}, Text{token.name}, Text{to_text(token.roles)}, Text{token.hash},
                              token.created_at_ns, Text{token.created_by}, sql_time(token.expires_at_ns),
                              sql_time(token.revoked_at_ns), Text{token.revoked_by}});
    });
    if (!done) return Unexpected(done.error());
    const std::lock_guard lock{mutex_};
    for (const auto& id : forgotten_) tokens_.erase(id);
    forgotten_.clear();
    tokens_.insert_or_assign(token.id, token);
    return {};
}

/// The oldest that nobody can use any more; mutex_ is held.
void TokenStore::make_room() {
    const auto now_ns = wall_clock_ns();
    forgotten_.clear();
    if (tokens_.size() < kTokenRowsMax) return;
    const TokenRecord* oldest = nullptr;
    for (const auto& [id, token] : tokens_) {
        if (token.live(now_ns) || id == kFirstTokenId) continue;
        if (oldest == nullptr || token.created_at_ns < oldest->created_at_ns) oldest = &token;
    }
    if (oldest != nullptr) forgotten_.push_back(oldest->id);
}

Expected<void, TokenTrouble> TokenStore::create(TokenRecord token, AuditRecord entry) {
    const std::lock_guard change{change_mutex_};
    token.created_at_ns = wall_clock_ns();
    {
        const std::lock_guard lock{mutex_};
        std::size_t live = 0;
        for (const auto& [id, other] : tokens_) {
            if (!other.live(token.created_at_ns)) continue;
            ++live;
            if (other.name == token.name) return refused(TokenRefusal::name_taken);
        }
        if (live >= kTokensLiveMax) return refused(TokenRefusal::too_many);
        make_room();
    }
    entry.action = "token.create";
    token.created_by = entry.actor;
    if (auto written = write(token, std::move(entry)); !written) {
        return Unexpected(TokenTrouble{TokenRefusal::storage, written.error()});
    }
    return {};
}

/// Of those that can make tokens now, only one that outlives it counts; mutex_ is held.
bool TokenStore::last_admin(const TokenRecord& token) const {
    const auto now_ns = wall_clock_ns();
    if (!token.roles.has(Role::admin) || !token.live(now_ns)) return false;
    return std::ranges::none_of(tokens_, [&](const auto& entry) {
        const auto& other = entry.second;
        return other.id != token.id && other.roles.has(Role::admin) && other.live(now_ns);
    });
}

Expected<TokenRecord, TokenTrouble> TokenStore::revoke(std::string_view id, AuditRecord entry) {
    const std::lock_guard change{change_mutex_};
    TokenRecord token;
    {
        const std::lock_guard lock{mutex_};
        const auto found = tokens_.find(id);
        if (found == tokens_.end()) return refused(TokenRefusal::unknown);
        token = found->second;
        if (token.revoked_at_ns) return refused(TokenRefusal::not_live);
        if (last_admin(token)) return refused(TokenRefusal::last_admin);
        forgotten_.clear();
    }
    token.revoked_at_ns = wall_clock_ns();
    token.revoked_by = entry.actor;
    entry.action = "token.revoke";
    if (auto written = write(token, std::move(entry)); !written) {
        return Unexpected(TokenTrouble{TokenRefusal::storage, written.error()});
    }
    return token;
}

Expected<void, FileError> TokenStore::set_first(std::string hash) {
    const std::lock_guard change{change_mutex_};
    AuditRecord entry;
    entry.action = find(kFirstTokenId) ? "token.replace" : "token.made";
    TokenRecord token{.id = std::string{kFirstTokenId}, .name = std::string{kFirstTokenName}, .roles = kEveryRole};
    token.hash = std::move(hash);
    token.created_at_ns = wall_clock_ns();
    token.created_by = entry.actor;
    {
        const std::lock_guard lock{mutex_};
        forgotten_.clear();
    }
    return write(token, std::move(entry));
}

}  // namespace sluice::cp
