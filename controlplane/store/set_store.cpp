#include "controlplane/store/set_store.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "dataplane/acl/set_view.hpp"

namespace sluice::cp {
namespace {

using Text = std::string_view;

std::int64_t sql(std::uint64_t number) { return static_cast<std::int64_t>(number); }

void append_hex(std::string& out, std::span<const std::uint8_t> bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    for (const std::uint8_t b : bytes) {
        out += digits[b >> 4];
        out += digits[b & 15];
    }
}

/// The inverse of key_of; only what we wrote is read.
abi::SetMember member_of(std::string_view key) {
    abi::SetMember m;
    m.family = key.starts_with('4') ? abi::IpFamily::v4 : abi::IpFamily::v6;
    const std::size_t bytes = m.family == abi::IpFamily::v4 ? 4 : 16;
    const auto byte_at = [&](std::size_t at) {
        std::uint8_t b = 0;
        if (key.size() >= at + 2) std::from_chars(key.data() + at, key.data() + at + 2, b, 16);
        return b;
    };
    for (std::size_t i = 0; i < bytes; ++i) m.addr.bytes[i] = byte_at(1 + 2 * i);
    m.bits = byte_at(1 + 2 * bytes);
    return m;
}

/// [[key, expires], ...]; keys are hex.
std::string json_of(std::span<const StoredMember> members) {
    std::string json = "[";
    json.reserve(members.size() * 48);
    for (const StoredMember& m : members) {
        json += json.size() == 1 ? "[\"" : ",[\"";
        json += SetStore::key_of(m.member);
        json += "\",";
        json += std::to_string(m.expires_ns);
        json += ']';
    }
    return json += ']';
}

std::string_view action_of(SetEdit edit) {
    switch (edit) {
        case SetEdit::add: return "set.add";
        case SetEdit::remove: return "set.remove";
        case SetEdit::replace: break;
    }
    return "set.replace";
}

// CROSS: the list outside, the table inside by its key. Left to itself SQLite reads the list anew for every member.
constexpr std::string_view kExisting =
    "SELECT count(*) FROM json_each(?2) j CROSS JOIN set_members m ON m.set_name = ?1 AND m.member = "
    "json_extract(j.value, '$[0]')";
constexpr std::string_view kInsert =
    "INSERT OR REPLACE INTO set_members SELECT ?1, json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM "
    "json_each(?2)";
constexpr std::string_view kDelete =
    "DELETE FROM set_members WHERE set_name = ?1 AND member IN (SELECT json_extract(value, '$[0]') FROM json_each(?2))";

}  // namespace

std::span<const std::string_view> set_schema() noexcept {
    static constexpr std::string_view kStatements[] = {
        "CREATE TABLE set_members(set_name TEXT NOT NULL, member TEXT NOT NULL, expires_ns INTEGER NOT NULL, "
        "PRIMARY KEY(set_name, member)) STRICT, WITHOUT ROWID",
        "CREATE INDEX set_members_by_expiry ON set_members(expires_ns) WHERE expires_ns != 0",
        "CREATE TABLE set_numbers(only INTEGER PRIMARY KEY CHECK(only = 1), epoch INTEGER NOT NULL, "
        "number INTEGER NOT NULL) STRICT",
        "INSERT INTO set_numbers VALUES(1, (random() >> 1) | 1, 0)",
    };
    return kStatements;
}

std::string SetStore::key_of(const abi::SetMember& member) {
    const bool v4 = member.family == abi::IpFamily::v4;
    std::string key(1, v4 ? '4' : '6');
    append_hex(key, std::span{member.addr.bytes}.first(v4 ? 4 : 16));
    append_hex(key, std::span{&member.bits, 1});
    return key;
}

Expected<void, FileError> SetStore::load() {
    std::uint64_t epoch = 0, number = 0;
    std::map<std::string, std::uint64_t> counts;
    auto read = database_.run("SELECT epoch, number FROM set_numbers", {}, [&](const SqlRow& row) {
        epoch = static_cast<std::uint64_t>(row.integer(0));
        number = static_cast<std::uint64_t>(row.integer(1));
    });
    if (!read) return read;
    read = database_.run("SELECT set_name, count(*) FROM set_members GROUP BY set_name", {},
                         [&](const SqlRow& row) { counts[row.text(0)] = static_cast<std::uint64_t>(row.integer(1)); });
    if (!read) return read;
    const std::lock_guard lock{mutex_};
    epoch_ = epoch;
    number_ = number;
    counts_ = std::move(counts);
    return {};
}

std::uint64_t SetStore::epoch() const {
    const std::lock_guard lock{mutex_};
    return epoch_;
}
std::uint64_t SetStore::number() const {
    const std::lock_guard lock{mutex_};
    return number_;
}
std::map<std::string, std::uint64_t> SetStore::counts() const {
    const std::lock_guard lock{mutex_};
    return counts_;
}

Expected<SetEdited, SetTrouble> SetStore::edit(const std::string& set, SetEdit edit,
                                               std::span<const StoredMember> members, std::uint64_t members_max,
                                               std::uint64_t batches, AuditRecord entry) {
    const std::string json = json_of(members);
    const auto failed = [](const FileError& error) { return Unexpected(SetTrouble{false, 0, error}); };
    const auto lock = database_.lock();
    std::uint64_t before = 0;
    SetEdited done;
    {
        const std::lock_guard state{mutex_};
        if (const auto at = counts_.find(set); at != counts_.end()) before = at->second;
        done.first_number = number_ + 1;
        done.last_number = number_ + batches;
    }
    std::uint64_t existing = 0;
    if (edit != SetEdit::replace) {
        auto read = database_.run(kExisting, {Text{set}, Text{json}},
                                  [&](const SqlRow& row) { existing = static_cast<std::uint64_t>(row.integer(0)); });
        if (!read) return failed(read.error());
    }
    switch (edit) {
        case SetEdit::add: done.added = members.size() - existing; break;
        case SetEdit::remove: done.removed = existing; break;
        case SetEdit::replace:
            done.added = members.size();
            done.removed = before;
            break;
    }
    done.members = before + done.added - done.removed;
    if (edit != SetEdit::remove && done.members > members_max) return Unexpected(SetTrouble{true, done.members, {}});
    entry.action = action_of(edit);
    entry.result = "done";
    entry.detail = set + ": " + std::to_string(done.added) + " added, " + std::to_string(done.removed) +
                   " removed, it has " + std::to_string(done.members);
    std::optional<AuditEntry> written;
    auto stored = database_.transaction([&]() -> Database::Outcome {
        auto appended = audit_.append(std::move(entry));
        if (!appended) return Unexpected(appended.error());
        written = std::move(*appended);
        if (edit == SetEdit::replace) {
            auto gone = database_.run("DELETE FROM set_members WHERE set_name = ?", {Text{set}});
            if (!gone) return gone;
        }
        auto changed = database_.run(edit == SetEdit::remove ? kDelete : kInsert, {Text{set}, Text{json}});
        if (!changed) return changed;
        return database_.run("UPDATE set_numbers SET number = ?", {sql(done.last_number)});
    });
    if (!stored) return failed(stored.error());
    audit_.tell(*written);
    const std::lock_guard state{mutex_};
    number_ = done.last_number;
    counts_[set] = done.members;
    if (done.members == 0) counts_.erase(set);
    return done;
}

Expected<void, FileError> SetStore::expire(std::int64_t now_ns) {
    const auto lock = database_.lock();
    std::map<std::string, std::uint64_t> gone;
    auto read = database_.run(
        "SELECT set_name, count(*) FROM set_members WHERE expires_ns != 0 AND expires_ns <= ? GROUP BY set_name",
        {now_ns}, [&](const SqlRow& row) { gone[row.text(0)] = static_cast<std::uint64_t>(row.integer(1)); });
    if (!read || gone.empty()) return read;
    auto done = database_.run("DELETE FROM set_members WHERE expires_ns != 0 AND expires_ns <= ?", {now_ns});
    if (!done) return done;
    const std::lock_guard state{mutex_};
    for (const auto& [set, count] : gone) {
        auto& left = counts_[set];
        left -= std::min(left, count);
        if (left == 0) counts_.erase(set);
    }
    return {};
}

Expected<std::vector<StoredMember>, FileError> SetStore::page(std::string_view set, std::string_view after,
                                                              std::size_t count_max, std::int64_t now_ns) {
    std::vector<StoredMember> members;
    const auto lock = database_.lock();
    auto read = database_.run(
        "SELECT member, expires_ns FROM set_members WHERE set_name = ?1 AND member > ?2 AND (expires_ns = 0 OR "
        "expires_ns > ?3) ORDER BY member LIMIT ?4",
        {set, after, now_ns, sql(count_max)}, [&](const SqlRow& row) {
            members.push_back({member_of(row.text(0)), row.integer(1)});
        });
    if (!read) return Unexpected(read.error());
    return members;
}

Expected<std::vector<abi::SetMember>, FileError> SetStore::holding(std::string_view set, abi::IpFamily family,
                                                                   const abi::IpAddr& addr, std::int64_t now_ns) {
    std::vector<StoredMember> wider;
    for (std::uint32_t bits = 0; bits <= (family == abi::IpFamily::v4 ? 32U : 128U); ++bits) {
        wider.push_back({dp::member_around(addr, family, bits), 0});
    }
    std::vector<abi::SetMember> members;
    const std::string json = json_of(wider);
    const auto lock = database_.lock();
    auto read = database_.run(
        "SELECT member FROM set_members WHERE set_name = ?1 AND member IN (SELECT json_extract(value, '$[0]') FROM "
        "json_each(?2)) AND (expires_ns = 0 OR expires_ns > ?3)",
        {set, Text{json}, now_ns}, [&](const SqlRow& row) { members.push_back(member_of(row.text(0))); });
    if (!read) return Unexpected(read.error());
    return members;
}

}  // namespace sluice::cp
