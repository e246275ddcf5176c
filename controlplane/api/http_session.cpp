/// A connection's life: handshake, then requests one after the other, each refused on its header or answered by its
/// handler. Pipelined requests wait in the buffer: nothing is read ahead of the answer. Each phase has its deadline, so
/// a peer that dawdles costs a socket for seconds and no thread.
#include "controlplane/api/http_session.hpp"

#include <array>
#include <ctime>
#include <optional>
#include <string_view>

#include <fmt/format.h>
#include <openssl/rand.h>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "controlplane/api/client_address.hpp"
#include "controlplane/api/event_feed.hpp"
#include "controlplane/api/problem.hpp"

namespace sluice::cp::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using Stream = asio::ssl::stream<beast::tcp_stream>;
using Parser = http::request_parser<http::string_body>;

constexpr std::size_t kRequestIdCharsMax = 64;
/// A refused request's body is read and thrown away up to here, so that the peer finds our answer and no reset.
constexpr std::uint64_t kDrainBytesMax = 64 * 1024 * 1024;
constexpr std::uint64_t kDrainStrangerBytesMax = 256 * 1024;

template <typename F>
auto offload(asio::thread_pool& pool, F function) -> asio::awaitable<decltype(function())> {
    co_return co_await asio::co_spawn(
        pool, [function = std::move(function)]() -> asio::awaitable<decltype(function())> { co_return function(); },
        asio::use_awaitable);
}

/// Counts up for its own lifetime: also when a coroutine is destroyed at stop.
template <typename T>
class Held {
public:
    Held(T& level, T amount) : level_{level}, amount_{amount} { level_ += amount_; }
    ~Held() { level_ -= amount_; }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

private:
    T& level_;
    T amount_;
};

class HeldCounter {
public:
    explicit HeldCounter(std::atomic<std::uint64_t>& level) : level_{level} {
        level_.fetch_add(1, std::memory_order_relaxed);
    }
    ~HeldCounter() { level_.fetch_sub(1, std::memory_order_relaxed); }
    HeldCounter(const HeldCounter&) = delete;
    HeldCounter& operator=(const HeldCounter&) = delete;

private:
    std::atomic<std::uint64_t>& level_;
};

std::string new_request_id() {
    std::array<unsigned char, 8> bytes{};
    RAND_bytes(bytes.data(), static_cast<int>(bytes.size()));
    std::string id;
    for (const auto byte : bytes) id += fmt::format("{:02x}", byte);
    return id;
}

/// A peer's own id is taken over if it can stand in a log line as it is.
std::string request_id(const Request& request) {
    const auto sent = request.header("X-Request-Id");
    const bool good = sent && !sent->empty() && sent->size() <= kRequestIdCharsMax &&
                      sent->find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
                          std::string_view::npos;
    return good ? std::string{*sent} : new_request_id();
}

std::string http_date() {
    constexpr std::array kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::time_t now = std::time(nullptr);
    std::tm t{};
    gmtime_r(&now, &t);
    return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays.at(static_cast<std::size_t>(t.tm_wday)),
                       t.tm_mday, kMonths.at(static_cast<std::size_t>(t.tm_mon)), t.tm_year + 1900, t.tm_hour, t.tm_min,
                       t.tm_sec);
}

struct ReadRequest {
    Request request;
    std::optional<Response> refused;  ///< the header is no request that we can route
};

ReadRequest to_request(const Parser::value_type& message) {
    ReadRequest out;
    Request& request = out.request;
    request.method = std::string{message.method_string()};
    for (const auto& field : message)
        request.headers.push_back({std::string{field.name_string()}, std::string{field.value()}});
    request.id = request_id(request);

    std::string_view target{message.target().data(), message.target().size()};
    // The absolute form must be taken by every server (RFC 9112 section 3.2.2).
    for (const std::string_view scheme : {"https://", "http://"}) {
        if (!target.starts_with(scheme)) continue;
        const auto slash = target.find('/', scheme.size());
        target = slash == std::string_view::npos ? std::string_view{"/"} : target.substr(slash);
    }
    const auto question = target.find('?');
    request.path = std::string{target.substr(0, question)};
    auto query = parse_query(question == std::string_view::npos ? std::string_view{} : target.substr(question + 1));
    if (target.empty() || target.front() != '/' || !query) {
        out.refused =
            problem_response(400, "bad-target", "the request target is no path with a well-formed query", request.id);
        return out;
    }
    request.query = std::move(*query);
    // RFC 9112 section 3.2: a request of HTTP/1.1 without exactly one Host is refused.
    if (message.version() >= 11 && message.count(http::field::host) != 1) {
        out.refused = problem_response(400, "bad-host", "send exactly one Host header", request.id);
    }
    return out;
}

std::string size_text(std::uint64_t bytes) {
    constexpr std::uint64_t kKi = 1024, kMi = kKi * kKi;
    if (bytes >= kMi && bytes % kMi == 0) return fmt::format("{} MiB", bytes / kMi);
    return bytes >= kKi && bytes % kKi == 0 ? fmt::format("{} KiB", bytes / kKi) : fmt::format("{} bytes", bytes);
}

std::string too_large(const ApiLimits& limits) {
    return fmt::format("the body has more than {}", size_text(limits.body_bytes_max));
}

Response refusal_of(const error_code& error, const ApiLimits& limits, const std::string& id) {
    if (error == http::error::header_limit || error == http::error::buffer_overflow) {
        return problem_response(431, "header-too-large",
                                fmt::format("the header has more than {}", size_text(limits.header_bytes_max)), id);
    }
    if (error == http::error::body_limit) return problem_response(413, "body-too-large", too_large(limits), id);
    if (error == http::error::bad_version)
        return problem_response(505, "bad-version", "this server speaks HTTP/1.1", id);
    return problem_response(400, "bad-request", "this is no well-formed HTTP/1.1 request", id);
}

/// Errors of the parser are the peer's mistakes and get an answer; those of the socket don't.
bool is_parser_error(const error_code& error) {
    return error.category() == http::make_error_code(http::error::end_of_stream).category() &&
           error != http::error::end_of_stream && error != http::error::partial_message;
}

void limit(Parser& parser, const ApiLimits& limits) {
    parser.header_limit(limits.header_bytes_max);
    parser.body_limit(limits.body_bytes_max);
}

/// The empty one ends the body.
std::string chunk_of(const std::string& bytes) { return fmt::format("{:x}\r\n", bytes.size()) + bytes + "\r\n"; }

class Session {
public:
    Session(asio::ip::tcp::socket socket, ClientDoor::Place place, SessionShared& shared)
        : shared_{shared},
          place_{std::move(place)},
          peer_{remote_address(socket)},
          path_{path_through(socket)},
          stream_{std::move(socket), shared.tls},
          buffer_{shared.limits.header_bytes_max * 4} {
        place_.may_be_wanted([this] { beast::get_lowest_layer(stream_).close(); });
    }

    asio::awaitable<void> run() {
        const HeldCounter connection{shared_.counters.connections};
        error_code error;
        expires_after(shared_.limits.handshake_timeout);
        co_await stream_.async_handshake(asio::ssl::stream_base::server,
                                         asio::redirect_error(asio::use_awaitable, error));
        if (error) {
            note_slow(error, shared_.counters.slow_handshakes);
            co_return;
        }
        take_certificate();
        while (!shared_.stopping) {
            if (!co_await serve_one()) break;
        }
        if (drain_bytes_ > 0) co_await drain();
        expires_after(shared_.limits.drain_timeout);
        co_await stream_.async_shutdown(asio::redirect_error(asio::use_awaitable, error));
    }

private:
    void expires_after(std::chrono::milliseconds time) { beast::get_lowest_layer(stream_).expires_after(time); }
    void expires_never() { beast::get_lowest_layer(stream_).expires_never(); }
    static void note_slow(const error_code& error, std::atomic<std::uint64_t>& counter) {
        if (error == beast::error::timeout) counter.fetch_add(1, std::memory_order_relaxed);
    }

    /// False: the connection ends.
    asio::awaitable<bool> serve_one() {
        error_code error;
        if (buffer_.size() == 0) {
            // Who has been answered may keep the connection for later; who has only come has nothing to wait for.
            expires_after(asked_ ? shared_.limits.idle_timeout : shared_.limits.header_timeout);
            const auto bytes = co_await stream_.async_read_some(buffer_.prepare(4096),
                                                                asio::redirect_error(asio::use_awaitable, error));
            if (error) {
                if (!asked_) note_slow(error, shared_.counters.slow_headers);
                co_return false;
            }
            buffer_.commit(bytes);
        }
        const Held<std::size_t> in_flight{shared_.requests_in_flight, 1};
        Parser parser;
        limit(parser, shared_.limits);
        // One deadline for the whole header, however it trickles in; of the first request it runs from the handshake
        // on.
        if (asked_) expires_after(shared_.limits.header_timeout);
        co_await http::async_read_header(stream_, buffer_, parser, asio::redirect_error(asio::use_awaitable, error));
        if (error) {
            note_slow(error, shared_.counters.slow_headers);
            co_return co_await refuse(error);
        }
        asked_ = true;
        shared_.counters.requests.fetch_add(1, std::memory_order_relaxed);

        auto [request, refused] = to_request(parser.get());
        request.peer = peer_;
        request.path_through = path_;
        const bool head = request.method == "HEAD";
        const bool keep_alive = parser.keep_alive() && !shared_.stopping;
        const bool has_body = !parser.is_done();
        const bool chunks = parser.get().version() >= 11;
        if (refused)
            co_return co_await answer_and_close(std::move(*refused), request, head, has_body, kDrainStrangerBytesMax);

        auto who = shared_.gateway.recognise(request, judged_certificate());
        if (!who) {
            // By a name of its own: clang 14 lets no lambda have a structured binding.
            auto& pool = shared_.gateway.may_wait(request) ? shared_.issuer_checks : shared_.checks;
            who = co_await offload(pool, [this, &asked = request] { return shared_.gateway.verify(asked); });
        }
        if (who->result == AuthResult::granted) place_.stays();
        if (auto limited = too_often(request, *who)) {
            if (has_body)
                co_return co_await answer_and_close(std::move(*limited), request, head, has_body,
                                                    kDrainStrangerBytesMax);
            co_return co_await write(std::move(*limited), request.id, head, keep_alive);
        }
        auto admission = shared_.gateway.admit(request, has_body, *who);
        if (auto* response = std::get_if<Response>(&admission)) {
            if (has_body) {
                const bool stranger = who->result != AuthResult::granted && who->result != AuthResult::not_needed;
                const auto drain = stranger ? kDrainStrangerBytesMax : kDrainBytesMax;
                co_return co_await answer_and_close(std::move(*response), request, head, has_body, drain);
            }
            co_return co_await write(std::move(*response), request.id, head, keep_alive);
        }
        const auto& admitted = std::get<Admitted>(admission);
        request.actor = admitted.who.actor;

        const auto reserved = has_body ? parser.content_length().value_or(shared_.limits.body_bytes_max) : 0;
        if (reserved > shared_.limits.body_bytes_max) {
            co_return co_await answer_and_close(
                problem_response(413, "body-too-large", too_large(shared_.limits), request.id), request, head, has_body,
                kDrainBytesMax);
        }
        if (shared_.bodies_bytes + reserved > shared_.limits.bodies_bytes_max) {
            co_return co_await answer_and_close(
                problem_response(503, "too-busy", "too many large requests at once; try again", request.id), request,
                head, has_body, kDrainBytesMax);
        }
        const Held<std::uint64_t> body_bytes{shared_.bodies_bytes, reserved};
        if (has_body) {
            if (!co_await read_body(parser, request, head)) co_return false;
        }
        co_return co_await handle(admitted, std::move(request), head, keep_alive, chunks);
    }

    /// One bucket for whoever is known, wherever they ask from; one for each address of those who are not.
    std::optional<Response> too_often(const Request& request, const AuthDecision& who) {
        const auto now = std::chrono::steady_clock::now();
        const bool known = who.result == AuthResult::granted;
        const ClientDoor::Client client{known, known ? who.actor : place_.address()};
        if (shared_.door.may_ask(client, now)) return std::nullopt;
        shared_.counters.requests_limited.fetch_add(1, std::memory_order_relaxed);
        auto response = problem_response(
            429, "too-many-requests",
            fmt::format("more than {} requests a second; wait, then ask again", shared_.limits.requests_per_second_max),
            request.id);
        response.headers.push_back({"Retry-After", std::to_string(shared_.door.wait(client, now).count())});
        return response;
    }

    void take_certificate() {
        if (shared_.trust == nullptr) return;
        CertificatePtr own{SSL_get1_peer_certificate(stream_.native_handle())};
        if (!own) return;
        certificate_.emplace(PeerCertificate{std::move(own), {}});
        const auto* chain = SSL_get_peer_cert_chain(stream_.native_handle());  // a server's is without the peer's own
        for (int i = 0; chain != nullptr && i < sk_X509_num(chain); ++i) {
            auto* one = sk_X509_value(chain, i);
            if (X509_up_ref(one) == 1) certificate_->chain.emplace_back(one);
        }
    }

    /// Nothing: there is none, and none is required.
    std::optional<AuthDecision> judged_certificate() {
        if (shared_.trust == nullptr || (!certificate_ && !shared_.trust->required())) return std::nullopt;
        return shared_.trust->judge(certificate_ ? &*certificate_ : nullptr);
    }

    bool still_live(const Admitted& admitted) {
        if (certificate_ && !shared_.trust->still_live(*certificate_)) return false;
        return admitted.who.by_certificate || shared_.gateway.still_live(admitted);
    }

    /// From a body's beginning on, where so much of it is here: who sends steadily has time, who dawdles has little.
    std::chrono::milliseconds time_for(std::uint64_t bytes) const {
        const auto& limits = shared_.limits;
        const std::chrono::milliseconds earned{bytes * 1000 / limits.body_bytes_per_second_min};
        return std::min(limits.body_timeout, limits.body_grace + earned);
    }

    /// False: it has been answered or the connection is broken.
    asio::awaitable<bool> read_body(Parser& parser, Request& request, bool head) {
        error_code error;
        if (const auto expect = request.header("Expect")) {
            if (!equals_ignoring_case(*expect, "100-continue")) {
                co_return co_await answer_and_close(
                    problem_response(417, "bad-expectation", "only `Expect: 100-continue` is known", request.id),
                    request, head, true, kDrainBytesMax);
            }
            constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
            expires_after(shared_.limits.write_timeout);
            co_await asio::async_write(stream_, asio::buffer(kContinue),
                                       asio::redirect_error(asio::use_awaitable, error));
            if (error) co_return false;
        }
        const auto begun = std::chrono::steady_clock::now();
        parser.eager(true);
        while (!error && !parser.is_done()) {
            beast::get_lowest_layer(stream_).expires_at(begun + time_for(parser.get().body().size()));
            co_await http::async_read_some(stream_, buffer_, parser, asio::redirect_error(asio::use_awaitable, error));
        }
        if (error) {
            note_slow(error, shared_.counters.slow_bodies);
            co_await refuse(error);
            co_return false;
        }
        request.body = std::move(parser.get().body());
        co_return true;
    }

    asio::awaitable<bool> handle(const Admitted& admitted, Request request, bool head, bool keep_alive, bool chunks) {
        expires_never();
        const Route& route = *admitted.route;
        const Lane lane = lane_for(route, request);
        const auto call = [&] { return call_handler(route, request, admitted.parameters); };
        Response response;
        if (lane == Lane::inline_) {
            response = call();
        } else {
            response = co_await offload(pool_of(lane), call);
        }
        if (response.pieces && !head)
            co_return co_await write_pieces(std::move(response), lane, request.id, keep_alive, chunks);
        if (!response.stream || head) co_return co_await write(std::move(response), request.id, head, keep_alive);
        if (shared_.counters.event_streams.load(std::memory_order_relaxed) >= shared_.limits.event_streams_max) {
            co_return co_await write(
                problem_response(503, "too-many-streams", "too many clients follow events", request.id), request.id,
                head, keep_alive);
        }
        co_await follow(admitted, *response.stream, request.id);
        co_return false;
    }

    asio::thread_pool& pool_of(Lane lane) const {
        if (lane == Lane::commits) return shared_.commits;
        if (lane == Lane::plans) return shared_.plans;
        return lane == Lane::walks ? shared_.walks : shared_.reads;
    }

    /// Of a body that is made while it is sent.
    struct Piece {
        std::optional<std::string> text;  ///< nothing = the end
        bool failed{};
    };
    static Piece next_piece(const BodySource& source) {
        try {
            return {source(), false};
        } catch (const std::exception&) {
            return {std::nullopt, true};
        }
    }

    /// A body of unknown length, in chunks (RFC 9112 section 7.1); HTTP/1.0 has none, there the connection's end is the
    /// body's. True: the connection can go on.
    asio::awaitable<bool> write_pieces(Response response, Lane lane, const std::string& id, bool keep_alive,
                                       bool chunks) {
        keep_alive = keep_alive && chunks;
        http::response<http::empty_body> message;
        message.version(11);
        message.result(static_cast<unsigned>(response.status));
        message.reason(reason_phrase(response.status));
        add_common_headers(message, id);
        message.set(http::field::content_type, response.content_type);
        message.keep_alive(keep_alive);
        message.chunked(chunks);
        error_code error;
        expires_after(shared_.limits.write_timeout);
        http::response_serializer<http::empty_body> serializer{message};
        co_await http::async_write_header(stream_, serializer, asio::redirect_error(asio::use_awaitable, error));
        const BodySource source = std::move(response.pieces);
        bool whole = false;
        while (!error && !whole && !shared_.stopping) {
            expires_never();
            const auto make = [&source] { return next_piece(source); };
            Piece piece = co_await offload(pool_of(lane), make);
            if (piece.failed) co_return false;
            whole = !piece.text.has_value();
            if (!whole && piece.text->empty()) continue;  // an empty chunk would be the end
            std::string chunk;
            if (!whole) chunk = std::move(*piece.text);
            if (chunks) chunk = chunk_of(chunk);
            expires_after(shared_.limits.write_timeout);
            co_await asio::async_write(stream_, asio::buffer(chunk), asio::redirect_error(asio::use_awaitable, error));
        }
        co_return !error && whole && keep_alive;
    }

    /// True: the connection can go on.
    asio::awaitable<bool> write(Response response, const std::string& id, bool head, bool keep_alive) {
        http::response<http::string_body> message;
        message.version(11);
        message.result(static_cast<unsigned>(response.status));
        message.reason(reason_phrase(response.status));
        add_common_headers(message, id);
        for (const auto& header : response.headers) message.insert(header.name, header.value);
        if (!response.content_type.empty()) message.set(http::field::content_type, response.content_type);
        message.keep_alive(keep_alive);
        if (response.status != 304 && !response.pieces) message.content_length(response.body.size());
        if (!head) message.body() = std::move(response.body);

        error_code error;
        expires_after(shared_.limits.write_timeout);
        http::response_serializer<http::string_body> serializer{message};
        if (head) {
            co_await http::async_write_header(stream_, serializer, asio::redirect_error(asio::use_awaitable, error));
        } else {
            co_await http::async_write(stream_, serializer, asio::redirect_error(asio::use_awaitable, error));
        }
        co_return !error && keep_alive;
    }

    template <typename Message>
    static void add_common_headers(Message& message, const std::string& id) {
        message.set(http::field::date, http_date());
        message.set(http::field::cache_control, "no-store");
        message.set("X-Content-Type-Options", "nosniff");
        message.set("X-Request-Id", id);
    }

    asio::awaitable<bool> answer_and_close(Response response, const Request& request, bool head, bool has_body,
                                           std::uint64_t drain_bytes) {
        if (has_body) drain_bytes_ = drain_bytes;
        co_await write(std::move(response), request.id, head, false);
        co_return false;
    }

    asio::awaitable<bool> refuse(const error_code& error) {
        if (!is_parser_error(error)) co_return false;
        drain_bytes_ = error == http::error::body_limit ? kDrainBytesMax : kDrainStrangerBytesMax;
        const auto id = new_request_id();
        co_await write(refusal_of(error, shared_.limits, id), id, false, false);
        co_return false;
    }

    /// Reads what a refused request still sends: closing at once would reset the connection before the peer has read
    /// the answer (RFC 9112 section 9.6).
    asio::awaitable<void> drain() {
        error_code error;
        std::vector<char> scrap(16 * 1024);
        expires_after(shared_.limits.drain_timeout);
        while (!error && drain_bytes_ > 0) {
            const auto bytes =
                co_await stream_.async_read_some(asio::buffer(scrap), asio::redirect_error(asio::use_awaitable, error));
            drain_bytes_ -= std::min<std::uint64_t>(drain_bytes_, bytes);
        }
    }

    asio::awaitable<void> follow(const Admitted& admitted, EventFeed& feed, const std::string& id) {
        const HeldCounter streaming{shared_.counters.event_streams};
        // Wakes this coroutine from the hub's thread. What the hub holds outlives us if need be, and touches us only
        // here, on the I/O thread, and only while we live.
        struct Wake {
            explicit Wake(const asio::any_io_executor& executor) : timer{executor} {}
            asio::steady_timer timer;
            bool news{true};
        };
        const auto wake = std::make_shared<Wake>(co_await asio::this_coro::executor);
        const auto subscription =
            shared_.hub.subscribe([weak = std::weak_ptr{wake}, executor = wake->timer.get_executor()] {
                asio::post(executor, [weak] {
                    if (const auto woken = weak.lock()) {
                        woken->news = true;
                        woken->timer.cancel();
                    }
                });
            });
        struct Unsubscribe {
            EventHub& hub;
            std::uint64_t subscription;
            ~Unsubscribe() { hub.unsubscribe(subscription); }
        } const unsubscribe{shared_.hub, subscription};

        std::string text = fmt::format(
            "HTTP/1.1 200 OK\r\nDate: {}\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
            "X-Content-Type-Options: nosniff\r\nX-Request-Id: {}\r\nConnection: close\r\n\r\nretry: 1000\n{}",
            http_date(), id, feed.place());
        // A token that is taken back ends its streams too, with the next event or the next sign of life.
        while (!shared_.stopping && still_live(admitted)) {
            if (!co_await write_event_text(text)) co_return;
            text.clear();
            error_code error;
            if (!wake->news) {
                wake->timer.expires_after(shared_.limits.event_keepalive);
                co_await wake->timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
                if (!wake->news) text = ": still here\n\n";
            }
            if (!wake->news) continue;
            wake->news = false;
            // By reference: gcc 12 destroys twice what a lambda on its way through co_await owns.
            const auto ask = [&feed] { return feed.next(); };
            text = co_await offload(shared_.reads, ask);
            wake->news = wake->news || !text.empty();  // there may be more than a page
        }
    }

    asio::awaitable<bool> write_event_text(const std::string& text) {
        if (text.empty()) co_return true;
        error_code error;
        expires_after(shared_.limits.event_write_timeout);
        co_await asio::async_write(stream_, asio::buffer(text), asio::redirect_error(asio::use_awaitable, error));
        if (error == beast::error::timeout)
            shared_.counters.event_streams_dropped.fetch_add(1, std::memory_order_relaxed);
        co_return !error;
    }

    SessionShared& shared_;
    ClientDoor::Place place_;
    std::string peer_;
    std::optional<ClientPath> path_;
    Stream stream_;
    std::optional<PeerCertificate> certificate_;
    beast::flat_buffer buffer_;
    std::uint64_t drain_bytes_{};
    bool asked_{};  ///< a request's header has come whole
};

}  // namespace

asio::awaitable<void> serve_connection(asio::ip::tcp::socket socket, ClientDoor::Place place, SessionShared& shared) {
    Session session{std::move(socket), std::move(place), shared};
    co_await session.run();
}

}  // namespace sluice::cp::api
