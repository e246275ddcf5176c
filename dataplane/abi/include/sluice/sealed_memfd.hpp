/// Seals of a memfd that others map: its bytes and its size are final. Both processes make such memfds (tables and what
/// is started from again).
#pragma once

#include <fcntl.h>

#include <cerrno>
#include <chrono>
#include <thread>

namespace sluice {

inline constexpr int kAllSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

/// Puts all seals on a memfd that nobody maps for writing any more. The kernel refuses with EBUSY also while somebody
/// holds one of its pages for a moment, and waits 150 ms for that to end (memfd.c, memfd_wait_for_pins); a commit must
/// not fail for it, so `wait` is called and it is tried again. False: errno says why.
template <class Wait>
bool seal_memfd(int fd, Wait wait) {
    constexpr int kTries = 5;
    for (int i = 1;; ++i) {
        if (::fcntl(fd, F_ADD_SEALS, kAllSeals) == 0) return true;
        if (errno != EBUSY || i == kTries) return false;
        wait();
    }
}

inline bool seal_memfd(int fd) {
    return seal_memfd(fd, [] { std::this_thread::sleep_for(std::chrono::milliseconds{5}); });
}

}  // namespace sluice
