/// The flow record store: what the event rings say, kept in segment files for as long as size and age allow.
///
/// Theory of operation. The thread that drains the rings submits batches and never waits; one thread of the store's own
/// does all that touches the disk. It fills a block, appends it when it is full or a fifth of a second old, and syncs
/// the segment a little more often than once a second: a power cut costs less than the last second. A killed process
/// costs nothing that the rings still hold, for each block says up to where in the rings it goes, and the next process
/// reads on from there. What can't be kept is counted by its reason: `ring` (run over before we came), `queue` (the
/// disk was too slow), `disk` (it took no more), `sync` (it took it, and then could not say that it has it).
///
/// Readers take a copy of the list of segments and read files by themselves; they hold up nobody.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "controlplane/records/block_builder.hpp"
#include "controlplane/records/record_reader.hpp"
#include "controlplane/records/segment_dir.hpp"
#include "controlplane/records/segment_writer.hpp"
#include "controlplane/telemetry/batch_queue.hpp"

namespace sluice::cp {

struct RecordStoreConfig {
    std::string dir;  ///< empty = no store
    std::uint64_t bytes_max{2ULL << 30};
    std::chrono::seconds age_max{std::chrono::hours{7 * 24}};
};

struct RecordStats {
    bool enabled{};
    std::uint64_t written{};
    std::uint64_t lost_queue{}, lost_disk{}, lost_sync{};
    std::uint64_t removed_by_size{}, removed_by_age{};  ///< segments
    std::uint64_t damaged_blocks{};                     ///< met at the start and by readers, each time
    std::uint64_t torn_bytes{};                         ///< cut off at the start
    std::uint64_t bytes{}, segments{};
    std::int64_t oldest_ns{};  ///< UTC of the oldest record; 0 = there is none
    std::string trouble;       ///< why records are being lost; empty while all is well
};

class RecordStore {
public:
    explicit RecordStore(RecordStoreConfig config, FileOps& files = posix_file_ops());
    ~RecordStore();
    RecordStore(const RecordStore&) = delete;
    RecordStore& operator=(const RecordStore&) = delete;

    void start();
    /// What was submitted is written, synced and sealed.
    void stop();

    /// Never waits.
    void submit(EventBatchPtr batch);
    /// Where in the rings of that boot this store goes on, by worker; nothing if it knows of none.
    std::vector<std::uint64_t> next_of(std::uint64_t boot_id) const;

    bool enabled() const noexcept { return !config_.dir.empty(); }
    /// Oldest first.
    std::vector<SegmentInfo> segments() const;
    RecordReader read(const RecordRange& range) const { return RecordReader{segments(), range}; }
    /// A reader is done: damage that it met is counted.
    void met_damage(const ReadReport& report);
    RecordStats stats() const;

private:
    using Clock = std::chrono::steady_clock;

    void run();
    void write(const EventBatch& batch);
    void append_block();
    bool append_to_segment();
    bool ensure_segment();
    bool ensure_dir();
    void tend(Clock::time_point now);
    void seal();
    void sync();
    void retain();
    void failed(const FileError& error);
    void publish();
    std::int64_t steady_utc_ns() const noexcept;

    const RecordStoreConfig config_;
    FileOps& files_;
    const std::uint64_t segment_bytes_max_;
    const std::int64_t utc_at_start_ns_;
    const Clock::time_point started_;
    BatchQueue queue_;

    // The writing thread's own.
    UniqueFd lock_;
    SegmentWriter writer_;
    BlockBuilder block_;
    std::uint64_t next_segment_{1}, next_record_{1};
    std::uint64_t unsynced_{};
    Clock::time_point block_since_{}, sync_at_{}, retry_at_{}, retain_at_{};

    std::atomic<std::uint64_t> lost_queue_{};
    mutable std::mutex mutex_;  // what follows
    std::vector<SegmentInfo> segments_;
    RecordStats stats_;
    RingPositions rings_;  // as found at the start
    std::thread thread_;
};

}  // namespace sluice::cp
