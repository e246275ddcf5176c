#include "tests/unit/controlplane/publish/test_dataplane.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <sluice/abi/layout.hpp>

namespace sluice::test {
namespace {

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::abort();
}

constexpr int kAllSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

}  // namespace

TestTelemetry::TestTelemetry(std::uint64_t boot_id, std::uint32_t workers, std::uint32_t ports,
                             std::uint32_t rule_slots, std::uint32_t ring_records) {
    const auto aligned = [](std::size_t n) { return (n + abi::kCacheLine - 1) / abi::kCacheLine * abi::kCacheLine; };
    for (std::size_t k = 0; k < 3; ++k) {
        abi::TelemetryHeader header;
        header.kind = static_cast<abi::TelemetryKind>(k + 1);
        header.layout_hash = abi::kLayoutHash;
        header.boot_id = boot_id;
        header.worker_count = workers;
        header.port_count = ports;
        header.first_block = sizeof header;
        if (k == 0) {
            header.first_block = aligned(sizeof header + sizeof(abi::ManagerCounters));
            header.block_bytes = sizeof(abi::WorkerCounters);
        } else if (k == 1) {
            header.rule_slots = rule_slots;
            header.block_bytes = rule_slots * sizeof(abi::RuleCounters);
        } else {
            header.ring_records = ring_records;
            header.block_bytes = sizeof(abi::EventRingHeader) + ring_records * sizeof(abi::EventSlot);
        }
        header.bytes = header.first_block + workers * header.block_bytes;
        bytes_[k] = header.bytes;
        fds_[k] = cp::UniqueFd{::memfd_create("test-telemetry", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
        if (!fds_[k] || ::ftruncate(fds_[k].get(), static_cast<off_t>(header.bytes)) != 0) fail("telemetry memfd");
        void* at = ::mmap(nullptr, header.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds_[k].get(), 0);
        if (at == MAP_FAILED) fail("mmap");
        maps_[k] = static_cast<std::byte*>(at);
        std::memcpy(maps_[k], &header, sizeof header);
        if (::fcntl(fds_[k].get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
            fail("seal");
        }
    }
}

void TestTelemetry::emit(std::uint32_t w, const abi::FlowEvent& event) {
    auto* ring = at<abi::EventRingHeader>(2, block(2, w));
    auto* slots = at<abi::EventSlot>(2, block(2, w) + sizeof(abi::EventRingHeader));
    const auto n = ring->written.load(std::memory_order_relaxed) + 1;
    auto& slot = slots[(n - 1) % header(2).ring_records];
    slot.sequence.store(0, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    slot.event = event;
    slot.sequence.store(n, std::memory_order_release);
    ring->written.store(n, std::memory_order_release);
}

TestDataplane::TestDataplane(std::string path, Options options, State state)
    : path_{std::move(path)},
      options_{std::move(options)},
      telemetry_{options_.boot_id, 2, static_cast<std::uint32_t>(options_.ports.size())},
      wake_{::eventfd(0, EFD_CLOEXEC)},
      state_{std::move(state)} {
    state_.process.boot_id = options_.boot_id;
    state_.process.worker_count = 2;
    state_.process.port_count = static_cast<std::uint32_t>(options_.ports.size());
    state_.process.started = abi::MonoTime::now();
    listener_ = cp::UniqueFd{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    ::unlink(path_.c_str());
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("bind");
    if (::listen(listener_.get(), 4) != 0) fail("listen");
    thread_ = std::thread{[this] { run(); }};
}

TestDataplane::~TestDataplane() {
    stopping_ = true;
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
    thread_.join();
    ::unlink(path_.c_str());
    for (auto& [digest, mapping] : held_) ::munmap(mapping.data, mapping.bytes);
}

TestDataplane::State TestDataplane::state() {
    const std::lock_guard lock{mutex_};
    return state_;
}
std::size_t TestDataplane::offers() {
    const std::lock_guard lock{mutex_};
    return offers_;
}
std::vector<std::int32_t> TestDataplane::last_offer_fds() {
    const std::lock_guard lock{mutex_};
    return last_fds_;
}
void TestDataplane::forget_sections() {
    const std::lock_guard lock{mutex_};
    for (auto& [digest, mapping] : held_) ::munmap(mapping.data, mapping.bytes);
    held_.clear();
}
void TestDataplane::set_flows(std::vector<abi::FlowRecord> flows) {
    const std::lock_guard lock{mutex_};
    flows_ = std::move(flows);
}

void TestDataplane::send_raw(std::vector<std::byte> bytes, std::size_t fd_count) {
    const std::lock_guard lock{mutex_};
    const std::vector<int> fds(fd_count, wake_.get());
    (void)cp::send(client_, bytes, fds);
}
void TestDataplane::hang_up() {
    const std::lock_guard lock{mutex_};
    if (client_ >= 0) ::shutdown(client_, SHUT_RDWR);
}

void TestDataplane::run() {
    while (!stopping_) {
        std::array<pollfd, 2> polled{pollfd{listener_.get(), POLLIN, 0}, pollfd{wake_.get(), POLLIN, 0}};
        if (::poll(polled.data(), polled.size(), -1) <= 0 || stopping_) continue;
        const cp::UniqueFd client{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
        if (client) serve(client.get());
    }
}

template <typename T>
void TestDataplane::reply(int client, T message, std::uint32_t sequence, std::span<const int> fds) {
    message.header.bytes = sizeof message;
    message.header.sequence = sequence;
    (void)cp::send(client, {reinterpret_cast<const std::byte*>(&message), sizeof message}, fds);
}

void TestDataplane::serve(int client) {
    abi::Hello hello;
    hello.layout_hash = abi::kLayoutHash;
    hello.rule_slots_max = 64;
    for (std::size_t p = 0; p < options_.ports.size(); ++p) {
        options_.ports[p].copy(hello.ports[p].text.data(), hello.ports[p].text.size() - 1);
    }
    hello.wires[0] = {0, 1};
    hello.wire_count = options_.ports.size() >= 2 ? 1 : 0;
    {
        const std::lock_guard lock{mutex_};
        hello.state = state_.process;
        client_ = client;
    }
    const std::array<int, 3> fds{telemetry_.fd(0), telemetry_.fd(1), telemetry_.fd(2)};
    if (!mute_) reply(client, hello, 0, fds);
    while (!stopping_) {
        std::array<pollfd, 2> polled{pollfd{client, POLLIN, 0}, pollfd{wake_.get(), POLLIN, 0}};
        if (::poll(polled.data(), polled.size(), -1) <= 0) continue;
        if (polled[0].revents == 0) continue;
        cp::Datagram datagram;
        const auto received = cp::receive(client, datagram);
        if (!received || *received == cp::Received::closed) break;
        if (*received == cp::Received::nothing || mute_) continue;
        if (die_at_offer_ && datagram.header().type == abi::MessageType::offer) break;
        handle(client, datagram);
    }
    watched_per_second_ = 0;
    const std::lock_guard lock{mutex_};
    client_ = -1;
}

abi::Answer TestDataplane::answer(abi::AnswerKind kind, abi::RefuseReason reason, const std::string& where) {
    abi::Answer a;
    a.kind = kind;
    a.reason = reason;
    a.generation = state_.process.running_generation;
    a.digest = state_.process.running_digest;
    a.confirm_deadline = state_.process.confirm_deadline;
    a.stalled_workers = kind == abi::AnswerKind::stalled ? stalled_.load() : 0;
    where.copy(a.where.data(), a.where.size() - 1);
    return a;
}

void TestDataplane::set_running(const std::optional<abi::Manifest>& manifest, abi::StateSource source) {
    state_.running = manifest;
    state_.process.running_generation = manifest ? manifest->generation : 0;
    state_.process.running_digest = manifest ? manifest->generation_digest : abi::Digest256{};
    state_.process.running_policy_version = manifest ? manifest->policy_version : abi::Digest256{};
    state_.process.source = static_cast<std::uint8_t>(source);
    state_.process.previous_generation = state_.previous ? state_.previous->generation : 0;
}

void TestDataplane::handle(int client, cp::Datagram& datagram) {
    const auto sequence = datagram.header().sequence;
    const std::lock_guard lock{mutex_};
    switch (datagram.header().type) {
        case abi::MessageType::claim:
            reply(client, abi::Claimed{.granted = grant_ ? 1U : 0U, .holder_pid = 4711}, sequence);
            break;
        case abi::MessageType::offer: handle_offer(client, datagram); break;
        case abi::MessageType::confirm:
            if (state_.process.confirm_deadline.ns == 0) {
                reply(client, answer(abi::AnswerKind::refused, abi::RefuseReason::nothing_to_confirm), sequence);
            } else {
                state_.process.confirm_deadline = {};
                reply(client, answer(abi::AnswerKind::adopted), sequence);
            }
            break;
        case abi::MessageType::revert: reply(client, go_back(datagram.as<abi::Revert>().generation), sequence); break;
        case abi::MessageType::get_status: {
            abi::Status status{.state = state_.process};
            status.state.stalled_workers = stalled_;
            reply(client, status, sequence);
            break;
        }
        case abi::MessageType::get_running: reply(client, abi::Running{}, sequence); break;
        case abi::MessageType::dump_flows: {
            const auto& request = datagram.as<abi::DumpFlows>();
            abi::FlowDump dump;
            const auto from = std::min<std::size_t>(request.cursor, flows_.size());
            dump.count = static_cast<std::uint32_t>(std::min<std::size_t>(request.count_max, flows_.size() - from));
            std::copy_n(flows_.begin() + static_cast<std::ptrdiff_t>(from), dump.count, dump.flows.begin());
            dump.next = from + dump.count;
            dump.last = dump.next == flows_.size() ? 1 : 0;
            if (stands_still_) {
                dump.next = request.cursor;
                dump.last = 0;
            }
            dump.header.sequence = sequence;
            dump.header.bytes =
                static_cast<std::uint32_t>(offsetof(abi::FlowDump, flows) + dump.count * sizeof(abi::FlowRecord));
            (void)cp::send(client, {reinterpret_cast<const std::byte*>(&dump), dump.header.bytes}, {});
            break;
        }
        case abi::MessageType::end_flows: {  // of each answer's part two flows fit
            const auto& request = datagram.as<abi::EndFlows>();
            ended_answered_ = request.answered != 0;
            abi::FlowsEnded ended;
            ended.granted = 1;
            const auto from = std::min<std::size_t>(request.cursor, flows_.size());
            ended.count = static_cast<std::uint32_t>(std::min<std::size_t>(2, flows_.size() - from));
            ended.next = from + ended.count;
            ended.last = ended.next == flows_.size() ? 1 : 0;
            reply(client, ended, sequence);
            break;
        }
        case abi::MessageType::watch_flows:
            if (!deaf_to_watching_) watched_per_second_ = datagram.as<abi::WatchFlows>().per_second;
            reply(client, abi::FlowsWatched{.granted = deaf_to_watching_ ? 0U : 1U}, sequence);
            break;
        case abi::MessageType::change_sets: {  // all are taken and none is kept
            const auto& request = datagram.as<abi::ChangeSets>();
            abi::SetsChanged changed;
            changed.kind = abi::AnswerKind::adopted;
            changed.epoch = request.epoch;
            changed.number = request.number;
            reply(client, changed, sequence);
            break;
        }
        default: std::abort();
    }
}

void TestDataplane::handle_offer(int client, cp::Datagram& datagram) {
    const auto offer = datagram.as<abi::Offer>();
    const auto sequence = offer.header.sequence;
    const auto refuse = [&](abi::RefuseReason reason, const std::string& where) {
        reply(client, answer(abi::AnswerKind::refused, reason, where), sequence);
    };
    ++offers_;
    last_fds_.assign(offer.section_fd.begin(), offer.section_fd.end());
    if (const auto reason = refuse_.exchange({}); reason != abi::RefuseReason::none) return refuse(reason, "as told");
    for (const auto& fd : datagram.fds) {
        struct stat st {};
        if (::fstat(fd.get(), &st) != 0) return refuse(abi::RefuseReason::not_a_memfd, "fstat");
        if (::fcntl(fd.get(), F_GET_SEALS) != kAllSeals) return refuse(abi::RefuseReason::seals_missing, "seals");
        if ((st.st_mode & 0777) != 0600) return refuse(abi::RefuseReason::not_a_memfd, "mode");
        if (st.st_blocks * 512 < st.st_size) return refuse(abi::RefuseReason::sparse, "sparse");
    }
    abi::Manifest manifest;
    if (datagram.fds.empty() || ::pread(datagram.fds[0].get(), &manifest, sizeof manifest, 0) != sizeof manifest) {
        return refuse(abi::RefuseReason::size_wrong, "manifest");
    }
    Sections sections;
    for (std::size_t k = 0; k < sections.size(); ++k) {
        const auto& ref = manifest.sections[k];
        auto& mapping = held_[{k, ref.digest.low, ref.digest.high}];
        if (mapping.data == nullptr) {
            if (offer.section_fd[k] < 0) {
                held_.erase({k, ref.digest.low, ref.digest.high});
                return refuse(abi::RefuseReason::section_not_held, "section " + std::to_string(k + 1));
            }
            const int fd = datagram.fds.at(static_cast<std::size_t>(offer.section_fd[k])).get();
            struct stat st {};
            ::fstat(fd, &st);
            void* at = ::mmap(nullptr, static_cast<std::size_t>(st.st_size), PROT_READ, MAP_SHARED, fd, 0);
            if (at == MAP_FAILED) return refuse(abi::RefuseReason::map_failed, "mmap");
            mapping = {static_cast<std::byte*>(at), static_cast<std::size_t>(st.st_size)};
        }
        sections[k] = mapping.span().first(std::min<std::size_t>(ref.bytes, mapping.bytes));
    }
    if (options_.validate) {
        if (const auto no = options_.validate(manifest, sections)) return refuse(abi::RefuseReason::port_unknown, *no);
    }
    const bool again = manifest.generation == state_.process.running_generation &&
                       manifest.generation_digest == state_.process.running_digest;
    if (!again && manifest.generation <= state_.process.running_generation) {
        return refuse(abi::RefuseReason::generation_old, "generation");
    }
    if (!again) state_.previous = state_.running;
    set_running(manifest, abi::StateSource::publisher);
    state_.process.confirm_deadline = {};
    if (offer.confirm_within_ms != 0) {
        state_.process.confirm_deadline = {abi::MonoTime::now().ns + offer.confirm_within_ms * 1'000'000};
    }
    reply(client, answer(stalled_ != 0 ? abi::AnswerKind::stalled : abi::AnswerKind::adopted), sequence);
}

abi::Answer TestDataplane::go_back(std::uint64_t generation) {
    if (!state_.previous || generation != state_.process.running_generation) {
        return answer(abi::AnswerKind::refused, abi::RefuseReason::nothing_to_confirm, "nothing to go back to");
    }
    const auto back = state_.previous;
    state_.previous.reset();
    state_.process.confirm_deadline = {};
    set_running(back, abi::StateSource::reverted);
    return answer(abi::AnswerKind::adopted);
}

void TestDataplane::revert_by_deadline() {
    const std::lock_guard lock{mutex_};
    (void)go_back(state_.process.running_generation);
    if (client_ >= 0) reply(client_, abi::Notice{.kind = abi::NoticeKind::reverted, .state = state_.process}, 0);
}

}  // namespace sluice::test
