#include "controlplane/store/draft_store.hpp"

#include "controlplane/store/wall_clock.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace sluice::cp {
namespace {

using Text = std::string_view;
using Kind = DraftTrouble::Kind;

constexpr std::string_view kSchema[] = {
    "CREATE TABLE drafts(name TEXT PRIMARY KEY, format TEXT NOT NULL, text BLOB NOT NULL, base_generation INTEGER NOT "
    "NULL, base_hash TEXT NOT NULL, base_version TEXT NOT NULL, hash TEXT NOT NULL, version TEXT NOT NULL, "
    "errors INTEGER NOT NULL, saved_by TEXT NOT NULL, reason TEXT NOT NULL, saved_at_ns INTEGER NOT NULL, "
    "tag TEXT NOT NULL) STRICT"};

Unexpected<DraftTrouble> trouble(Kind kind) { return Unexpected(DraftTrouble{kind, {}}); }
Unexpected<DraftTrouble> trouble(FileError error) { return Unexpected(DraftTrouble{Kind::storage, std::move(error)}); }

/// The base belongs to it: who has read a draft over one policy has not read it over another.
std::string tag_of(const Draft& draft) { return sha256_hex(draft.format + '\n' + draft.base.hash + '\n' + draft.text); }

std::optional<Kind> unmet(const DraftCondition& condition, const Draft* there) {
    if (condition.absent && there != nullptr) return Kind::exists;
    if (condition.tag && (there == nullptr || there->tag != *condition.tag)) return Kind::changed;
    return std::nullopt;
}

}  // namespace

std::span<const std::string_view> draft_schema() noexcept { return kSchema; }

bool is_draft_name(std::string_view name) noexcept {
    constexpr std::size_t kCharsMax = 63;
    const auto is_word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    return !name.empty() && name.size() <= kCharsMax && is_word(name.front()) &&
           std::ranges::all_of(name, [&](char c) { return is_word(c) || c == '-'; });
}

Expected<std::vector<Draft>, FileError> DraftStore::read(std::string_view where, std::initializer_list<SqlValue> values,
                                                         bool with_text) {
    std::vector<Draft> found;
    const auto lock = database_.lock();
    auto done = database_.run(
        std::string{"SELECT name, format, length(text), base_generation, base_hash, base_version, hash, version, "
                    "errors, saved_by, reason, saved_at_ns, tag"}
            .append(with_text ? ", text" : "")
            .append(" FROM drafts ")
            .append(where),
        values, [&](const SqlRow& row) {
            auto& draft = found.emplace_back();
            draft.name = row.text(0);
            draft.format = row.text(1);
            draft.bytes = static_cast<std::uint64_t>(row.integer(2));
            draft.base = {static_cast<std::uint64_t>(row.integer(3)), row.text(4), row.text(5)};
            draft.hash = row.text(6);
            draft.version = row.text(7);
            draft.errors = static_cast<std::uint64_t>(row.integer(8));
            draft.saved_by = row.text(9);
            draft.reason = row.text(10);
            draft.saved_at_ns = row.integer(11);
            draft.tag = row.text(12);
            if (with_text) draft.text = row.text(13);
        });
    if (!done) return Unexpected(done.error());
    return found;
}

Expected<std::vector<Draft>, FileError> DraftStore::list() { return read("ORDER BY name", {}, false); }

Expected<std::optional<Draft>, FileError> DraftStore::find(std::string_view name) {
    auto found = read("WHERE name = ?", {name}, true);
    if (!found) return Unexpected(found.error());
    if (found->empty()) return std::optional<Draft>{};
    return std::optional{std::move(found->front())};
}

Expected<Draft, DraftTrouble> DraftStore::save(Draft draft, const DraftCondition& condition, AuditRecord entry) {
    const std::lock_guard change{change_mutex_};
    const auto all = list();
    if (!all) return trouble(all.error());
    const auto there = std::ranges::find(*all, draft.name, &Draft::name);
    const auto* before = there == all->end() ? nullptr : &*there;
    if (const auto kind = unmet(condition, before)) return trouble(*kind);
    std::uint64_t bytes = draft.text.size();
    for (const auto& other : *all) bytes += &other == before ? 0 : other.bytes;
    if (before == nullptr && all->size() >= kDraftsMax) return trouble(Kind::too_many);
    if (bytes > kDraftBytesMax) return trouble(Kind::too_large);
    draft.bytes = draft.text.size();
    draft.tag = tag_of(draft);
    entry = fit(std::move(entry));
    draft.saved_by = entry.actor;
    draft.reason = entry.reason;
    draft.saved_at_ns = wall_clock_ns();
    const auto done = audit_.write_with(std::move(entry), [&](AuditRecord&) -> Database::Outcome {
        return database_.run(
            "INSERT OR REPLACE INTO drafts VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            {Text{draft.name}, Text{draft.format}, Blob{draft.text}, static_cast<std::int64_t>(draft.base.generation),
             Text{draft.base.hash}, Text{draft.base.version}, Text{draft.hash}, Text{draft.version},
             static_cast<std::int64_t>(draft.errors), Text{draft.saved_by}, Text{draft.reason}, draft.saved_at_ns,
             Text{draft.tag}});
    });
    if (!done) return trouble(done.error());
    return draft;
}

Expected<Draft, DraftTrouble> DraftStore::remove(std::string_view name, const DraftCondition& condition,
                                                 AuditRecord entry) {
    const std::lock_guard change{change_mutex_};
    auto found = read("WHERE name = ?", {name}, false);
    if (!found) return trouble(found.error());
    if (found->empty()) return trouble(Kind::absent);
    if (const auto kind = unmet(condition, &found->front())) return trouble(*kind);
    const auto done = audit_.write_with(std::move(entry), [&](AuditRecord&) -> Database::Outcome {
        return database_.run("DELETE FROM drafts WHERE name = ?", {name});
    });
    if (!done) return trouble(done.error());
    return std::move(found->front());
}

}  // namespace sluice::cp
