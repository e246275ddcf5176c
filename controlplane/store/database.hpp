/// An SQLite database as this program uses one: in one file, one connection, for one process alone.
///
/// Theory of operation. WAL with synchronous=FULL: a transaction is in force when its frames and its commit mark have
/// been synced, and a power cut leaves it whole or not at all. The file is locked for as long as it is open, so a
/// second control plane on the same directory is refused at once, and the index of the WAL lives in memory: a start
/// needs no room on the disk. What is in the WAL is copied into the file by `checkpoint`, which the caller runs now and
/// then; it does nothing while commits follow each other, so that nobody waits for it, until the WAL is long. A commit
/// never does it.
///
/// Thread-safe by `lock()`: whoever runs statements holds it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <variant>

#include <sluice/expected.hpp>

#include "controlplane/store/durable_file.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace sluice::cp {

/// A value for a `?` of a statement. Text is copied by nobody: it must live until `run` returns.
struct Blob {
    std::string_view bytes;
};
using SqlValue = std::variant<std::monostate, std::int64_t, std::string_view, Blob>;

/// A row of an answer; valid only while the callback runs.
class SqlRow {
public:
    explicit SqlRow(sqlite3_stmt* statement) noexcept : statement_{statement} {}
    std::int64_t integer(int column) const noexcept;
    std::string text(int column) const;  ///< of a blob too
    bool is_null(int column) const noexcept;

private:
    sqlite3_stmt* statement_;
};

/// While there are commits, the WAL may grow up to here before it is copied.
inline constexpr std::int64_t kWalBytesWaiting = 64 << 20;

class Database {
public:
    using Lock = std::unique_lock<std::mutex>;
    using Outcome = Expected<void, FileError>;

    /// Opens or makes it, with mode 0600. `vfs`: a name that sqlite3_vfs_register knows, null = the kernel's files.
    /// FileError::damaged tells a file that is no database (any more).
    static Expected<std::unique_ptr<Database>, FileError> open(std::string path, const char* vfs = nullptr);
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    [[nodiscard]] Lock lock() { return Lock{mutex_}; }

    /// One statement to its end. Errors name the file and say what SQLite says, but for the values.
    Outcome run(std::string_view sql, std::initializer_list<SqlValue> values = {},
                const std::function<void(const SqlRow&)>& on_row = {});
    /// All of `body`'s statements or, if it fails, none of them.
    Outcome transaction(const std::function<Outcome()>& body);
    /// Copies what the WAL holds into the file, when it has grown beyond a few pages and no transaction has been
    /// committed for so long; beyond kWalBytesWaiting at once.
    void checkpoint(std::chrono::milliseconds rest = std::chrono::milliseconds{700});

    const std::string& path() const noexcept { return path_; }

private:
    Database(std::string path, sqlite3* handle) : path_{std::move(path)}, handle_{handle} {}
    FileError error(std::string_view action) const;
    Outcome configure();

    std::string path_;
    sqlite3* handle_;
    std::chrono::steady_clock::time_point last_commit_{};
    std::mutex mutex_;
};

}  // namespace sluice::cp
