#include "controlplane/records/record_store.hpp"

#include <algorithm>
#include <ctime>
#include <limits>
#include <utility>

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;

/// One second of the fastest that we promise to keep up with; 70 MB when it is full.
constexpr std::size_t kQueueEventsMax = 512 * 1024;
constexpr auto kBlockAgeMax = 200ms;
/// Behind the first block that is not synced: with the block's age less than a second, and room for the sync itself.
constexpr auto kSyncEvery = 600ms;
constexpr auto kRetryAfter = 1s;
constexpr auto kRetainEvery = 5s;
constexpr std::chrono::nanoseconds kSegmentAgeMax = 1h;
constexpr std::uint64_t kSegmentBytesMost = 64ULL << 20;
/// So that retention goes by steps of a sixteenth.
constexpr std::uint64_t kSegmentsMin = 16;

std::int64_t utc_now_ns() noexcept {
    timespec wall{};
    clock_gettime(CLOCK_REALTIME, &wall);
    return static_cast<std::int64_t>(wall.tv_sec) * 1'000'000'000 + wall.tv_nsec;
}

}  // namespace

RecordStore::RecordStore(RecordStoreConfig config, FileOps& files)
    : config_{std::move(config)},
      files_{files},
      segment_bytes_max_{std::min(kSegmentBytesMost, config_.bytes_max / kSegmentsMin)},
      utc_at_start_ns_{utc_now_ns()},
      started_{Clock::now()},
      queue_{kQueueEventsMax},
      writer_{files_, config_.dir} {
    stats_.enabled = enabled();
    // Before anybody asks where the rings go on. One that fails is tried again when there is something to write.
    if (enabled() && ensure_dir()) retain();
}

RecordStore::~RecordStore() { stop(); }

void RecordStore::start() {
    if (enabled()) thread_ = std::thread{[this] { run(); }};
}

void RecordStore::stop() {
    queue_.close();
    if (thread_.joinable()) thread_.join();
}

void RecordStore::submit(EventBatchPtr batch) {
    if (!enabled()) return;
    const auto count = batch->events.size();
    if (!queue_.push(std::move(batch))) lost_queue_.fetch_add(count, std::memory_order_relaxed);
}

std::vector<std::uint64_t> RecordStore::next_of(std::uint64_t boot_id) const {
    const std::lock_guard lock{mutex_};
    if (rings_.boot_id != boot_id) return {};
    return {rings_.next.begin(), rings_.next.end()};
}

std::vector<SegmentInfo> RecordStore::segments() const {
    const std::lock_guard lock{mutex_};
    return segments_;
}

void RecordStore::met_damage(const ReadReport& report) {
    const std::lock_guard lock{mutex_};
    stats_.damaged_blocks += report.damaged_blocks;
}

RecordStats RecordStore::stats() const {
    const std::lock_guard lock{mutex_};
    RecordStats stats = stats_;
    stats.lost_queue = lost_queue_.load(std::memory_order_relaxed);
    stats.segments = segments_.size();
    for (const auto& segment : segments_) stats.bytes += segment.file_bytes;
    for (const auto& segment : segments_) {
        const bool older = stats.oldest_ns == 0 || segment.time_min_ns < stats.oldest_ns;
        if (!segment.empty() && older) stats.oldest_ns = segment.time_min_ns;
    }
    return stats;
}

// ------------------------------------------------------------------------------------------------ the writing thread
void RecordStore::run() {
    for (;;) {
        const auto now = Clock::now();
        auto until = now + kRetainEvery;
        if (!block_.empty()) until = std::min(until, block_since_ + kBlockAgeMax);
        if (unsynced_ != 0) until = std::min(until, sync_at_);
        const auto taken = queue_.take(until);
        for (const auto& batch : taken.batches) {
            write(*batch);
            tend(Clock::now());
        }
        tend(Clock::now());
        if (taken.closed) break;
    }
    append_block();
    seal();
}

/// What is due by the clock.
void RecordStore::tend(Clock::time_point now) {
    if (!block_.empty() && now >= block_since_ + kBlockAgeMax) append_block();
    if (unsynced_ != 0 && now >= sync_at_) {
        append_block();
        sync();
    }
    if (now >= retain_at_) {
        const bool old = writer_.is_open() && steady_utc_ns() - writer_.created_ns() >= kSegmentAgeMax.count();
        if (old) seal();
        retain();
        retain_at_ = now + kRetainEvery;
    }
}

void RecordStore::write(const EventBatch& batch) {
    if (!block_.empty() && block_.boot_id() != batch.boot_id) append_block();
    // Workers' rings are drained one after the other: told by time, each keeping its own order.
    std::vector<const RingEvent*> order;
    order.reserve(batch.events.size());
    for (const RingEvent& event : batch.events) order.push_back(&event);
    const auto earlier = [](const RingEvent* a, const RingEvent* b) { return a->time < b->time; };
    if (!std::is_sorted(order.begin(), order.end(), earlier)) std::stable_sort(order.begin(), order.end(), earlier);
    for (const RingEvent* event : order) {
        if (block_.empty()) block_since_ = Clock::now();
        block_.add(*event, batch);
        if (block_.bytes() >= kBlockBytesWanted) append_block();
    }
}

void RecordStore::append_block() {
    if (block_.empty()) return;
    const std::uint64_t count = block_.record_count();
    const bool good = ensure_segment() && append_to_segment();
    block_.clear();
    if (!good) {
        const std::lock_guard lock{mutex_};
        stats_.lost_disk += count;
        return;
    }
    next_record_ += count;
    if (unsynced_ == 0) sync_at_ = Clock::now() + kSyncEvery;
    unsynced_ += count;
    {
        const std::lock_guard lock{mutex_};
        stats_.written += count;
        stats_.trouble.clear();
    }
    publish();
    if (writer_.info().data_bytes >= segment_bytes_max_) seal();
    retain();
}

bool RecordStore::append_to_segment() {
    const auto appended = writer_.append(block_, next_record_);
    if (appended) return true;
    failed(appended.error());
    const auto before = std::exchange(unsynced_, 0);
    const bool synced = writer_.abandon();
    if (!writer_.info().empty()) publish();
    if (synced) return false;
    const std::lock_guard lock{mutex_};
    stats_.lost_sync += before;
    return false;
}

bool RecordStore::ensure_segment() {
    if (writer_.is_open()) return true;
    if (Clock::now() < retry_at_ || !ensure_dir()) return false;
    const auto begun = writer_.begin(next_segment_, next_record_, steady_utc_ns());
    if (!begun) {
        failed(begun.error());
        return false;
    }
    ++next_segment_;
    return true;
}

bool RecordStore::ensure_dir() {
    if (lock_) return true;
    auto opened = open_segment_dir(files_, config_.dir);
    if (!opened) {
        failed(opened.error());
        return false;
    }
    lock_ = std::move(opened->lock);
    next_segment_ = opened->next_segment;
    next_record_ = opened->next_record;
    const std::lock_guard lock{mutex_};
    segments_ = std::move(opened->segments);
    rings_ = opened->rings;
    stats_.damaged_blocks += opened->damaged_blocks;
    stats_.torn_bytes += opened->torn_bytes;
    stats_.trouble.clear();
    return true;
}

void RecordStore::sync() {
    if (!writer_.is_open() || unsynced_ == 0) return;
    const auto synced = writer_.sync();
    const auto count = std::exchange(unsynced_, 0);
    if (synced) return;
    failed(synced.error());
    const std::lock_guard lock{mutex_};
    stats_.lost_sync += count;
}

void RecordStore::seal() {
    if (!writer_.is_open()) return;
    const auto sealed = writer_.seal();
    const auto count = std::exchange(unsynced_, 0);
    publish();
    if (sealed) return;
    failed(sealed.error());
    const std::lock_guard lock{mutex_};
    stats_.lost_sync += count;
}

/// The list shows what the writer has.
void RecordStore::publish() {
    const SegmentInfo& info = writer_.info();
    const std::lock_guard lock{mutex_};
    if (segments_.empty() || segments_.back().segment != info.segment) {
        segments_.push_back(info);
    } else {
        segments_.back() = info;
    }
}

/// UTC by a clock that nobody sets while we run: a wall clock that is wrong for a moment must not cost the history.
std::int64_t RecordStore::steady_utc_ns() const noexcept {
    return utc_at_start_ns_ + std::chrono::nanoseconds{Clock::now() - started_}.count();
}

void RecordStore::retain() {
    const std::int64_t age_max_ns = std::chrono::nanoseconds{config_.age_max}.count();
    std::vector<SegmentInfo> gone;
    {
        const std::lock_guard lock{mutex_};
        const auto drop = [&](const Retention& retention, std::uint64_t& counter) {
            const auto count = segments_to_drop(segments_, retention, steady_utc_ns());
            const auto end = segments_.begin() + static_cast<std::ptrdiff_t>(count);
            gone.insert(gone.end(), segments_.begin(), end);
            segments_.erase(segments_.begin(), end);
            counter += count;
        };
        drop({std::numeric_limits<std::uint64_t>::max(), age_max_ns}, stats_.removed_by_age);
        drop({config_.bytes_max, std::numeric_limits<std::int64_t>::max()}, stats_.removed_by_size);
    }
    for (const auto& segment : gone) (void)files_.unlink(segment.path);
}

void RecordStore::failed(const FileError& error) {
    retry_at_ = Clock::now() + kRetryAfter;
    const std::lock_guard lock{mutex_};
    stats_.trouble = error.what;
}

}  // namespace sluice::cp
