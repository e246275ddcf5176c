#include "controlplane/lifecycle/policy_service_impl.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "controlplane/lifecycle/audit_records.hpp"
#include "controlplane/lifecycle/shadow_judge.hpp"

namespace sluice::cp {
namespace {

/// Each entry in the log as well, with its hash: who keeps the log holds heads that the state directory can't change.
void print_entry(const AuditEntry& entry) {
    const auto& r = entry.record;
    std::fprintf(stderr, "sluice-controlplane: audit %llu %s: %s, by %s from %s%s%s, hash %s\n",
                 static_cast<unsigned long long>(entry.number), r.action.c_str(), r.result.c_str(), r.actor.c_str(),
                 r.origin.c_str(), r.request_id.empty() ? "" : ", request ", r.request_id.c_str(), entry.hash.c_str());
}

}  // namespace

Expected<std::unique_ptr<PolicyServiceImpl>, std::string> PolicyServiceImpl::open(const ControlConfig& config,
                                                                                  const ServiceOptions& options) {
    auto store = PolicyStore::open(*options.files, config.state_dir, {.vfs = options.vfs, .print = print_entry});
    if (!store) return Unexpected<std::string>(store.error().what);
    std::unique_ptr<PolicyServiceImpl> service{new PolicyServiceImpl{config, options, std::move(*store)}};
    service->load_current();
    return service;
}

PolicyServiceImpl::PolicyServiceImpl(const ControlConfig& config, const ServiceOptions& options,
                                     std::unique_ptr<PolicyStore> store)
    : config_{config},
      options_{options},
      records_{{config.flow_records_path, config.flow_records_bytes_max,
                std::chrono::seconds{config.flow_records_age_max_s}},
               *options.files},
      telemetry_{{config.flow_log_path, config.flow_log_rotate_bytes, config.flow_log_keep},
                 {.take = [this](EventBatchPtr batch) { records_.submit(std::move(batch)); },
                  .next = [this](std::uint64_t boot_id) { return records_.next_of(boot_id); },
                  .decided = [this](EventBatchPtr batch) { judge_new_flows(std::move(batch)); }}},
      last_good_{*options_.files, config_.last_good},
      store_{std::move(store)},
      client_{config.tables_socket, *this} {
    check_at_start_ = store_->audit().verify();
    if (!check_at_start_.whole) {
        std::fprintf(stderr, "sluice-controlplane: the audit is broken: %s\n", check_at_start_.what.c_str());
    }
}

PolicyServiceImpl::~PolicyServiceImpl() { stop(); }

void PolicyServiceImpl::start() {
    AuditRecord started;
    started.action = "process.start";
    started.result = "done";
    started.after = state_of(shared().current.get());
    started.detail = check_at_start_.whole ? "the audit is whole" : "the audit is broken: " + check_at_start_.what;
    store_->audit().write_or_keep(std::move(started));
    started_ = true;
    records_.start();
    telemetry_.start();
    last_good_.start();
    keeper_ = std::thread{[this] { keep(); }};
    client_.start();
}

void PolicyServiceImpl::stop() {
    {
        const std::lock_guard lock{keeper_mutex_};
        stopping_ = true;
    }
    keeper_wake_.notify_all();
    client_.stop();
    if (keeper_.joinable()) keeper_.join();
    last_good_.stop();
    telemetry_.stop();
    if (const auto shadow = judge()) shadow->stop();
    records_.stop();
    if (!std::exchange(started_, false)) return;
    AuditRecord stopped;
    stopped.action = "process.stop";
    stopped.result = "done";
    stopped.before = state_of(shared().current.get());
    store_->audit().write_or_keep(std::move(stopped));
    store_->audit().maintain(true);
}

void PolicyServiceImpl::wake_keeper() {
    {
        const std::lock_guard lock{keeper_mutex_};
        reconcile_wanted_ = true;
    }
    keeper_wake_.notify_all();
}

// ------------------------------------------------------------------------------------------- on the client's thread
void PolicyServiceImpl::on_hello(const abi::Hello& hello, TelemetryFds telemetry) {
    std::vector<std::string> ports;
    for (std::uint32_t p = 0; p < hello.state.port_count; ++p) ports.emplace_back(hello.ports[p].text.data());
    const auto attached = telemetry_.attach(telemetry, ports);
    const std::lock_guard lock{state_mutex_};
    shared_.hello = hello;
    shared_.connected = true;
    shared_.publisher = false;
    shared_.telemetry_trouble = attached ? "" : attached.error();
    shadow_due_ = true;
    if (shared_.shadow) shared_.shadow->use_wires(shared_.wires());
}

void PolicyServiceImpl::on_claim(bool granted, std::uint32_t holder_pid) {
    {
        const std::lock_guard lock{state_mutex_};
        shared_.publisher = granted;
        shared_.other_publisher_pid = granted ? 0 : holder_pid;
    }
    if (!granted) return;
    watch_due_ = true;
    wake_keeper();
}

void PolicyServiceImpl::on_notice(const abi::Notice& notice) {
    const bool reverted = notice.kind == abi::NoticeKind::reverted;
    {
        // At once: who sees the reverted state must not find its commit waiting any more.
        const std::lock_guard lock{state_mutex_};
        if (shared_.hello) shared_.hello->state = notice.state;
        if (reverted && shared_.pending && shared_.connected && !shared_.runs(shared_.pending)) shared_.pending.reset();
    }
    if (reverted) wake_keeper();
}

void PolicyServiceImpl::on_status(const abi::ProcessState& state) { heard(state); }

void PolicyServiceImpl::on_lost(const std::string&) {
    const std::lock_guard lock{state_mutex_};
    shared_.connected = false;
    shared_.publisher = false;
    if (shared_.shadow) shared_.shadow->set_watching(false, "the dataplane is not there");
}

// ------------------------------------------------------------------------------------------------------ shared state
PolicyServiceImpl::Shared PolicyServiceImpl::shared() const {
    const std::lock_guard lock{state_mutex_};
    return shared_;
}

void PolicyServiceImpl::heard(const abi::ProcessState& state) {
    const std::lock_guard lock{state_mutex_};
    if (shared_.hello) shared_.hello->state = state;
}

/// After every answer that may have changed what runs: an answer tells neither where the tables came from nor what a
/// revert would return to. Without an answer the connection is over, and the next hello tells.
void PolicyServiceImpl::ask_what_runs() { (void)client_.get_status(); }

/// What waits for a confirmation and no longer runs waits no more. The dataplane is asked: its notice of a deadline
/// that has just run out may still be on its way, and the next commit must not be refused for it. The store's intent
/// goes with the keeper.
void PolicyServiceImpl::look_at_pending() {
    if (!shared().pending) return;
    ask_what_runs();
    const std::lock_guard lock{state_mutex_};
    if (shared_.pending && shared_.connected && !shared_.runs(shared_.pending)) shared_.pending.reset();
}

bool PolicyServiceImpl::Shared::runs(const PreparedPtr& prepared) const {
    return connected && prepared != nullptr && hello->state.running_generation != 0 &&
           hello->state.running_digest == prepared->compiled.manifest.generation_digest;
}

std::vector<std::string> PolicyServiceImpl::Shared::port_names() const {
    std::vector<std::string> names;
    if (!hello) return names;
    for (std::uint32_t p = 0; p < hello->state.port_count; ++p) names.emplace_back(hello->ports[p].text.data());
    return names;
}

WireHint PolicyServiceImpl::Shared::wires() const {
    WireHint hint;
    const auto names = port_names();
    if (!hello) return hint;
    for (std::uint32_t w = 0; w < hello->wire_count; ++w) {
        hint.wires.emplace_back(names[hello->wires[w].a], names[hello->wires[w].b]);
    }
    return hint;
}

// ------------------------------------------------------------------------------------------------- small questions
std::optional<CurrentPolicy> PolicyServiceImpl::current() {
    const auto now = shared().current;
    if (now == nullptr) return std::nullopt;
    return CurrentPolicy{now->policy.name, now->version, now->hash, now->text, now->format, now->generation()};
}

PolicyService::EventPage PolicyServiceImpl::events_after(std::uint64_t after, std::size_t count_max,
                                                         std::chrono::milliseconds wait) {
    auto page = telemetry_.events().after(after, count_max, wait);
    EventPage out;
    out.lost = page.lost;
    for (auto& line : page.lines) out.lines.push_back({line.id, std::move(line.json)});
    return out;
}

std::uint64_t PolicyServiceImpl::newest_event() { return telemetry_.events().newest(); }

std::string to_text(const ClientError& error) { return error.what; }

}  // namespace sluice::cp
