/// The time that people and other machines mean: nanoseconds since 1970 (UTC). It may jump; what must not is measured
/// by a steady clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace sluice::cp {

inline std::int64_t wall_clock_ns() {
    using namespace std::chrono;
    return duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace sluice::cp
