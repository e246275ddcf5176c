/// Writes the last-good file behind the back of commits: of a policy of 100,000 rules it is ten megabytes and an fsync.
///
/// Theory of operation. One thread, one file. The newest generation that was handed over is written, whole, at once if
/// nothing was written in the second before, else when that second is over; generations in between are passed over, so
/// a row of changes costs the disk one file a second. The file is replaced as a whole (durable_file.hpp): a reader
/// finds a generation or the one before, whenever the power goes. What can't be written is tried again every second and
/// is told as `trouble`. `stop` writes what is still due.
///
/// What may be stale: for a second after an adoption (longer while the disk refuses) the file holds an earlier
/// generation. A dataplane that starts cold within that time, with no control plane to ask, runs the earlier one until
/// the control plane is back and publishes what is current.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "controlplane/publish/generation_memfds.hpp"
#include "controlplane/store/file_ops.hpp"

namespace sluice::cp {

/// A generation, and what keeps its buffers alive.
struct KeptGeneration {
    GenerationBytes bytes;
    std::shared_ptr<const void> keeps;
};

class LastGoodWriter {
public:
    /// `dir` empty: nothing is ever written.
    LastGoodWriter(FileOps& ops, std::string dir, std::chrono::milliseconds pace = std::chrono::seconds{1});
    ~LastGoodWriter() { stop(); }
    LastGoodWriter(const LastGoodWriter&) = delete;
    LastGoodWriter& operator=(const LastGoodWriter&) = delete;

    void start();
    /// Tries once more to write what is due. Nothing is written afterwards until `start`.
    void stop();
    void write(KeptGeneration generation);
    /// Why the newest generation is not in the file; empty: it is, or is about to be.
    std::string trouble() const;

private:
    void run();

    FileOps& ops_;
    const std::string dir_;
    const std::chrono::milliseconds pace_;
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::optional<KeptGeneration> due_;  // mutex_
    std::string trouble_;                // mutex_
    bool stopping_{true};                // mutex_
    std::thread thread_;
};

}  // namespace sluice::cp
