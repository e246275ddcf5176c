/// libFuzzer target for what the control plane takes from a dataplane: tables_client_fuzz [-max_total_time=60]
/// CORPUS_DIR. Input: one byte of circumstances, then datagrams: what they are and how they differ from good ones. Half
/// of the inputs go to the framing alone, in one thread and fast; the others to a real TablesClient over a real socket,
/// which is asked one question meanwhile. Whatever comes: the connection is ended in order, the question gets an answer
/// or an error, what is handed on keeps what the header promises, and no descriptor stays open.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <sluice/abi/layout.hpp>

#include "controlplane/publish/tables_client.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace sluice;
using test::Input;
using test::must;

constexpr std::size_t kDatagramsMax = 16, kRawBytesMax = 4096;

bool plausible(const abi::ProcessState& s) {
    return s.worker_count <= abi::kWorkersMax && s.port_count <= abi::kPortsMax;
}

class Listener final : public cp::TablesListener {
public:
    void on_hello(const abi::Hello& hello, cp::TelemetryFds telemetry) override {
        must(hello.abi_version == abi::kAbiVersion && hello.layout_hash == abi::kLayoutHash && plausible(hello.state),
             "a hello of this ABI");
        must(telemetry.counters && telemetry.rules && telemetry.events, "a hello brings three descriptors");
        for (std::uint32_t p = 0; p < hello.state.port_count; ++p) {
            must(hello.ports[p].text.back() == '\0' ||
                     std::string_view{hello.ports[p].text.data(), 32}.find('\0') != std::string_view::npos,
                 "a port name ends");
        }
    }
    void on_claim(bool, std::uint32_t) override {}
    void on_notice(const abi::Notice& notice) override {
        must(plausible(notice.state) && notice.worker < abi::kWorkersMax, "a notice in bounds");
    }
    void on_status(const abi::ProcessState& state) override { must(plausible(state), "a state in bounds"); }
    void on_lost(const std::string& why) override { must(!why.empty(), "a loss has a reason"); }
};

/// The listening end and what it sends along; outlives the inputs.
struct World {
    World() {
        std::string pattern = std::filesystem::temp_directory_path() / "sluice-fuzz-XXXXXX";
        must(::mkdtemp(pattern.data()) != nullptr, "a directory");
        dir = pattern;
        path = dir + "/s";
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.data(), path.size());
        listener = cp::UniqueFd{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
        must(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                 ::listen(listener.get(), 1) == 0,
             "a listening socket");
        null = cp::UniqueFd{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    }
    ~World() { std::filesystem::remove_all(dir); }
    std::string dir, path;
    cp::UniqueFd listener, null;
};
World& world() {
    static World w;
    return w;
}

abi::Hello good_hello() {
    abi::Hello hello;
    hello.layout_hash = abi::kLayoutHash;
    hello.state.worker_count = 1;
    hello.state.port_count = 2;
    hello.ports[0].text[0] = 'a';
    hello.ports[1].text[0] = 'b';
    hello.wires[0] = {0, 1};
    hello.wire_count = 1;
    return hello;
}

class Dataplane {
public:
    Dataplane(Input in, cp::UniqueFd socket) : in_{in}, socket_{std::move(socket)} {
        const timeval patience{.tv_sec = 5, .tv_usec = 0};
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }

    /// Waits for the client's next datagram, so that what follows meets it in a known state.
    void await() {
        std::array<std::byte, 4096> bytes;
        (void)::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    }
    void greet() {
        message(good_hello(), 0, 3);
        await();  // the claim
    }
    void rest() {
        for (std::size_t n = 0; n < kDatagramsMax && !in_.empty(); ++n) one();
    }
    bool one_more() {
        if (in_.empty()) return false;
        one();
        return true;
    }
    /// The client has read everything and closed.
    void end() {
        ::shutdown(socket_.get(), SHUT_WR);
        std::array<std::byte, 4096> bytes;
        while (::recv(socket_.get(), bytes.data(), bytes.size(), 0) > 0) {
        }
    }

private:
    void one() {
        const std::uint8_t what = in_.byte();
        const std::size_t fds = what >> 4U;
        switch (what & 7U) {
            case 0: {
                const auto bytes = in_.bytes(in_.take<std::uint16_t>() % kRawBytesMax);
                return send(std::as_bytes(bytes), fds);
            }
            case 1: return changed(good_hello(), fds, (what & 8U) != 0);
            case 2: return changed(abi::Claimed{.granted = 1}, fds, (what & 8U) != 0);
            case 3: return changed(abi::Answer{.kind = abi::AnswerKind::adopted}, fds, (what & 8U) != 0);
            case 4: return changed(abi::Running{}, fds, (what & 8U) != 0);
            case 5: return flow_dump((what & 8U) != 0);
            case 6: return changed(abi::Notice{.kind = abi::NoticeKind::worker_back}, fds, (what & 8U) != 0);
            case 7: return changed(abi::Status{}, fds, (what & 8U) != 0);
            default: return;
        }
    }

    /// A good message with two pieces of its body changed and, if wanted, its header too.
    template <typename Message>
    void changed(Message m, std::size_t fds, bool header_too) {
        const auto header = m.header;
        const std::uint32_t sequence = in_.byte() % 4U;  // the client counts its own from 1
        patch(m, in_, 2);
        if (header_too) {
            m.header.sequence = sequence;
            return send(std::as_bytes(std::span{&m, 1}), fds);
        }
        m.header = header;
        message(m, sequence, fds);
    }

    void flow_dump(bool lies) {
        abi::FlowDump dump;
        const std::uint32_t sequence = in_.byte() % 4U;
        const std::uint32_t sent = in_.byte() % 8U;
        dump.count = lies ? in_.take<std::uint32_t>() : sent;
        dump.last = 1;
        for (std::uint32_t i = 0; i < sent; ++i) patch(dump.flows[i], in_, 1);
        dump.header.sequence = sequence;
        const std::size_t bytes = offsetof(abi::FlowDump, flows) + sent * sizeof(abi::FlowRecord);
        dump.header.bytes = static_cast<std::uint32_t>(bytes);
        send(std::as_bytes(std::span{&dump, 1}).first(bytes), 0);
    }

    template <typename Message>
    void message(Message m, std::uint32_t sequence, std::size_t fds) {
        m.header.bytes = sizeof m;
        m.header.sequence = sequence;
        send(std::as_bytes(std::span{&m, 1}), fds);
    }
    void send(std::span<const std::byte> bytes, std::size_t fd_count) {
        const std::vector<int> fds(std::min<std::size_t>(fd_count, abi::kMessageFdsMax), world().null.get());
        (void)cp::send(socket_.get(), bytes, fds);  // the client may have closed by now
    }

    Input in_;
    cp::UniqueFd socket_;
};

void ask(cp::TablesClient& client, unsigned which) {
    if (which == 1) {
        if (const auto state = client.get_status()) must(plausible(*state), "a state in bounds");
    } else if (which == 2) {
        if (const auto running = client.get_running()) {
            must(running->fds.size() == (running->generation == 0 ? 0 : abi::kMessageFdsMax),
                 "descriptors as promised");
        }
    } else {
        const auto page = client.dump_flows(0, 8);
        if (!page) return;
        must(page->flows.size() <= abi::kFlowsPerDumpMax, "no more flows than a page holds");
        for (const auto& flow : page->flows) {
            must(static_cast<std::uint8_t>(flow.state) < abi::kFlowStateCount, "a flow's state has a name");
        }
    }
}

/// Framing and checks alone.
void wire(Input in) {
    std::array<int, 2> ends{};
    must(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) == 0, "two sockets");
    Dataplane dataplane{in, cp::UniqueFd{ends[0]}};
    const cp::UniqueFd client{ends[1]};
    for (std::size_t n = 0; n < kDatagramsMax && dataplane.one_more(); ++n) {
        cp::Datagram datagram;
        const auto received = cp::receive(client.get(), datagram);
        if (!received || *received != cp::Received::datagram || !cp::check(datagram)) continue;
        must(datagram.bytes.size() <= abi::kMessageBytesMax && datagram.fds.size() <= abi::kMessageFdsMax,
             "a datagram in bounds");
        if (datagram.header().type != abi::MessageType::flow_dump) continue;
        std::uint32_t count{};
        std::memcpy(&count, datagram.bytes.data() + offsetof(abi::FlowDump, count), sizeof count);
        must(offsetof(abi::FlowDump, flows) + count * sizeof(abi::FlowRecord) == datagram.bytes.size(),
             "a dump as long as its count says");
    }
}

void connection(Input in, std::uint8_t circumstances) {
    Listener listener;
    cp::TablesClient client{world().path, listener};
    client.start();
    Dataplane dataplane{in, cp::UniqueFd{::accept4(world().listener.get(), nullptr, nullptr, SOCK_CLOEXEC)}};
    std::thread asker;
    if ((circumstances & 1U) == 0) {
        dataplane.greet();
        if (const unsigned which = circumstances >> 1U & 3U; which != 0) {
            asker = std::thread{[&client, which] { ask(client, which); }};
            dataplane.await();  // the question
        }
    }
    dataplane.rest();
    dataplane.end();
    if (asker.joinable()) asker.join();
    client.stop();
}

std::size_t open_descriptors() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) ++count;
    return count;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    (void)world();
    const std::size_t before = open_descriptors();
    Input in{data, size};
    const std::uint8_t circumstances = in.byte();
    (circumstances & 8U) != 0 ? wire(in) : connection(in, circumstances);
    must(open_descriptors() == before, "no descriptor stays open");
    return 0;
}
