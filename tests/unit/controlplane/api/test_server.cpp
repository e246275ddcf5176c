/// The real server over a policy service in memory, as a process, for tests that speak TLS to it. Prints `port N` when
/// it listens, then obeys lines on stdin: `events N [PADDING]`, `not-ready TEXT`, `ready`, `flow-log TEXT`,
/// `records TEXT`, `audit-head NUMBER HASH`, `maintain`, `release`, `stop`, and says `done` after each; end of file
/// stops it.
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>

#include "controlplane/api/api_server.hpp"
#include "tests/unit/controlplane/api/memory_policy_service.hpp"

namespace {

using sluice::cp::api::ApiConfig;
using std::chrono::milliseconds;

/// test_server STATE_DIR [key=value...]
ApiConfig read_config(int argc, char** argv) {
    ApiConfig config{.listen = "127.0.0.1:0", .state_dir = argv[1]};
    config.limits.requests_per_second_max = 0;  // one client asks for all in a test
    for (int i = 2; i < argc; ++i) {
        const std::string argument = argv[i];
        const auto equals = argument.find('=');
        const auto key = argument.substr(0, equals);
        const auto number = std::strtoull(argument.c_str() + equals + 1, nullptr, 10);
        if (key == "metrics_open") config.metrics_open = number != 0;
        if (key == "client_ca") config.client_tls.ca = argument.substr(equals + 1);
        if (key == "crl") config.client_tls.crl = argument.substr(equals + 1);
        if (key == "required") config.client_tls.required = number != 0;
        if (key == "subject" || key == "san") {  // NAME|ROLES
            const auto bar = argument.rfind('|');
            config.client_tls.clients.push_back(
                {key == "san" ? sluice::cp::ClientName::Kind::san : sluice::cp::ClientName::Kind::subject,
                 argument.substr(equals + 1, bar - equals - 1),
                 sluice::cp::roles_from(argument.substr(bar + 1)).value()});
        }
        if (key == "listen") config.listen = argument.substr(equals + 1);
        if (key == "connections_max") config.limits.connections_max = number;
        if (key == "connections_per_address") config.limits.connections_per_address_max = number;
        if (key == "requests_per_second") config.limits.requests_per_second_max = static_cast<std::uint32_t>(number);
        if (key == "event_streams_max") config.limits.event_streams_max = number;
        if (key == "bodies_bytes_max") config.limits.bodies_bytes_max = number;
        if (key == "handshake_ms") config.limits.handshake_timeout = milliseconds{number};
        if (key == "idle_ms") config.limits.idle_timeout = milliseconds{number};
        if (key == "header_ms") config.limits.header_timeout = milliseconds{number};
        if (key == "drain_ms") config.limits.drain_timeout = milliseconds{number};
        if (key == "body_ms") config.limits.body_timeout = milliseconds{number};
        if (key == "body_grace_ms") config.limits.body_grace = milliseconds{number};
        if (key == "event_write_ms") config.limits.event_write_timeout = milliseconds{number};
        if (key == "auth_burst")
            config.limits.auth = {{static_cast<double>(number), 1}, {static_cast<double>(number), 4}};
        if (key == "event_keepalive_ms") config.limits.event_keepalive = milliseconds{number};
    }
    return config;
}

void obey(sluice::cp::api::test::MemoryPolicyService& service) {
    std::string line;
    while (std::getline(std::cin, line)) {
        std::istringstream words{line};
        std::string word;
        words >> word;
        if (word == "stop") return;
        if (word == "ready") service.set_not_ready({});
        if (word == "not-ready") service.set_not_ready({line.substr(word.size() + 1)});
        if (word == "records") service.set_records_trouble(line.substr(word.size() + 1));
        if (word == "flow-log") service.set_flow_log_trouble(line.substr(word.size() + 1));
        if (word == "events") {
            std::uint64_t count = 0;
            std::size_t padding = 0;
            words >> count >> padding;
            service.add_events(count, padding);
        }
        if (word == "audit-head") service.set_audit_head(line.substr(word.size() + 1));
        if (word == "maintain") service.audit().maintain();  // writes down who was turned away at the door
        if (word == "release") service.release();
        std::cout << "done" << std::endl;
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) return EXIT_FAILURE;
    sluice::cp::api::test::MemoryPolicyService service;
    sluice::cp::api::ApiServer server{read_config(argc, argv), service};
    if (const auto opened = server.open(); !opened) {
        std::cerr << opened.error() << '\n';
        return EXIT_FAILURE;
    }
    std::cout << "port " << server.port() << std::endl;
    std::thread io{[&] { server.run(); }};
    obey(service);
    server.stop();
    service.release();
    io.join();
    return EXIT_SUCCESS;
}
