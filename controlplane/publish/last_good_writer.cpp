#include "controlplane/publish/last_good_writer.hpp"

#include <utility>

#include "controlplane/publish/last_good.hpp"

namespace sluice::cp {

LastGoodWriter::LastGoodWriter(FileOps& ops, std::string dir, std::chrono::milliseconds pace)
    : ops_{ops}, dir_{std::move(dir)}, pace_{pace} {}

void LastGoodWriter::start() {
    const std::lock_guard lock{mutex_};
    if (!std::exchange(stopping_, false)) return;
    thread_ = std::thread{[this] { run(); }};
}

void LastGoodWriter::stop() {
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void LastGoodWriter::write(KeptGeneration generation) {
    if (dir_.empty()) return;
    {
        const std::lock_guard lock{mutex_};
        due_ = std::move(generation);
    }
    wake_.notify_all();
}

std::string LastGoodWriter::trouble() const {
    const std::lock_guard lock{mutex_};
    return trouble_;
}

void LastGoodWriter::run() {
    std::unique_lock lock{mutex_};
    while (true) {
        wake_.wait(lock, [&] { return stopping_ || due_; });
        if (!due_) return;
        const bool last = stopping_;
        KeptGeneration generation = std::move(*due_);
        due_.reset();
        lock.unlock();
        const auto written = write_last_good(ops_, dir_, generation.bytes);
        lock.lock();
        trouble_ = written ? "" : written.error().what;
        // A newer one, if there is one by now, stands for it.
        if (!written && !due_) due_ = std::move(generation);
        if (last) return;
        lock.unlock();
        generation = {};  // perhaps the last to hold a big policy
        lock.lock();
        wake_.wait_for(lock, pace_, [&] { return stopping_; });
    }
}

}  // namespace sluice::cp
