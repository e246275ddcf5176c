/// SQLite's files on a disk in memory that can lose its power after any call that changes something, and forgets what
/// was not synced, the way a kernel is allowed to: every write since the last fsync of its file survives or not on its
/// own, whatever their order, and a write may survive in part, by sectors of 512 bytes. New names and removals survive
/// when the directory was synced. It can also be small, so that it runs full, and an fsync
/// can fail without a cut. One object is one disk, registered under a name of its own. Safe for several threads.
#pragma once

#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace sluice::test {

class PowerCutVfs {
public:
    PowerCutVfs() : name_{"power-cut-" + std::to_string(counter()++)} {
        vfs_.iVersion = 1;
        vfs_.szOsFile = sizeof(Handle);
        vfs_.mxPathname = 512;
        vfs_.zName = name_.c_str();
        vfs_.pAppData = this;
        vfs_.xOpen = &open;
        vfs_.xDelete = &remove;
        vfs_.xAccess = &access;
        vfs_.xFullPathname = [](sqlite3_vfs*, const char* path, int size, char* out) {
            return sqlite3_snprintf(size, out, "%s", path) == nullptr ? SQLITE_ERROR : SQLITE_OK;
        };
        vfs_.xRandomness = [](sqlite3_vfs* vfs, int size, char* out) {
            for (int i = 0; i < size; ++i) out[i] = static_cast<char>(self(vfs).salts_());  // one run is like another
            return size;
        };
        vfs_.xSleep = [](sqlite3_vfs*, int us) { return us; };
        vfs_.xCurrentTime = [](sqlite3_vfs*, double* out) {
            *out = 2460000.5;
            return SQLITE_OK;
        };
        vfs_.xGetLastError = [](sqlite3_vfs*, int, char*) { return 0; };
        sqlite3_vfs_register(&vfs_, 0);
    }
    ~PowerCutVfs() { sqlite3_vfs_unregister(&vfs_); }
    PowerCutVfs(const PowerCutVfs&) = delete;
    PowerCutVfs& operator=(const PowerCutVfs&) = delete;

    const char* name() const noexcept { return name_.c_str(); }

    std::atomic<std::int64_t> calls_until_cut{-1};      ///< calls that change something, until the power goes
    std::atomic<std::int64_t> syncs_until_failure{-1};  ///< that one fsync, and no other, says EIO
    std::atomic<std::size_t> bytes_max{static_cast<std::size_t>(-1)};
    std::atomic<std::uint64_t> syncs{};

    bool cut() const noexcept { return calls_until_cut == 0; }

    std::size_t used_bytes() {
        const std::lock_guard lock{mutex_};
        return used();
    }

    /// What is found after the power is back.
    void power_on(std::mt19937_64& random) {
        const std::lock_guard lock{mutex_};
        Names found;
        for (const auto& [path, file] : durable_) {
            auto data = file->synced;
            for (const auto& change : file->unsynced) {
                if (random() % 2 == 0) continue;
                apply_in_part(data, change, random);
            }
            found[path] = std::make_shared<File>(File{data, data, {}});
        }
        live_ = durable_ = found;
        calls_until_cut = -1;
    }

private:
    struct Change {
        std::int64_t offset;  ///< -1: the file is cut to `size`
        std::string bytes;
        std::size_t size;
    };
    struct File {
        std::string live, synced;
        std::vector<Change> unsynced;
    };
    using Names = std::map<std::string, std::shared_ptr<File>>;
    struct Handle {
        sqlite3_file base;
        PowerCutVfs* disk;
        std::shared_ptr<File>* file;
        bool dir_due;  ///< new WAL or journal: its first fsync is the directory's too, as in SQLite's own VFS
    };

    static int& counter() {
        static int count = 0;
        return count;
    }
    static PowerCutVfs& self(sqlite3_vfs* vfs) { return *static_cast<PowerCutVfs*>(vfs->pAppData); }
    static Handle& of(sqlite3_file* file) { return *reinterpret_cast<Handle*>(file); }

    static void apply(std::string& data, const Change& change) {
        if (change.offset < 0) {
            data.resize(change.size);
            return;
        }
        const auto end = static_cast<std::size_t>(change.offset) + change.bytes.size();
        if (data.size() < end) data.resize(end);
        data.replace(static_cast<std::size_t>(change.offset), change.bytes.size(), change.bytes);
    }
    static void apply_in_part(std::string& data, const Change& change, std::mt19937_64& random) {
        constexpr std::size_t kSector = 512;
        if (change.offset < 0 || change.bytes.size() <= kSector || random() % 4 != 0) return apply(data, change);
        for (std::size_t at = 0; at < change.bytes.size(); at += kSector) {
            if (random() % 2 == 0) continue;
            apply(data, {change.offset + static_cast<std::int64_t>(at), change.bytes.substr(at, kSector), 0});
        }
    }
    /// True: the power is gone.
    bool step() {
        if (calls_until_cut == 0) return true;
        if (calls_until_cut > 0) --calls_until_cut;
        return false;
    }
    std::size_t used() const {
        std::size_t sum = 0;
        for (const auto& [path, file] : live_) sum += file->live.size();
        return sum;
    }

    static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* flags_out) {
        auto& disk = self(vfs);
        const std::lock_guard lock{disk.mutex_};
        auto& handle = of(file);
        handle.base.pMethods = nullptr;
        const std::string name = path == nullptr ? "temporary" : path;
        const bool created = !disk.live_.contains(name);
        if (created) {
            if ((flags & SQLITE_OPEN_CREATE) == 0) return SQLITE_CANTOPEN;
            if (disk.step()) return SQLITE_IOERR;
            disk.live_[name] = std::make_shared<File>();
        }
        handle.disk = &disk;
        handle.file = new std::shared_ptr<File>{disk.live_.at(name)};
        handle.dir_due = created && (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0;
        handle.base.pMethods = &methods();
        if (flags_out != nullptr) *flags_out = flags;
        return SQLITE_OK;
    }
    static int remove(sqlite3_vfs* vfs, const char* path, int sync_dir) {
        auto& disk = self(vfs);
        const std::lock_guard lock{disk.mutex_};
        if (disk.step()) return SQLITE_IOERR_DELETE;
        disk.live_.erase(path);
        if (sync_dir != 0) disk.durable_.erase(path);
        return SQLITE_OK;
    }
    static int access(sqlite3_vfs* vfs, const char* path, int, int* out) {
        auto& disk = self(vfs);
        const std::lock_guard lock{disk.mutex_};
        *out = disk.live_.contains(path) ? 1 : 0;
        return SQLITE_OK;
    }
    static int read(sqlite3_file* file, void* out, int count, sqlite3_int64 offset) {
        auto& handle = of(file);
        const std::lock_guard lock{handle.disk->mutex_};
        const auto& data = (*handle.file)->live;
        const auto start = std::min(static_cast<std::size_t>(offset), data.size());
        const auto got = std::min(static_cast<std::size_t>(count), data.size() - start);
        std::memcpy(out, data.data() + start, got);
        std::memset(static_cast<char*>(out) + got, 0, static_cast<std::size_t>(count) - got);
        return got == static_cast<std::size_t>(count) ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
    }
    static int write(sqlite3_file* file, const void* bytes, int count, sqlite3_int64 offset) {
        auto& handle = of(file);
        auto& disk = *handle.disk;
        const std::lock_guard lock{disk.mutex_};
        if (disk.step()) return SQLITE_IOERR_WRITE;
        auto& target = **handle.file;
        const auto end = static_cast<std::size_t>(offset) + static_cast<std::size_t>(count);
        // A disk that holds more than it may takes nothing at all, not even in the place of what is there.
        const auto grown = end > target.live.size() ? end - target.live.size() : 0;
        const auto used = disk.used();
        if (used > disk.bytes_max || (grown > 0 && used + grown > disk.bytes_max)) return SQLITE_FULL;
        const Change change{offset, std::string{static_cast<const char*>(bytes), static_cast<std::size_t>(count)}, 0};
        apply(target.live, change);
        target.unsynced.push_back(change);
        return SQLITE_OK;
    }
    static int truncate(sqlite3_file* file, sqlite3_int64 size) {
        auto& handle = of(file);
        const std::lock_guard lock{handle.disk->mutex_};
        if (handle.disk->step()) return SQLITE_IOERR_TRUNCATE;
        const Change change{-1, {}, static_cast<std::size_t>(size)};
        apply((*handle.file)->live, change);
        (*handle.file)->unsynced.push_back(change);
        return SQLITE_OK;
    }
    static int sync(sqlite3_file* file, int) {
        auto& handle = of(file);
        auto& disk = *handle.disk;
        const std::lock_guard lock{disk.mutex_};
        if (disk.step()) return SQLITE_IOERR_FSYNC;
        ++disk.syncs;
        if (disk.syncs_until_failure >= 0 && disk.syncs_until_failure-- == 0) {
            // What the kernel does then: the pages are clean, and what they held may be gone.
            (*handle.file)->unsynced.clear();
            return SQLITE_IOERR_FSYNC;
        }
        for (const auto& change : (*handle.file)->unsynced) apply((*handle.file)->synced, change);
        (*handle.file)->unsynced.clear();
        if (std::exchange(handle.dir_due, false)) disk.durable_ = disk.live_;
        return SQLITE_OK;
    }
    static int close(sqlite3_file* file) {
        delete of(file).file;
        return SQLITE_OK;
    }
    static int size(sqlite3_file* file, sqlite3_int64* out) {
        auto& handle = of(file);
        const std::lock_guard lock{handle.disk->mutex_};
        *out = static_cast<sqlite3_int64>((*handle.file)->live.size());
        return SQLITE_OK;
    }
    static const sqlite3_io_methods& methods() {
        static const sqlite3_io_methods methods = [] {
            sqlite3_io_methods m{};
            m.iVersion = 1;  // no shared memory: the database must be opened by one process alone
            m.xClose = &close;
            m.xRead = &read;
            m.xWrite = &write;
            m.xTruncate = &truncate;
            m.xSync = &sync;
            m.xFileSize = &size;
            m.xLock = [](sqlite3_file*, int) { return SQLITE_OK; };
            m.xUnlock = [](sqlite3_file*, int) { return SQLITE_OK; };
            m.xCheckReservedLock = [](sqlite3_file*, int* out) {
                *out = 0;
                return SQLITE_OK;
            };
            m.xFileControl = [](sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; };
            m.xSectorSize = [](sqlite3_file*) { return 4096; };
            // As the kernel's: bytes beside those that are written are safe.
            m.xDeviceCharacteristics = [](sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; };
            return m;
        }();
        return methods;
    }

    std::string name_;
    sqlite3_vfs vfs_{};
    std::mt19937_64 salts_{1};
    std::mutex mutex_;
    Names live_, durable_;
};

}  // namespace sluice::test
