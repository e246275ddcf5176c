#include "controlplane/telemetry/event_ring.hpp"

#include <algorithm>

namespace sluice::cp {

void EventRing::push(std::vector<std::string> lines) {
    if (lines.empty()) return;
    {
        const std::lock_guard lock{mutex_};
        for (auto& line : lines) lines_.push_back(std::move(line));
        newest_ += lines.size();
        while (lines_.size() > lines_max_) lines_.pop_front();
    }
    more_.notify_all();
}

EventRing::Page EventRing::after(std::uint64_t after, std::size_t count_max, std::chrono::milliseconds wait) {
    std::unique_lock lock{mutex_};
    // An id from before a restart of this process is ahead of ours: such a reader starts over with what there is.
    if (after > newest_) after = 0;
    more_.wait_for(lock, wait, [&] { return closed_ || newest_ > after; });
    Page page;
    const std::uint64_t oldest = newest_ - lines_.size() + 1;
    if (after + 1 < oldest) {
        page.lost = oldest - after - 1;
        after = oldest - 1;
    }
    for (std::uint64_t id = after + 1; id <= newest_ && page.lines.size() < count_max; ++id) {
        page.lines.push_back({id, lines_[static_cast<std::size_t>(id - oldest)]});
    }
    return page;
}

std::uint64_t EventRing::newest() const {
    const std::lock_guard lock{mutex_};
    return newest_;
}

void EventRing::close() {
    {
        const std::lock_guard lock{mutex_};
        closed_ = true;
    }
    more_.notify_all();
}

}  // namespace sluice::cp
