/// Real devices, in a network namespace of the test's own: which worker reads and writes which queue, and what devices
/// are told about placing flows. Needs root.
#include "dataplane/port/device.hpp"

#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <optional>
#include <set>
#include <thread>

#include "dataplane/manager/memfd.hpp"
#include "dataplane/port/dpdk_io.hpp"
#include "dataplane/port/eal.hpp"
#include "dataplane/port/rss_device.hpp"
#include "tests/harness/frames.hpp"
#include "tests/unit/dataplane/port/eal_between_veths.hpp"

namespace sluice::dp {
namespace {

using namespace test;

constexpr std::uint64_t kPatienceNs = 10'000'000'000;

Config config(const std::string& first, const std::string& second, std::vector<std::uint32_t> workers) {
    Config c;
    c.eal = {"--no-pci", "--no-telemetry", "--no-huge", "--no-shconf", "-m", "128"};
    c.ports = {{"outside", first}, {"inside", second}};
    c.wires = {{0, 1}};
    c.worker_lcores = std::move(workers);
    return c;
}

class Device : public testing::Test {
protected:
    /// The EAL starts once per process; queues are a matter of each configuration.
    static void SetUpTestSuite() {
        ASSERT_NO_FATAL_FAILURE(test::start_eal_between_veths(config("", "", {}), own_pool));
    }
    static inline rte_mempool* own_pool{};
};

TEST_F(Device, WithFewerQueuesThanWorkersEachPortHasOneReader) {
    const auto devices = Devices::open(config("net_af_packet0,iface=a0", "net_af_packet1,iface=b0", {0, 1}));
    ASSERT_TRUE(devices) << devices.error();
    EXPECT_FALSE(devices->rss_owners());
    const WorkerQueues first = devices->queues_of(0), second = devices->queues_of(1);
    EXPECT_EQ(first.ports[0].receive, 0);
    EXPECT_EQ(first.ports[1].receive, kNoQueue);
    EXPECT_EQ(second.ports[0].receive, kNoQueue);
    EXPECT_EQ(second.ports[1].receive, 0);
    for (const std::size_t port : {0U, 1U}) {
        EXPECT_NE(first.ports[port].lock, nullptr);
        EXPECT_EQ(first.ports[port].lock, second.ports[port].lock);
        EXPECT_EQ(first.ports[port].transmit, 0);
    }
    EXPECT_NE(first.ports[0].lock, first.ports[1].lock);
}

TEST_F(Device, OneWorkerHasItsQueuesAlone) {
    for (int n = 0; n < 2; ++n) {  // all was taken down before
        const auto devices = Devices::open(config("net_null0", "net_null1", {0}));
        ASSERT_TRUE(devices) << devices.error();
        const WorkerQueues queues = devices->queues_of(0);
        for (const std::size_t port : {0U, 1U}) {
            EXPECT_EQ(queues.ports[port].receive, 0);
            EXPECT_EQ(queues.ports[port].lock, nullptr);
        }
    }
}

/// It takes a key and a table, says that it has them, and spreads nothing by them: a virtual device is not believed.
TEST_F(Device, VirtualDevicesAreNotBelieved) {
    const auto devices = Devices::open(config("net_null0", "net_null1", {0, 1}));
    ASSERT_TRUE(devices) << devices.error();
    EXPECT_FALSE(devices->rss_owners());
    EXPECT_EQ(devices->queues_of(1).ports[0].receive, 1) << "all of its queues are read";
    EXPECT_EQ(devices->queues_of(1).ports[0].lock, nullptr);
}

/// The road to a real device, as far as DPDK goes: told, asked, compared.
TEST_F(Device, KeyAndTableAreToldAndReadBack) {
    const auto devices = Devices::open(config("net_null0", "net_null1", {0, 1}));
    ASSERT_TRUE(devices) << devices.error();
    std::size_t which = 0;
    std::string why;
    const auto owners = owners_by_rss(devices->ids(), 2, which, why);
    ASSERT_TRUE(owners) << which << ": " << why;
    EXPECT_EQ(owners->mode(), abi::SteeringMode::rss);
    EXPECT_EQ(owners->workers(), 2U);
}

/// Puts frames on a wire's far end.
class FarEnd {
public:
    explicit FarEnd(const char* interface) : fd_{socket(AF_PACKET, SOCK_RAW, 0)} {
        sockaddr_ll address{};
        address.sll_family = AF_PACKET;
        address.sll_ifindex = static_cast<int>(if_nametoindex(interface));
        EXPECT_EQ(bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    }
    void send(const Bytes& bytes) const {
        EXPECT_EQ(::send(fd_.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    }

private:
    UniqueFd fd_;
};

/// The worker that the frame to this UDP port pair arrives at; other frames (the kernel's own) are let go.
std::optional<std::size_t> worker_that_gets(std::array<DpdkIo*, 2> workers, PortIndex port, const Bytes& wanted) {
    const abi::MonoTime begin = abi::MonoTime::now();
    std::optional<std::size_t> found;
    while (!found && abi::MonoTime::now().ns - begin.ns < kPatienceNs) {
        for (std::size_t w = 0; w < workers.size(); ++w) {
            std::array<Packet, kBurstMax> got;
            const std::size_t count = workers[w]->receive(port, got);
            for (const Packet& p : std::span{got.data(), count}) {
                if (std::equal(wanted.begin(), wanted.end(), p.data, p.data + p.total_bytes)) found = w;
            }
            workers[w]->release({got.data(), count});
        }
    }
    return found;
}

/// The kernel's fanout hash is symmetric, too. (Nothing depends on it: a full ring makes it give packets to others.)
TEST_F(Device, BothDirectionsOfAFlowMeetTheSameWorker) {
    auto devices =
        Devices::open(config("net_af_packet0,iface=a0,qpairs=2", "net_af_packet1,iface=b0,qpairs=2", {0, 1}));
    ASSERT_TRUE(devices) << devices.error();
    abi::ManagerCounters links;
    devices->read(links);
    EXPECT_EQ(links.port_link_up[0].read(), 1U);
    DpdkIo first{links}, second{links};
    first.attach(devices->queues_of(0), own_pool);
    second.attach(devices->queues_of(1), own_pool);

    const FarEnd outside{"a1"}, inside{"b1"};
    std::set<std::size_t> used;
    for (std::uint16_t sport = 40'000; sport < 40'032; ++sport) {
        const auto there = frame(Ipv4{}, Udp{.sport = sport, .dport = 53});
        const auto back = frame(Ipv4{.src = "198.51.100.80", .dst = "198.51.100.7"}, Udp{.sport = 53, .dport = sport});
        outside.send(there);
        const auto original = worker_that_gets({&first, &second}, PortIndex{0}, there);
        inside.send(back);
        const auto reply = worker_that_gets({&first, &second}, PortIndex{1}, back);
        ASSERT_TRUE(original && reply) << "source port " << sport;
        EXPECT_EQ(*original, *reply) << "source port " << sport;
        used.insert(*original);
    }
    EXPECT_EQ(used.size(), 2U) << "one worker had nothing to do";
}

/// Buffers that nobody gives back, as behind a peer that takes nothing: what comes then stays with the device and is
/// lost there, and when the buffers come back all is as before.
TEST_F(Device, X9_WithoutBuffersNothingIsReceivedAndNoneIsLost) {
    auto devices = Devices::open(config("net_af_packet0,iface=a0", "net_af_packet1,iface=b0", {0}));
    ASSERT_TRUE(devices) << devices.error();
    abi::ManagerCounters links;
    DpdkIo io{links};
    io.attach(devices->queues_of(0), own_pool);
    rte_mempool* const pool = rte_mempool_lookup("sluice_receive");
    ASSERT_NE(pool, nullptr);
    const unsigned all = rte_mempool_avail_count(pool);
    const FarEnd outside{"a1"};
    const auto wanted = frame(Ipv4{}, Udp{.dport = 53});
    std::vector<Packet> held;
    const auto take = [&] {
        std::array<Packet, kBurstMax> got;
        const std::size_t count = io.receive(PortIndex{0}, got);
        held.insert(held.end(), got.begin(), got.begin() + static_cast<std::ptrdiff_t>(count));
        return count;
    };
    const abi::MonoTime begin = abi::MonoTime::now();
    while (rte_mempool_avail_count(pool) != 0 && abi::MonoTime::now().ns - begin.ns < kPatienceNs) {
        for (std::size_t i = 0; i < kBurstMax; ++i) outside.send(wanted);
        (void)take();
    }
    ASSERT_EQ(rte_mempool_avail_count(pool), 0U);
    EXPECT_EQ(held.size(), all);
    for (int i = 0; i < 2000; ++i) outside.send(wanted);  // more than the kernel keeps for the device
    EXPECT_EQ(take(), 0U);

    // A peer that takes nothing is a send that accepts nothing: the worker gives all of it back.
    for (std::size_t at = 0; at < held.size(); at += kBurstMax) {
        io.release(std::span{held}.subspan(at, std::min(kBurstMax, held.size() - at)));
    }
    held.clear();
    EXPECT_EQ(rte_mempool_avail_count(pool), all);
    EXPECT_GT(take(), 0U) << "it goes on with what waits";
    io.release(held);
    EXPECT_EQ(rte_mempool_avail_count(pool), all);
}

/// Several workers send through one queue at once: nothing is lost or torn between them.
TEST_F(Device, ASharedQueueTakesTheFramesOfAllItsWorkers) {
    auto devices = Devices::open(config("net_af_packet0,iface=a0", "net_af_packet1,iface=b0", {0, 1}));
    ASSERT_TRUE(devices) << devices.error();
    abi::ManagerCounters links;
    std::array<std::unique_ptr<DpdkIo>, 2> workers;
    for (std::uint32_t w = 0; w < 2; ++w) {
        workers[w] = std::make_unique<DpdkIo>(links);
        workers[w]->attach(devices->queues_of(w), own_pool);
    }
    constexpr std::size_t kEach = 200;
    std::atomic<std::size_t> sent{0};
    const auto send = [&](std::uint8_t w) {
        for (std::size_t n = 0; n < kEach; ++n) {
            Packet p;
            ASSERT_TRUE(workers[w]->allocate(60, p));
            std::fill_n(p.data, 60, w);
            if (workers[w]->send(PortIndex{0}, {&p, 1}) == 1) {
                ++sent;
            } else {
                workers[w]->release({&p, 1});
            }
        }
    };
    std::thread other{send, 1};
    send(0);
    other.join();
    rte_eth_stats stats{};
    ASSERT_EQ(rte_eth_stats_get(devices->ids()[0], &stats), 0);
    EXPECT_EQ(sent, 2 * kEach);
    EXPECT_EQ(stats.opackets, sent);
}

}  // namespace
}  // namespace sluice::dp
