#include "controlplane/api/event_hub.hpp"

namespace sluice::cp::api {
namespace {

/// Bounds how long stop() waits, and how late a new entry of the audit is noticed while no flow event comes.
constexpr std::chrono::milliseconds kWait{250};

}  // namespace

// Where it starts is settled before the thread runs: one that is scheduled late would take what came meanwhile for
// seen, and a follower that had already looked would never be woken for it.
EventHub::EventHub(PolicyService& service)
    : service_{service}, thread_{[this, seen = service.newest_event()] { run(seen); }} {}

EventHub::~EventHub() { stop(); }

std::uint64_t EventHub::subscribe(std::function<void()> wake) {
    const std::lock_guard lock{mutex_};
    const auto id = next_id_++;
    followers_.emplace(id, std::move(wake));
    changed_.notify_one();
    return id;
}

void EventHub::unsubscribe(std::uint64_t id) {
    const std::lock_guard lock{mutex_};
    followers_.erase(id);
}

void EventHub::stop() {
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
        changed_.notify_one();
    }
    if (thread_.joinable()) thread_.join();
}

void EventHub::run(std::uint64_t seen) {
    std::unique_lock lock{mutex_};
    std::uint64_t seen_audit = 0;
    while (true) {
        changed_.wait(lock, [&] { return stopping_ || !followers_.empty(); });
        if (stopping_) return;
        lock.unlock();
        const auto page = service_.events_after(seen, 1, kWait);
        if (!page.lines.empty()) seen = std::max(service_.newest_event(), page.lines.back().id);
        const auto audit = service_.audit().head().number;
        lock.lock();
        if (page.lines.empty() && audit == seen_audit) continue;
        seen_audit = audit;
        for (const auto& [id, wake] : followers_) wake();
    }
}

}  // namespace sluice::cp::api
