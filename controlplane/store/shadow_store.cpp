#include "controlplane/store/shadow_store.hpp"

#include <utility>

namespace sluice::cp {
namespace {

using Text = std::string_view;

constexpr std::string_view kSchema[] = {
    "CREATE TABLE shadow(only INTEGER PRIMARY KEY CHECK(only = 1), format TEXT NOT NULL, text BLOB NOT NULL, "
    "hash TEXT NOT NULL, version TEXT NOT NULL, draft TEXT NOT NULL, started_by TEXT NOT NULL, reason TEXT NOT NULL, "
    "started_at_ns INTEGER NOT NULL) STRICT",
};

}  // namespace

std::span<const std::string_view> shadow_schema() noexcept { return kSchema; }

Expected<void, FileError> ShadowStore::load() {
    std::shared_ptr<const ShadowText> found;
    auto read = database_.run(
        "SELECT format, text, hash, version, draft, started_by, reason, started_at_ns FROM shadow", {},
        [&](const SqlRow& row) {
            found =
                std::make_shared<const ShadowText>(ShadowText{row.text(0), row.text(1), row.text(2), row.text(3),
                                                              row.text(4), row.text(5), row.text(6), row.integer(7)});
        });
    if (!read) return read;
    const std::lock_guard guard{mutex_};
    current_ = std::move(found);
    return {};
}

std::shared_ptr<const ShadowText> ShadowStore::current() const {
    const std::lock_guard guard{mutex_};
    return current_;
}

/// Row and entry, or neither.
Expected<void, FileError> ShadowStore::write(std::shared_ptr<const ShadowText> shadow, AuditRecord entry) {
    const auto done = audit_.write_with(std::move(entry), [&](AuditRecord&) -> Database::Outcome {
        if (shadow == nullptr) return database_.run("DELETE FROM shadow");
        return database_.run(
            "INSERT OR REPLACE INTO shadow VALUES(1, ?, ?, ?, ?, ?, ?, ?, ?)",
            {Text{shadow->format}, Blob{shadow->text}, Text{shadow->hash}, Text{shadow->version}, Text{shadow->draft},
             Text{shadow->started_by}, Text{shadow->reason}, shadow->started_at_ns});
    });
    if (!done) return Unexpected(done.error());
    const std::lock_guard guard{mutex_};
    current_ = std::move(shadow);
    return {};
}

Expected<void, FileError> ShadowStore::put(ShadowText shadow, AuditRecord entry) {
    const std::lock_guard change{change_mutex_};
    shadow.started_by = entry.actor;
    shadow.reason = entry.reason;
    return write(std::make_shared<const ShadowText>(std::move(shadow)), std::move(entry));
}

Expected<void, FileError> ShadowStore::remove(AuditRecord entry) {
    const std::lock_guard change{change_mutex_};
    return write(nullptr, std::move(entry));
}

}  // namespace sluice::cp
