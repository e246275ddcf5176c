#include "controlplane/publish/last_good_writer.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <thread>

#include <sluice/abi/last_good.hpp>

#include "tests/unit/controlplane/store/power_cut_disk.hpp"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;

/// Safe for the writer's thread and the test's.
class Disk final : public FileOps {
    template <typename Call>
    auto locked(Call call) {
        const std::lock_guard lock{mutex_};
        return call();
    }
    std::mutex mutex_;

public:
    test::PowerCutDisk disk;
    std::atomic<bool> full{false};
    std::atomic<int> written{0};

    Expected<int, Errno> create(const std::string& p, Readers r) override {
        return locked([&] { return disk.create(p, r); });
    }
    Expected<int, Errno> open_end(const std::string& p) override {
        return locked([&] { return disk.open_end(p); });
    }
    Expected<std::size_t, Errno> write(int h, std::span<const std::byte> b) override {
        if (full) return Unexpected<Errno>(ENOSPC);
        return locked([&] { return disk.write(h, b); });
    }
    Expected<void, Errno> fsync(int h) override {
        return locked([&] { return disk.fsync(h); });
    }
    void close(int h) override {
        locked([&] { return disk.close(h), 0; });
    }
    Expected<void, Errno> truncate(const std::string& p, std::uint64_t n) override {
        return locked([&] { return disk.truncate(p, n); });
    }
    Expected<void, Errno> rename(const std::string& a, const std::string& b) override {
        ++written;
        return locked([&] { return disk.rename(a, b); });
    }
    Expected<void, Errno> unlink(const std::string& p) override {
        return locked([&] { return disk.unlink(p); });
    }
    Expected<void, Errno> fsync_dir(const std::string& p) override {
        return locked([&] { return disk.fsync_dir(p); });
    }
    Expected<void, Errno> make_dir(const std::string& p, Readers r) override {
        return locked([&] { return disk.make_dir(p, r); });
    }
    Expected<std::string, Errno> read(const std::string& p, std::size_t n) override {
        return locked([&] { return disk.read(p, n); });
    }
    Expected<std::vector<std::string>, Errno> list(const std::string& p) override {
        return locked([&] { return disk.list(p); });
    }
};

/// Tables of no use, told apart by their number.
struct Tables {
    abi::Manifest manifest{};
    std::array<std::byte, 64> section{};
};

KeptGeneration generation(std::uint64_t number) {
    auto tables = std::make_shared<Tables>();
    tables->manifest.generation = number;
    KeptGeneration kept{{&tables->manifest, {}}, tables};
    kept.bytes.sections.fill(tables->section);
    return kept;
}

std::uint64_t on_disk(Disk& disk) {
    const auto file = disk.read(std::string{"/lg/"} + abi::kLastGoodName, 1U << 20);
    abi::Manifest manifest;
    if (!file || file->size() <= sizeof(abi::LastGoodHeader) + sizeof manifest) return 0;
    std::memcpy(&manifest, file->data() + sizeof(abi::LastGoodHeader), sizeof manifest);
    return manifest.generation;
}

template <typename Condition>
bool soon(Condition condition) {
    for (const auto end = std::chrono::steady_clock::now() + 20s; !condition(); std::this_thread::sleep_for(1ms)) {
        if (std::chrono::steady_clock::now() > end) return false;
    }
    return true;
}

TEST(LastGoodWriter, TheFirstIsWrittenAtOnce) {
    Disk disk;
    LastGoodWriter writer{disk, "/lg", 1h};
    writer.start();
    writer.write(generation(1));
    EXPECT_TRUE(soon([&] { return on_disk(disk) == 1; }));
}

TEST(LastGoodWriter, OfManyInARowOnlyTheNewestIsWritten) {
    Disk disk;
    LastGoodWriter writer{disk, "/lg", 1h};
    writer.start();
    writer.write(generation(1));
    ASSERT_TRUE(soon([&] { return disk.written == 1; }));
    // Long enough for a writer without a pace to have written.
    std::uint64_t newest = 1;
    for (const auto end = std::chrono::steady_clock::now() + 50ms; std::chrono::steady_clock::now() < end;)
        writer.write(generation(++newest));
    EXPECT_EQ(on_disk(disk), 1U) << "the pace was not kept";
    writer.stop();
    EXPECT_EQ(on_disk(disk), newest) << "what was due was left behind";
    EXPECT_EQ(disk.written, 2);
}

TEST(LastGoodWriter, AFullDiskIsToldAndTriedAgain) {
    Disk disk;
    LastGoodWriter writer{disk, "/lg", 1ms};
    writer.start();
    writer.write(generation(1));
    ASSERT_TRUE(soon([&] { return on_disk(disk) == 1; }));
    disk.full = true;
    writer.write(generation(2));
    ASSERT_TRUE(soon([&] { return !writer.trouble().empty(); }));
    EXPECT_NE(writer.trouble().find("No space left"), std::string::npos) << writer.trouble();
    EXPECT_EQ(on_disk(disk), 1U);
    disk.full = false;
    EXPECT_TRUE(soon([&] { return on_disk(disk) == 2 && writer.trouble().empty(); }));
}

TEST(LastGoodWriter, ANewerOneStandsForOneThatFailed) {
    Disk disk;
    disk.full = true;
    LastGoodWriter writer{disk, "/lg", 1ms};
    writer.start();
    writer.write(generation(1));
    ASSERT_TRUE(soon([&] { return !writer.trouble().empty(); }));
    writer.write(generation(2));
    disk.full = false;
    EXPECT_TRUE(soon([&] { return on_disk(disk) == 2; }));
    writer.stop();
    EXPECT_EQ(on_disk(disk), 2U);
}

TEST(LastGoodWriter, BuffersAreGivenBack) {
    Disk disk;
    LastGoodWriter writer{disk, "/lg", 1h};
    auto kept = generation(1);
    const std::weak_ptr<const void> buffers = kept.keeps;
    writer.start();
    writer.write(std::move(kept));
    EXPECT_TRUE(soon([&] { return buffers.expired(); }));
}

TEST(LastGoodWriter, WithoutADirectoryNothingIsWritten) {
    Disk disk;
    LastGoodWriter writer{disk, "", 1ms};
    writer.start();
    writer.write(generation(1));
    writer.stop();
    EXPECT_EQ(disk.written, 0);
}

}  // namespace
}  // namespace sluice::cp
