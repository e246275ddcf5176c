#include "controlplane/api/api_server.hpp"

#include <atomic>
#include <ctime>

#include <fmt/format.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "controlplane/api/bootstrap_tls.hpp"
#include "controlplane/api/client_address.hpp"
#include "controlplane/api/client_door.hpp"
#include "controlplane/api/http_session.hpp"
#include "controlplane/api/issuer_fetch.hpp"

namespace sluice::cp::api {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Tcp = asio::ip::tcp;

constexpr std::size_t kReadThreads = 2;
constexpr std::size_t kWalkThreads = 1;
constexpr std::size_t kPlanThreads = 1;
constexpr std::size_t kCommitThreads = 1;
constexpr std::size_t kCheckThreads = 1;
constexpr std::size_t kIssuerCheckThreads = 1;  // IssuerTokens::read wants no more
/// Pause after a failed accept (descriptors used up): retrying at once would only burn the CPU.
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr std::chrono::milliseconds kStopPoll{10};

struct ListenAddress {
    std::string address;
    std::uint16_t port{};
};

std::optional<ListenAddress> parse_listen(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    auto address = text.substr(0, colon);
    const auto port = parse_number(text.substr(colon + 1));
    const bool bracketed = address.size() >= 2 && address.front() == '[' && address.back() == ']';
    if (bracketed) address = address.substr(1, address.size() - 2);
    const bool ipv6 = address.find(':') != std::string_view::npos;
    if (!port || *port > 65'535 || address.empty() || bracketed != ipv6) return std::nullopt;
    return ListenAddress{std::string{address}, static_cast<std::uint16_t>(*port)};
}

/// Only HTTP/1.1 is spoken: a client that offers h2 as well learns it here.
int select_protocol(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* offered,
                    unsigned offered_length, void*) {
    static constexpr unsigned char kHttp11[] = "\x08http/1.1";
    unsigned char* selected = nullptr;
    if (SSL_select_next_proto(&selected, out_length, kHttp11, sizeof kHttp11 - 1, offered, offered_length) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    *out = selected;
    return SSL_TLSEXT_ERR_OK;
}

}  // namespace

/// Order matters: what coroutines touch when they are destroyed with `io` stands before it.
struct ApiServer::Core {
    Core(ApiConfig config_in, PolicyService& service_in)
        : config{std::move(config_in)},
          service{service_in},
          router{make_router(service, counters)},
          door{{config.limits.connections_max, config.limits.connections_per_address_max,
                config.limits.requests_per_second_max}} {
        if (!config.issuer.issuer.empty()) {
            issuer_keys.emplace(config.issuer, config.limits.issuer);
            issuer_tokens.emplace(*issuer_keys);
            counters.issuer = &*issuer_keys;
        }
        authenticator.emplace(service.tokens(), config.limits.auth, issuer_tokens ? &*issuer_tokens : nullptr);
    }

    ~Core() {
        stop_threads();
        acceptor.reset();
    }

    Expected<void, std::string> load_tls(const ServerSecrets& secrets);
    Expected<void, std::string> ask_for_certificates();
    asio::awaitable<void> accept_loop();
    asio::awaitable<void> finish();
    void stop_threads() {
        if (hub) hub->stop();
        if (issuer_keys) issuer_keys->stop();
        reads.join();
        walks.join();
        plans.join();
        commits.join();
        checks.join();
        issuer_checks.join();
    }

    ApiConfig config;
    PolicyService& service;
    ApiCounters counters;
    Router router;
    ClientDoor door;
    std::optional<IssuerKeys> issuer_keys;
    std::optional<IssuerTokens> issuer_tokens;
    std::optional<Authenticator> authenticator;
    std::optional<Gateway> gateway;
    asio::ssl::context tls{asio::ssl::context::tls_server};
    std::unique_ptr<ClientTrust> trust;
    std::optional<EventHub> hub;
    std::optional<SessionShared> shared;
    asio::io_context io{1};
    asio::thread_pool reads{kReadThreads};
    asio::thread_pool walks{kWalkThreads};
    asio::thread_pool plans{kPlanThreads};
    asio::thread_pool commits{kCommitThreads};
    asio::thread_pool checks{kCheckThreads};
    asio::thread_pool issuer_checks{kIssuerCheckThreads};
    std::optional<Tcp::acceptor> acceptor;
    std::uint16_t port{};
    bool first_start{};
};

Expected<void, std::string> ApiServer::Core::load_tls(const ServerSecrets& secrets) {
    const auto fail = [&](std::string_view what, const error_code& error) {
        return Unexpected(fmt::format("cannot use {}: {}", what, error.message()));
    };
    error_code error;
    tls.set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_compression, error);
    SSL_CTX_set_min_proto_version(tls.native_handle(), TLS1_2_VERSION);
    SSL_CTX_set_options(tls.native_handle(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    // AEAD with forward secrecy only; TLS 1.3 has nothing else.
    SSL_CTX_set_cipher_list(tls.native_handle(), "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set_alpn_select_cb(tls.native_handle(), &select_protocol, nullptr);
    tls.use_certificate_chain_file(secrets.certificate.string(), error);
    if (error) return fail(secrets.certificate.string(), error);
    tls.use_private_key_file(secrets.key.string(), asio::ssl::context::pem, error);
    if (error) return fail(secrets.key.string(), error);
    if (SSL_CTX_check_private_key(tls.native_handle()) != 1) {
        return Unexpected(fmt::format("{} does not belong to {}", secrets.key.string(), secrets.certificate.string()));
    }
    const auto* own = SSL_CTX_get0_certificate(tls.native_handle());
    std::tm end{};
    if (own != nullptr && ASN1_TIME_to_tm(X509_get0_notAfter(own), &end) == 1)
        counters.certificate_expires_unix_s = static_cast<std::uint64_t>(::timegm(&end));
    return config.client_tls.ca.empty() ? Expected<void, std::string>{} : ask_for_certificates();
}

/// The handshake takes any certificate; ClientTrust judges it with every request.
Expected<void, std::string> ApiServer::Core::ask_for_certificates() {
    auto opened = ClientTrust::open(config.client_tls);
    if (!opened) return Unexpected(opened.error());
    trust = std::move(*opened);
    auto* context = tls.native_handle();
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(trust->ca().c_str()));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(
        context, [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
    // A resumed session would bring a certificate that was shown long ago.
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
    return {};
}

asio::awaitable<void> ApiServer::Core::accept_loop() {
    while (acceptor->is_open()) {
        error_code error;
        Tcp::socket socket{io};
        co_await acceptor->async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
        if (error == asio::error::operation_aborted) co_return;
        if (error) {
            asio::steady_timer pause{io, kAcceptPause};
            co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
            continue;
        }
        auto place = door.enter(client_address(remote_address(socket)));
        counters.displaced.store(door.taken_away(), std::memory_order_relaxed);
        if (!place) {
            // Before the handshake: it would cost more than all else about the connection.
            auto& refused =
                place.error() == ClientDoor::Refusal::too_many ? counters.refused_by_all : counters.refused_by_address;
            refused.fetch_add(1, std::memory_order_relaxed);
            continue;
        }
        socket.set_option(Tcp::no_delay{true}, error);
        asio::co_spawn(io, serve_connection(std::move(socket), std::move(*place), *shared), asio::detached);
    }
}

/// Requests in flight get their answers; connections that only wait are dropped.
asio::awaitable<void> ApiServer::Core::finish() {
    shared->stopping = true;
    error_code error;
    acceptor->close(error);
    const auto deadline = std::chrono::steady_clock::now() + config.limits.drain_timeout;
    asio::steady_timer timer{io};
    // A stream of events is a request without an end: it is not waited for.
    while (shared->requests_in_flight > counters.event_streams.load(std::memory_order_relaxed) &&
           std::chrono::steady_clock::now() < deadline) {
        timer.expires_after(kStopPoll);
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
    io.stop();
}

ApiServer::ApiServer(ApiConfig config, PolicyService& service)
    : core_{std::make_unique<Core>(std::move(config), service)} {}

ApiServer::~ApiServer() = default;

Expected<void, std::string> ApiServer::open() {
    auto& core = *core_;
    const auto listen = parse_listen(core.config.listen);
    error_code error;
    const auto address = asio::ip::make_address(listen ? listen->address : std::string{}, error);
    if (!listen || error) {
        return Unexpected(fmt::format("listen: \"{}\" is no ADDRESS:PORT or [ADDRESS]:PORT", core.config.listen));
    }
    auto& tokens = core.service.tokens();
    const auto secrets = ensure_secrets(core.config.state_dir, listen->address, !tokens.has_live_admin());
    if (!secrets) return Unexpected(secrets.error());
    if (auto adopted = adopt_first_token(tokens, secrets->token); !adopted) return adopted;
    if (auto loaded = core.load_tls(*secrets); !loaded) return loaded;
    core.first_start = secrets->made_now;
    core.gateway.emplace(core.router, *core.authenticator, core.config.metrics_open, core.counters,
                         core.service.audit());

    core.acceptor.emplace(core.io);
    const Tcp::endpoint endpoint{address, listen->port};
    core.acceptor->open(endpoint.protocol(), error);
    if (!error) core.acceptor->set_option(Tcp::acceptor::reuse_address{true}, error);
    if (!error) core.acceptor->bind(endpoint, error);
    if (!error) core.acceptor->listen(asio::socket_base::max_listen_connections, error);
    if (error) return Unexpected(fmt::format("cannot listen on {}: {}", core.config.listen, error.message()));
    core.port = core.acceptor->local_endpoint().port();

    core.hub.emplace(core.service);
    core.shared.emplace(SessionShared{.limits = core.config.limits,
                                      .gateway = *core.gateway,
                                      .service = core.service,
                                      .hub = *core.hub,
                                      .trust = core.trust.get(),
                                      .door = core.door,
                                      .counters = core.counters,
                                      .tls = core.tls,
                                      .reads = core.reads,
                                      .walks = core.walks,
                                      .plans = core.plans,
                                      .commits = core.commits,
                                      .checks = core.checks,
                                      .issuer_checks = core.issuer_checks});
    if (core.issuer_keys) {
        auto source = key_source(core.config.issuer);
        if (!source) return Unexpected(source.error());
        core.issuer_keys->start(std::move(*source));
    }
    asio::co_spawn(core.io, core.accept_loop(), asio::detached);
    return {};
}

void ApiServer::run() {
    core_->io.run();
    core_->stop_threads();
}

void ApiServer::stop() {
    auto& core = *core_;
    asio::post(core.io, [&core] {
        if (!core.shared || core.shared->stopping) {
            if (!core.shared) core.io.stop();
            return;
        }
        asio::co_spawn(core.io, core.finish(), asio::detached);
    });
}

std::uint16_t ApiServer::port() const noexcept { return core_->port; }

bool ApiServer::first_start() const noexcept { return core_->first_start; }

}  // namespace sluice::cp::api
