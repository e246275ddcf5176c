#include "tests/unit/dataplane/manager/rig.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <sluice/abi/last_good.hpp>
#include <sluice/abi/layout.hpp>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::test {

std::size_t open_descriptors() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) ++count;
    return count;
}

TempDir::TempDir() {
    std::string pattern = std::filesystem::temp_directory_path() / "sluice-test-XXXXXX";
    path_ = mkdtemp(pattern.data());
}
TempDir::~TempDir() { std::filesystem::remove_all(path_); }

std::unique_ptr<CompiledTables> tables_for(std::uint64_t generation, cp::Action web_action) {
    const auto policy = PolicyBuilder{}
                            .zone("outside", {"p0"})
                            .zone("inside", {"p1"})
                            .rule({.id = "web-in", .from = {"outside"}, .service = {"tcp/443"}, .action = web_action})
                            .build();
    return std::make_unique<CompiledTables>(policy, generation);
}

dp::UniqueFd sealed(std::span<const std::byte> bytes) {
    auto fd = dp::sealed_copy("test", bytes);
    EXPECT_TRUE(fd.has_value()) << fd.error();
    return fd ? std::move(*fd) : dp::UniqueFd{};
}

dp::GenerationFds sealed_generation(const CompiledTables& tables) {
    dp::GenerationFds fds;
    fds.manifest = sealed(tables.compiled().manifest_bytes());
    const auto sections = tables.compiled().section_bytes();
    for (std::size_t i = 0; i < sections.size(); ++i) fds.sections[i] = sealed(sections[i]);
    return fds;
}

std::vector<dp::UniqueFd> offer_fds(const CompiledTables& tables, abi::Offer& offer, bool all_sections) {
    auto generation = sealed_generation(tables);
    std::vector<dp::UniqueFd> fds;
    fds.push_back(std::move(generation.manifest));
    for (std::size_t i = 0; i < generation.sections.size(); ++i) {
        const bool send = all_sections || i + 1 == static_cast<std::size_t>(abi::SectionKind::rules);
        offer.section_fd[i] = send ? static_cast<std::int32_t>(fds.size()) : -1;
        if (send) fds.push_back(std::move(generation.sections[i]));
    }
    offer.generation = tables.compiled().manifest.generation;
    offer.digest = tables.compiled().manifest.generation_digest;
    return fds;
}

std::string last_good_file(const CompiledTables& tables) {
    std::string parts;
    const auto add = [&](std::span<const std::byte> bytes) {
        parts.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        parts.append(abi::last_good_padded(bytes.size()) - bytes.size(), '\0');
    };
    add(tables.compiled().manifest_bytes());
    for (const auto section : tables.compiled().section_bytes()) add(section);
    abi::LastGoodHeader header;
    header.layout_hash = abi::kLayoutHash;
    header.bytes = sizeof header + parts.size();
    header.xxh3 = XXH3_64bits(parts.data(), parts.size());
    return std::string{reinterpret_cast<const char*>(&header), sizeof header} + parts;
}

void write_last_good(const std::string& directory, const CompiledTables& tables) {
    std::filesystem::create_directory(directory);
    std::filesystem::permissions(directory, std::filesystem::perms{0755});
    const std::string file = directory + "/" + abi::kLastGoodName;
    std::ofstream{file, std::ios::binary} << last_good_file(tables);
    std::filesystem::permissions(file, std::filesystem::perms{0644});
}

TestWorker::TestWorker(std::uint32_t index, dp::TablesQsbr& tables, abi::WorkerCounters& counters,
                       const std::atomic<std::uint64_t>& offset_ns)
    : index_{index}, tables_{tables}, counters_{counters}, offset_ns_{offset_ns}, thread_{[this] { run(); }} {}

TestWorker::~TestWorker() {
    stop_ = true;
    thread_.join();
}

void TestWorker::run() {
    tables_.online(index_);
    while (!stop_) {
        const dp::ActiveTables* now = tables_.current();
        if (now != nullptr) {
            // Touches the tables: a mapping that went too early is a crash, or a report of the sanitizers.
            const auto rules = now->view.rules;
            if (rules.empty() || now->view.rule_id(now->view.default_rule()) != abi::kIdDefault) std::abort();
            pickup_until_ns = now->pickup_until.ns;
            generation = now->view.generation;
        }
        while (stall && !stop_) std::this_thread::yield();
        answer_dump();
        counters_.heartbeat_ns.set(abi::MonoTime::now().ns + offset_ns_);
        tables_.quiesce(index_, now);
        std::this_thread::yield();
    }
    tables_.offline(index_);
}

void TestWorker::answer_dump() {
    using State = dp::FlowDumpMailbox::State;
    if (mailbox.state.load(std::memory_order_acquire) != State::requested) return;
    const bool dumps = mailbox.task == dp::FlowTask::dump;
    mailbox.count =
        std::min(dumps ? mailbox.count_max : flow_count, flow_count - std::min(mailbox.position, flow_count));
    for (std::uint32_t i = 0; dumps && i < mailbox.count; ++i) {
        mailbox.flows[i] = {};
        mailbox.flows[i].generation = mailbox.position + i;
        mailbox.flows[i].worker = static_cast<std::uint8_t>(index_);
    }
    mailbox.next = mailbox.position + mailbox.count;
    mailbox.last = mailbox.next >= flow_count;
    mailbox.state.store(State::done, std::memory_order_release);
}

dp::ManagerOptions one_wire(std::string tables_socket, std::uint32_t workers, std::uint32_t rule_slots) {
    dp::ManagerOptions mo;
    mo.tables_socket = std::move(tables_socket);
    mo.publishers = {0, geteuid()};
    mo.port_names = {"p0", "p1"};
    mo.wires = {{0, 1}};
    mo.worker_count = workers;
    mo.rule_slots_max = rule_slots;
    return mo;
}

Rig::Rig(Options options) : stop_fd_{eventfd(0, EFD_CLOEXEC)} {
    dp::TelemetrySegments::Shape shape{
        .boot_id = 7, .worker_count = options.workers, .port_count = 2, .rule_slots = 1024};
    shape.ring_records = 64;
    telemetry = std::move(*dp::TelemetrySegments::create(shape));
    dp::ManagerOptions mo = one_wire(socket(), options.workers, 1024);
    mo.fail_open = options.fail_open;
    mo.pickup_ns = options.pickup_ns;
    mo.flows = options.flows;
    mo.sets = options.sets;
    mo.clock = [this] { return abi::MonoTime{abi::MonoTime::now().ns + offset_ns}; };
    std::vector<dp::FlowDumpMailbox*> mailboxes;
    for (std::uint32_t w = 0; w < options.workers; ++w) {
        workers.push_back(std::make_unique<TestWorker>(w, tables, *telemetry->worker(w).counters, offset_ns));
        mailboxes.push_back(&workers.back()->mailbox);
    }
    auto notifier = options.notify_socket.empty() ? dp::Notifier{} : dp::Notifier{options.notify_socket};
    auto store = dp::DescriptorStore::open(std::move(notifier), std::move(options.stored));
    EXPECT_TRUE(store.has_value());
    manager = std::make_unique<dp::Manager>(std::move(mo), *telemetry, tables, std::move(*store), mailboxes);
    const auto last_good = dp::LastGood::open(options.last_good, {0, geteuid()});
    EXPECT_TRUE(last_good.has_value()) << last_good.error();
    manager->restore(*last_good);
    EXPECT_TRUE(manager->listen().has_value());
    thread_ = std::thread{[this] {
        while (manager->run_once(1'000'000, stop_fd_.get())) {
        }
    }};
}

Rig::~Rig() {
    const std::uint64_t one = 1;
    EXPECT_EQ(write(stop_fd_.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
    thread_.join();
    workers.clear();
    manager.reset();
}

Client::Client(const std::string& path) : fd_{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)} {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
}

abi::MessageType Client::Message::type() const { return as<abi::MessageHeader>().type; }

std::optional<Client::Message> Client::receive() {
    pollfd p{fd_.get(), POLLIN, 0};
    if (poll(&p, 1, 10'000) <= 0) return std::nullopt;
    Message message;
    message.bytes.resize(abi::kMessageBytesMax);
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * abi::kMessageFdsMax)> control{};
    iovec part{message.bytes.data(), message.bytes.size()};
    msghdr m{};
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    m.msg_control = control.data();
    m.msg_controllen = control.size();
    const ssize_t length = recvmsg(fd_.get(), &m, MSG_CMSG_CLOEXEC);
    if (length <= 0) return std::nullopt;
    message.bytes.resize(static_cast<std::size_t>(length));
    for (cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
        for (std::size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
            int fd;
            std::memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
            message.fds.emplace_back(fd);
        }
    }
    return message;
}

std::optional<Client::Message> Client::expect(abi::MessageType type) {
    while (auto message = receive()) {
        if (message->type() == type) return message;
        if (message->type() == abi::MessageType::notice) notices.push_back(message->as<abi::Notice>());
    }
    return std::nullopt;
}

bool Client::send_bytes(std::span<const std::byte> bytes, std::span<const int> fds) {
    std::vector<char> control(CMSG_SPACE(fds.size_bytes() == 0 ? 1 : fds.size_bytes()));
    iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr m{};
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    if (!fds.empty()) {
        m.msg_control = control.data();
        m.msg_controllen = control.size();
        cmsghdr* const c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
    }
    return sendmsg(fd_.get(), &m, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

bool Client::send_fds(abi::Offer offer, const std::vector<dp::UniqueFd>& fds) {
    std::vector<int> numbers;
    for (const auto& fd : fds) numbers.push_back(fd.get());
    return send(offer, numbers);
}

bool Client::claim() {
    send(abi::Claim{});
    const auto message = expect(abi::MessageType::claimed);
    return message && message->as<abi::Claimed>().granted == 1;
}

abi::Answer Client::publish(const CompiledTables& tables, std::uint64_t confirm_within_ms,
                            std::uint64_t adopt_within_ms, bool all_sections) {
    abi::Offer offer;
    const auto fds = offer_fds(tables, offer, all_sections);
    offer.header.sequence = 42;
    offer.confirm_within_ms = confirm_within_ms;
    offer.adopt_within_ms = adopt_within_ms;
    EXPECT_TRUE(send_fds(offer, fds));
    return answer();
}

abi::Answer Client::answer() {
    const auto message = expect(abi::MessageType::answer);
    EXPECT_TRUE(message.has_value());
    return message ? message->as<abi::Answer>() : abi::Answer{};
}

bool Client::ended() {
    while (receive()) {
    }
    char byte;
    return recv(fd_.get(), &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET;
}

}  // namespace sluice::test
