/// What goes on beside the worker, on the other cores, while it is measured.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <utility>

namespace sluice::bench {

inline constexpr std::chrono::milliseconds kTenth{100};  ///< of a second: the pace of changes and of scrapes

/// Does something at once and then whenever `pace` is over, late rather than twice, until it is told to stop.
class Paced {
public:
    /// `again`: after a stop, as long as it says so. A pace of zero: without a pause.
    Paced(std::chrono::milliseconds pace, std::function<void()> what, std::function<bool()> again)
        : thread_{[this, pace, what = std::move(what), again = std::move(again)] {
              do {
                  const auto next = std::chrono::steady_clock::now() + pace;
                  what();
                  while (!stop_ && std::chrono::steady_clock::now() < next)
                      std::this_thread::sleep_for(std::chrono::milliseconds{1});
              } while (!stop_ || again());
              ended_ = true;
          }} {}
    void stop() noexcept { stop_ = true; }
    bool ended() const noexcept { return ended_; }
    void join() { thread_.join(); }

private:
    std::atomic<bool> stop_{false}, ended_{false};
    std::thread thread_;  // last: it uses the others
};

}  // namespace sluice::bench
