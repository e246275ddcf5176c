/// dataplane.yaml. Everything is checked before anything is started: an unknown key, a duplicate, a wrong type or a
/// value out of range is an error with its place and what to do, and all errors are reported at once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/expected.hpp>

#include "dataplane/pipeline/worker.hpp"

namespace sluice::dp {

struct PortConfig {
    std::string name;
    std::string device;  ///< "net_af_xdp0,iface=c1" or a PCI address
};

struct Config {
    std::vector<std::string> eal{"--no-pci", "--no-telemetry", "--in-memory", "-m", "256"};
    std::vector<PortConfig> ports;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> wires;  ///< port indices
    std::vector<std::uint32_t> worker_lcores;
    std::string tables_socket{"/run/sluice/tables.sock"};
    std::optional<std::uint32_t> tables_socket_gid;
    std::vector<std::uint32_t> publisher_uids;  ///< besides 0 and our own
    std::uint32_t rule_slots_max{16'384};
    std::uint32_t flow_entries_max{1U << 20};  ///< all workers together
    std::uint32_t half_open_percent{25};       ///< of them, for flows that the other side has not agreed to
    std::uint32_t proxies_max{};               ///< of them, begun by SYN cookies; 0 = a sixteenth
    std::uint32_t pickup_s{30};                ///< flows are picked up so long after a restart; 0 = never
    std::uint32_t sleep_us{20}, sleep_us_max{320};
    FragmentLimits fragments;  ///< of each worker
    bool fail_open{};
    std::string last_good;                       ///< empty: none
    std::optional<std::uint32_t> last_good_uid;  ///< besides publisher_uids, 0 and our own
};

/// One line per error: `file:line:column: what; fix`.
using ConfigErrors = std::vector<std::string>;

Expected<Config, ConfigErrors> parse_config(const std::string& text, std::string_view file_name);
Expected<Config, ConfigErrors> read_config(const std::string& path);

}  // namespace sluice::dp
