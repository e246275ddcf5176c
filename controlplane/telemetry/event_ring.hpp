/// The newest flow events in memory, for those who follow them live. Bounded: who reads too slowly is told how many
/// went by.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

namespace sluice::cp {

class EventRing {
public:
    struct Line {
        std::uint64_t id{};  ///< from 1, without gaps
        std::string json;
    };
    struct Page {
        std::vector<Line> lines;
        std::uint64_t lost{};  ///< fell out between `after` and the first line
    };

    explicit EventRing(std::size_t lines_max) : lines_max_{lines_max} {}

    void push(std::vector<std::string> lines);
    /// Waits up to `wait` for a line behind `after`.
    Page after(std::uint64_t after, std::size_t count_max, std::chrono::milliseconds wait);
    std::uint64_t newest() const;
    /// Wakes all who wait; later waits return at once.
    void close();

private:
    const std::size_t lines_max_;
    mutable std::mutex mutex_;
    std::condition_variable more_;
    std::deque<std::string> lines_;
    std::uint64_t newest_{0};
    bool closed_{false};
};

}  // namespace sluice::cp
