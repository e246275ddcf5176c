/// The service manager's descriptor store, as far as a dataplane speaks to it (sd_notify's FDSTORE): what it holds
/// outlives every process of a simulation. It reads on a thread of its own, because who sends waits while the queue is
/// full; nothing of what it does depends on when.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "dataplane/manager/notify.hpp"

namespace sluice::sim {

class Supervisor {
public:
    Supervisor();
    ~Supervisor();
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;

    /// As in NOTIFY_SOCKET.
    const std::string& address() const noexcept { return address_; }

    // Each waits until all that was sent before has been taken.
    dp::StoredFds stored();
    std::vector<std::string> names(std::string_view prefix);
    /// Loses what begins so, at most `count`.
    void lose(std::string_view prefix, std::size_t count = SIZE_MAX);

private:
    void run();
    void take(std::string_view message, dp::UniqueFd fd);
    void settle(std::unique_lock<std::mutex>& lock);

    dp::UniqueFd socket_, own_;
    std::string address_;
    std::mutex mutex_;
    std::condition_variable changed_;
    dp::StoredFds stored_;
    std::uint64_t asked_{}, settled_{};
    std::thread thread_;
};

}  // namespace sluice::sim
