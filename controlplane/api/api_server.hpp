/// The REST server: TLS, sessions, limits. One I/O thread (the caller of run()); questions on two threads of a pool,
/// changes on one more, new tokens are checked on two more, so that none of it holds up the others' answers.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include <sluice/expected.hpp>

#include "controlplane/api/client_trust.hpp"
#include "controlplane/lifecycle/policy_service.hpp"

namespace sluice::cp::api {

/// What a peer may cost us. The defaults are for production; tests shorten the times.
struct ApiLimits {
    std::uint32_t header_bytes_max{16 * 1024};
    std::uint64_t body_bytes_max{32 * 1024 * 1024};
    std::uint64_t bodies_bytes_max{96 * 1024 * 1024};  ///< of all requests together
    std::size_t connections_max{256};
    std::size_t connections_per_address_max{64};
    std::uint32_t requests_per_second_max{100};  ///< of one client (client_door.hpp); 0 = as many as come
    std::size_t event_streams_max{16};
    std::chrono::milliseconds handshake_timeout{10'000};
    std::chrono::milliseconds idle_timeout{60'000};
    std::chrono::milliseconds header_timeout{10'000};
    std::chrono::milliseconds body_timeout{60'000};
    /// Until then a body need not have begun; behind it, each second has to bring so many bytes, on an average.
    std::chrono::milliseconds body_grace{10'000};
    std::uint64_t body_bytes_per_second_min{4096};
    std::chrono::milliseconds write_timeout{30'000};
    std::chrono::milliseconds event_write_timeout{10'000};  ///< a follower that takes nothing for so long is dropped
    std::chrono::milliseconds event_keepalive{15'000};
    std::chrono::milliseconds drain_timeout{2'000};  ///< unread rest of a refused request; in-flight requests at stop
    AuthLimits auth{};
    IssuerTimes issuer{};
};

struct ApiConfig {
    std::string listen{"127.0.0.1:8443"};  ///< `ADDRESS:PORT` or `[ADDRESS]:PORT`; port 0 = any
    std::filesystem::path state_dir;
    bool metrics_open{};  ///< /readyz and /metrics need no token
    ClientTlsConfig client_tls{};
    IssuerConfig issuer{};  ///< with an empty name: none
    ApiLimits limits{};
};

class ApiServer {
public:
    ApiServer(ApiConfig config, PolicyService& service);
    ~ApiServer();
    ApiServer(const ApiServer&) = delete;
    ApiServer& operator=(const ApiServer&) = delete;

    /// Makes or reads certificate and token, binds and listens. The error is one sentence.
    Expected<void, std::string> open();
    /// Blocks until stop(). Needs open().
    void run();
    /// From any thread, also before run(). Requests in flight get their answers, for a bounded time.
    void stop();

    std::uint16_t port() const noexcept;  ///< after open()
    bool first_start() const noexcept;    ///< open() made the certificate

private:
    struct Core;
    std::unique_ptr<Core> core_;
};

}  // namespace sluice::cp::api
