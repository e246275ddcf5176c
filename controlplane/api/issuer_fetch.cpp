#include "controlplane/api/issuer_fetch.hpp"

#include <atomic>

#include <fmt/format.h>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "controlplane/api/http_message.hpp"
#include "controlplane/store/durable_file.hpp"
#include "controlplane/store/file_ops.hpp"

namespace sluice::cp::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using Result = Expected<std::string, std::string>;

bool is_loopback(const std::string& host) {
    error_code error;
    const auto address = asio::ip::make_address(host, error);
    return !error && address.is_loopback();
}

class FileSource : public KeySource {
public:
    explicit FileSource(std::string path) : path_{std::move(path)} {}
    Result read(std::chrono::milliseconds) override {
        auto text = posix_file_ops().read(path_, kKeySetBytesMax);
        if (!text) return Unexpected(file_error(text.error(), "read", path_).what);
        return std::move(*text);
    }

private:
    const std::string path_;
};

/// One document, asked for anew each time.
class UrlSource : public KeySource {
public:
    /// `ca`: PEM; empty = whom this machine trusts.
    UrlSource(Url url, std::string ca) : url_{std::move(url)}, ca_{std::move(ca)} {}
    /// Returns after `timeout` at the latest, but for a name server that is slower.
    Result read(std::chrono::milliseconds timeout) override;
    void stop() override {
        stopped_ = true;
        asio::post(io_, [this] {
            if (cancel_) cancel_->emit(asio::cancellation_type::terminal);
        });
    }

private:
    asio::awaitable<void> talk();
    template <typename Stream>
    asio::awaitable<void> ask(Stream& stream);
    void fail(std::string_view what, const error_code& error) {
        result_ = Unexpected(fmt::format("{} {}: {}", what, url_.authority, error.message()));
    }

    const Url url_;
    const std::string ca_;
    std::atomic<bool> stopped_{};
    std::optional<asio::cancellation_signal> cancel_;  ///< of the reading under way; its thread's
    asio::io_context io_{1};
    Result result_{Unexpected<std::string>("no answer")};
};

}  // namespace

std::optional<Url> parse_issuer_url(std::string_view text) {
    Url url{.tls = text.starts_with("https://")};
    if (!url.tls && !text.starts_with("http://")) return std::nullopt;
    text.remove_prefix(url.tls ? 8 : 7);
    const auto slash = text.find('/');
    auto authority = text.substr(0, slash);
    url.authority = std::string{authority};
    url.target = slash == std::string_view::npos ? "/" : std::string{text.substr(slash)};
    url.port = url.tls ? "443" : "80";
    for (const char c : text) {
        if (c <= ' ' || c > '~' || c == '#') return std::nullopt;
    }
    if (authority.find_first_of("@?") != std::string_view::npos) return std::nullopt;
    std::string_view port;
    if (authority.starts_with('[')) {
        const auto end = authority.find(']');
        if (end == std::string_view::npos) return std::nullopt;
        url.host = std::string{authority.substr(1, end - 1)};
        port = authority.substr(end + 1);
    } else {
        const auto colon = authority.find(':');
        url.host = std::string{authority.substr(0, colon)};
        port = colon == std::string_view::npos ? std::string_view{} : authority.substr(colon);
    }
    if (!port.empty()) {
        const auto number = parse_number(port.substr(1));
        if (port.front() != ':' || !number || *number == 0 || *number > 65'535) return std::nullopt;
        url.port = std::string{port.substr(1)};
    }
    if (url.host.empty() || (!url.tls && !is_loopback(url.host))) return std::nullopt;
    return url;
}

namespace {

template <typename Stream>
asio::awaitable<void> UrlSource::ask(Stream& stream) {
    http::request<http::empty_body> request{http::verb::get, url_.target, 11};
    request.set(http::field::host, url_.authority);
    request.set(http::field::user_agent, "sluice-controlplane");
    request.set(http::field::accept, "application/json, application/jwk-set+json");
    request.keep_alive(false);
    error_code error;
    co_await http::async_write(stream, request, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return fail("cannot send to", error);
    beast::flat_buffer buffer{64 * 1024};
    http::response_parser<http::string_body> parser;
    parser.body_limit(kKeySetBytesMax);
    co_await http::async_read(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return fail("no good answer from", error);
    const auto status = parser.get().result_int();
    if (status == 200) {
        result_ = std::move(parser.get().body());
    } else {
        result_ = Unexpected(fmt::format("{} answers {}", url_.authority, status));
    }
}

asio::awaitable<void> UrlSource::talk() {
    error_code error;
    asio::ip::tcp::resolver resolver{io_};
    const auto addresses =
        co_await resolver.async_resolve(url_.host, url_.port, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return fail("cannot resolve", error);
    if (!url_.tls) {
        beast::tcp_stream stream{io_};
        co_await stream.async_connect(addresses, asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return fail("cannot connect to", error);
        co_return co_await ask(stream);
    }
    asio::ssl::context tls{asio::ssl::context::tls_client};
    tls.set_verify_mode(asio::ssl::verify_peer);
    SSL_CTX_set_min_proto_version(tls.native_handle(), TLS1_2_VERSION);
    if (ca_.empty()) {
        tls.set_default_verify_paths(error);
    } else {
        tls.load_verify_file(ca_, error);
    }
    if (error) {
        result_ = Unexpected(
            fmt::format("cannot read {}: {}", ca_.empty() ? "the trusted authorities" : ca_, error.message()));
        co_return;
    }
    asio::ssl::stream<beast::tcp_stream> stream{io_, tls};
    co_await beast::get_lowest_layer(stream).async_connect(addresses, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return fail("cannot connect to", error);
    stream.set_verify_callback(asio::ssl::host_name_verification{url_.host}, error);
    error_code no_address;
    asio::ip::make_address(url_.host, no_address);
    if (no_address) SSL_set_tlsext_host_name(stream.native_handle(), url_.host.c_str());
    co_await stream.async_handshake(asio::ssl::stream_base::client, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return fail("no TLS with", error);
    co_await ask(stream);
}

Result UrlSource::read(std::chrono::milliseconds timeout) {
    const auto late = Result{Unexpected(fmt::format("{} did not answer in time", url_.authority))};
    if (stopped_) return late;
    io_.restart();
    bool done = false;
    cancel_.emplace();
    asio::co_spawn(io_, talk(), asio::bind_cancellation_slot(cancel_->slot(), [&](const std::exception_ptr& thrown) {
                       if (thrown) result_ = Unexpected<std::string>("the connection broke down");
                       done = true;
                   }));
    io_.run_for(timeout);
    if (done) return std::move(result_);
    // What is still under way at the end of the time is cancelled, and gets a moment to go.
    cancel_->emit(asio::cancellation_type::terminal);
    io_.restart();
    io_.run();
    return late;
}

}  // namespace

Expected<std::unique_ptr<KeySource>, std::string> key_source(const IssuerConfig& config) {
    if (config.jwks.find("://") == std::string::npos) return std::make_unique<FileSource>(config.jwks);
    auto url = parse_issuer_url(config.jwks);
    if (!url) {
        return Unexpected(fmt::format(
            "oidc.jwks: \"{}\" is no https URL; http is taken only from a literal loopback address", config.jwks));
    }
    return std::make_unique<UrlSource>(std::move(*url), config.ca);
}

}  // namespace sluice::cp::api
