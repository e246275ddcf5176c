#include "dataplane/steering/owner.hpp"

#include <cstring>

#include <sluice/abi/layout_hash.hpp>

namespace sluice::dp {

namespace {

/// The key without what both directions, or a request and an error about it, do not have in common.
template <typename Key>
Key by_ends(Key key) noexcept {
    const bool has_ports =
        key.proto == abi::L4Proto::tcp || key.proto == abi::L4Proto::udp || key.proto == abi::L4Proto::sctp;
    if (!has_ports) key.low_port = key.high_port = {};  // ICMP keeps its identifier there
    key.asker = Asker::ports_tell;
    return key;
}

/// As a device reads it off a packet from the low end to the high one; with a symmetric key the way back is the same.
std::span<const std::uint8_t> toeplitz_input(const FlowKeyV4& key, std::uint8_t* out) noexcept {
    key.low_addr.write(out);
    key.high_addr.write(out + 4);
    key.low_port.write(out + 8);
    key.high_port.write(out + 10);
    return {out, 12};
}
std::span<const std::uint8_t> toeplitz_input(const FlowKeyV6& key, std::uint8_t* out) noexcept {
    std::memcpy(out, key.low_addr.bytes.data(), 16);
    std::memcpy(out + 16, key.high_addr.bytes.data(), 16);
    key.low_port.write(out + 32);
    key.high_port.write(out + 34);
    return {out, 36};
}

}  // namespace

Owners Owners::software(const HashSecret& secret, std::uint32_t workers) {
    Owners owners{secret, workers};
    owners.identity_ = abi::fnv1a({1, workers, secret[0], secret[1]});
    return owners;
}

Owners Owners::rss(const RssProgram& program, std::uint32_t workers) {
    Owners owners{HashSecret{}, workers};
    owners.toeplitz_.emplace(program.key);
    owners.table_ = program.table;
    owners.identity_ = abi::fnv1a({2, workers, program.table.size()});
    for (std::size_t i = 0; i < kToeplitzKeyMin; ++i) {
        owners.identity_ = abi::fnv1a({owners.identity_, program.key[i]});
    }
    for (const WorkerIndex w : program.table) owners.identity_ = abi::fnv1a({owners.identity_, w});
    return owners;
}

template <typename Key>
WorkerIndex Owners::owner_of(const Key& flow_key) const noexcept {
    const Key key = by_ends(flow_key);
    if (!toeplitz_) return of_hash(hasher_.hash(key));
    std::array<std::uint8_t, kToeplitzInputMax> input;
    return table_[toeplitz_->hash(toeplitz_input(key, input.data())) & (table_.size() - 1)];
}

WorkerIndex Owners::owner(const FlowKeyV4& key) const noexcept { return owner_of(key); }
WorkerIndex Owners::owner(const FlowKeyV6& key) const noexcept { return owner_of(key); }

WorkerIndex Owners::owner(abi::IpFamily family, const FlowTuple& ends, FlowDomain domain) const noexcept {
    const bool low = source_is_low(family, ends);
    if (family == abi::IpFamily::v6) return owner_of(make_key<FlowKeyV6>(ends, low, domain));
    return owner_of(make_key<FlowKeyV4>(ends, low, domain));
}

void Owners::owners(std::span<const FlowKeyV4> keys, WorkerIndex* out) const noexcept {
    if (toeplitz_) {
        for (const FlowKeyV4& key : keys) *out++ = owner_of(key);
        return;
    }
    constexpr std::size_t kAtOnce = 32;
    std::array<std::uint64_t, kAtOnce> hashes;
    for (std::size_t done = 0; done < keys.size(); done += kAtOnce) {
        const auto part = keys.subspan(done, std::min(kAtOnce, keys.size() - done));
        hasher_.hash(part, hashes.data());
        for (std::size_t i = 0; i < part.size(); ++i) *out++ = of_hash(hashes[i]);
    }
}

}  // namespace sluice::dp
