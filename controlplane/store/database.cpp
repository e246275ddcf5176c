#include "controlplane/store/database.hpp"

#include <sqlite3.h>
#include <sys/stat.h>

#include <cerrno>

namespace sluice::cp {
namespace {

/// The WAL is copied by hand (`checkpoint`); should that fail for so many pages (of 4 KiB), a commit does it.
constexpr int kWalPagesMax = 65'536;
constexpr int kCheckpointAbovePages = 256;
constexpr std::int64_t kWalFileBytesKept = 16 << 20;

int errno_of(sqlite3* handle, int code) {
    switch (code & 0xff) {
        case SQLITE_FULL: return ENOSPC;
        case SQLITE_BUSY: return EBUSY;
        case SQLITE_NOTADB:
        case SQLITE_CORRUPT: return EUCLEAN;
        case SQLITE_NOMEM: return ENOMEM;
        case SQLITE_READONLY: return EROFS;
        default: break;
    }
    const int system = handle == nullptr ? 0 : sqlite3_system_errno(handle);
    return system != 0 ? system : EIO;
}

struct Finalize {
    void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

int bind(sqlite3_stmt* statement, int index, const SqlValue& value) {
    if (const auto* number = std::get_if<std::int64_t>(&value)) return sqlite3_bind_int64(statement, index, *number);
    if (const auto* text = std::get_if<std::string_view>(&value)) {
        // Never a null pointer: that would bind NULL.
        return sqlite3_bind_text64(statement, index, text->empty() ? "" : text->data(), text->size(), SQLITE_STATIC,
                                   SQLITE_UTF8);
    }
    if (const auto* blob = std::get_if<Blob>(&value)) {
        return sqlite3_bind_blob64(statement, index, blob->bytes.empty() ? "" : blob->bytes.data(), blob->bytes.size(),
                                   SQLITE_STATIC);
    }
    return sqlite3_bind_null(statement, index);
}

}  // namespace

std::int64_t SqlRow::integer(int column) const noexcept { return sqlite3_column_int64(statement_, column); }

std::string SqlRow::text(int column) const {
    const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    const int size = sqlite3_column_bytes(statement_, column);
    return bytes == nullptr ? std::string{} : std::string{bytes, static_cast<std::size_t>(size)};
}

bool SqlRow::is_null(int column) const noexcept { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

Expected<std::unique_ptr<Database>, FileError> Database::open(std::string path, const char* vfs) {
    sqlite3* handle = nullptr;
    constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    const int code = sqlite3_open_v2(path.c_str(), &handle, kFlags, vfs);
    std::unique_ptr<Database> database{new Database{std::move(path), handle}};
    if (code != SQLITE_OK) return Unexpected(database->error("open"));
    sqlite3_extended_result_codes(handle, 1);
    // SQLite gives -wal the mode of the file itself.
    if (vfs == nullptr) ::chmod(database->path_.c_str(), 0600);
    if (auto configured = database->configure(); !configured) return Unexpected(configured.error());
    return database;
}

Database::~Database() { sqlite3_close(handle_); }

Database::Outcome Database::configure() {
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    // The locking mode first: only so is the WAL's index kept in memory.
    for (const auto* pragma : {"PRAGMA locking_mode=EXCLUSIVE", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL",
                               "PRAGMA foreign_keys=ON", "PRAGMA secure_delete=FAST", "PRAGMA temp_store=MEMORY",
                               "PRAGMA cell_size_check=ON", "PRAGMA user_version"}) {
        if (auto done = run(pragma); !done) return done;
    }
    sqlite3_wal_autocheckpoint(handle_, kWalPagesMax);
    return run("PRAGMA journal_size_limit=" + std::to_string(kWalFileBytesKept));
}

FileError Database::error(std::string_view action) const {
    const int code = handle_ == nullptr ? SQLITE_NOMEM : sqlite3_extended_errcode(handle_);
    FileError out = file_error(errno_of(handle_, code), action, path_);
    if (out.error_number == EBUSY) {
        out.what = path_ + " is in use by another process; one control plane per state directory";
    } else if (out.error_number == EUCLEAN) {
        out.what = path_ + " is damaged: " + sqlite3_errmsg(handle_);
    } else if (handle_ != nullptr && !out.disk_full()) {
        out.what += std::string{" ("} + sqlite3_errmsg(handle_) + ")";
    }
    return out;
}

Database::Outcome Database::run(std::string_view sql, std::initializer_list<SqlValue> values,
                                const std::function<void(const SqlRow&)>& on_row) {
    sqlite3_stmt* raw = nullptr;
    const int prepared = sqlite3_prepare_v2(handle_, sql.data(), static_cast<int>(sql.size()), &raw, nullptr);
    const Statement statement{raw};
    if (prepared != SQLITE_OK) return Unexpected(error("read"));
    int index = 0;
    for (const auto& value : values) {
        if (bind(raw, ++index, value) != SQLITE_OK) return Unexpected(error("write"));
    }
    for (;;) {
        const int stepped = sqlite3_step(raw);
        if (stepped == SQLITE_DONE) return {};
        if (stepped != SQLITE_ROW) return Unexpected(error(sqlite3_stmt_readonly(raw) != 0 ? "read" : "write"));
        if (on_row) on_row(SqlRow{raw});
    }
}

Database::Outcome Database::transaction(const std::function<Outcome()>& body) {
    if (auto begun = run("BEGIN IMMEDIATE"); !begun) return begun;
    auto done = body();
    if (done) done = run("COMMIT");
    last_commit_ = std::chrono::steady_clock::now();
    // A full disk may have rolled it back already.
    if (!done && sqlite3_get_autocommit(handle_) == 0) (void)run("ROLLBACK");
    return done;
}

void Database::checkpoint(std::chrono::milliseconds rest) {
    int pages = 0, copied = 0;
    // A short one costs a start next to nothing. (Where there is no such file, SQLite is asked.)
    struct stat wal {};
    const bool known = ::stat((path_ + "-wal").c_str(), &wal) == 0;
    if (known && wal.st_size < kCheckpointAbovePages * 4096) return;
    // Whoever commits now would wait until all of it is copied.
    const bool may_wait = !known || wal.st_size < kWalBytesWaiting;
    if (may_wait && std::chrono::steady_clock::now() - last_commit_ < rest) return;
    (void)sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_PASSIVE, &pages, &copied);
}

}  // namespace sluice::cp
