#include "controlplane/store/policy_store.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "controlplane/store/import_files.hpp"
#include "controlplane/store/text_edit.hpp"

namespace sluice::cp {
namespace {

using Outcome = Expected<void, FileError>;
using Text = std::string_view;

constexpr std::string_view kDatabaseName = "/state.db";
/// 1: without tokens; 2: without members of sets; 3: without drafts; 4: texts are whole; 5: without changes that wait;
/// 6: without a shadow policy; 7: changes of slots are edits of their text; 8: an intent has no guard
constexpr std::int64_t kSchemaVersion = 9;
constexpr std::string_view kSchema[] = {
    "CREATE TABLE texts(digest TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT",
    "CREATE TRIGGER texts_are_not_changed BEFORE UPDATE ON texts BEGIN "
    "SELECT RAISE(ABORT, 'texts are not changed'); END",
    "CREATE TABLE history(entry INTEGER PRIMARY KEY, generation INTEGER NOT NULL, hash TEXT NOT NULL, "
    "label TEXT NOT NULL, format TEXT NOT NULL, digest TEXT NOT NULL, "
    "asked INTEGER NOT NULL REFERENCES audit(number), adopted INTEGER NOT NULL REFERENCES audit(number)) STRICT",
    "CREATE INDEX history_by_generation ON history(generation)",
    "CREATE TRIGGER history_is_not_changed BEFORE UPDATE ON history BEGIN "
    "SELECT RAISE(ABORT, 'the history is only appended to'); END",
    "CREATE TRIGGER history_is_not_deleted BEFORE DELETE ON history BEGIN "
    "SELECT RAISE(ABORT, 'the history is only appended to'); END",
    "CREATE TABLE pending(only INTEGER PRIMARY KEY CHECK(only = 1), generation INTEGER NOT NULL, hash TEXT NOT NULL, "
    "label TEXT NOT NULL, format TEXT NOT NULL, digest TEXT NOT NULL, asked INTEGER NOT NULL) STRICT",
    "CREATE TABLE numbers(only INTEGER PRIMARY KEY CHECK(only = 1), generation INTEGER NOT NULL, "
    "slots TEXT NOT NULL) STRICT",
    "INSERT INTO numbers VALUES(1, 0, '')",
};
/// `digest`: of the digest before it, which is that of the whole text at first, and the changes.
constexpr std::string_view kSlotChangeSchema =
    "CREATE TABLE slot_changes(number INTEGER PRIMARY KEY, changes TEXT NOT NULL, digest TEXT NOT NULL) STRICT";

constexpr std::string_view kGuardSchema = "ALTER TABLE pending ADD COLUMN guard TEXT NOT NULL DEFAULT ''";

std::int64_t sql(std::uint64_t number) { return static_cast<std::int64_t>(number); }
std::uint64_t from_sql(std::int64_t number) { return static_cast<std::uint64_t>(number); }

std::string short_label(const PolicyRef& ref) { return ref.hash.substr(0, 6); }

}  // namespace

// ------------------------------------------------------------------------------------------------------------ opening
Expected<std::unique_ptr<PolicyStore>, FileError> PolicyStore::open(FileOps& ops, std::string state_dir,
                                                                    Options options) {
    std::unique_ptr<PolicyStore> store{new PolicyStore{ops, std::move(state_dir)}};
    if (const auto made = ops.make_dir(store->dir_, Readers::owner); !made) {
        return Unexpected(file_error(made.error(), "make", store->dir_));
    }
    if (const auto names = ops.list(store->dir_)) {
        for (const auto& name : *names) {
            if (is_leftover(name)) (void)ops.unlink(store->dir_ + "/" + name);
        }
    }
    auto opened = store->open_database(options);
    if (!opened && opened.error().damaged()) {
        store->move_aside(opened.error().what);
        opened = store->open_database(options);
    }
    if (!opened) return Unexpected(opened.error());
    retire_file_state(ops, store->dir_);
    return store;
}

/// The name says when, so that one damage does not cover another.
void PolicyStore::move_aside(const std::string& why) {
    changes_.reset();
    drafts_.reset();
    freezes_.reset();
    shadows_.reset();
    answers_.reset();
    tokens_.reset();
    sets_.reset();
    texts_.reset();
    audit_.reset();
    database_.reset();
    const std::string path = dir_ + std::string{kDatabaseName};
    const std::string aside = path + ".damaged-" + std::to_string(std::time(nullptr));
    for (const auto* part : {"-wal", ""}) (void)ops_.rename(path + part, aside + part);
    damage_.push_back(why + "; it was moved to " + aside + " and a new one begun");
}

PolicyStore::Outcome PolicyStore::open_database(const Options& options) {
    auto opened = Database::open(dir_ + std::string{kDatabaseName}, options.vfs);
    if (!opened) return Unexpected(opened.error());
    database_ = std::move(*opened);
    std::int64_t version = 0;
    {
        const auto lock = database_->lock();
        auto read = database_->run("PRAGMA user_version", {}, [&](const SqlRow& row) { version = row.integer(0); });
        if (!read) return read;
    }
    if (version > kSchemaVersion) {
        return Unexpected(FileError{EPROTO, database_->path() + " was written by a newer version of Sluice"});
    }
    audit_ = std::make_unique<AuditLog>(*database_, ops_, dir_, options.print);
    texts_ = std::make_unique<TextStore>(*database_);
    tokens_ = std::make_unique<TokenStore>(*database_, *audit_);
    sets_ = std::make_unique<SetStore>(*database_, *audit_);
    answers_ = std::make_unique<AnswerStore>(*database_);
    freezes_ = std::make_unique<FreezeStore>(*database_, *audit_);
    shadows_ = std::make_unique<ShadowStore>(*database_, *audit_);
    drafts_ = std::make_unique<DraftStore>(*database_, *audit_);
    changes_ = std::make_unique<ChangeStore>(*database_, *audit_);
    if (version == 0) {
        if (auto made = make_tables(); !made) return made;
    } else if (version < kSchemaVersion) {
        if (auto upgraded = upgrade(version); !upgraded) return upgraded;
    }
    if (auto answers = answers_->open(); !answers) return answers;
    if (auto freezes = freezes_->open(); !freezes) return freezes;
    return load();
}

/// What versions from then on need that one did not have.
PolicyStore::Outcome PolicyStore::upgrade(std::int64_t from) {
    AuditRecord record;
    record.action = "store.upgraded";
    record.result = "done";
    record.detail = "from version " + std::to_string(from) + " to " + std::to_string(kSchemaVersion);
    return in_transaction(std::move(record), [&](std::uint64_t) -> Outcome {
        std::vector<std::string_view> statements;
        const auto add = [&](std::span<const std::string_view> more) {
            statements.insert(statements.end(), more.begin(), more.end());
        };
        if (from < 2) add(token_schema());
        if (from < 3) add(set_schema());
        if (from < 4) add(draft_schema());
        if (from < 5) add(text_base_schema());
        if (from < 6) add(change_schema());
        if (from < 7) add(shadow_schema());
        if (from < 8) statements.push_back(kSlotChangeSchema);
        if (from < 9) {
            statements.push_back(kGuardSchema);
            add(generation_index_schema());
        }
        if (from >= 5 && from < 8) {
            if (auto done = put_slot_edits_together(); !done) return done;
            statements.push_back("DROP TABLE slot_edits");
        }
        for (const auto statement : statements) {
            if (auto done = database_->run(statement); !done) return done;
        }
        return database_->run("PRAGMA user_version=" + std::to_string(kSchemaVersion));
    });
}

/// Tables, what an older version left as files, and the first entry of the audit: all or nothing.
PolicyStore::Outcome PolicyStore::make_tables() {
    const auto witness = audit_->begin_behind_witness();
    const auto files = read_file_state(ops_, dir_);
    AuditRecord record;
    record.action = "store.made";
    record.result = "done";
    if (witness) {
        record.action = "store.replaced";
        record.detail = "entries up to " + std::to_string(witness->number) + " are not in this database: " +
                        (damage_.empty() ? database_->path() + " was not there any more" : damage_.front());
        if (damage_.empty()) damage_.push_back(record.detail);
    } else if (files) {
        record.action = "store.imported";
        record.detail = std::to_string(files->history.size()) + " policies from the files of an earlier version";
    }
    std::optional<AuditEntry> first;
    const auto lock = database_->lock();
    auto made = database_->transaction([&]() -> Outcome {
        for (const auto statements :
             {audit_schema(), std::span<const std::string_view>{kSchema}, token_schema(), set_schema(), draft_schema(),
              text_base_schema(), std::span{&kSlotChangeSchema, 1}, change_schema(), shadow_schema(),
              std::span{&kGuardSchema, 1}, generation_index_schema()}) {
            for (const auto statement : statements) {
                if (auto done = database_->run(statement); !done) return done;
            }
        }
        auto entry = audit_->append(record);
        if (!entry) return Unexpected(entry.error());
        if (files) {
            for (const auto& policy : files->history) {
                const auto digest = texts_->insert({{}, policy.text}, {});
                if (!digest) return Unexpected(digest.error());
                auto done = insert_adoption(policy.ref, short_label(policy.ref), *digest, entry->number, entry->number);
                if (!done) return done;
            }
            if (files->pending) {
                const auto& ref = files->pending->ref;
                const auto digest = texts_->insert({{}, files->pending->text}, {});
                if (!digest) return Unexpected(digest.error());
                auto done = database_->run("INSERT INTO pending VALUES(1, ?, ?, ?, ?, ?, ?, 0, '')",
                                           {sql(ref.generation), Text{ref.hash}, Text{short_label(ref)},
                                            Text{ref.extension}, Text{*digest}, sql(entry->number)});
                if (!done) return done;
            }
            auto done = database_->run("UPDATE numbers SET generation = ?, slots = ?",
                                       {sql(files->generation), Text{files->slots}});
            if (!done) return done;
        }
        first = std::move(*entry);
        return database_->run("PRAGMA user_version=" + std::to_string(kSchemaVersion));
    });
    if (!made) return made;
    if (files) damage_.insert(damage_.end(), files->damage.begin(), files->damage.end());
    audit_->tell(*first);
    return {};
}

PolicyStore::Outcome PolicyStore::load() {
    const auto ref_of = [](const SqlRow& row) { return PolicyRef{row.text(1), row.text(2), from_sql(row.integer(0))}; };
    const auto lock = database_->lock();
    auto read = database_->run("SELECT generation, slots FROM numbers", {}, [&](const SqlRow& row) {
        generation_last_ = from_sql(row.integer(0));
        slots_ = row.text(1);
    });
    if (read) read = load_slots();
    if (read) {
        read = database_->run("SELECT generation, hash, format FROM history ORDER BY entry DESC LIMIT 1", {},
                              [&](const SqlRow& row) { current_ = ref_of(row); });
    }
    if (read) {
        read =
            database_->run("SELECT generation, hash, format, change, guard FROM pending", {}, [&](const SqlRow& row) {
                pending_ = ref_of(row);
                pending_change_ = from_sql(row.integer(3));
                pending_guard_ = row.text(4);
            });
    }
    for (const auto& ref : {current_, pending_}) {
        if (ref) generation_last_ = std::max(generation_last_, ref->generation);
    }
    if (read) read = tokens_->load();
    if (read) read = changes_->load();
    if (read) read = shadows_->load();
    return read ? sets_->load() : read;
}

/// Should a row be damaged, nothing is known: rules get new counters.
PolicyStore::Outcome PolicyStore::load_slots() {
    slot_changes_.clear();
    slots_digest_ = sha256_hex(slots_);
    bool right = true;
    auto read = database_->run("SELECT changes, digest FROM slot_changes ORDER BY number", {}, [&](const SqlRow& row) {
        slot_changes_.push_back(row.text(0));
        slots_digest_ = digest_behind(slots_digest_, slot_changes_.back());
        right = right && row.text(1) == slots_digest_;
    });
    if (!read || right) return read;
    damage_.push_back("the changes of rules' slots in " + database_->path() +
                      " are not what their digest says; rules get new counters");
    slots_.clear();
    slot_changes_.clear();
    return {};
}

/// Up to version 7 changes were edits of the text, with the digest of what they make of it.
PolicyStore::Outcome PolicyStore::put_slot_edits_together() {
    std::string whole;
    std::vector<std::pair<std::string, std::string>> edits;
    auto read = database_->run("SELECT slots FROM numbers", {}, [&](const SqlRow& row) { whole = row.text(0); });
    if (read) {
        read = database_->run("SELECT edit, digest FROM slot_edits ORDER BY number", {},
                              [&](const SqlRow& row) { edits.emplace_back(row.text(0), row.text(1)); });
    }
    if (!read || edits.empty()) return read;
    EditedText edited{whole};
    bool right = true;
    for (const auto& [edit, digest] : edits) right = right && edited.apply(edit);
    std::string slots = edited.text();
    right = right && sha256_hex(slots) == edits.back().second;
    if (!right) {
        damage_.push_back("the edits of rules' slots in " + database_->path() +
                          " are not what their digest says; rules get new counters");
        slots.clear();
    }
    return database_->run("UPDATE numbers SET slots = ?", {Text{slots}});
}

// ------------------------------------------------------------------------------------------------------------ reading
namespace {

std::string of_generation(const PolicyRef& ref, std::string what) {
    return "generation " + std::to_string(ref.generation) + ": " + std::move(what);
}

}  // namespace

Expected<std::string, FileError> PolicyStore::text_digest(const PolicyRef& ref) {
    std::string digest;
    const auto lock = database_->lock();
    const auto read = database_->run(
        "SELECT texts.digest FROM texts JOIN "
        "(SELECT digest, 1 AS own, 0 AS entry FROM pending WHERE generation = ? AND hash = ? UNION ALL "
        "SELECT digest, 0, entry FROM history WHERE generation = ? AND hash = ?) AS named "
        "ON texts.digest = named.digest ORDER BY own DESC, entry DESC LIMIT 1",
        {sql(ref.generation), Text{ref.hash}, sql(ref.generation), Text{ref.hash}},
        [&](const SqlRow& row) { digest = row.text(0); });
    if (!read) return Unexpected(read.error());
    if (digest.empty()) return Unexpected(FileError{ENOENT, of_generation(ref, "its text is not kept any more")});
    return digest;
}

Expected<std::string, FileError> PolicyStore::text(const PolicyRef& ref) {
    const auto digest = text_digest(ref);
    if (!digest) return digest;
    auto text = texts_->read(*digest);
    if (!text)
        return Unexpected(FileError{text.error().error_number, of_generation(ref, std::move(text.error().what))});
    return text;
}

Expected<std::string, FileError> PolicyStore::keep_text(std::string_view text) {
    std::string digest;
    const auto lock = database_->lock();
    const auto done = database_->transaction([&]() -> Outcome {
        auto inserted = texts_->insert({{}, text}, {});
        if (!inserted) return Unexpected(inserted.error());
        digest = std::move(*inserted);
        return {};
    });
    if (!done) return Unexpected(done.error());
    return digest;
}

std::uint64_t PolicyStore::text_edits(std::string_view digest) {
    const auto lock = database_->lock();
    const auto depth = texts_->depth(digest);
    return depth ? depth->value_or(0) : 0;
}

std::uint64_t PolicyStore::next_generation(std::uint64_t floor) const noexcept {
    return std::max(generation_last_, floor) + 1;
}

Expected<std::vector<Adoption>, FileError> PolicyStore::adoptions(std::string_view where,
                                                                  std::initializer_list<SqlValue> values) {
    std::vector<Adoption> out;
    const auto lock = database_->lock();
    const auto read = database_->run(
        std::string{"SELECT entry, generation, history.hash, format, label, texts.digest, asked.number, asked.at_ns, "
                    "asked.actor, asked.origin, asked.action, asked.reason, asked.request_id, adopted.at_ns, "
                    "adopted.approval FROM history JOIN audit AS asked ON asked.number = asked "
                    "JOIN audit AS adopted ON adopted.number = adopted "
                    "LEFT JOIN texts ON texts.digest = history.digest "}
            .append(where),
        values, [&](const SqlRow& row) {
            Adoption a;
            a.entry = from_sql(row.integer(0));
            a.ref = {row.text(2), row.text(3), from_sql(row.integer(1))};
            a.label = row.text(4);
            a.text_kept = !row.is_null(5);
            a.asked.number = from_sql(row.integer(6));
            auto& record = a.asked.record;
            record.at_ns = row.integer(7);
            record.actor = row.text(8);
            record.origin = row.text(9);
            record.action = row.text(10);
            record.reason = row.text(11);
            record.request_id = row.text(12);
            a.at_ns = row.integer(13);
            a.approval = row.text(14);
            out.push_back(std::move(a));
        });
    if (!read) return Unexpected(read.error());
    return out;
}

Expected<std::vector<Adoption>, FileError> PolicyStore::history(std::size_t count_max,
                                                                std::optional<std::uint64_t> before) {
    return adoptions("WHERE entry < ? ORDER BY entry DESC LIMIT ?",
                     {before ? sql(*before) : INT64_MAX, static_cast<std::int64_t>(count_max)});
}

Expected<std::optional<Adoption>, FileError> PolicyStore::adoption(std::uint64_t generation) {
    auto found = adoptions("WHERE generation = ? ORDER BY entry DESC LIMIT 1", {sql(generation)});
    if (!found) return Unexpected(found.error());
    if (found->empty()) return std::optional<Adoption>{};
    return std::optional{std::move(found->front())};
}

// ------------------------------------------------------------------------------------------------------------ writing
PolicyStore::Outcome PolicyStore::in_transaction(AuditRecord record,
                                                 const std::function<Outcome(std::uint64_t)>& body) {
    std::optional<AuditEntry> written;
    const auto lock = database_->lock();
    auto done = database_->transaction([&]() -> Outcome {
        auto entry = audit_->append(std::move(record));
        if (!entry) return Unexpected(entry.error());
        if (auto changed = body(entry->number); !changed) return changed;
        written = std::move(*entry);
        return {};
    });
    if (done) audit_->tell(*written);
    return done;
}

PolicyStore::Outcome PolicyStore::insert_slots(const Slots& slots) {
    if (slots.whole) {
        auto done = database_->run("UPDATE numbers SET slots = ?", {Text{*slots.whole}});
        return done ? database_->run("DELETE FROM slot_changes") : done;
    }
    if (slots.changes.empty()) return {};
    const auto digest = digest_behind(slots_digest_, slots.changes);
    return database_->run("INSERT INTO slot_changes(changes, digest) VALUES(?, ?)",
                          {Text{slots.changes}, Text{digest}});
}

/// They are written.
void PolicyStore::take_slots(const Slots& slots) {
    if (slots.whole) {
        slots_ = *slots.whole;
        slot_changes_.clear();
        slots_digest_ = sha256_hex(slots_);
    } else if (!slots.changes.empty()) {
        slot_changes_.push_back(slots.changes);
        slots_digest_ = digest_behind(slots_digest_, slots.changes);
    }
}

PolicyStore::Outcome PolicyStore::insert_adoption(const PolicyRef& ref, std::string_view label, std::string_view digest,
                                                  std::uint64_t asked, std::uint64_t adopted) {
    return database_->run(
        "INSERT INTO history(generation, hash, label, format, digest, asked, adopted) VALUES(?, ?, ?, ?, ?, ?, ?)",
        {sql(ref.generation), Text{ref.hash}, label, Text{ref.extension}, digest, sql(asked), sql(adopted)});
}

Expected<std::string, FileError> PolicyStore::stage(const Staged& staged, AuditRecord begun) {
    const auto& ref = staged.ref;
    std::string digest;
    const auto generation = std::max(generation_last_, ref.generation);
    auto done = in_transaction(std::move(begun), [&](std::uint64_t number) -> Outcome {
        auto inserted = texts_->insert(staged.text, staged.before, staged.kept);
        if (!inserted) return Unexpected(inserted.error());
        digest = std::move(*inserted);
        if (auto r = database_->run("INSERT OR REPLACE INTO pending VALUES(1, ?, ?, ?, ?, ?, ?, ?, ?)",
                                    {sql(ref.generation), Text{ref.hash}, staged.label, Text{ref.extension},
                                     Text{digest}, sql(number), sql(staged.change), Text{staged.guard}});
            !r) {
            return r;
        }
        if (staged.change != 0) {
            if (auto r = changes_->begin_applying(staged.change); !r) return r;
        }
        if (auto r = insert_slots(staged.slots); !r) return r;
        return database_->run("UPDATE numbers SET generation = ?", {sql(generation)});
    });
    if (!done) return Unexpected(done.error());
    pending_ = ref;
    pending_change_ = staged.change;
    pending_guard_ = staged.guard;
    generation_last_ = generation;
    take_slots(staged.slots);
    if (staged.change != 0) changes_->reload();
    return digest;
}

PolicyStore::Outcome PolicyStore::promote(AuditRecord outcome) {
    if (!pending_) return Unexpected(FileError{EINVAL, "nothing is pending"});
    auto done = in_transaction(std::move(outcome), [&](std::uint64_t number) -> Outcome {
        auto r = database_->run(
            "INSERT INTO history(generation, hash, label, format, digest, asked, adopted) "
            "SELECT generation, hash, label, format, digest, asked, ? FROM pending",
            {sql(number)});
        if (r && pending_change() != 0)
            r = changes_->settle(pending_change(), {.state = ChangeState::applied}, pending_->generation);
        if (r) r = database_->run("DELETE FROM pending");
        if (r) r = texts_->prune();
        return r;
    });
    if (!done) return done;
    const bool changed = pending_change() != 0;
    current_ = std::exchange(pending_, std::nullopt);
    if (changed) changes_->reload();
    return {};
}

PolicyStore::Outcome PolicyStore::discard_pending(std::optional<AuditRecord> outcome, const ChangeEnd& change) {
    // Whatever the disk says, this process no longer means it: should the row stay, the next start settles it by what
    // the dataplane runs.
    const auto of = pending_change();
    pending_.reset();
    const auto drop = [&]() -> Outcome {
        auto r = database_->run("DELETE FROM pending");
        return r && of != 0 ? changes_->settle(of, change, 0) : r;
    };
    Outcome done;
    if (outcome) {
        done = in_transaction(std::move(*outcome), [&](std::uint64_t) { return drop(); });
    } else {
        const auto lock = database_->lock();
        done = database_->transaction(drop);
    }
    if (of != 0) changes_->reload();
    return done;
}

PolicyStore::Outcome PolicyStore::restore(const PolicyRef& ref, AuditRecord outcome) {
    // The intent that is left here was in force, and could not be written down as that. One that came since, while this
    // could not be written either, is another's.
    const bool leaves_intent = pending_ && pending_->generation == outcome.before.generation;
    const auto of = leaves_intent ? pending_change() : 0;
    auto done = in_transaction(std::move(outcome), [&](std::uint64_t number) -> Outcome {
        auto r = database_->run(
            "INSERT INTO history(generation, hash, label, format, digest, asked, adopted) "
            "SELECT generation, hash, label, format, digest, ?, ? FROM history WHERE generation = ? AND hash = ? "
            "ORDER BY entry DESC LIMIT 1",
            {sql(number), sql(number), sql(ref.generation), Text{ref.hash}});
        if (r && of != 0) r = changes_->settle(of, {.state = ChangeState::applied}, pending_->generation);
        if (r && leaves_intent) r = database_->run("DELETE FROM pending");
        return r;
    });
    if (!done) return done;
    current_ = ref;
    if (leaves_intent) pending_.reset();
    if (of != 0) changes_->reload();
    return {};
}

Expected<std::string, FileError> PolicyStore::reword(const Staged& staged, AuditRecord outcome) {
    std::string digest;
    auto done = in_transaction(std::move(outcome), [&](std::uint64_t number) -> Outcome {
        auto inserted = texts_->insert(staged.text, staged.before, staged.kept);
        if (!inserted) return Unexpected(inserted.error());
        digest = std::move(*inserted);
        if (staged.change != 0) {
            const auto applied =
                changes_->settle(staged.change, {.state = ChangeState::applied}, staged.ref.generation);
            if (!applied) return applied;
        }
        return insert_adoption(staged.ref, staged.label, digest, number, number);
    });
    if (!done) return Unexpected(done.error());
    current_ = staged.ref;
    if (staged.change != 0) changes_->reload();
    return digest;
}

}  // namespace sluice::cp
