#include "controlplane/store/change_store.hpp"

#include "controlplane/store/wall_clock.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace sluice::cp {
namespace {

using Text = std::string_view;
using Kind = ChangeTrouble::Kind;

// The text stands last: who walks the rows does not read it.
constexpr std::string_view kSchema[] = {
    "CREATE TABLE changes(id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, state TEXT NOT NULL, "
    "format TEXT NOT NULL, bytes INTEGER NOT NULL, base_generation INTEGER NOT NULL, base_hash TEXT NOT NULL, "
    "base_version TEXT NOT NULL, hash TEXT NOT NULL, version TEXT NOT NULL, made_by TEXT NOT NULL, "
    "origin TEXT NOT NULL, request_id TEXT NOT NULL, reason TEXT NOT NULL, made_ns INTEGER NOT NULL, "
    "needed INTEGER NOT NULL, at_ns INTEGER NOT NULL, expires_ns INTEGER NOT NULL, due_ns INTEGER NOT NULL, "
    "confirm_ms INTEGER NOT NULL, guard TEXT NOT NULL, break_glass INTEGER NOT NULL, ended_ns INTEGER NOT NULL, "
    "detail TEXT NOT NULL, generation INTEGER NOT NULL, text BLOB NOT NULL) STRICT",
    "CREATE INDEX changes_by_state ON changes(state)",
    "CREATE TABLE change_approvals(change INTEGER NOT NULL REFERENCES changes(id) ON DELETE CASCADE, "
    "subject TEXT NOT NULL, approved_by TEXT NOT NULL, reason TEXT NOT NULL, at_ns INTEGER NOT NULL, "
    "glass INTEGER NOT NULL, PRIMARY KEY(change, subject)) STRICT",
    "ALTER TABLE pending ADD COLUMN change INTEGER NOT NULL DEFAULT 0",
};

constexpr std::array<std::string_view, 9> kStates{"pending",   "scheduled", "applying", "applied", "rejected",
                                                  "withdrawn", "expired",   "stale",    "failed"};
constexpr std::string_view kWaiting = "state IN ('pending', 'scheduled', 'applying')";

std::int64_t sql(std::uint64_t number) { return static_cast<std::int64_t>(number); }
std::uint64_t from_sql(std::int64_t number) { return static_cast<std::uint64_t>(number); }

Unexpected<ChangeTrouble> trouble(Kind kind) { return Unexpected(ChangeTrouble{.kind = kind}); }
Unexpected<ChangeTrouble> trouble(FileError error) {
    return Unexpected(ChangeTrouble{.kind = Kind::storage, .storage = std::move(error)});
}
Unexpected<ChangeTrouble> not_waiting(ChangeState is) {
    return Unexpected(ChangeTrouble{.kind = Kind::not_waiting, .is = is});
}

}  // namespace

std::string_view to_text(ChangeState state) noexcept { return kStates[static_cast<std::size_t>(state)]; }

std::optional<ChangeState> change_state_from(std::string_view text) noexcept {
    const auto found = std::ranges::find(kStates, text);
    if (found == kStates.end()) return std::nullopt;
    return ChangeState{static_cast<std::uint8_t>(found - kStates.begin())};
}

std::string approvers_of(const Change& change) {
    std::string out;
    for (const auto& approval : change.approvals)
        out += (out.empty() ? "" : ", ") + approval.by + (approval.glass ? " (break-glass)" : "");
    return out;
}

std::string_view subject_of(std::string_view actor) noexcept {
    return actor.starts_with("token:") ? actor.substr(0, actor.rfind('/')) : actor;
}

std::span<const std::string_view> change_schema() noexcept { return kSchema; }

// ------------------------------------------------------------------------------------------------------------ reading
ChangeStore::Outcome ChangeStore::read_into(std::vector<Change>& found, std::string_view where,
                                            std::initializer_list<SqlValue> values, bool with_text) {
    auto done = database_.run(
        std::string{"SELECT id, kind, state, format, bytes, base_generation, base_hash, base_version, hash, version, "
                    "made_by, origin, request_id, reason, made_ns, needed, at_ns, expires_ns, due_ns, confirm_ms, "
                    "guard, break_glass, ended_ns, detail, generation"}
            .append(with_text ? ", text" : "")
            .append(" FROM changes ")
            .append(where),
        values, [&](const SqlRow& row) {
            auto& c = found.emplace_back();
            c.id = from_sql(row.integer(0));
            c.kind = row.text(1);
            // The file is a file: what is no state of ours is an end of which nobody knows more.
            c.state = change_state_from(row.text(2)).value_or(ChangeState::failed);
            c.format = row.text(3);
            c.bytes = from_sql(row.integer(4));
            c.base = {from_sql(row.integer(5)), row.text(6), row.text(7)};
            c.hash = row.text(8);
            c.version = row.text(9);
            c.by = row.text(10);
            c.origin = row.text(11);
            c.request_id = row.text(12);
            c.reason = row.text(13);
            c.made_ns = row.integer(14);
            c.needed = static_cast<std::uint32_t>(row.integer(15));
            c.at_ns = row.integer(16);
            c.expires_ns = row.integer(17);
            c.due_ns = row.integer(18);
            c.confirm_ms = from_sql(row.integer(19));
            c.guard = row.text(20);
            c.break_glass = row.integer(21) != 0;
            c.ended_ns = row.integer(22);
            c.detail = row.text(23);
            c.generation = from_sql(row.integer(24));
            if (with_text) c.text = row.text(25);
        });
    for (auto& change : found) {
        if (!done) break;
        done = database_.run(
            "SELECT approved_by, reason, at_ns, glass FROM change_approvals WHERE change = ? ORDER BY at_ns, subject",
            {sql(change.id)}, [&](const SqlRow& row) {
                change.approvals.push_back(
                    {.by = row.text(0), .reason = row.text(1), .at_ns = row.integer(2), .glass = row.integer(3) != 0});
            });
    }
    return done;
}

Expected<std::vector<Change>, FileError> ChangeStore::read(std::string_view where,
                                                           std::initializer_list<SqlValue> values, bool with_text) {
    std::vector<Change> found;
    const auto lock = database_.lock();
    if (auto done = read_into(found, where, values, with_text); !done) return Unexpected(done.error());
    return found;
}

ChangeStore::Outcome ChangeStore::load() {
    std::vector<Change> found;
    auto done = read_into(found, "WHERE " + std::string{kWaiting} + " ORDER BY id", {}, false);
    if (!done) return done;
    const std::lock_guard lock{mutex_};
    waiting_ = std::move(found);
    return {};
}

/// What can't be read stays as it was known: the next step reads again.
void ChangeStore::reload() {
    const auto lock = database_.lock();
    (void)load();
}

std::vector<Change> ChangeStore::waiting() const {
    const std::lock_guard lock{mutex_};
    return waiting_;
}

Expected<ChangePage, FileError> ChangeStore::list(std::optional<ChangeState> state, std::size_t count_max,
                                                  std::optional<std::uint64_t> before) {
    const auto below = before ? sql(*before) : INT64_MAX;
    const auto most = static_cast<std::int64_t>(count_max + 1);
    auto found =
        state ? read("WHERE id < ? AND state = ? ORDER BY id DESC LIMIT ?", {below, to_text(*state), most}, false)
              : read("WHERE id < ? ORDER BY id DESC LIMIT ?", {below, most}, false);
    if (!found) return Unexpected(found.error());
    ChangePage page{.changes = std::move(*found), .next = {}};
    if (page.changes.size() > count_max) {
        page.changes.resize(count_max);
        page.next = page.changes.back().id;
    }
    return page;
}

Expected<std::optional<Change>, FileError> ChangeStore::find(std::uint64_t id) {
    auto found = read("WHERE id = ?", {sql(id)}, true);
    if (!found) return Unexpected(found.error());
    if (found->empty()) return std::optional<Change>{};
    return std::optional{std::move(found->front())};
}

// ------------------------------------------------------------------------------------------------------------ writing
/// As it is after a step.
Expected<Change, ChangeTrouble> ChangeStore::changed(std::uint64_t id) {
    reload();
    auto found = find(id);
    if (!found) return trouble(found.error());
    if (!*found) return trouble(Kind::absent);
    return std::move(**found);
}

ChangeStore::Outcome ChangeStore::prune() {
    return database_.run("DELETE FROM changes WHERE NOT " + std::string{kWaiting} +
                             " AND id NOT IN (SELECT id FROM changes WHERE NOT " + std::string{kWaiting} +
                             " ORDER BY id DESC LIMIT ?)",
                         {static_cast<std::int64_t>(kChangesEndedKept)});
}

Expected<Change, ChangeTrouble> ChangeStore::add(Change change, AuditRecord entry) {
    const std::lock_guard step{change_mutex_};
    const auto others = waiting();
    std::uint64_t bytes = change.text.size();
    for (const auto& other : others) bytes += other.bytes;
    if (others.size() >= kChangesWaitingMax) return trouble(Kind::too_many);
    if (bytes > kChangeBytesMax) return trouble(Kind::too_large);
    // What stands in the row is what stands in the audit.
    entry = fit(std::move(entry));
    const auto done = audit_.write_with(std::move(entry), [&](AuditRecord& record) -> Outcome {
        if (auto pruned = prune(); !pruned) return pruned;
        auto inserted = database_.run(
            "INSERT INTO changes(kind, state, format, bytes, base_generation, base_hash, base_version, hash, "
            "version, made_by, origin, request_id, reason, made_ns, needed, at_ns, expires_ns, due_ns, confirm_ms, "
            "guard, break_glass, ended_ns, detail, generation, text) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
            "?, ?, ?, ?, ?, ?, ?, ?, 0, '', 0, ?)",
            {Text{change.kind},
             to_text(change.state),
             Text{change.format},
             sql(change.text.size()),
             sql(change.base.generation),
             Text{change.base.hash},
             Text{change.base.version},
             Text{change.hash},
             Text{change.version},
             Text{record.actor},
             Text{record.origin},
             Text{record.request_id},
             Text{record.reason},
             wall_clock_ns(),
             std::int64_t{change.needed},
             change.at_ns,
             change.expires_ns,
             change.due_ns,
             sql(change.confirm_ms),
             Text{change.guard},
             std::int64_t{change.break_glass},
             Blob{change.text}});
        if (!inserted) return inserted;
        auto numbered = database_.run("SELECT last_insert_rowid()", {},
                                      [&](const SqlRow& row) { change.id = from_sql(row.integer(0)); });
        if (!numbered) return numbered;
        record.detail = "change " + std::to_string(change.id) + (record.detail.empty() ? "" : ", ") + record.detail;
        return {};
    });
    if (!done) return trouble(done.error());
    return changed(change.id);
}

Expected<Change, ChangeTrouble> ChangeStore::approve(std::uint64_t id, bool glass, AuditRecord entry) {
    const std::lock_guard step{change_mutex_};
    const auto found = read("WHERE id = ?", {sql(id)}, false);
    if (!found) return trouble(found.error());
    if (found->empty()) return trouble(Kind::absent);
    const Change& change = found->front();
    if (change.state != ChangeState::pending) return not_waiting(change.state);
    entry = fit(std::move(entry));
    const std::string subject{subject_of(entry.actor)};
    if (!glass && subject == subject_of(change.by)) return trouble(Kind::own);
    const bool again =
        std::ranges::any_of(change.approvals, [&](const ChangeApproval& a) { return subject_of(a.by) == subject; });
    if (!glass && again) return trouble(Kind::twice);
    const bool enough = glass || change.approvals.size() + 1 >= change.needed;
    const auto done = audit_.write_with(std::move(entry), [&](AuditRecord& record) -> Outcome {
        // Whoever breaks the glass may have approved before.
        auto kept = database_.run("INSERT INTO change_approvals VALUES(?, ?, ?, ?, ?, ?)",
                                  {sql(id), glass ? Text{"break-glass"} : Text{subject}, Text{record.actor},
                                   Text{record.reason}, wall_clock_ns(), std::int64_t{glass}});
        if (!kept || !enough) return kept;
        return database_.run("UPDATE changes SET state = 'scheduled', due_ns = ? WHERE id = ?",
                             {change.at_ns != 0 ? change.at_ns : wall_clock_ns(), sql(id)});
    });
    if (!done) return trouble(done.error());
    return changed(id);
}

Expected<Change, ChangeTrouble> ChangeStore::end(std::uint64_t id, const ChangeEnd& end, AuditRecord entry,
                                                 bool by_author) {
    const std::lock_guard step{change_mutex_};
    const auto found = read("WHERE id = ?", {sql(id)}, false);
    if (!found) return trouble(found.error());
    if (found->empty()) return trouble(Kind::absent);
    const Change& change = found->front();
    if (by_author && subject_of(entry.actor) != subject_of(change.by)) return trouble(Kind::not_author);
    if (!waits(change.state)) return not_waiting(change.state);
    const auto done = audit_.write_with(std::move(entry), [&](AuditRecord&) -> Outcome { return settle(id, end, 0); });
    if (!done) return trouble(done.error());
    return changed(id);
}

ChangeStore::Outcome ChangeStore::begin_applying(std::uint64_t id) {
    return database_.run("UPDATE changes SET state = 'applying' WHERE id = ?", {sql(id)});
}

ChangeStore::Outcome ChangeStore::settle(std::uint64_t id, const ChangeEnd& end, std::uint64_t generation) {
    if (waits(end.state))
        return database_.run("UPDATE changes SET state = ? WHERE id = ?", {to_text(end.state), sql(id)});
    return database_.run(
        "UPDATE changes SET state = ?, detail = ?, generation = ?, ended_ns = ?, text = x'' WHERE id = ?",
        {to_text(end.state), Text{end.detail}, sql(generation), wall_clock_ns(), sql(id)});
}

}  // namespace sluice::cp
