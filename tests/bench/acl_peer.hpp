/// The peer `rte_acl`: DPDK's classifier over the same rules, and a stateless forwarder around it (parse, classify,
/// send) over the same source, as DPDK's own l3fwd-acl example is built.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <sluice/expected.hpp>

#include "dataplane/port/memory_source.hpp"
#include "tests/bench/rig/rules.hpp"

struct rte_acl_ctx;

namespace sluice::bench {

/// The IPv6 five-tuple as rte_acl reads it, wire order.
struct AclKey6 {
    std::uint8_t proto{};
    std::uint8_t zero[3]{};
    std::array<std::uint8_t, 16> src{}, dst{};
    std::uint16_t sport{}, dport{};
};
static_assert(sizeof(AclKey6) == 40);
/// The same packet between the hosts of six_networks.hpp.
AclKey6 six_key(const AclKey& key) noexcept;

class RteAcl {
public:
    /// Rule i answers i + 1; 0 = none matched. Sets are multiplied out. `scalar`: without vector instructions; else the
    /// fastest of the methods that this CPU has, found out on `sample`. IPv6: its keys are AclKey6. Error: what DPDK
    /// said.
    static Expected<std::unique_ptr<RteAcl>, std::string> build(std::span<const FilterRule> rules,
                                                                std::span<const AclKey> sample, bool scalar,
                                                                abi::IpFamily family = abi::IpFamily::v4);
    ~RteAcl();
    RteAcl(const RteAcl&) = delete;
    RteAcl& operator=(const RteAcl&) = delete;

    void classify(std::span<const std::uint8_t*> keys, std::uint32_t* results) const noexcept;
    const std::string& method() const noexcept { return method_; }
    double build_s() const noexcept { return build_s_; }

private:
    explicit RteAcl(rte_acl_ctx* context) : context_{context} {}
    void choose_method(std::span<const std::uint8_t*> keys, bool scalar);

    rte_acl_ctx* context_;
    std::string method_;
    double build_s_{};
};

class AclForwarder {
public:
    AclForwarder(const RteAcl& acl, std::span<const FilterRule> rules, dp::PacketSource& source);

    /// Until the source has made `packets` more.
    void run(std::uint64_t packets) noexcept;
    std::uint64_t refused() const noexcept { return refused_; }

private:
    void burst(dp::PortIndex in, dp::PortIndex out) noexcept;

    const RteAcl& acl_;
    std::vector<std::uint8_t> allows_;  ///< by answer
    dp::PacketSource& source_;
    std::uint64_t refused_{};
};

}  // namespace sluice::bench
