/// Tells the followers of /v1/events that there is something new. One thread waits in the policy service, and only
/// while somebody follows; each follower then fetches (event_feed.hpp) from its own place. So a slow follower holds up
/// nobody and nothing is buffered for it: what falls out of the service's ring before it comes back is counted as lost.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "controlplane/lifecycle/policy_service.hpp"

namespace sluice::cp::api {

class EventHub {
public:
    explicit EventHub(PolicyService& service);
    ~EventHub();
    EventHub(const EventHub&) = delete;
    EventHub& operator=(const EventHub&) = delete;

    /// `wake` is called from the hub's thread: it must only post.
    std::uint64_t subscribe(std::function<void()> wake);
    void unsubscribe(std::uint64_t id);
    void stop();

private:
    void run(std::uint64_t seen);

    PolicyService& service_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::uint64_t, std::function<void()>> followers_;
    std::uint64_t next_id_{1};
    bool stopping_{false};
    std::thread thread_;
};

}  // namespace sluice::cp::api
