#include "tools/sluicectl/http_client.hpp"

#include <array>
#include <optional>

#include <fmt/format.h>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace sluice::ctl {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using Stream = asio::ssl::stream<beast::tcp_stream>;
using OnData = std::function<bool(std::string_view)>;
using Result = Expected<HttpReply, std::string>;

constexpr std::uint64_t kReplyBytesMax = 256U * 1024 * 1024;

struct Server {
    std::string host, port;
    std::string authority;  ///< for the Host header
};

std::optional<Server> parse_url(std::string_view url) {
    constexpr std::string_view kScheme = "https://";
    if (!url.starts_with(kScheme)) return std::nullopt;
    auto authority = url.substr(kScheme.size());
    while (authority.ends_with('/')) authority.remove_suffix(1);
    if (authority.empty() || authority.find_first_of("/?#@ ") != std::string_view::npos) return std::nullopt;
    Server server{.host = {}, .port = "443", .authority = std::string{authority}};
    if (authority.front() == '[') {
        const auto end = authority.find(']');
        if (end == std::string_view::npos) return std::nullopt;
        server.host = std::string{authority.substr(1, end - 1)};
        authority.remove_prefix(end + 1);
        if (authority.empty()) return server;
        if (authority.front() != ':') return std::nullopt;
        server.port = std::string{authority.substr(1)};
    } else {
        const auto colon = authority.find(':');
        server.host = std::string{authority.substr(0, colon)};
        if (colon != std::string_view::npos) server.port = std::string{authority.substr(colon + 1)};
    }
    if (server.host.empty() || server.port.empty()) return std::nullopt;
    return server;
}

Unexpected<std::string> failed(std::string sentence) { return Unexpected(std::move(sentence)); }

class Exchange {
public:
    Exchange(const ClientConfig& config, Server server, const HttpRequest& request, const OnData* on_data)
        : config_{config}, server_{std::move(server)}, request_{request}, on_data_{on_data} {}

    Result run() {
        error_code error;
        tls_.set_verify_mode(asio::ssl::verify_peer);
        SSL_CTX_set_min_proto_version(tls_.native_handle(), TLS1_2_VERSION);
        tls_.load_verify_file(config_.ca_file, error);
        if (error) {
            return failed(fmt::format(
                "cannot read the CA certificate {}: {}; is the control plane on this machine? else pass --ca",
                config_.ca_file, error.message()));
        }
        if (!config_.certificate_file.empty()) {
            tls_.use_certificate_chain_file(config_.certificate_file, error);
            if (error)
                return failed(fmt::format("cannot read the client certificate {}: {}; check --cert",
                                          config_.certificate_file, error.message()));
            tls_.use_private_key_file(config_.key_file, asio::ssl::context::pem, error);
            if (error)
                return failed(fmt::format("cannot use the key {}: {}; --key must be the one of {}", config_.key_file,
                                          error.message(), config_.certificate_file));
        }
        asio::co_spawn(io_, talk(), [this](const std::exception_ptr& thrown) {
            if (thrown) result_ = failed("the connection broke down");
        });
        io_.run();
        return std::move(result_);
    }

private:
    void expires_after(std::chrono::seconds time) { beast::get_lowest_layer(*stream_).expires_after(time); }

    std::string unreachable(std::string_view what, const error_code& error) const {
        const auto reason = error == beast::error::timeout ? std::string{"timed out"} : error.message();
        return fmt::format("{} {}: {}; is sluice-controlplane running there?", what, config_.url, reason);
    }

    asio::awaitable<void> talk() {
        error_code error;
        asio::ip::tcp::resolver resolver{io_};
        const auto addresses = co_await resolver.async_resolve(server_.host, server_.port,
                                                               asio::redirect_error(asio::use_awaitable, error));
        if (error) {
            result_ = failed(fmt::format("cannot resolve {}: {}; check --url", server_.host, error.message()));
            co_return;
        }
        stream_.emplace(beast::tcp_stream{io_}, tls_);
        expires_after(config_.connect_timeout);
        co_await beast::get_lowest_layer(*stream_).async_connect(addresses,
                                                                 asio::redirect_error(asio::use_awaitable, error));
        if (error) {
            result_ = failed(unreachable("cannot connect to", error));
            co_return;
        }
        stream_->set_verify_callback(asio::ssl::host_name_verification{server_.host}, error);
        // No server name for literal addresses (RFC 6066 section 3).
        error_code no_address;
        asio::ip::make_address(server_.host, no_address);
        if (no_address) SSL_set_tlsext_host_name(stream_->native_handle(), server_.host.c_str());
        co_await stream_->async_handshake(asio::ssl::stream_base::client,
                                          asio::redirect_error(asio::use_awaitable, error));
        if (error) {
            result_ = failed(fmt::format(
                "TLS with {} failed: {}; {} must hold the certificate of the authority that signed the server's",
                config_.url, error.message(), config_.ca_file));
            co_return;
        }
        if (co_await send_request()) co_await read_reply();
        if (!stream_ended_) {
            expires_after(std::chrono::seconds{1});
            co_await stream_->async_shutdown(asio::redirect_error(asio::use_awaitable, error));
        }
    }

    asio::awaitable<bool> send_request() {
        http::request<http::string_body> message{http::string_to_verb(request_.method), request_.target, 11};
        message.set(http::field::host, server_.authority);
        message.set(http::field::user_agent, "sluicectl");
        if (!config_.token.empty()) message.set(http::field::authorization, "Bearer " + config_.token);
        for (const auto& [name, value] : request_.headers) message.set(name, value);
        message.body() = request_.body;
        message.keep_alive(false);
        message.prepare_payload();
        error_code error;
        expires_after(config_.answer_timeout);
        co_await http::async_write(*stream_, message, asio::redirect_error(asio::use_awaitable, error));
        // A server that refuses on the header stops reading the body: its answer is still there to be read.
        if (error && error != asio::error::broken_pipe && error != asio::error::connection_reset) {
            result_ = failed(unreachable("cannot send to", error));
            co_return false;
        }
        co_return true;
    }

    asio::awaitable<void> read_reply() {
        error_code error;
        http::response_parser<http::string_body> parser;
        parser.body_limit(kReplyBytesMax);
        expires_after(config_.answer_timeout);
        co_await http::async_read_header(*stream_, buffer_, parser, asio::redirect_error(asio::use_awaitable, error));
        if (!error && on_data_ != nullptr && parser.get().result_int() == 200) {
            reply_of(parser.get());
            co_await follow();
            co_return;
        }
        if (!error)
            co_await http::async_read(*stream_, buffer_, parser, asio::redirect_error(asio::use_awaitable, error));
        if (error) {
            result_ = failed(unreachable("no answer from", error));
            co_return;
        }
        reply_of(parser.get());
        result_->body = std::move(parser.get().body());
    }

    void reply_of(const http::response<http::string_body>& message) {
        result_ = HttpReply{.status = static_cast<int>(message.result_int()),
                            .content_type = std::string{message[http::field::content_type]},
                            .etag = std::string{message[http::field::etag]},
                            .body = {}};
    }

    /// The body ends with the connection: what the parser has not taken stands in the buffer.
    asio::awaitable<void> follow() {
        const auto pending = buffer_.data();
        bool wanted = pending.size() == 0 || (*on_data_)({static_cast<const char*>(pending.data()), pending.size()});
        std::array<char, 16 * 1024> bytes{};
        beast::get_lowest_layer(*stream_).expires_never();
        while (wanted) {
            error_code error;
            const auto count = co_await stream_->async_read_some(asio::buffer(bytes),
                                                                 asio::redirect_error(asio::use_awaitable, error));
            if (count > 0) wanted = (*on_data_)({bytes.data(), count});
            if (error) {
                stream_ended_ = true;
                co_return;
            }
        }
    }

    const ClientConfig& config_;
    Server server_;
    const HttpRequest& request_;
    const OnData* on_data_;
    asio::io_context io_{1};
    asio::ssl::context tls_{asio::ssl::context::tls_client};
    std::optional<Stream> stream_;
    beast::flat_buffer buffer_;
    bool stream_ended_{};
    Result result_{failed("no answer")};
};

Result exchange(const ClientConfig& config, const HttpRequest& request, const OnData* on_data) {
    auto server = parse_url(config.url);
    if (!server) return failed(fmt::format("\"{}\" is no URL of a control plane; write https://HOST:PORT", config.url));
    return Exchange{config, std::move(*server), request, on_data}.run();
}

}  // namespace

Expected<HttpReply, std::string> HttpClient::send(const HttpRequest& request) const {
    return exchange(config_, request, nullptr);
}

Expected<HttpReply, std::string> HttpClient::stream(const HttpRequest& request, const OnData& on_data) const {
    return exchange(config_, request, &on_data);
}

}  // namespace sluice::ctl
