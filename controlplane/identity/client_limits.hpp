/// What clients of the management interface may cost: controlplane.yaml, `limits`.
#pragma once

#include <cstdint>

namespace sluice::cp {

struct ClientLimits {
    std::uint32_t connections{256};
    std::uint32_t connections_per_address{64};  ///< IPv6: per /64
    /// Of one client: who shows a token or a certificate, else an address. Twice as many at once. 0 = as many as come.
    std::uint32_t requests_per_second{100};
    std::uint32_t header_bytes{16 * 1024};
    std::uint64_t body_bytes{32ULL << 20};
    std::uint32_t header_timeout_s{10};  ///< from the first byte; of the first request from the handshake on
    std::uint32_t body_timeout_s{60};
};

}  // namespace sluice::cp
