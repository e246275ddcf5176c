#include "dataplane/manager/manager.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "dataplane/manager/log.hpp"

namespace sluice::dp {

namespace {

constexpr std::uint64_t kTickNs = 100'000'000;
constexpr std::uint64_t kPortReadNs = 1'000'000'000;
/// While somebody waits for workers: a worker answers within a loop, which is microseconds or one idle sleep.
constexpr std::uint64_t kWaitingNs = 100'000;

/// For managers that no later process follows: tests.
std::shared_ptr<SetMemory> sets_or_own(std::shared_ptr<SetMemory> sets) {
    constexpr std::uint32_t records = 1U << 16;
    if (sets) return sets;
    auto own = SetMemory::open({}, records);
    if (!own) {
        log_error("{}", own.error());
        std::abort();
    }
    return std::make_shared<SetMemory>(std::move(own.value()));
}

std::vector<const abi::WorkerCounters*> worker_counters(const TelemetrySegments& telemetry, std::uint32_t count) {
    std::vector<const abi::WorkerCounters*> all;
    for (std::uint32_t w = 0; w < count; ++w) all.push_back(telemetry.worker(w).counters);
    return all;
}

}  // namespace

std::uint64_t utc_seconds() noexcept {
    using namespace std::chrono;
    return static_cast<std::uint64_t>(duration_cast<seconds>(system_clock::now().time_since_epoch()).count());
}

Manager::Manager(ManagerOptions options, TelemetrySegments& telemetry, TablesQsbr& tables, DescriptorStore store,
                 std::vector<FlowDumpMailbox*> mailboxes)
    : options_{std::move(options)},
      telemetry_{telemetry},
      store_{std::move(store)},
      attacher_{port_views(), options_.rule_slots_max, options_.publishers},
      generations_{tables},
      sets_{sets_or_own(options_.sets), generations_},
      watch_{worker_counters(telemetry, options_.worker_count), options_.clock()},
      dumps_{std::move(mailboxes)},
      started_{options_.clock()} {
    telemetry_.manager().flow_capacity.set(options_.flow_capacity);
    telemetry_.manager().flow_half_open_max.set(options_.flow_capacity * options_.half_open_percent / 100);
}

std::vector<std::string_view> Manager::port_views() const {
    return {options_.port_names.begin(), options_.port_names.end()};
}

Expected<void, std::string> Manager::listen() {
    auto socket = TablesSocket::listen(options_.tables_socket, options_.tables_socket_gid);
    if (!socket) return Unexpected<std::string>{std::move(socket.error())};
    socket_.emplace(std::move(*socket));
    return {};
}

std::string Manager::status_text() const {
    const auto& running = generations_.running();
    return running ? fmt::format("running generation {}", running->manifest.generation) : "running no policy";
}

void Manager::tell_ready() {
    if (told_ready_ || !watch_.all_started()) return;
    told_ready_ = true;
    store_.notifier().send("READY=1\nSTATUS=" + status_text());
}

// ------------------------------------------------------------------------------------------------------------ restart

void Manager::restore(const LastGood& last_good) {
    follow_time();
    tell_of_flows();
    // A generation that is restored had flows. Those that are gone may be picked up in mid-stream; where none is gone
    // there is nothing to pick up. Whoever starts with no generation has had none.
    if (options_.pickup_ns != 0 && !options_.flows.whole()) {
        generations_.open_pickup({options_.clock().ns + options_.pickup_ns});
    }
    if (!restore_from_store(last_good)) restore_last_good(last_good);
    if (!generations_.running()) {
        generations_.open_pickup({});
        log_warning(
            "no policy to start with: {}; fail_mode={}",
            options_.fail_open ? "everything passes until one is published" : "nothing passes until one is published",
            options_.fail_open ? "open" : "closed");
    }
    record();
}

void Manager::tell_of_flows() {
    auto& counters = telemetry_.manager();
    const RecoveryCount& count = options_.flows.count;
    counters.flows_kept.set(count.kept);
    std::string causes;
    for (std::size_t i = 0; i < abi::kFlowLossCount; ++i) {
        counters.flows_lost[i].set(count.lost[i]);
        if (count.lost[i] == 0) continue;
        causes += fmt::format("{}{} {} ({})", causes.empty() ? ": " : ", ", count.lost[i], abi::kFlowLosses[i].name,
                              abi::kFlowLosses[i].help);
    }
    if (options_.flows.had_predecessor) {
        const std::uint64_t lost = count.lost_total();
        const auto text = fmt::format("kept {} flows of the process before, lost {}{}", count.kept, lost, causes);
        lost == 0 ? log_info("{}", text) : log_warning("{}", text);
    }
    auto kept = options_.flows.fds;
    if (options_.sets) kept.emplace_back(SetMemory::name(), options_.sets->fd());
    store_.keep_flows(std::move(kept));
    counters.set_members_max.set(sets_.memory().memory().records.size());
    if (const auto members = sets_.table().counts().members; members != 0)
        log_info("kept {} members of sets of the process before", members);
}

bool Manager::restore_from_store(const LastGood& last_good) {
    const RunState before = store_.restored();
    generations_.restore_highest_seen(before.highest_seen);
    if (before.running == 0) return false;
    const auto attach_stored = [&](std::uint64_t generation) -> Generations::Held {
        auto fds = store_.stored_generation(generation);
        if (!fds) return nullptr;
        auto attached = attacher_.attach(std::move(*fds));
        if (attached) return *attached;
        log_error("refused stored generation {}: {}; reason={}", generation, attached.error().where,
                  to_string(attached.error().reason));
        return nullptr;
    };
    auto running = attach_stored(before.running);
    auto previous = before.previous == 0 ? nullptr : attach_stored(before.previous);
    if (!running) return false;
    if (!previous && before.confirm_deadline.ns != 0) {
        // The store has lost the way back. What was confirmed last is the same policy, written to disk.
        previous = attach_last_good(last_good);
        if (!previous || previous->manifest.generation == before.running) {
            previous = nullptr;
            log_error("generation {} waits for a confirmation, and there is none left to return to", before.running);
        }
    }
    const auto source =
        before.source == abi::StateSource::reverted ? abi::StateSource::reverted : abi::StateSource::descriptor_store;
    generations_.switch_to(std::move(running), source, before.confirm_deadline);
    generations_.restore_previous(std::move(previous));
    log_info("running again what ran before; generation={} source=descriptor_store", before.running);
    revert_at_deadline(options_.clock());
    return true;
}

Generations::Held Manager::attach_last_good(const LastGood& last_good) {
    auto fds = last_good.load();
    if (!fds) {
        log_error("{}; it is not used", fds.error());
        return nullptr;
    }
    if (!*fds) return nullptr;
    auto attached = attacher_.attach(std::move(**fds));
    if (!attached) {
        log_error("refused the last good generation: {}; reason={}", attached.error().where,
                  to_string(attached.error().reason));
        return nullptr;
    }
    store_.keep(**attached);
    return std::move(*attached);
}

void Manager::restore_last_good(const LastGood& last_good) {
    auto attached = attach_last_good(last_good);
    if (!attached) return;
    const std::uint64_t generation = attached->manifest.generation;
    generations_.switch_to(std::move(attached), abi::StateSource::last_good, {});
    log_info("running the last good policy; generation={} source=last_good", generation);
}

void Manager::record() {
    const auto& running = generations_.running();
    const auto& previous = generations_.previous();
    store_.record({running ? running->manifest.generation : 0, previous ? previous->manifest.generation : 0,
                   generations_.confirm_deadline(), generations_.source(), generations_.highest_seen()});
    store_.keep_only(running.get(), previous.get());
    auto& counters = telemetry_.manager();
    counters.generation.set(running ? running->manifest.generation : 0);
    counters.confirm_deadline_ns.set(generations_.confirm_deadline().ns);
    counters.fail_open.set(options_.fail_open && !running ? 1 : 0);
    if (told_ready_) store_.notifier().send("STATUS=" + status_text());
}

// --------------------------------------------------------------------------------------------------------------- loop

void Manager::run(int stop_fd) {
    while (run_once(kTickNs, stop_fd)) {
    }
    store_.notifier().send("STOPPING=1");
}

bool Manager::run_once(std::uint64_t wait_max_ns, int stop_fd) {
    follow_time();  // before requests: what they switch to is for this instant
    polled_.clear();
    polled_.push_back({stop_fd, POLLIN, 0});
    if (socket_) socket_->add_to(polled_);
    const std::uint64_t ns = wait_ns(options_.clock(), wait_max_ns);
    const timespec wait{static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
    const int ready = ppoll(polled_.data(), polled_.size(), &wait, nullptr);
    if (ready > 0 && polled_.front().revents != 0) return false;
    if (ready > 0 && socket_) socket_->handle(std::span{polled_}.subspan(1), *this);

    const abi::MonoTime now = options_.clock();
    follow_time();
    tell_ready();
    answer_pending(now);
    turn_sets(now);
    revert_at_deadline(now);
    send_dumps(now);
    if (now >= next_tick_) {
        next_tick_ = {now.ns + kTickNs};
        generations_.collect();
        watch_workers(now);
    }
    feed_watchdog(now);
    if (now >= next_port_read_) {
        next_port_read_ = {now.ns + kPortReadNs};
        options_.read_ports(telemetry_.manager());
        for (const auto& held : {generations_.running(), generations_.previous()}) {
            if (held) store_.keep(*held);
        }
    }
    return true;
}

std::uint64_t Manager::wait_ns(abi::MonoTime now, std::uint64_t wait_max_ns) const {
    std::uint64_t wait = wait_max_ns;
    if (!told_ready_ || !pending_.empty() || !pending_sets_.empty() || sets_.busy() || dumps_.busy())
        wait = std::min(wait, kWaitingNs);
    if (options_.watchdog_period_ns != 0) wait = std::min(wait, options_.watchdog_period_ns / 6);
    const abi::MonoTime expiry = sets_.next_expiry();
    if (expiry.ns != 0) wait = std::min(wait, expiry > now ? expiry.ns - now.ns : 0);
    const abi::MonoTime deadline = generations_.confirm_deadline();
    if (deadline > now) wait = std::min(wait, deadline.ns - now.ns);
    return wait;
}

void Manager::answer_pending(abi::MonoTime now) {
    std::erase_if(pending_, [&](const Pending& p) {
        const std::uint64_t late = generations_.late_workers(p.sequence);
        if (late != 0 && now < p.deadline) return false;
        auto reply = answer(late == 0 ? abi::AnswerKind::adopted : abi::AnswerKind::stalled, p.request);
        reply.stalled_workers = late;
        reply.adopt_ns = now.ns - p.started.ns;
        auto& counters = telemetry_.manager();
        (late == 0 ? counters.publishes_adopted : counters.publishes_stalled).add(1);
        if (late == 0) {
            log_info("adopted generation {}; adopt_us={}", p.generation, reply.adopt_ns / 1000);
        } else {
            log_warning("generation {} is not run by all workers; stalled_workers={:#x}", p.generation, late);
        }
        if (socket_) socket_->send(p.client, reply);
        return true;
    });
}

void Manager::revert_at_deadline(abi::MonoTime now) {
    const abi::MonoTime deadline = generations_.confirm_deadline();
    if (deadline.ns == 0 || now < deadline) return;
    const auto& running = generations_.running();
    const std::uint64_t left = running->manifest.generation;
    if (!generations_.revert(left, abi::StateSource::reverted)) {
        // A stalled worker holds all nodes, or a restart lost the way back. Tried again every round; `status` shows a
        // deadline that has passed.
        return;
    }
    telemetry_.manager().reverts.add(1);
    record();
    log_warning("generation {} was not confirmed in time; reverted to generation {}", left,
                generations_.running()->manifest.generation);
    notice(abi::NoticeKind::reverted, 0);
}

/// Rules come and go at their time whether anybody is there or not.
void Manager::follow_time() {
    if (!generations_.tell_time(options_.unix_s())) return;
    telemetry_.manager().transitions.add(1);
    log_info("rules came into force or went at their time; generation={}", generations_.running()->manifest.generation);
}

void Manager::watch_workers(abi::MonoTime now) {
    for (const auto& change : watch_.check(now)) {
        if (change.stalled) {
            log_error("worker {} has stalled", change.worker);
        } else {
            log_info("worker {} turns again", change.worker);
        }
        notice(change.stalled ? abi::NoticeKind::worker_stalled : abi::NoticeKind::worker_back, change.worker);
    }
}

void Manager::feed_watchdog(abi::MonoTime now) {
    // When no worker turns any more a fresh process is the better one: let the supervisor's patience run out.
    if (options_.watchdog_period_ns == 0 || now < next_watchdog_ || watch_.all_stalled()) return;
    next_watchdog_ = {now.ns + options_.watchdog_period_ns / 3};
    store_.notifier().send("WATCHDOG=1");
}

void Manager::send_dumps(abi::MonoTime now) {
    while (const auto page = dumps_.step(now)) {
        if (!socket_ || page->client == 0) continue;
        if (page->dump != nullptr) {
            socket_->send(page->client, *page->dump);
        } else {
            socket_->send(page->client, *page->ended);
        }
    }
}

void Manager::notice(abi::NoticeKind kind, std::uint32_t worker) {
    if (!socket_ || publisher_ == 0) return;
    abi::Notice n;
    n.kind = kind;
    n.worker = worker;
    n.state = state();
    socket_->send(publisher_, n);
}

abi::ProcessState Manager::state() const {
    abi::ProcessState s;
    s.boot_id = options_.boot_id;
    if (const auto& running = generations_.running()) {
        s.running_generation = running->manifest.generation;
        s.running_digest = running->manifest.generation_digest;
        s.running_policy_version = running->manifest.policy_version;
    }
    if (const auto& previous = generations_.previous()) s.previous_generation = previous->manifest.generation;
    s.started = started_;
    s.confirm_deadline = generations_.confirm_deadline();
    s.set_epoch = sets_.table().epoch();
    s.last_delta = sets_.table().number();
    s.stalled_workers = watch_.stalled();
    s.worker_count = options_.worker_count;
    s.port_count = static_cast<std::uint32_t>(options_.port_names.size());
    s.pid = static_cast<std::uint32_t>(getpid());
    s.fail_open = options_.fail_open ? 1 : 0;
    s.source = static_cast<std::uint8_t>(generations_.source());
    return s;
}

}  // namespace sluice::dp
