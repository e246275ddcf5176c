/// Every kind of virtual device that people put in front of us, opened as the dataplane opens it: a frame that arrives
/// on the first port leaves unchanged through the second. Needs root, and runs in a network namespace of its own; a
/// kind that this machine does not have is skipped by name, with what DPDK said.
#include "dataplane/port/device.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/manager/memfd.hpp"
#include "dataplane/port/dpdk_io.hpp"
#include "dataplane/port/eal.hpp"
#include "tests/harness/frames.hpp"
#include "tests/unit/dataplane/port/eal_between_veths.hpp"

namespace sluice::dp {
namespace {

using namespace test;

constexpr std::uint64_t kPatienceNs = 5'000'000'000;
constexpr PortIndex kFirst{0}, kSecond{1};

Bytes the_frame() { return frame(Ipv4{}, Udp{.sport = 4711, .dport = 53, .payload = Bytes(64, 0x5a)}); }

Config config(const std::string& first, const std::string& second) {
    Config c;
    c.eal = {"--no-pci", "--no-telemetry", "--no-huge", "--no-shconf", "-m", "160"};
    c.ports = {{"outside", first}, {"inside", second}};
    c.wires = {{0, 1}};
    c.worker_lcores = {0};
    return c;
}

/// The kernel's end of an interface.
class KernelEnd {
public:
    explicit KernelEnd(const char* interface) : fd_{socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(0x0003))} {
        sockaddr_ll address{};
        address.sll_family = AF_PACKET;
        address.sll_protocol = htons(0x0003);  // every kind of frame
        address.sll_ifindex = static_cast<int>(if_nametoindex(interface));
        EXPECT_EQ(bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << interface;
    }
    void send(const Bytes& bytes) const {
        EXPECT_EQ(::send(fd_.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    }
    bool has_got(const Bytes& wanted) const {
        Bytes got(4096);
        for (ssize_t n; (n = recv(fd_.get(), got.data(), got.size(), 0)) > 0;) {
            if (static_cast<std::size_t>(n) == wanted.size() &&
                std::memcmp(got.data(), wanted.data(), wanted.size()) == 0)
                return true;
        }
        return false;
    }

private:
    UniqueFd fd_;
};

/// Both ports as the product has them, and whoever pushes a frame through.
class Ports {
public:
    Ports(Devices devices, rte_mempool* own_pool)
        : devices_{std::move(devices)}, counters_{std::make_unique<abi::ManagerCounters>()}, io_{*counters_} {
        devices_.read(*counters_);
        io_.attach(devices_.queues_of(0), own_pool);
    }
    /// What has arrived on `from` goes out through `to`; true: one of these was the frame.
    bool forward(PortIndex from, PortIndex to) {
        std::array<Packet, kBurstMax> got;
        const std::size_t count = io_.receive(from, got);
        bool found = false;
        for (const Packet& p : std::span{got.data(), count}) found |= is_the_frame(p);
        const std::size_t taken = io_.send(to, {got.data(), count});
        io_.release({got.data() + taken, count - taken});
        return found;
    }
    bool arrives(PortIndex port) {
        std::array<Packet, kBurstMax> got;
        const std::size_t count = io_.receive(port, got);
        bool found = false;
        for (const Packet& p : std::span{got.data(), count}) found |= is_the_frame(p);
        io_.release({got.data(), count});
        return found;
    }
    bool send(PortIndex port) {
        const Bytes bytes = the_frame();
        Packet packet;
        if (!io_.allocate(static_cast<std::uint32_t>(bytes.size()), packet)) return false;
        std::copy(bytes.begin(), bytes.end(), packet.data);
        if (io_.send(port, {&packet, 1}) == 1) return true;
        io_.release({&packet, 1});
        return false;
    }
    std::size_t receive_some(PortIndex port) {
        std::array<Packet, kBurstMax> got;
        const std::size_t count = io_.receive(port, got);
        io_.release({got.data(), count});
        return count;
    }

private:
    static bool is_the_frame(const Packet& p) {
        const Bytes wanted = the_frame();
        return p.total_bytes == wanted.size() && std::memcmp(p.data, wanted.data(), wanted.size()) == 0;
    }
    Devices devices_;
    std::unique_ptr<abi::ManagerCounters> counters_;
    DpdkIo io_;
};

/// Until it says yes, or patience has run out.
bool eventually(const std::function<bool()>& yes) {
    const abi::MonoTime begin = abi::MonoTime::now();
    while (abi::MonoTime::now().ns - begin.ns < kPatienceNs) {
        if (yes()) return true;
        usleep(500);
    }
    return false;
}

class DeviceKinds : public testing::Test {
protected:
    static void SetUpTestSuite() {
        ASSERT_NO_FATAL_FAILURE(test::start_eal_between_veths(config("", ""), own_pool));
        char name[] = "/tmp/sluice-devices-XXXXXX";
        folder = mkdtemp(name);
    }
    static void TearDownTestSuite() { std::filesystem::remove_all(folder); }

    /// Skips the test where this machine does not have the kind.
    std::unique_ptr<Ports> open(const std::string& first, const std::string& second) {
        auto devices = Devices::open(config(first, second));
        if (devices) return std::make_unique<Ports>(std::move(*devices), own_pool);
        why = devices.error();
        return nullptr;
    }
    std::string why;
    static inline rte_mempool* own_pool{};
    static inline std::string folder;
};

#define OPEN_OR_SKIP(ports, first, second)  \
    const auto ports = open(first, second); \
    if (ports == nullptr) GTEST_SKIP() << why

void passes_between_kernel_ends(Ports& ports, const char* in, const char* out) {
    const KernelEnd near{in}, far{out};
    bool crossed = false;
    EXPECT_TRUE(eventually([&] {
        if (!crossed) near.send(the_frame());  // a link that has just come up may lose the first ones
        crossed |= ports.forward(kFirst, kSecond);
        return far.has_got(the_frame());
    }));
    EXPECT_TRUE(crossed);
}

TEST_F(DeviceKinds, AfPacket) {
    OPEN_OR_SKIP(ports, "net_af_packet0,iface=a0", "net_af_packet1,iface=b0");
    passes_between_kernel_ends(*ports, "a1", "b1");
}

TEST_F(DeviceKinds, Tap) {
    OPEN_OR_SKIP(ports, "net_tap0,iface=sltap0", "net_tap1,iface=sltap1");
    ASSERT_EQ(std::system("ip link set sltap0 up && ip link set sltap1 up"), 0);
    passes_between_kernel_ends(*ports, "sltap0", "sltap1");
}

TEST_F(DeviceKinds, AfXdp) {
    OPEN_OR_SKIP(ports, "net_af_xdp0,iface=a0", "net_af_xdp1,iface=b0");
    passes_between_kernel_ends(*ports, "a1", "b1");
}

TEST_F(DeviceKinds, Pcap) {
    const std::string in = folder + "/in.pcap", out = folder + "/out.pcap";
    const Bytes bytes = the_frame();
    const auto length = static_cast<std::uint32_t>(bytes.size());
    // The classic format: magic, version 2.4, no zone, 65,535 bytes a frame, Ethernet; then one frame at second 0.
    const std::uint32_t head[] = {0xa1b2c3d4, 4U << 16 | 2U, 0, 0, 65'535, 1, 0, 0, length, length};
    {
        std::ofstream file{in, std::ios::binary};
        file.write(reinterpret_cast<const char*>(head), sizeof head);
        file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    {
        OPEN_OR_SKIP(ports, "net_pcap0,rx_pcap=" + in + ",tx_pcap=" + folder + "/none.pcap",
                     "net_pcap1,rx_pcap=" + in + ",tx_pcap=" + out);
        EXPECT_TRUE(eventually([&] { return ports->forward(kFirst, kSecond); }));
    }
    std::ifstream file{out, std::ios::binary};
    const std::string written{std::istreambuf_iterator<char>{file}, {}};
    EXPECT_NE(written.find(std::string{bytes.begin(), bytes.end()}), std::string::npos) << written.size() << " bytes";
}

TEST_F(DeviceKinds, Null) {
    OPEN_OR_SKIP(ports, "net_null0", "net_null1");
    EXPECT_TRUE(eventually([&] { return ports->receive_some(kFirst) == kBurstMax; })) << "it always has something";
    EXPECT_TRUE(ports->send(kSecond)) << "and takes everything";
}

TEST_F(DeviceKinds, Ring) {
    OPEN_OR_SKIP(ports, "net_ring0", "net_ring1");
    EXPECT_TRUE(ports->send(kFirst));  // it comes back on the same port
    EXPECT_TRUE(eventually([&] { return ports->forward(kFirst, kSecond); }));
    EXPECT_TRUE(eventually([&] { return ports->arrives(kSecond); }));
}

}  // namespace
}  // namespace sluice::dp
