#include "controlplane/store/audit_log.hpp"

#include "controlplane/store/wall_clock.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <limits>

namespace sluice::cp {
namespace {

using std::chrono::steady_clock;

constexpr std::string_view kWitnessName = "audit-head";
constexpr std::size_t kWitnessBytesMax = 256;
constexpr std::size_t kOriginsTallied = 64;
constexpr std::chrono::minutes kDoorMinute{1};
constexpr std::size_t kVerifiedAtOnce = 2000;
constexpr std::string_view kColumns =
    "SELECT number, prev, hash, at_ns, actor, origin, action, before_hash, before_generation, after_hash, "
    "after_generation, approval, reason, result, detail, request_id FROM audit ";

std::int64_t sql(std::uint64_t number) { return static_cast<std::int64_t>(number); }
std::uint64_t from_sql(std::int64_t number) { return static_cast<std::uint64_t>(number); }

AuditEntry entry_of(const SqlRow& row) {
    AuditEntry e;
    e.number = from_sql(row.integer(0));
    e.prev = row.text(1);
    e.hash = row.text(2);
    auto& r = e.record;
    r.at_ns = row.integer(3);
    r.actor = row.text(4);
    r.origin = row.text(5);
    r.action = row.text(6);
    r.before = {row.text(7), from_sql(row.integer(8))};
    r.after = {row.text(9), from_sql(row.integer(10))};
    r.approval = row.text(11);
    r.reason = row.text(12);
    r.result = row.text(13);
    r.detail = row.text(14);
    r.request_id = row.text(15);
    return e;
}

/// A chain that begins behind a database that had to be given up says so in its first entry.
bool may_begin_with(const AuditEntry& entry) {
    return entry.number == 1 ? entry.prev == no_hash() : entry.record.action == "store.replaced";
}

}  // namespace

std::span<const std::string_view> audit_schema() noexcept {
    // The triggers stop accidents with a tool in hand; what they can't stop, the hashes show.
    static constexpr std::string_view kStatements[] = {
        "CREATE TABLE audit(number INTEGER PRIMARY KEY, prev TEXT NOT NULL, hash TEXT NOT NULL, "
        "at_ns INTEGER NOT NULL, actor TEXT NOT NULL, origin TEXT NOT NULL, action TEXT NOT NULL, "
        "before_hash TEXT NOT NULL, before_generation INTEGER NOT NULL, after_hash TEXT NOT NULL, "
        "after_generation INTEGER NOT NULL, approval TEXT NOT NULL, reason TEXT NOT NULL, result TEXT NOT NULL, "
        "detail TEXT NOT NULL, request_id TEXT NOT NULL) STRICT",
        "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN "
        "SELECT RAISE(ABORT, 'the audit is only appended to'); END",
        "CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit BEGIN "
        "SELECT RAISE(ABORT, 'the audit is only appended to'); END",
    };
    return kStatements;
}

std::span<const std::string_view> generation_index_schema() noexcept {
    static constexpr std::string_view kStatements[] = {
        "CREATE INDEX audit_by_after ON audit(after_generation) WHERE after_generation != 0",
        "CREATE INDEX audit_by_before ON audit(before_generation) WHERE before_generation != 0",
    };
    return kStatements;
}

AuditLog::AuditLog(Database& database, FileOps& files, std::string witness_dir, Printer print)
    : database_{database}, files_{files}, dir_{std::move(witness_dir)}, print_{std::move(print)} {
    const auto lock = database_.lock();
    (void)read_entries("ORDER BY number DESC LIMIT 1", {}, [&](AuditEntry&& e) { head_ = {e.number, e.hash}; });
}

Database::Outcome AuditLog::read_entries(std::string_view where, std::initializer_list<SqlValue> values,
                                         const std::function<void(AuditEntry&&)>& on_entry) {
    return database_.run(std::string{kColumns}.append(where), values,
                         [&](const SqlRow& row) { on_entry(entry_of(row)); });
}

// ------------------------------------------------------------------------------------------------------------ writing
Expected<AuditEntry, FileError> AuditLog::append(AuditRecord record) {
    AuditEntry e{.number = begin_.number + 1, .record = fit(std::move(record)), .prev = begin_.hash, .hash = {}};
    // Asked each time, never remembered: a transaction that failed must leave no trace in the next entry.
    auto read =
        database_.run("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1", {}, [&](const SqlRow& row) {
            e.number = from_sql(row.integer(0)) + 1;
            e.prev = row.text(1);
        });
    if (!read) return Unexpected(read.error());
    auto& r = e.record;
    if (r.at_ns == 0) r.at_ns = wall_clock_ns();
    e.hash = audit_hash(e);
    auto written =
        database_.run("INSERT INTO audit VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                      {sql(e.number), std::string_view{e.prev}, std::string_view{e.hash}, r.at_ns,
                       std::string_view{r.actor}, std::string_view{r.origin}, std::string_view{r.action},
                       std::string_view{r.before.hash}, sql(r.before.generation), std::string_view{r.after.hash},
                       sql(r.after.generation), std::string_view{r.approval}, std::string_view{r.reason},
                       std::string_view{r.result}, std::string_view{r.detail}, std::string_view{r.request_id}});
    if (!written) return Unexpected(written.error());
    return e;
}

std::optional<AuditHead> AuditLog::begin_behind_witness() {
    const auto witness = read_witness();
    if (!witness || witness->number == 0) return std::nullopt;
    begin_ = *witness;
    return witness;
}

void AuditLog::tell(const AuditEntry& entry) {
    {
        const std::lock_guard lock{mutex_};
        if (entry.number > head_.number) head_ = {entry.number, entry.hash};
        ++counters_.written;
    }
    if (print_) print_(entry);
}

Expected<AuditEntry, FileError> AuditLog::write(const AuditRecord& record) {
    auto written = write_with(record, [](AuditRecord&) -> Database::Outcome { return {}; });
    if (!written) {
        const std::lock_guard own{mutex_};
        ++counters_.write_failures;
        trouble_ = written.error().what;
    }
    return written;
}

Expected<AuditEntry, FileError> AuditLog::write_with(AuditRecord entry, const Step& step) {
    AuditEntry written;
    {
        const auto lock = database_.lock();
        const auto done = database_.transaction([&]() -> Database::Outcome {
            if (auto stepped = step(entry); !stepped) return stepped;
            auto appended = append(std::move(entry));
            if (!appended) return Unexpected(appended.error());
            written = std::move(*appended);
            return {};
        });
        if (!done) return Unexpected(done.error());
    }
    tell(written);
    return written;
}

void AuditLog::write_or_keep(AuditRecord record) {
    if (record.at_ns == 0) record.at_ns = wall_clock_ns();
    if (!write(record)) keep(std::move(record));
}

void AuditLog::keep(AuditRecord record) {
    if (record.at_ns == 0) record.at_ns = wall_clock_ns();
    const std::lock_guard lock{mutex_};
    if (waiting_.size() >= kWaitingMax) {
        ++counters_.lost;
        return;
    }
    waiting_.push_back(fit(std::move(record)));
}

void AuditLog::note(DoorRefusal refusal) {
    {
        const std::lock_guard lock{mutex_};
        const auto now = steady_clock::now();
        if (door_since_ == steady_clock::time_point{} || now - door_since_ >= kDoorMinute) {
            // What is tallied stays until `maintain` has written it: the minute ends there.
            if (door_more_.empty()) {
                door_since_ = now;
                door_entries_ = 0;
            }
        }
        if (door_entries_ >= kDoorEntriesPerMinute) {
            const bool known = door_more_.contains(refusal.origin) || door_more_.size() < kOriginsTallied;
            ++door_more_[known ? refusal.origin : std::string{"others"}];
            return;
        }
        ++door_entries_;
    }
    AuditRecord record;
    record.actor = std::move(refusal.actor);
    record.origin = std::move(refusal.origin);
    record.action = "access";
    record.result = "refused";
    record.detail = std::move(refusal.what);
    record.request_id = std::move(refusal.request_id);
    keep(std::move(record));
}

void AuditLog::maintain(bool last) {
    AuditRecord tally;
    {
        const std::lock_guard lock{mutex_};
        if (!door_more_.empty() && (last || steady_clock::now() - door_since_ >= kDoorMinute)) {
            std::uint64_t sum = 0;
            std::string origins;
            for (const auto& [origin, count] : door_more_) {
                sum += count;
                origins += (origins.empty() ? "" : ", ") + origin + " " + std::to_string(count);
            }
            tally.actor = "anonymous";
            tally.action = "access";
            tally.result = "refused";
            tally.detail = std::to_string(sum) + " more attempts within a minute: " + origins;
            door_more_.clear();
            door_since_ = {};
        }
    }
    if (!tally.action.empty()) keep(std::move(tally));
    write_waiting();
    write_witness();
    const auto lock = database_.lock();
    database_.checkpoint();
}

void AuditLog::write_waiting() {
    for (;;) {
        AuditRecord record;
        {
            const std::lock_guard lock{mutex_};
            if (waiting_.empty()) {
                trouble_.clear();
                return;
            }
            record = waiting_.front();
        }
        if (!write(record)) return;
        const std::lock_guard lock{mutex_};
        waiting_.pop_front();
    }
}

// ---------------------------------------------------------------------------------------------------- the second place
void AuditLog::write_witness() {
    AuditHead head;
    bool first = false;
    {
        const std::lock_guard lock{mutex_};
        if (head_ == witnessed_ || dir_.empty()) return;
        head = head_;
        first = witnessed_.number == 0;
    }
    // What an earlier process wrote and this chain does not have is the evidence of what is missing: it stays.
    if (const auto found = first ? read_witness() : std::nullopt; found && found->number != 0) {
        const auto known = entry(found->number);
        if (!known || !*known || (*known)->hash != found->hash) return;
    }
    const auto line = std::to_string(head.number) + " " + head.hash + "\n";
    if (!write_durably(files_, dir_, std::string{kWitnessName}, line)) return;  // the next second
    const std::lock_guard lock{mutex_};
    witnessed_ = head;
}

std::optional<AuditHead> AuditLog::read_witness() {
    if (dir_.empty()) return std::nullopt;
    const auto text = files_.read(dir_ + "/" + std::string{kWitnessName}, kWitnessBytesMax);
    if (!text) return std::nullopt;
    AuditHead head;
    const auto space = text->find(' ');
    if (space == std::string::npos) return AuditHead{};
    const auto [end, error] = std::from_chars(text->data(), text->data() + space, head.number);
    if (error != std::errc{} || end != text->data() + space) return AuditHead{};
    head.hash = text->substr(space + 1, 64);
    return head;
}

// ------------------------------------------------------------------------------------------------------------ reading
Expected<AuditPage, FileError> AuditLog::page(const AuditQuery& query) {
    AuditPage page;
    const auto below = query.before ? sql(*query.before) : std::numeric_limits<std::int64_t>::max();
    const auto lock = database_.lock();
    const auto read = read_entries(
        "WHERE number < ? AND at_ns >= ? AND at_ns < ? AND (? = '' OR actor = ? OR substr(actor, 1, length(?) + 1) = ? "
        "|| '/') AND "
        "(? = '' OR action = ? OR substr(action, 1, length(?) + 1) = ? || '.') ORDER BY number DESC LIMIT ?",
        {below, query.since_ns, query.until_ns.value_or(std::numeric_limits<std::int64_t>::max()),
         std::string_view{query.actor}, std::string_view{query.actor}, std::string_view{query.actor},
         std::string_view{query.actor}, std::string_view{query.action}, std::string_view{query.action},
         std::string_view{query.action}, std::string_view{query.action},
         static_cast<std::int64_t>(query.count_max) + 1},
        [&](AuditEntry&& e) { page.entries.push_back(std::move(e)); });
    if (!read) return Unexpected(read.error());
    if (page.entries.size() > query.count_max) {
        page.entries.resize(query.count_max);
        page.next = page.entries.back().number;
    }
    return page;
}

Expected<std::vector<AuditEntry>, FileError> AuditLog::entries_behind(std::uint64_t after, std::uint64_t last,
                                                                      std::initializer_list<std::string_view> actions,
                                                                      std::size_t count_max) {
    std::vector<AuditEntry> entries;
    const auto lock = database_.lock();
    // In parts: what fits may be rare between many that do not.
    while (after < last && entries.size() < count_max) {
        const auto until = std::min(last, after + kVerifiedAtOnce);
        const auto read = read_entries(
            "WHERE number > ? AND number <= ? ORDER BY number", {sql(after), sql(until)}, [&](AuditEntry&& e) {
                const auto fits = [&](std::string_view a) { return e.record.action.starts_with(a); };
                if (entries.size() == count_max || std::ranges::none_of(actions, fits)) return;
                entries.push_back(std::move(e));
            });
        if (!read) return Unexpected(read.error());
        after = until;
    }
    return entries;
}

Expected<std::optional<AuditEntry>, FileError> AuditLog::entry(std::uint64_t number) {
    std::optional<AuditEntry> found;
    const auto lock = database_.lock();
    const auto read =
        read_entries("WHERE number = ?", {sql(number)}, [&](AuditEntry&& e) { found.emplace(std::move(e)); });
    if (!read) return Unexpected(read.error());
    return found;
}

Expected<std::vector<AuditEntry>, FileError> AuditLog::entries_about(std::uint64_t generation, std::size_t count_max) {
    std::vector<AuditEntry> found;
    if (generation == 0) return found;
    const auto lock = database_.lock();
    const auto read = read_entries(
        "WHERE ((after_generation = ?1 AND after_generation != 0) OR "
        "(before_generation = ?1 AND before_generation != 0)) "
        "AND action GLOB 'policy.*' AND result NOT IN ('refused', 'failed', 'unchanged', 'waiting') ORDER BY number "
        "LIMIT ?2",
        {sql(generation), static_cast<std::int64_t>(count_max)},
        [&](AuditEntry&& e) { found.push_back(std::move(e)); });
    if (!read) return Unexpected(read.error());
    return found;
}

/// In parts, so that nobody waits for the whole: the chain only grows meanwhile.
AuditCheck AuditLog::verify() {
    AuditCheck check;
    // Before the entries: it may be behind them, never ahead.
    check.witness = read_witness();
    const auto fail = [&](std::uint64_t number, std::string what) {
        if (check.broken != 0) return;
        check.broken = number;
        check.what = std::move(what);
    };
    const auto look_at = [&](const AuditEntry& e) {
        const auto expected = check.entries == 0 ? e.number : check.head.number + 1;
        if (check.entries == 0) {
            check.first = e.number;
            if (!may_begin_with(e)) {
                fail(e.number == 1 ? 1 : e.number - 1,
                     "the chain does not begin here: what stood before entry " + std::to_string(e.number) + " is gone");
            }
        } else if (e.number != expected) {
            fail(expected, "entry " + std::to_string(expected) + " is missing");
        } else if (e.prev != check.head.hash) {
            fail(e.number, "entry " + std::to_string(e.number) + " does not follow the one before it");
        }
        if (audit_hash(e) != e.hash) {
            fail(e.number, "entry " + std::to_string(e.number) + " is not what its hash says");
        }
        if (check.witness && e.number == check.witness->number && e.hash != check.witness->hash) {
            fail(e.number, "entry " + std::to_string(e.number) + " is another than the one in " + dir_ + "/audit-head");
        }
        ++check.entries;
        check.head = {e.number, e.hash};
    };
    for (;;) {
        std::size_t count = 0;
        const auto lock = database_.lock();
        const auto read =
            read_entries("WHERE number > ? ORDER BY number LIMIT ?",
                         {check.entries == 0 ? std::numeric_limits<std::int64_t>::min() : sql(check.head.number),
                          static_cast<std::int64_t>(kVerifiedAtOnce)},
                         [&](AuditEntry&& e) {
                             ++count;
                             look_at(e);
                         });
        if (!read) fail(check.head.number + 1, read.error().what);
        if (!read || count < kVerifiedAtOnce || check.broken != 0) break;
    }
    if (check.broken == 0 && check.witness && check.witness->number > check.head.number) {
        fail(check.head.number + 1, "entry " + std::to_string(check.head.number + 1) + " and those behind it, up to " +
                                        std::to_string(check.witness->number) + ", are gone: " + dir_ +
                                        "/audit-head names them");
    }
    if (check.witness && check.witness->number == 0) {
        fail(std::max<std::uint64_t>(check.head.number, 1),
             dir_ + "/audit-head is damaged: expected a number and a hash");
    }
    check.whole = check.broken == 0;
    return check;
}

AuditHead AuditLog::head() {
    const std::lock_guard lock{mutex_};
    return head_;
}

AuditCounters AuditLog::counters() {
    const std::lock_guard lock{mutex_};
    auto counters = counters_;
    counters.waiting = waiting_.size();
    return counters;
}

std::string AuditLog::trouble() {
    const std::lock_guard lock{mutex_};
    return waiting_.empty() ? std::string{} : trouble_;
}

}  // namespace sluice::cp
