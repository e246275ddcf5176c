#include "tests/bench/control_side.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <utility>

namespace sluice::bench {

namespace {

constexpr std::uint32_t kPorts = 2;

Expected<void, std::string> adopted(const Expected<cp::CommitResult, cp::Problem>& result) {
    if (!result) {
        const cp::Problem& problem = result.error();
        std::string why = problem.code + ": " + problem.detail;
        if (!problem.errors.empty()) why += "; the first: " + problem.errors.front().detail;
        return Unexpected{std::move(why)};
    }
    if (result->state == cp::CommitState::adopted) return {};
    return Unexpected<std::string>{result->state == cp::CommitState::unchanged ? "it changed nothing"
                                                                               : "the worker did not adopt it"};
}

cp::UniqueFd second(int fd) { return cp::UniqueFd{::fcntl(fd, F_DUPFD_CLOEXEC, 3)}; }

}  // namespace

DataplaneMemory::DataplaneMemory(std::uint32_t rule_slots_max)
    : rule_slots{rule_slots_max},
      telemetry{std::move(*dp::TelemetrySegments::create(
          {.boot_id = 1, .worker_count = 1, .port_count = kPorts, .rule_slots = rule_slots_max}))} {}

Expected<std::unique_ptr<ControlSide>, std::string> ControlSide::start(DataplaneMemory& memory,
                                                                       dp::FlowDumpMailbox& mailbox) {
    std::unique_ptr<ControlSide> made{new ControlSide{memory}};
    if (auto ok = made->start_manager(mailbox); !ok) return Unexpected<std::string>{ok.error()};
    if (auto ok = made->start_service(); !ok) return Unexpected<std::string>{ok.error()};
    return made;
}

Expected<void, std::string> ControlSide::start_manager(dp::FlowDumpMailbox& mailbox) {
    auto store = dp::DescriptorStore::open(dp::Notifier{}, dp::StoredFds{});
    if (!store) return Unexpected<std::string>{store.error()};
    auto sets = dp::SetMemory::open({});  // as large as the dataplane's
    if (!sets) return Unexpected<std::string>{sets.error()};
    auto options = test::one_wire(dir_.path("tables.sock"), 1, memory_.rule_slots);
    options.sets = std::make_shared<dp::SetMemory>(std::move(*sets));
    manager_ = std::make_unique<dp::Manager>(std::move(options), *memory_.telemetry, memory_.tables, std::move(*store),
                                             std::vector<dp::FlowDumpMailbox*>{&mailbox});
    if (auto ok = manager_->listen(); !ok) return ok;
    stop_fd_ = dp::UniqueFd{::eventfd(0, EFD_CLOEXEC)};
    manager_thread_ = std::thread{[this] { manager_->run(stop_fd_.get()); }};
    return {};
}

Expected<void, std::string> ControlSide::start_service() {
    const auto fds = memory_.telemetry->fds();
    const auto segments =
        cp::TelemetrySegments::map({.counters = second(fds[0]), .rules = second(fds[1]), .events = second(fds[2])});
    if (!segments) return Unexpected<std::string>{segments.error()};
    collector_.attach(*segments, {"p0", "p1"});
    cp::ControlConfig config;
    config.state_dir = dir_.path("state");
    config.tables_socket = dir_.path("tables.sock");
    config.last_good = dir_.path("last-good");
    config.flow_log_path = dir_.path("flows.jsonl");
    auto service = cp::PolicyServiceImpl::open(config);
    if (!service) return Unexpected<std::string>{service.error()};
    service_ = std::move(*service);
    service_->start();
    // What is left of reasons then: there is no policy yet.
    const auto may_publish = [this] {
        const auto status = service_->status();
        return status.dataplane_connected && status.not_ready.size() == 1;
    };
    if (!test::eventually(may_publish)) return Unexpected<std::string>{"the policy service did not find the manager"};
    return {};
}

ControlSide::~ControlSide() {
    if (server_thread_.joinable()) {
        server_->stop();
        server_thread_.join();
    }
    if (service_) service_->stop();
    if (!manager_thread_.joinable()) return;
    const std::uint64_t one = 1;
    if (::write(stop_fd_.get(), &one, sizeof one) != static_cast<ssize_t>(sizeof one)) std::abort();
    manager_thread_.join();
}

Expected<void, std::string> ControlSide::put(std::string_view policy_json) {
    cp::CommitOptions options;
    if (const auto now = service_->current()) {
        options.if_match = now->hash;
    } else {
        options.if_none_match_any = true;
    }
    return adopted(service_->put(policy_json, cp::PolicyFormat::json, options));
}

Expected<void, std::string> ControlSide::patch(std::string_view edits) {
    const auto now = service_->current();
    if (!now) return Unexpected<std::string>{"there is no policy to be changed"};
    return adopted(service_->patch(edits, {.if_match = now->hash}));
}

Expected<void, std::string> ControlSide::change_set(const cp::SetChangeQuery& query) {
    const auto done = service_->change_set(query);
    if (!done) return Unexpected{done.error().code + ": " + done.error().detail};
    if (!done->enforced) return Unexpected{done->trouble};
    return {};
}

Expected<ctl::ClientConfig, std::string> ControlSide::serve() {
    const std::filesystem::path state{dir_.path("state")};
    cp::api::ApiConfig config{.listen = "127.0.0.1:0", .state_dir = state};
    config.limits.requests_per_second_max = 0;  // its one client asks as fast as it is answered
    server_ = std::make_unique<cp::api::ApiServer>(std::move(config), *service_);
    if (auto opened = server_->open(); !opened) return Unexpected<std::string>{opened.error()};
    server_thread_ = std::thread{[this] { server_->run(); }};
    std::ifstream file{state / "token"};
    ctl::ClientConfig client{.url = "https://127.0.0.1:" + std::to_string(server_->port()),
                             .ca_file = (state / "ca.pem").string()};
    if (!(file >> client.token)) return Unexpected<std::string>{"the REST server left no token"};
    return client;
}

std::string ControlSide::scrape() {
    collector_.collect();
    return service_->metrics(false);
}

}  // namespace sluice::bench
