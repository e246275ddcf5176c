#include "controlplane/records/record_store.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <set>

#include "controlplane/telemetry/telemetry.hpp"
#include "tests/harness/seed.hpp"
#include "tests/unit/controlplane/publish/test_dataplane.hpp"
#include "tests/unit/controlplane/records/record_rig.hpp"
#include "tests/unit/controlplane/store/kernel_files.hpp"

namespace sluice::cp {
namespace {

using namespace test;
using namespace std::chrono_literals;
using sluice::test::TestTelemetry;

constexpr auto kHangLimit = 60s;

template <typename Condition>
bool soon(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + kHangLimit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

/// The kernel's files, with faults on demand, and with a note of what a power cut would leave.
class FaultyFiles final : public KernelFiles {
public:
    std::atomic<bool> full{false};
    std::atomic<bool> sync_fails{false};

    Expected<int, Errno> create(const std::string& p, Readers r) override {
        auto made = KernelFiles::create(p, r);
        const std::lock_guard lock{mutex_};
        if (made) open_[*made] = {p, 0};
        return made;
    }
    Expected<std::size_t, Errno> write(int h, std::span<const std::byte> b) override {
        // The last bytes still go in.
        if (full) b = b.first(std::min<std::size_t>(b.size(), left_ > 0 ? 100 : 0));
        if (full && left_-- <= 0) return Unexpected<Errno>(ENOSPC);
        auto taken = KernelFiles::write(h, b);
        const std::lock_guard lock{mutex_};
        if (taken) open_[h].second += *taken;
        return taken;
    }
    Expected<void, Errno> fsync(int h) override {
        if (sync_fails) return Unexpected<Errno>(EIO);
        auto synced = KernelFiles::fsync(h);
        const std::lock_guard lock{mutex_};
        if (synced) durable_[open_[h].first] = open_[h].second;
        return synced;
    }

    /// Bytes by path that a power cut at this moment can't take.
    std::map<std::string, std::uint64_t> durable() const {
        const std::lock_guard lock{mutex_};
        return durable_;
    }

private:
    std::atomic<int> left_{1};
    mutable std::mutex mutex_;
    std::map<int, std::pair<std::string, std::uint64_t>> open_;
    std::map<std::string, std::uint64_t> durable_;
};

class RecordStoreTest : public testing::Test {
protected:
    void SetUp() override { random.seed(sluice::test::seed_of_this_run()); }
    testing::ScopedTrace trace{__FILE__, __LINE__, sluice::test::seed_line()};

    RecordStoreConfig config() const { return {.dir = dir.path, .bytes_max = 1ULL << 30, .age_max = 24h * 36500}; }
    std::vector<std::string> all(const RecordStore& store) {
        std::vector<std::string> out;
        auto reader = store.read({});
        while (const FlowRecord* record = reader.next()) out.push_back(told(*record));
        EXPECT_EQ(reader.report().damaged_blocks, 0U);
        return out;
    }

    std::mt19937_64 random;
    TempDir dir;
    FaultyFiles files;
};

TEST_F(RecordStoreTest, KeepsAllInOrderOfTimeAndOverARestart) {
    std::vector<std::string> wanted;
    std::uint64_t sequence = 1;
    for (int life = 0; life < 3; ++life) {
        RecordStore store{config(), files};
        EXPECT_EQ(store.next_of(1).empty(), life == 0);
        store.start();
        for (int b = 0; b < 50; ++b) {
            const auto batch = some_batch(random, sequence, 1 + random() % 400);
            sequence += batch->events.size();
            for (const auto& event : batch->events) wanted.push_back(expected(event, *batch));
            // As drained: one worker's ring behind the other's.
            std::ranges::stable_sort(batch->events, {}, &RingEvent::worker);
            store.submit(batch);
        }
        ASSERT_TRUE(soon([&] { return all(store).size() == wanted.size(); }));
        EXPECT_EQ(all(store), wanted);
        store.stop();
        EXPECT_EQ(all(store), wanted);
        EXPECT_EQ(store.stats().trouble, "");
    }
    const RecordStore again{config(), files};
    EXPECT_EQ(again.stats().segments, 3U);
    EXPECT_EQ(again.stats().torn_bytes, 0U);
    EXPECT_EQ(again.next_of(2), std::vector<std::uint64_t>{});
    const auto next = again.next_of(1);
    EXPECT_EQ(*std::ranges::max_element(next), sequence);
}

TEST_F(RecordStoreTest, WhatIsWrittenCanBeReadWithinAMomentAndWithoutAStop) {
    RecordStore store{config(), files};
    store.start();
    const auto batch = some_batch(random, 1, 3);
    store.submit(batch);
    EXPECT_TRUE(soon([&] { return all(store).size() == 3; }));
    EXPECT_EQ(store.stats().oldest_ns, batch->clock.utc_ns(batch->events[0].time));
}

TEST_F(RecordStoreTest, A6_AFullDiskLosesAndCountsAndGoesOn) {
    auto owned = std::make_unique<RecordStore>(config(), files);
    RecordStore& store = *owned;
    store.start();
    std::uint64_t sequence = 1, submitted = 0;
    const auto submit = [&] {
        const auto batch = some_batch(random, sequence, 100);
        sequence += 100;
        submitted += 100;
        store.submit(batch);
    };
    submit();
    ASSERT_TRUE(soon([&] { return store.stats().written == 100; }));
    files.full = true;
    submit();
    ASSERT_TRUE(soon([&] { return store.stats().lost_disk == 100; }));
    EXPECT_NE(store.stats().trouble.find("cannot write " + dir.path), std::string::npos) << store.stats().trouble;
    EXPECT_EQ(all(store).size(), 100U) << "what was written before can still be read";
    files.full = false;
    ASSERT_TRUE(soon([&] {
        submit();
        std::this_thread::sleep_for(20ms);
        return store.stats().written > 100;
    }));
    store.stop();
    const auto stats = store.stats();
    EXPECT_EQ(stats.written + stats.lost_disk, submitted);
    EXPECT_EQ(stats.trouble, "");
    EXPECT_EQ(all(store).size(), stats.written);
    owned.reset();
    const RecordStore again{config(), files};
    EXPECT_EQ(all(again).size(), stats.written);
    EXPECT_EQ(again.stats().torn_bytes, 0U) << "the part of a block that the disk took was cut off";
}

TEST_F(RecordStoreTest, AFailingSyncIsCountedAndNotTakenBack) {
    RecordStore store{config(), files};
    store.start();
    files.sync_fails = true;
    store.submit(some_batch(random, 1, 40));
    ASSERT_TRUE(soon([&] { return store.stats().lost_sync == 40; }));
    EXPECT_NE(store.stats().trouble.find("cannot sync"), std::string::npos);
    files.sync_fails = false;
    ASSERT_TRUE(soon([&] {
        store.submit(some_batch(random, 100, 1));
        std::this_thread::sleep_for(20ms);
        return store.stats().written > 40;
    }));
    store.stop();
    EXPECT_EQ(store.stats().lost_sync, 40U);
    EXPECT_GE(store.stats().segments, 2U);
}

TEST_F(RecordStoreTest, ADirectoryOfSomebodyElseIsWaitedFor) {
    auto other = std::make_unique<RecordStore>(config(), files);
    RecordStore store{config(), files};
    EXPECT_NE(store.stats().trouble.find("another process writes to"), std::string::npos);
    store.start();
    store.submit(some_batch(random, 1, 5));
    ASSERT_TRUE(soon([&] { return store.stats().lost_disk == 5; }));
    other.reset();
    EXPECT_TRUE(soon([&] {
        store.submit(some_batch(random, 1, 1));
        std::this_thread::sleep_for(20ms);
        return store.stats().written > 0 && store.stats().trouble.empty();
    }));
}

TEST_F(RecordStoreTest, WhatTheDiskIsTooSlowForIsCountedAndNobodyWaits) {
    RecordStore store{config(), files};  // not started: the slowest disk
    auto batch = some_batch(random, 1, 100'000);
    for (int i = 0; i < 7; ++i) store.submit(batch);
    EXPECT_EQ(store.stats().lost_queue, 200'000U);
}

TEST_F(RecordStoreTest, SizeIsBoundAndTheOldestGo) {
    auto small = config();
    small.bytes_max = 16ULL << 20;
    RecordStore store{small, files};
    store.start();
    std::uint64_t sequence = 1;
    for (int b = 0; b < 60; ++b) {
        const auto batch = some_batch(random, sequence, 10'000);
        sequence += 10'000;
        store.submit(batch);
        ASSERT_TRUE(soon([&] { return store.stats().written + 10'000 >= sequence - 1; }));
        std::uint64_t on_disk = 0;
        for (const auto& entry : std::filesystem::directory_iterator{dir.path}) {
            std::error_code gone;
            const auto bytes = entry.file_size(gone);
            if (!gone) on_disk += bytes;
        }
        ASSERT_LE(on_disk, small.bytes_max + kBlockBytesMax);
    }
    store.stop();
    const auto stats = store.stats();
    EXPECT_GT(stats.removed_by_size, 0U);
    EXPECT_LE(stats.bytes, small.bytes_max);
    EXPECT_GT(stats.bytes, small.bytes_max / 2) << "more went than had to";
    auto reader = store.read({});
    std::uint64_t last = 0;
    while (const FlowRecord* record = reader.next()) {
        if (last != 0) {
            ASSERT_EQ(record->number, last + 1);
        }
        last = record->number;
    }
    EXPECT_EQ(last, sequence - 1);
}

TEST_F(RecordStoreTest, WhatIsTooOldGoes) {
    auto brief = config();
    brief.age_max = 1h;
    {
        RecordStore store{brief, files};
        store.start();
        auto old = some_batch(random, 1, 10);
        old->clock = UtcClock{UtcClock{}.utc_ns(abi::MonoTime::now()) - 7'200'000'000'000, {1'000'000'000}};
        store.submit(old);
    }
    ASSERT_EQ(RecordStore(brief, files).stats().segments, 1U) << "the newest segment stays";
    {
        RecordStore store{brief, files};
        store.start();
        auto fresh = some_batch(random, 11, 10);
        fresh->clock = UtcClock{};
        for (auto& event : fresh->events) event.time = abi::MonoTime::now();
        store.submit(fresh);
        EXPECT_TRUE(soon([&] { return store.stats().removed_by_age == 1; }));
        EXPECT_EQ(all(store).size(), 10U);
    }
}

// A process whose files may not grow beyond a bound: the block that does not fit is lost and counted, none is torn.
TEST_F(RecordStoreTest, A6_ABoundOnFilesIsADiskThatIsFullAgainAndAgain) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{1 << 20, 1 << 20};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        RecordStore store{config()};
        store.start();
        std::uint64_t sequence = 1;
        for (int b = 0; b < 20; ++b) {
            store.submit(some_batch(random, sequence, 10'000));
            sequence += 10'000;
            std::this_thread::sleep_for(100ms);
        }
        store.stop();
        const auto stats = store.stats();
        const bool good = stats.lost_disk > 0 && stats.written > 0 && stats.written + stats.lost_disk == 200'000 &&
                          all(store).size() == stats.written;
        ::_exit(good ? 0 : 1);
    }
    int status{};
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

// Of what was there a second before the power went, nothing is missing.
TEST_F(RecordStoreTest, APowerCutCostsNoMoreThanTheLastSecond) {
    RecordStore store{config(), files};
    store.start();
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> submitted{0};
    std::thread source{[&] {
        std::uint64_t sequence = 1;
        std::mt19937_64 dice{sluice::test::seed_of_this_run()};
        while (!stop) {
            auto batch = some_batch(dice, sequence, 50);
            batch->clock = UtcClock{};
            for (auto& event : batch->events) event.time = abi::MonoTime::now();
            sequence += 50;
            store.submit(batch);
            submitted = sequence - 1;
            std::this_thread::sleep_for(5ms);
        }
    }};
    // A second by contract; the rest is what a busy machine may keep a thread waiting.
    constexpr auto kBound = 3s;
    double worst_s = 0;
    for (int cut = 0; cut < 8; ++cut) {
        std::this_thread::sleep_for(std::chrono::milliseconds{300 + random() % 500});
        const auto first = UtcClock{}.utc_ns(abi::MonoTime::now());
        const auto durable = files.durable();
        TempDir after;
        for (const auto& [path, bytes] : durable) {
            put_bytes(after.path + path.substr(path.rfind('/')), bytes_of(path).substr(0, bytes));
        }
        RecordReader reader{segments_in(after.path), {}};
        std::uint64_t count = 0;
        std::int64_t newest = 0;
        while (const FlowRecord* record = reader.next()) {
            ASSERT_EQ(record->number, ++count);
            newest = record->time_ns;
        }
        if (cut < 2) continue;  // there may be nothing yet that a second has passed over
        worst_s = std::max(worst_s, static_cast<double>(first - newest) / 1e9);
    }
    stop = true;
    source.join();
    std::printf("figure power cut: the newest record that is safe was at most %.3f s old\n", worst_s);
    EXPECT_LT(worst_s, std::chrono::duration<double>{kBound}.count());
}

// The control plane is killed again and again while a dataplane writes events: with the rings as long as its pauses, no
// event is missing and none is there twice.
TEST_F(RecordStoreTest, A1_KillsLoseNothingThatTheRingsStillHold) {
    constexpr std::uint32_t kWorkers = 2;
    TestTelemetry rings{77, kWorkers, 2, 64, 1U << 16};
    std::uint32_t emitted = 0;
    const auto emit_until = [&](std::chrono::steady_clock::time_point end) {
        while (std::chrono::steady_clock::now() < end) {
            for (int i = 0; i < 20; ++i) {
                abi::FlowEvent e;
                e.time = abi::MonoTime::now();
                e.kind = abi::EventKind::flow_start;
                e.verdict = abi::Verdict::allow;
                e.family = abi::IpFamily::v4;
                e.src = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(++emitted));
                rings.emit(emitted % kWorkers, e);
            }
            std::this_thread::sleep_for(1ms);
        }
    };
    const auto live = [&](int lives_for) {  // the child
        RecordStore store{config()};
        Telemetry telemetry{{},
                            {.take = [&](EventBatchPtr batch) { store.submit(std::move(batch)); },
                             .next = [&](std::uint64_t boot) { return store.next_of(boot); }}};
        const auto attached = telemetry.attach(
            {UniqueFd{::dup(rings.fd(0))}, UniqueFd{::dup(rings.fd(1))}, UniqueFd{::dup(rings.fd(2))}}, {"a", "b"});
        if (!attached) ::_exit(1);
        store.start();
        telemetry.start();
        if (lives_for < 0) {
            ::pause();
        } else {  // the last one, which ends as it should
            std::this_thread::sleep_for(std::chrono::milliseconds{lives_for});
            telemetry.stop();
            store.stop();
        }
        ::_exit(0);
    };
    for (int kill = 0; kill < 12; ++kill) {
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) live(-1);
        emit_until(std::chrono::steady_clock::now() + std::chrono::milliseconds{20 + random() % 500});
        ::kill(child, SIGKILL);
        int status{};
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFSIGNALED(status)) << "the control plane ended by itself: " << status;
    }
    const pid_t last = ::fork();
    if (last == 0) live(300);
    int status{};
    ASSERT_EQ(::waitpid(last, &status, 0), last);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;

    RecordReader reader{segments_in(dir.path), {}};
    std::vector<std::uint32_t> seen;
    while (const FlowRecord* record = reader.next()) seen.push_back(record->src.v4().to_host());
    EXPECT_EQ(reader.report().damaged_blocks, 0U);
    std::ranges::sort(seen);
    std::vector<std::uint32_t> wanted(emitted);
    for (std::uint32_t i = 0; i < emitted; ++i) wanted[i] = i + 1;
    EXPECT_EQ(seen.size(), wanted.size());
    EXPECT_EQ(seen, wanted);
}

}  // namespace
}  // namespace sluice::cp
