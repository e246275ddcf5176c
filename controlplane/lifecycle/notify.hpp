/// The service manager's notification protocol: one datagram per message to the socket that NOTIFY_SOCKET names.
/// Without a service manager nothing happens.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace sluice::cp {

/// `READY=1`, `STOPPING=1`, `WATCHDOG=1`, `STATUS=...`; several lines in one call are one message.
void notify_service_manager(std::string_view message);

/// How often the service manager wants to hear WATCHDOG=1 at least; nothing if it does not.
std::optional<std::chrono::microseconds> watchdog_period();

}  // namespace sluice::cp
