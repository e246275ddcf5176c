#include "controlplane/store/freeze_store.hpp"

#include <utility>

namespace sluice::cp {
namespace {

using Text = std::string_view;

}  // namespace

Expected<void, FileError> FreezeStore::open() {
    const auto lock = database_.lock();
    auto made = database_.run(
        "CREATE TABLE IF NOT EXISTS freeze(only INTEGER PRIMARY KEY CHECK(only = 1), from_ns INTEGER NOT NULL, "
        "until_ns INTEGER NOT NULL, reason TEXT NOT NULL, set_by TEXT NOT NULL, set_at_ns INTEGER NOT NULL) STRICT");
    if (!made) return made;
    std::optional<Freeze> found;
    auto read =
        database_.run("SELECT from_ns, until_ns, reason, set_by, set_at_ns FROM freeze", {}, [&](const SqlRow& row) {
            found = Freeze{row.integer(0), row.integer(1), row.text(2), row.text(3), row.integer(4)};
        });
    if (!read) return read;
    const std::lock_guard guard{mutex_};
    window_ = std::move(found);
    return {};
}

std::optional<Freeze> FreezeStore::window() const {
    const std::lock_guard guard{mutex_};
    return window_;
}

/// Row and entry, or neither.
Expected<void, FileError> FreezeStore::write(const std::optional<Freeze>& freeze, AuditRecord entry) {
    const auto done = audit_.write_with(std::move(entry), [&](AuditRecord&) -> Database::Outcome {
        if (!freeze) return database_.run("DELETE FROM freeze");
        return database_.run(
            "INSERT OR REPLACE INTO freeze VALUES(1, ?, ?, ?, ?, ?)",
            {freeze->from_ns, freeze->until_ns, Text{freeze->reason}, Text{freeze->set_by}, freeze->set_at_ns});
    });
    if (!done) return Unexpected(done.error());
    const std::lock_guard guard{mutex_};
    window_ = freeze;
    return {};
}

Expected<void, FileError> FreezeStore::set(Freeze freeze, AuditRecord entry) {
    const std::lock_guard change{change_mutex_};
    freeze.set_by = entry.actor;
    freeze.reason = entry.reason;
    return write(freeze, std::move(entry));
}

Expected<bool, FileError> FreezeStore::lift(AuditRecord entry) {
    const std::lock_guard change{change_mutex_};
    if (!window()) return false;
    if (auto written = write(std::nullopt, std::move(entry)); !written) return Unexpected(written.error());
    return true;
}

}  // namespace sluice::cp
