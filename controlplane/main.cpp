/// sluice-controlplane --config FILE [--check]: reads its configuration, opens the store, connects to the dataplane in
/// the background, serves the API until SIGTERM. It starts whether or not a dataplane is there; /readyz says which.
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "controlplane/api/api_server.hpp"
#include "controlplane/lifecycle/config.hpp"
#include "controlplane/lifecycle/notify.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"

namespace {

using namespace sluice::cp;

constexpr int kExitUsage = 2;

struct Arguments {
    std::string config{"/etc/sluice/controlplane.yaml"};
    bool check{false};
};

bool parse(int argc, char** argv, Arguments& arguments) {
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument{argv[i]};
        if (argument == "--check") {
            arguments.check = true;
        } else if (argument == "--config" && i + 1 < argc) {
            arguments.config = argv[++i];
        } else {
            return false;
        }
    }
    return true;
}

int fail(const std::string& sentence) {
    std::fprintf(stderr, "sluice-controlplane: %s\n", sentence.c_str());
    return 1;
}

api::ApiLimits limits_of(const ClientLimits& c) {
    api::ApiLimits limits;
    limits.connections_max = c.connections;
    limits.connections_per_address_max = c.connections_per_address;
    limits.requests_per_second_max = c.requests_per_second;
    limits.header_bytes_max = c.header_bytes;
    limits.body_bytes_max = c.body_bytes;
    // A body that may be must also fit among those of others.
    limits.bodies_bytes_max = std::max(limits.bodies_bytes_max, 2 * c.body_bytes);
    limits.header_timeout = std::chrono::seconds{c.header_timeout_s};
    limits.body_timeout = std::chrono::seconds{c.body_timeout_s};
    return limits;
}

/// Waits for SIGTERM or SIGINT and feeds the service manager's watchdog meanwhile. It runs on its own thread so that a
/// server that hangs is not reported as alive by the very thread that hangs with it: each beat asks the service.
void watch_signals(const sigset_t& signals, PolicyServiceImpl& service, api::ApiServer& server) {
    const auto period = watchdog_period();
    for (;;) {
        timespec wait{3600, 0};
        if (period) {
            wait.tv_sec = period->count() / 1'000'000;
            wait.tv_nsec = period->count() % 1'000'000 * 1000;
        }
        const int caught = ::sigtimedwait(&signals, nullptr, &wait);
        if (caught == SIGTERM || caught == SIGINT) break;
        if (caught < 0 && period) {
            (void)service.newest_event();
            notify_service_manager("WATCHDOG=1");
        }
    }
    notify_service_manager("STOPPING=1");
    server.stop();
}

}  // namespace

int main(int argc, char** argv) {
    Arguments arguments;
    if (!parse(argc, argv, arguments)) {
        std::fprintf(stderr, "usage: sluice-controlplane [--config FILE] [--check]\n");
        return kExitUsage;
    }
    const auto config = read_control_config(arguments.config);
    if (!config) {
        for (const auto& error : config.error()) (void)fail(error);
        return 1;
    }
    if (arguments.check) return 0;
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

    // Blocked before any thread exists, so that every thread inherits it and only watch_signals takes them.
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGTERM);
    ::sigaddset(&signals, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGXFSZ, SIG_IGN);  // a bound on file sizes is an error of write() like a full disk

    auto service = PolicyServiceImpl::open(*config);
    if (!service) return fail(service.error());
    api::ApiServer server{
        {.listen = config->listen,
         .state_dir = config->state_dir,
         .metrics_open = config->metrics_open,
         .client_tls = {config->client_ca, config->client_crl, config->client_required, config->clients},
         .issuer = config->issuer,
         .limits = limits_of(config->limits)},
        **service};
    if (const auto opened = server.open(); !opened) return fail(opened.error());
    (*service)->start();
    if (server.first_start()) {
        std::fprintf(stderr, "sluice-controlplane: first start: a token with every role stands in %s/token\n",
                     config->state_dir.c_str());
    }
    if (!(*service)->tokens().has_live_admin()) {
        std::fprintf(stderr,
                     "sluice-controlplane: no token with the role admin works any more: remove %s/token and start "
                     "again, and a new one is made\n",
                     config->state_dir.c_str());
    }
    std::thread watcher{[&] { watch_signals(signals, **service, server); }};
    std::fprintf(stderr, "sluice-controlplane: listening on %s, state in %s\n", config->listen.c_str(),
                 config->state_dir.c_str());
    notify_service_manager("READY=1");
    server.run();
    watcher.join();
    (*service)->stop();
    return 0;
}
