/// A slab for tests, and flows in it.
#pragma once

#include <cstring>
#include <vector>

#include "dataplane/flow/flow_table.hpp"

namespace sluice::dp::test {

/// Memory of a slab, as a process leaves it; copied at will.
class SlabMemory {
public:
    SlabMemory(std::uint32_t entries, std::uint32_t lines)
        : entries_{entries}, lines_{lines}, blocks_((FlowSlab::bytes(entries, lines) + 63) / 64) {}
    FlowSlab slab() { return FlowSlab::at(data(), entries_, lines_); }
    std::byte* data() { return reinterpret_cast<std::byte*>(blocks_.data()); }
    std::size_t bytes() const { return FlowSlab::bytes(entries_, lines_); }
    FlowTableConfig config(RecoveryLimits limits = {}, HashSecret secret = {1, 2}) {
        return {
            .entries_max = entries_, .v6_entries_max = lines_, .hash_secret = secret, .slab = slab(), .limits = limits};
    }

private:
    struct alignas(64) Block {
        std::array<std::byte, 64> bytes{};
    };
    std::uint32_t entries_, lines_;
    std::vector<Block> blocks_;
};

inline FlowKeyV4 v4_key(std::uint32_t n) {
    FlowKeyV4 k{};
    k.low_addr = abi::Ipv4Addr::of_host(0x0a000000U + n);
    k.high_addr = abi::Ipv4Addr::of_host(0xc6336450U);
    k.low_port = abi::L4Port::of_host(static_cast<std::uint16_t>(1024 + n % 1000));
    k.high_port = abi::L4Port::of_host(443);
    k.proto = abi::L4Proto::tcp;
    return k;
}
inline FlowKeyV6 v6_key(std::uint32_t n) {
    FlowKeyV6 k{};
    k.low_addr.bytes[0] = 0x20;
    abi::NetOrder<std::uint32_t>::of_host(n).write(k.low_addr.bytes.data() + 12);
    k.high_addr.bytes[0] = 0x30;
    k.proto = abi::L4Proto::udp;
    return k;
}

/// As the worker makes a flow: everything first, the phase last. `mark` can be told afterwards.
template <typename Key>
FlowHandle add(FlowTable& t, const Key& key, std::uint32_t now, FlowPhase phase, std::uint32_t mark) {
    const FlowHandle h = t.insert(key, t.hasher().hash(key), now);
    if (h == kNoFlow) return h;
    FlowHot& e = t.hot(h);
    e.seq_end = {mark, mark};
    e.policy_seq = 7;
    e.set_rule(abi::RuleSlot{mark % 100}, abi::RuleLog::both);
    t.set_phase(h, phase, now);
    return h;
}
inline FlowHandle add(FlowTable& t, const FlowKeyV4& key, std::uint32_t now = 50, std::uint32_t mark = 1) {
    return add(t, key, now, FlowPhase::established, mark);
}
inline FlowHandle add(FlowTable& t, const FlowKeyV6& key, std::uint32_t now = 50, std::uint32_t mark = 1) {
    return add(t, key, now, FlowPhase::udp_stream, mark);
}
template <typename Key>
FlowHandle find(const FlowTable& t, const Key& key) {
    return t.find(key, t.hasher().hash(key));
}

}  // namespace sluice::dp::test
