/// What tests of real devices begin with: a network namespace of their own with two cables, a0-a1 and b0-b1, and the
/// EAL, which starts once per process, on the first CPU that this process may use. Needs root.
#pragma once

#include <gtest/gtest.h>
#include <sched.h>

#include <cstdint>
#include <cstdlib>

#include "dataplane/port/device.hpp"
#include "dataplane/port/eal.hpp"

namespace sluice::test {

/// `config` gives the EAL's arguments; `pool` is what packets of our own come from. Failures are gtest's.
inline void start_eal_between_veths(dp::Config config, rte_mempool*& pool) {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0) << "run this as root";
    ASSERT_EQ(std::system("ip link add a0 type veth peer name a1 && ip link add b0 type veth peer name b1 && "
                          "for i in a0 a1 b0 b1; do ip link set $i up || exit 1; done"),
              0);
    cpu_set_t cpus;
    ASSERT_EQ(sched_getaffinity(0, sizeof cpus, &cpus), 0);
    std::uint32_t lcore = 0;
    while (!CPU_ISSET(lcore, &cpus)) ++lcore;
    config.worker_lcores = {lcore};
    const auto started = dp::start_eal(config);
    ASSERT_TRUE(started) << started.error();
    const auto own = dp::create_own_pool();
    ASSERT_TRUE(own) << own.error();
    pool = *own;
}

}  // namespace sluice::test
