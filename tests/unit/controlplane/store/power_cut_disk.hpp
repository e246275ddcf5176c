/// A disk in memory that can lose its power after any system call, and forgets what was not synced, the way a kernel is
/// allowed to: data of a file survives up to any byte until fsync; changes of a directory survive up to any point of
/// their order until the directory's fsync. It can also be small, so that it runs full.
#pragma once

#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "controlplane/store/file_ops.hpp"

namespace sluice::test {

class PowerCutDisk : public cp::FileOps {
public:
    /// Calls that change something, until the power goes; -1 = never.
    std::int64_t calls_until_cut{-1};
    std::size_t calls{};
    std::size_t bytes_max{static_cast<std::size_t>(-1)};

    bool cut() const noexcept { return calls_until_cut == 0; }

    /// What is found after the power is back: the durable state plus any prefix of what was not synced.
    void power_on(std::mt19937_64& random) {
        for (auto& [dir, changes] : unsynced_) {
            const auto keep = random() % (changes.size() + 1);
            for (std::size_t i = 0; i < keep; ++i) apply(durable_, changes[i]);
            changes.clear();
        }
        for (auto& [path, file] : durable_) {
            // A prefix of the unsynced data: the blocks that were written back in time.
            if (file->data.size() > file->synced_bytes) {
                file->data.resize(file->synced_bytes + random() % (file->data.size() - file->synced_bytes + 1));
            }
            file->synced_bytes = file->data.size();
        }
        live_ = durable_;
        open_.clear();
        calls_until_cut = -1;
    }

    Expected<int, Errno> create(const std::string& path, cp::Readers) override {
        if (const int why = step()) return Unexpected<Errno>(why);
        // A new inode each time; O_TRUNC of an old one behaves no better.
        change(Change{Change::link, path, {}, std::make_shared<File>()});
        open_[++last_handle_] = live_.at(path);
        return last_handle_;
    }
    Expected<int, Errno> open_end(const std::string& path) override {
        if (const int why = step()) return Unexpected<Errno>(why);
        if (!live_.contains(path)) return Unexpected<Errno>(ENOENT);
        open_[++last_handle_] = live_.at(path);
        return last_handle_;
    }
    Expected<std::size_t, Errno> write(int handle, std::span<const std::byte> bytes) override {
        if (const int why = step()) return Unexpected<Errno>(why);
        // Short writes are legal: at most 7 bytes at a time at every third call.
        auto count = calls % 3 == 0 ? std::min<std::size_t>(bytes.size(), 7) : bytes.size();
        const auto used = used_bytes();
        if (used >= bytes_max) return Unexpected<Errno>(ENOSPC);
        count = std::min(count, bytes_max - used);
        open_.at(handle)->data.append(reinterpret_cast<const char*>(bytes.data()), count);
        return count;
    }
    Expected<void, Errno> fsync(int handle) override {
        if (const int why = step()) return Unexpected<Errno>(why);
        open_.at(handle)->synced_bytes = open_.at(handle)->data.size();
        return {};
    }
    void close(int handle) override { open_.erase(handle); }
    Expected<void, Errno> truncate(const std::string& path, std::uint64_t bytes) override {
        if (const int why = step()) return Unexpected<Errno>(why);
        if (!live_.contains(path)) return Unexpected<Errno>(ENOENT);
        auto& file = *live_.at(path);
        file.data.resize(static_cast<std::size_t>(bytes));
        file.synced_bytes = std::min(file.synced_bytes, file.data.size());
        return {};
    }
    Expected<void, Errno> rename(const std::string& from, const std::string& to) override {
        if (const int why = step()) return Unexpected<Errno>(why);
        if (!live_.contains(from)) return Unexpected<Errno>(ENOENT);
        change(Change{Change::move, to, from, live_.at(from)});
        return {};
    }
    Expected<void, Errno> unlink(const std::string& path) override {
        if (const int why = step()) return Unexpected<Errno>(why);
        if (!live_.contains(path)) return Unexpected<Errno>(ENOENT);
        change(Change{Change::remove, path, {}, {}});
        return {};
    }
    Expected<void, Errno> fsync_dir(const std::string& path) override {
        if (const int why = step()) return Unexpected<Errno>(why);
        for (const auto& c : unsynced_[path]) apply(durable_, c);
        unsynced_[path].clear();
        return {};
    }
    Expected<void, Errno> make_dir(const std::string&, cp::Readers) override { return {}; }
    Expected<std::string, Errno> read(const std::string& path, std::size_t) override {
        const auto found = live_.find(path);
        if (found == live_.end()) return Unexpected<Errno>(ENOENT);
        return found->second->data;
    }
    Expected<std::vector<std::string>, Errno> list(const std::string& dir) override {
        std::vector<std::string> names;
        for (const auto& [path, file] : live_) {
            if (dir_of(path) == dir) names.push_back(path.substr(dir.size() + 1));
        }
        return names;
    }

private:
    struct File {
        std::string data;
        std::size_t synced_bytes{};
    };
    using Names = std::map<std::string, std::shared_ptr<File>>;
    struct Change {
        enum Kind { link, move, remove } kind;
        std::string path, from;
        std::shared_ptr<File> file;
    };

    static std::string dir_of(const std::string& path) { return path.substr(0, path.rfind('/')); }
    static void apply(Names& names, const Change& c) {
        if (c.kind == Change::move) names.erase(c.from);
        if (c.kind == Change::remove) {
            names.erase(c.path);
        } else {
            names[c.path] = c.file;
        }
    }
    void change(Change c) {
        apply(live_, c);
        unsynced_[dir_of(c.path)].push_back(std::move(c));
    }
    int step() {
        if (calls_until_cut == 0) return EIO;
        ++calls;
        if (calls_until_cut > 0) --calls_until_cut;
        return 0;
    }
    std::size_t used_bytes() const {
        std::size_t sum = 0;
        for (const auto& [path, file] : live_) sum += file->data.size();
        return sum;
    }

    Names live_, durable_;
    std::map<std::string, std::vector<Change>> unsynced_;
    std::map<int, std::shared_ptr<File>> open_;
    int last_handle_{};
};

}  // namespace sluice::test
