#include "dataplane/manager/log.hpp"

#include <unistd.h>

#include <ctime>

namespace sluice::dp {

void log_line(LogLevel level, std::string_view text) {
    static constexpr std::string_view kNames[] = {"info", "warning", "error"};
    timespec ts{};
    clock_gettime(CLOCK_REALTIME, &ts);
    tm utc{};
    gmtime_r(&ts.tv_sec, &utc);
    const std::string line = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z {}: {}\n", utc.tm_year + 1900,
                                         utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                                         ts.tv_nsec / 1'000'000, kNames[static_cast<int>(level)], text);
    // One write per line, so that lines of two threads do not mix. A log that cannot be written is no reason to stop.
    [[maybe_unused]] const auto written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace sluice::dp
