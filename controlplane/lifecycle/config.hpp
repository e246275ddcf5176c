/// controlplane.yaml. Strict: an unknown key, a duplicate, a wrong type or a value out of range is an error with its
/// place and the remedy, all errors at once. Every key has a default, so that the file may be short.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/expected.hpp>

#include "controlplane/identity/client_limits.hpp"
#include "controlplane/identity/client_name.hpp"
#include "controlplane/identity/issuer_config.hpp"

namespace sluice::cp {

struct ControlConfig {
    std::string listen{"127.0.0.1:8443"};
    std::string state_dir{"/var/lib/sluice/control"};
    std::string tables_socket{"/run/sluice/tables.sock"};
    std::string last_good{"/var/lib/sluice/last-good"};        ///< empty = not written
    std::string flow_log_path{"/var/log/sluice/flows.jsonl"};  ///< empty = no log
    std::uint64_t flow_log_rotate_bytes{64ULL << 20};
    std::uint32_t flow_log_keep{8};
    std::string flow_records_path{"/var/log/sluice/records"};  ///< a directory; empty = no store
    std::uint64_t flow_records_bytes_max{2ULL << 30};
    std::uint64_t flow_records_age_max_s{7 * 86'400};
    std::string client_ca;   ///< empty = certificates of clients are not asked for
    std::string client_crl;  ///< empty = none
    bool client_required{};
    std::vector<ClientName> clients;
    IssuerConfig issuer;  ///< with an empty name: none
    ClientLimits limits;
    bool metrics_open{false};  ///< /readyz and /metrics answer without a token
};

/// One line per error: `file:line:column: what; fix`.
using ConfigErrors = std::vector<std::string>;

Expected<ControlConfig, ConfigErrors> parse_control_config(std::string_view text, std::string_view file_name);
Expected<ControlConfig, ConfigErrors> read_control_config(const std::string& path);

}  // namespace sluice::cp
