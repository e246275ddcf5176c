/// libFuzzer target for what the dataplane's manager takes from publishers and inspectors: tables_socket_fuzz
/// [-max_total_time=60] CORPUS_DIR. Input: steps of up to four clients: datagrams of any bytes and any descriptors,
/// well-framed messages with any body, offers of real generations with one thing wrong, time, a worker that turns or
/// stalls. The manager is the real one, with real sockets and memfds, in one thread under a clock that the input turns.
/// Whatever comes: every answer is by the letter of messages.hpp (the control plane's own check reads it), what runs is
/// readable, and no descriptor stays open.
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "controlplane/publish/tables_wire.hpp"
#include "dataplane/acl/digest.hpp"
#include "dataplane/manager/log.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/unit/dataplane/manager/rig.hpp"

namespace sluice::dp {
/// Instead of the product's: a line per malformed message would be all that a fuzzer does.
void log_line(LogLevel, std::string_view) {}
}  // namespace sluice::dp

namespace {

using namespace sluice;
using test::Input;
using test::must;

constexpr std::size_t kStepsMax = 48, kClients = 4, kGenerations = 3, kRawBytesMax = 4096;

/// What outlives an input.
struct World {
    World() {
        for (std::uint64_t g = 1; g <= kGenerations; ++g) {
            tables.push_back(test::tables_for(g, g % 2 == 0 ? cp::Action::deny : cp::Action::allow));
            fds.push_back(test::offer_fds(*tables.back(), offers.emplace_back()));
        }
        telemetry = std::move(*dp::TelemetrySegments::create(
            {.boot_id = 7, .worker_count = 1, .port_count = 2, .rule_slots = 64, .ring_records = 8}));
        std::array<int, 2> ends{};
        must(::pipe2(ends.data(), O_CLOEXEC) == 0, "a pipe");
        odd.emplace_back(ends[0]);
        odd.emplace_back(ends[1]);
        odd.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        odd.emplace_back(::memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
        odd.emplace_back(::memfd_create("sparse", MFD_CLOEXEC | MFD_ALLOW_SEALING));
        must(::ftruncate(odd.back().get(), 1 << 20) == 0 && ::fchmod(odd.back().get(), 0600) == 0 &&
                 ::fcntl(odd.back().get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0,
             "a sparse memfd");
        const std::array<std::byte, 64> few{};
        odd.push_back(test::sealed(few));
    }

    test::TempDir dir;
    std::vector<std::unique_ptr<test::CompiledTables>> tables;
    std::vector<abi::Offer> offers;
    std::vector<std::vector<dp::UniqueFd>> fds;  ///< by generation: manifest, sections
    std::vector<dp::UniqueFd> odd;               ///< what is no section
    std::unique_ptr<dp::TelemetrySegments> telemetry;
};
World& world() {
    static World w;
    return w;
}

class Play {
public:
    explicit Play(Input in) : in_{in}, stop_{::eventfd(0, EFD_CLOEXEC)} {
        dp::ManagerOptions o;
        o.tables_socket = world().dir.path("s");
        o.publishers = {0, ::geteuid()};
        o.port_names = {"p0", "p1"};
        o.wires = {{0, 1}};
        o.worker_count = 1;
        o.rule_slots_max = 64;
        o.clock = [this] { return now_; };
        auto store = dp::DescriptorStore::open(dp::Notifier{}, {});
        manager_ = std::make_unique<dp::Manager>(std::move(o), *world().telemetry, tables_, std::move(*store),
                                                 std::vector{mailbox_.get()});
        must(manager_->listen().has_value(), "the manager listens");
        tables_.online(0);
    }

    void run() {
        for (std::size_t step = 0; step < kStepsMax && !in_.empty(); ++step) {
            one_step();
            turn();
        }
        for (std::size_t c = 0; c < kClients; ++c) {
            read_answers(c);
            clients_[c] = dp::UniqueFd{};
        }
        turn();
        tables_.offline(0);
    }

private:
    void one_step() {
        const std::uint8_t what = in_.byte();
        const std::size_t client = what >> 3U & (kClients - 1);
        switch (what & 7U) {
            case 0: raw(client, what >> 5U); break;
            case 1: framed(client, what >> 5U); break;
            case 2:
            case 3: offer(client, what >> 5U); break;
            case 4: (what >> 5U) == 0 ? message(client, abi::Claim{}) : misframed(client); break;
            case 5: now_.ns += std::uint64_t{in_.take<std::uint16_t>()} * 1'000'000; break;
            case 6: worker(what); break;
            case 7:
                read_answers(client);
                if ((what & 0x20U) != 0) clients_[client] = dp::UniqueFd{};
                break;
        }
    }

    void turn() { must(manager_->run_once(0, stop_.get()), "the manager runs on"); }

    int socket(std::size_t client) {
        dp::UniqueFd& fd = clients_[client];
        if (fd) return fd.get();
        fd = dp::UniqueFd{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        const std::string path = world().dir.path("s");
        std::memcpy(address.sun_path, path.data(), path.size());
        must(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
             "a client connects");
        turn();
        return fd.get();
    }

    /// A full queue or a closed connection is nothing special here.
    void send(std::size_t client, std::span<const std::byte> bytes, std::span<const int> fds) {
        (void)cp::send(socket(client), bytes, fds.first(std::min<std::size_t>(fds.size(), abi::kMessageFdsMax)));
    }
    template <typename Message>
    void message(std::size_t client, Message m, std::span<const int> fds = {}) {
        m.header.bytes = sizeof m;
        m.header.sequence = ++sequence_;
        send(client, std::as_bytes(std::span{&m, 1}), fds);
    }

    std::vector<int> some_fds(std::size_t count) {
        std::vector<int> fds;
        for (; count != 0; --count) fds.push_back(one_fd());
        return fds;
    }
    int one_fd() {
        const std::uint8_t which = in_.byte();
        if ((which & 1U) != 0) return world().odd[(which >> 1U) % world().odd.size()].get();
        const auto& all = world().fds[(which >> 1U & 3U) % kGenerations];
        return all[(which >> 3U) % all.size()].get();
    }

    void raw(std::size_t client, std::size_t fd_count) {
        const auto fds = some_fds(fd_count);
        const auto bytes = in_.bytes(in_.take<std::uint16_t>() % kRawBytesMax);
        send(client, std::as_bytes(bytes), fds);
    }

    void framed(std::size_t client, std::size_t fd_count) {
        const auto fds = some_fds(fd_count);
        const auto type = static_cast<abi::MessageType>(in_.byte() % 20U);
        switch (type) {
            case abi::MessageType::offer: return body<abi::Offer>(client, fds);
            case abi::MessageType::confirm: return body<abi::Confirm>(client, fds);
            case abi::MessageType::revert: return body<abi::Revert>(client, fds);
            case abi::MessageType::get_running: return body<abi::GetRunning>(client, fds);
            case abi::MessageType::get_status: return body<abi::GetStatus>(client, fds);
            case abi::MessageType::dump_flows: return body<abi::DumpFlows>(client, fds);
            case abi::MessageType::end_flows: return body<abi::EndFlows>(client, fds);
            case abi::MessageType::watch_flows: return body<abi::WatchFlows>(client, fds);
            case abi::MessageType::answer: return body<abi::Answer>(client, fds);  // no client sends this
            case abi::MessageType::change_sets: return changes(client);
            case abi::MessageType::get_members: return ask_for_members(client);
            default: return body<abi::Claim>(client, fds);
        }
    }
    template <typename Message>
    void body(std::size_t client, std::span<const int> fds) {
        Message m;
        const auto header = m.header;
        const auto bytes = in_.bytes(std::min<std::size_t>(in_.byte(), sizeof m - sizeof m.header));
        std::memcpy(reinterpret_cast<std::uint8_t*>(&m) + sizeof m.header, bytes.data(), bytes.size());
        m.header = header;
        message(client, m, fds);
    }

    /// Batches that mostly follow each other, of few sets and members, so that they meet; now and then one thing is
    /// wrong.
    void changes(std::size_t client) {
        abi::ChangeSets batch;
        const std::uint8_t how = in_.byte();
        batch.epoch = (how & 0xe0U) == 0xe0U ? in_.byte() : 1;
        batch.is_first = (how >> 4U) & 1U;
        batch.number = (how & 0xfU) == 0xfU ? in_.byte() : ++set_number_;
        batch.count = in_.byte() % 24U;
        for (std::uint32_t i = 0; i < batch.count; ++i) {
            abi::SetChange& c = batch.changes[i];
            const std::uint8_t op = in_.byte();
            c.op = abi::SetOp{static_cast<std::uint8_t>(1U + op % 9U)};  // one that there is not, too
            const bool about_a_set = c.op != abi::SetOp::begin_sync && c.op != abi::SetOp::end_sync;
            if (about_a_set) c.set = abi::SetId{1U + (op >> 4U & 3U)};
            if (c.op == abi::SetOp::add || c.op == abi::SetOp::remove || c.op == abi::SetOp::stage) {
                c.member = some_member();
                if ((op & 0x40U) != 0) c.expires_unix_ns = std::uint64_t{in_.byte()} << 56U;
            }
        }
        if ((how & 0xfU) == 0xeU) patch(batch.changes, in_, 2);
        send_with_list(client, batch, offsetof(abi::ChangeSets, changes) + batch.count * sizeof(abi::SetChange));
    }
    void ask_for_members(std::size_t client) {
        abi::GetMembers ask;
        ask.set = abi::SetId{1U + in_.byte() % 4U};
        ask.count = in_.byte() % 8U;
        for (std::uint32_t i = 0; i < ask.count; ++i) ask.members[i] = some_member();
        send_with_list(client, ask, offsetof(abi::GetMembers, members) + ask.count * sizeof(abi::SetMember));
    }
    abi::SetMember some_member() {
        const std::uint8_t which = in_.byte();
        abi::IpAddr addr;
        addr.bytes[0] = which & 3U;
        const auto family = (which & 4U) != 0 ? abi::IpFamily::v6 : abi::IpFamily::v4;
        const std::array<std::uint32_t, 4> bits{family == abi::IpFamily::v4 ? 32U : 128U, 24, 8, 0};
        return dp::member_around(addr, family, bits[which >> 3U & 3U]);
    }
    template <typename Message>
    void send_with_list(std::size_t client, Message& m, std::size_t bytes) {
        m.header.bytes = static_cast<std::uint32_t>(bytes);
        m.header.sequence = ++sequence_;
        send(client, std::as_bytes(std::span{&m, 1}).first(bytes), {});
    }

    /// A message whose length is told rightly and is not that of its type: it is the last of its connection.
    void misframed(std::size_t client) {
        struct Message {
            abi::MessageHeader header;
            std::array<std::uint8_t, 2 * sizeof(abi::Offer)> body{};
        } m;
        m.header.type = static_cast<abi::MessageType>(in_.byte() % 20U);
        m.header.bytes = sizeof m.header + in_.take<std::uint16_t>() % sizeof m.body;
        if (m.header.bytes == bytes_of(m.header.type)) return;
        const auto bytes = std::as_bytes(std::span{&m, 1}).first(m.header.bytes);
        if (!cp::send(socket(client), bytes, {})) return;  // its queue is full
        turn();
        must(read_answers(client), "a message of a wrong length ends its connection");
        clients_[client] = dp::UniqueFd{};
    }
    /// Of what a client may send; 0 = nothing of that type.
    static std::size_t bytes_of(abi::MessageType type) {
        switch (type) {
            case abi::MessageType::claim: return sizeof(abi::Claim);
            case abi::MessageType::offer: return sizeof(abi::Offer);
            case abi::MessageType::confirm: return sizeof(abi::Confirm);
            case abi::MessageType::revert: return sizeof(abi::Revert);
            case abi::MessageType::get_running: return sizeof(abi::GetRunning);
            case abi::MessageType::get_status: return sizeof(abi::GetStatus);
            case abi::MessageType::dump_flows: return sizeof(abi::DumpFlows);
            case abi::MessageType::end_flows: return sizeof(abi::EndFlows);
            case abi::MessageType::watch_flows: return sizeof(abi::WatchFlows);
            case abi::MessageType::change_sets: return offsetof(abi::ChangeSets, changes);  // of no change
            case abi::MessageType::get_members: return offsetof(abi::GetMembers, members);
            default: return 0;
        }
    }

    /// A real generation with the one thing wrong that `fault` says; 0 = nothing.
    void offer(std::size_t client, std::size_t fault) {
        const std::uint8_t which = in_.byte();
        const std::size_t g = which % kGenerations;
        abi::Offer o = world().offers[g];
        o.confirm_within_ms = (which & 0x80U) != 0 ? in_.take<std::uint16_t>() : 0;
        std::vector<int> fds;
        for (const auto& fd : world().fds[g]) fds.push_back(fd.get());
        std::optional<dp::UniqueFd> manifest;
        const std::size_t at = (which >> 2U) % fds.size();
        switch (fault) {
            case 1: fds.erase(fds.begin() + static_cast<std::ptrdiff_t>(at)); break;
            case 2: fds[at] = one_fd(); break;
            case 3: std::swap(fds[at], fds[in_.byte() % fds.size()]); break;
            case 4: patch(o.section_fd, in_, 1); break;
            case 5: patch(o, in_, 2), o.header = world().offers[g].header; break;
            case 6: {
                abi::Manifest changed = world().tables[g]->compiled().manifest;
                patch(changed, in_, 2);
                changed.digest = dp::manifest_digest(changed);
                manifest = test::sealed(std::as_bytes(std::span{&changed, 1}));
                fds[0] = manifest->get();
                o.generation = changed.generation;
                break;
            }
            case 7: o.section_fd.fill(-1), fds.resize(1); break;
            default: break;
        }
        message(client, o, fds);
        if (manifest) turn();  // before the descriptor goes away here
    }

    void worker(std::uint8_t what) {
        using State = dp::FlowDumpMailbox::State;
        const dp::ActiveTables* now = tables_.current();
        if (now != nullptr) {
            must(!now->view.rules.empty() && now->view.rule_id(now->view.default_rule()) == abi::kIdDefault,
                 "what a worker is given is readable");
        }
        world().telemetry->worker(0).counters->heartbeat_ns.set(now_.ns);
        tables_.quiesce(0, now);
        if ((what & 8U) == 0 || mailbox_->state.load() != State::requested) return;
        must(mailbox_->count_max >= 1 && mailbox_->count_max <= abi::kFlowsPerDumpMax, "a dump asks for a page");
        must(mailbox_->filter.valid(), "a filter that may be evaluated");
        mailbox_->count = std::min<std::uint32_t>(mailbox_->count_max, in_.byte());
        mailbox_->next = mailbox_->position + mailbox_->count;
        mailbox_->last = (what & 0x10U) != 0;
        mailbox_->state.store(State::done);
    }

    /// True if the manager has closed the connection, or there is none.
    bool read_answers(std::size_t client) {
        if (!clients_[client]) return true;
        for (;;) {
            cp::Datagram datagram;
            const auto received = cp::receive(clients_[client].get(), datagram);
            must(received.has_value(), "an answer fits into a datagram");
            if (*received != cp::Received::datagram) return *received == cp::Received::closed;
            if (const auto good = cp::check(datagram); !good) must(false, good.error().c_str());
        }
    }

    Input in_;
    dp::UniqueFd stop_;
    abi::MonoTime now_{1'000'000'000};
    dp::TablesQsbr tables_;
    std::unique_ptr<dp::FlowDumpMailbox> mailbox_ = std::make_unique<dp::FlowDumpMailbox>();
    std::unique_ptr<dp::Manager> manager_;
    std::array<dp::UniqueFd, kClients> clients_;  ///< empty = not connected
    std::uint32_t sequence_{};
    std::uint64_t set_number_{};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    (void)world();
    const std::size_t before = test::open_descriptors();
    Play{Input{data, size}}.run();
    must(test::open_descriptors() == before, "no descriptor stays open");
    return 0;
}
