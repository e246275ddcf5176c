/// Real devices with one queue per worker, in a network namespace of the test's own: both directions of a flow meet the
/// same worker although they arrive on two devices, and a device that cannot do that is refused in words. Needs root.
#include "dataplane/port/device.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <set>

#include "dataplane/manager/memfd.hpp"
#include "dataplane/port/dpdk_io.hpp"
#include "dataplane/port/eal.hpp"
#include "tests/harness/frames.hpp"

namespace sluice::dp {
namespace {

using testing::HasSubstr;
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
        ASSERT_EQ(unshare(CLONE_NEWNET), 0) << "run this as root";
        ASSERT_EQ(std::system("ip link add a0 type veth peer name a1 && ip link add b0 type veth peer name b1 && "
                              "for i in a0 a1 b0 b1; do ip link set $i up || exit 1; done"),
                  0);
        cpu_set_t cpus;
        ASSERT_EQ(sched_getaffinity(0, sizeof cpus, &cpus), 0);
        std::uint32_t lcore = 0;
        while (!CPU_ISSET(lcore, &cpus)) ++lcore;
        const auto started = start_eal(config("", "", {lcore}));
        ASSERT_TRUE(started) << started.error();
    }
    static std::string refusal(const Config& c) {
        const auto devices = Devices::open(c);
        return devices ? "opened" : devices.error();
    }
};

TEST_F(Device, FewerQueuesThanWorkersAreRefusedInWords) {
    const auto why = refusal(config("net_af_packet0,iface=a0", "net_af_packet1,iface=b0", {0, 1}));
    EXPECT_THAT(why,
                HasSubstr("port outside: device \"net_af_packet0,iface=a0\" has 1 queue(s), but workers: names 2"));
}

TEST_F(Device, ADeviceThatCannotSteerSymmetricallyIsRefusedInWords) {
    EXPECT_THAT(refusal(config("net_null0", "net_null1", {0, 1})), HasSubstr("use one worker"));
    EXPECT_EQ(refusal(config("net_null0", "net_null1", {0})), "opened");
    EXPECT_EQ(refusal(config("net_null0", "net_null1", {0})), "opened");  // all was taken down before
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

TEST_F(Device, BothDirectionsOfAFlowMeetTheSameWorker) {
    auto devices =
        Devices::open(config("net_af_packet0,iface=a0,qpairs=2", "net_af_packet1,iface=b0,qpairs=2", {0, 1}));
    ASSERT_TRUE(devices) << devices.error();
    const auto pool = create_own_pool();
    ASSERT_TRUE(pool) << pool.error();
    abi::ManagerCounters links;
    devices->read(links);
    EXPECT_EQ(links.port_link_up[0].read(), 1U);
    DpdkIo first{0, links}, second{1, links};
    for (DpdkIo* io : {&first, &second}) io->attach(devices->ids(), *pool);

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

}  // namespace
}  // namespace sluice::dp
