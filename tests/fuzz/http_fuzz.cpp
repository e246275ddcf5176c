/// libFuzzer target for what a peer can say over HTTP: http_fuzz [-max_total_time=60] CORPUS_DIR. Input: the bytes of a
/// connection, one request behind the other. They go to serve_connection as from a socket, through TLS, over a policy
/// service in memory; then the peer sends no more and reads to the end. Every answer is well-formed; nothing is told to
/// who has no token; the connection ends.
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/parse.hpp>

#include "controlplane/api/bootstrap_tls.hpp"
#include "controlplane/api/http_session.hpp"
#include "controlplane/api/resources.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/unit/controlplane/api/first_token.hpp"
#include "tests/unit/controlplane/api/memory_policy_service.hpp"

namespace {

namespace asio = boost::asio;
using namespace sluice::cp::api;
using namespace std::chrono_literals;
using boost::system::error_code;
using sluice::test::must;

constexpr std::string_view kToken = "fuzz-token";
constexpr std::size_t kAnswersBytesMax = 16U << 20;

/// What outlives an input: a certificate, threads.
struct World {
    World() {
        std::string dir = (std::filesystem::temp_directory_path() / "sluice-http-fuzz-XXXXXX").string();
        must(::mkdtemp(dir.data()) != nullptr, "a directory");
        const auto secrets = ensure_secrets(dir, "127.0.0.1");
        must(secrets.has_value(), "a certificate");
        server_tls.use_certificate_chain_file(secrets->certificate.string());
        server_tls.use_private_key_file(secrets->key.string(), asio::ssl::context::pem);
        std::filesystem::remove_all(dir);
    }
    asio::ssl::context server_tls{asio::ssl::context::tls_server}, client_tls{asio::ssl::context::tls_client};
    asio::thread_pool reads{1}, walks{1}, plans{1}, commits{1}, checks{1}, issuer_checks{1};
    test::MemoryPolicyService silent;  ///< the hub only wakes followers: their events are the input's service's
    EventHub hub{silent};
};

/// The peer. What it has read is in `answers`.
asio::awaitable<void> talk(asio::ssl::stream<asio::ip::tcp::socket> stream, std::string_view requests,
                           std::string& answers) {
    error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    co_await stream.async_handshake(asio::ssl::stream_base::client, token);
    must(!error, "a handshake");
    co_await asio::async_write(stream, asio::buffer(requests), token);
    stream.next_layer().shutdown(asio::socket_base::shutdown_send, error);
    error = {};
    std::vector<char> buffer(64 * 1024);
    while (!error) {
        const std::size_t bytes = co_await stream.async_read_some(asio::buffer(buffer), token);
        answers.append(buffer.data(), bytes);
        must(answers.size() < kAnswersBytesMax, "answers end");
        // Nobody but the follower ends a stream of events.
        if (answers.find("Content-Type: text/event-stream") != std::string::npos) break;
    }
}

bool is_field_text(std::string_view text) {
    return std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

std::string_view cut_off(std::string_view& text, std::string_view mark) {
    const std::size_t end = text.find(mark);
    must(end != std::string_view::npos, "an answer's head is whole");
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(end + mark.size());
    return part;
}

struct Answer {
    unsigned status{};
    std::string_view type;
    std::size_t body_bytes{};
};

Answer head_of(std::string_view head) {
    Answer answer;
    std::string_view line = cut_off(head, "\r\n");
    must(line.starts_with("HTTP/1.1 ") && is_field_text(line), "a status line");
    std::from_chars(line.data() + 9, line.data() + line.size(), answer.status);
    while (!head.empty()) {
        line = cut_off(head, "\r\n");
        const std::size_t colon = line.find(": ");
        must(colon != std::string_view::npos && colon != 0 && is_field_text(line),
             "a header without control characters");
        const std::string_view name = line.substr(0, colon), value = line.substr(colon + 2);
        if (name == "Content-Type") answer.type = value;
        if (name == "Content-Length") std::from_chars(value.data(), value.data() + value.size(), answer.body_bytes);
    }
    return answer;
}

void check(std::string_view answers, std::string_view requests) {
    const bool with_token = requests.find(kToken) != std::string_view::npos;
    const bool asks_whether_alive = requests.find("livez") != std::string_view::npos;
    const bool with_heads = requests.find("HEAD") != std::string_view::npos;  // whose answers have no bodies
    while (!answers.empty()) {
        const std::size_t end = answers.find("\r\n\r\n");
        must(end != std::string_view::npos, "an answer's head is whole");
        const Answer answer = head_of(answers.substr(0, end + 2));
        answers.remove_prefix(end + 4);
        must((answer.status >= 200 && answer.status < 600 && answer.status != 500) || answer.status == 100,
             "a status that we mean");
        must(with_token || asks_whether_alive || answer.status >= 400, "who has no token is told nothing");
        if (with_heads || answer.type == "text/event-stream") return;
        must(answer.body_bytes <= answers.size(), "a body is whole");
        const std::string_view body = answers.substr(0, answer.body_bytes);
        answers.remove_prefix(answer.body_bytes);
        if (answer.type.find("json") == std::string_view::npos) continue;
        error_code error;
        (void)boost::json::parse(boost::json::string_view{body.data(), body.size()}, error);
        must(!error, "a JSON body is JSON in UTF-8");
    }
}

/// Words that make the service in memory sleep or throw on purpose: they are no finding.
bool steers(std::string_view text) {
    constexpr std::array<std::string_view, 2> kWords{"SLOW", "THROW"};
    return std::ranges::any_of(kWords, [&](auto word) { return text.find(word) != std::string_view::npos; });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static World world;
    const std::string_view requests{reinterpret_cast<const char*>(data), size};
    if (steers(requests)) return 0;
    test::MemoryPolicyService service;
    service.add_events(3, 10);
    ApiCounters counters;
    const Router router = make_router(service, counters);
    test::make_first_token(service, kToken);
    // Guesses without end: what a wrong token costs here is nothing beside the handshake.
    Authenticator authenticator{service.tokens(), {.per_address = {1e9, 1}, .computed = {1e9, 1}}};
    const Gateway gateway{router, authenticator, false, counters, service.audit()};
    const ApiLimits limits{.body_bytes_max = 64 * 1024, .event_keepalive = 1ms};
    ClientDoor door{{.connections = 1, .connections_per_address = 1}};
    SessionShared shared{.limits = limits,
                         .gateway = gateway,
                         .service = service,
                         .hub = world.hub,
                         .door = door,
                         .counters = counters,
                         .tls = world.server_tls,
                         .reads = world.reads,
                         .walks = world.walks,
                         .plans = world.plans,
                         .commits = world.commits,
                         .checks = world.checks,
                         .issuer_checks = world.issuer_checks};
    asio::io_context io{1};
    std::array<int, 2> ends{};
    must(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0, "a pair of sockets");
    // asio never asks for the family of a socket that it is given.
    asio::ip::tcp::socket near{io, asio::ip::tcp::v4(), ends[0]}, far{io, asio::ip::tcp::v4(), ends[1]};
    bool ended = false;
    asio::co_spawn(io, serve_connection(std::move(near), *door.enter("fuzzer"), shared),
                   [&](const std::exception_ptr& problem) {
                       must(problem == nullptr, "a session lets no exception out");
                       ended = true;
                   });
    std::string answers;
    asio::co_spawn(io, talk({std::move(far), world.client_tls}, requests, answers), asio::detached);
    io.run_for(20s);
    must(ended && counters.connections == 0 && door.connections() == 0, "the connection ends");
    must(shared.bodies_bytes == 0 && shared.requests_in_flight == 0, "what a request held is given back");
    check(answers, requests);
    return 0;
}
