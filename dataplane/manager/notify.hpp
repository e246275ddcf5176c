/// Talking to the supervisor (systemd's sd_notify protocol; in the lab tools/dev/supervise): readiness, watchdog,
/// status, and descriptors that outlive this process.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include <sluice/expected.hpp>

#include "dataplane/manager/memfd.hpp"

namespace sluice::dp {

class Notifier {
public:
    /// From NOTIFY_SOCKET; without it every call does nothing.
    static Notifier from_environment();
    /// `address`: a path, or '@' and an abstract name.
    explicit Notifier(std::string_view address);
    Notifier() = default;

    bool connected() const noexcept { return static_cast<bool>(socket_); }
    /// False: not delivered. Blocks for at most 100 ms if the supervisor does not read.
    bool send(std::string_view message) const;
    bool send(std::string_view message, int fd) const;

private:
    bool send_with(std::string_view message, const int* fd) const;
    UniqueFd socket_;
};

/// WATCHDOG_USEC in nanoseconds, 0 = no watchdog wanted of us.
std::uint64_t watchdog_period_ns();

/// Descriptors that an earlier process of this service left behind, by name.
using StoredFds = std::map<std::string, UniqueFd, std::less<>>;

/// From LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES; the variables are removed, the descriptors made close-on-exec.
StoredFds inherited_descriptors();

/// The successor's side of a planned restart (SLUICE_TAKEOVER_FD): it is ready except for ports and tables, says
/// `standby`, and gets the descriptors with `go` when the old process has gone.
class Takeover {
public:
    /// Empty when this is no planned restart.
    static std::optional<Takeover> from_environment();
    explicit Takeover(UniqueFd pair) : pair_{std::move(pair)} {}

    /// Says `standby` and waits for `go`. An error when the supervisor has gone or talks nonsense.
    Expected<StoredFds, std::string> stand_by();

private:
    UniqueFd pair_;
};

}  // namespace sluice::dp
