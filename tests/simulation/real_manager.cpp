#include "tests/simulation/real_manager.hpp"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "dataplane/manager/log.hpp"

namespace sluice::dp {
/// Instead of the product's: most of what happens here would be a line.
void log_line(LogLevel, std::string_view) {}
}  // namespace sluice::dp

namespace sluice::sim {

namespace {

void must(bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "simulated manager: %s\n", what);
    std::abort();
}

}  // namespace

RealManager::RealManager(Options options, dp::TablesQsbr& tables, Supervisor& supervisor)
    : stop_{::eventfd(0, EFD_CLOEXEC)},
      publisher_{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)} {
    auto telemetry = dp::TelemetrySegments::create({.boot_id = 7,
                                                    .worker_count = options.workers,
                                                    .port_count = static_cast<std::uint32_t>(options.ports.size()),
                                                    .rule_slots = options.rule_slots,
                                                    .ring_records = 8});
    must(telemetry.has_value(), "no telemetry");
    telemetry_ = std::move(*telemetry);
    auto store = dp::DescriptorStore::open(dp::Notifier{supervisor.address()}, supervisor.stored());
    must(store.has_value(), "no descriptor store");
    const std::string path =
        std::filesystem::temp_directory_path() / ("sluice-simulation-" + std::to_string(::getpid()) + ".sock");
    dp::ManagerOptions o;
    o.tables_socket = path;
    o.publishers = {0, ::geteuid()};
    o.port_names = std::move(options.ports);
    o.wires = {{0, 1}, {2, 3}};
    o.worker_count = options.workers;
    o.rule_slots_max = options.rule_slots;
    o.pickup_ns = options.pickup_ns;
    o.flows = std::move(options.flows);
    o.clock = std::move(options.clock);
    manager_ = std::make_unique<dp::Manager>(std::move(o), *telemetry_, tables, std::move(*store),
                                             std::vector<dp::FlowDumpMailbox*>{});
    const auto last_good = dp::LastGood::open("", {0, ::geteuid()});
    must(last_good.has_value(), "no last-good directory is none");
    manager_->restore(*last_good);
    must(manager_->listen().has_value(), "it does not listen");
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    std::memcpy(un.sun_path, path.data(), path.size());
    must(::connect(publisher_.get(), reinterpret_cast<const sockaddr*>(&un), sizeof un) == 0, "no connection");
    // One round takes the connection, the next one reads from it; restore() has done all that was due.
    send(abi::Claim{}, 0);
    (void)round();
    (void)round();
}

RealManager::~RealManager() { manager_.reset(); }

void RealManager::heard_from(std::uint32_t worker, abi::MonoTime when) {
    telemetry_->worker(worker).counters->heartbeat_ns.set(when.ns);
}

template <typename Message>
void RealManager::send(Message message, std::uint32_t request, std::span<const int> fds) {
    message.header.bytes = sizeof message;
    message.header.sequence = request;
    must(cp::send(publisher_.get(), std::as_bytes(std::span{&message, 1}), fds), "a message does not go out");
}

RealManager::Heard RealManager::round() {
    must(manager_->run_once(0, stop_.get()), "it ends");
    Heard heard;
    for (;;) {
        cp::Datagram datagram;
        const auto received = cp::receive(publisher_.get(), datagram);
        must(received.has_value() && *received != cp::Received::closed, "the publisher was cut off");
        if (*received == cp::Received::nothing) return heard;
        must(cp::check(datagram).has_value(), "an answer is not by the letter");
        switch (datagram.header().type) {
            case abi::MessageType::answer: heard.answers.push_back(datagram.as<abi::Answer>()); break;
            case abi::MessageType::claimed: must(datagram.as<abi::Claimed>().granted == 1, "claim not granted"); break;
            case abi::MessageType::notice:
                heard.reverts += datagram.as<abi::Notice>().kind == abi::NoticeKind::reverted ? 1 : 0;
                break;
            default: break;
        }
    }
}

RealManager::Heard RealManager::offer(const cp::CompiledGeneration& generation, std::uint32_t request,
                                      std::uint64_t confirm_within_ms) {
    std::vector<dp::UniqueFd> sealed;
    const auto seal = [&](std::span<const std::byte> bytes) {
        auto fd = dp::sealed_copy("simulation", bytes);
        must(fd.has_value(), "no memfd");
        sealed.push_back(std::move(*fd));
    };
    seal(generation.manifest_bytes());
    for (const auto& section : generation.section_bytes()) seal(section);
    abi::Offer offer;
    offer.generation = generation.manifest.generation;
    offer.digest = generation.manifest.generation_digest;
    offer.confirm_within_ms = confirm_within_ms;
    std::vector<int> fds;
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        fds.push_back(sealed[i].get());
        if (i != 0) offer.section_fd[i - 1] = static_cast<std::int32_t>(i);
    }
    send(offer, request, fds);
    return round();
}

RealManager::Heard RealManager::confirm(std::uint64_t generation, std::uint32_t request) {
    abi::Confirm message;
    message.generation = generation;
    send(message, request);
    return round();
}

RealManager::Heard RealManager::revert(std::uint64_t generation, std::uint32_t request) {
    abi::Revert message;
    message.generation = generation;
    send(message, request);
    return round();
}

}  // namespace sluice::sim
