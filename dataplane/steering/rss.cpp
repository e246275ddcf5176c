#include "dataplane/steering/rss.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

namespace sluice::dp {

namespace {

constexpr std::size_t kProbes = 4096;

/// splitmix64: random enough to meet every entry of a table, and the same in every run.
std::uint64_t next(std::uint64_t& state) noexcept {
    std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

FlowTuple random_ends(abi::IpFamily family, std::uint64_t& state) noexcept {
    FlowTuple t{.proto = abi::L4Proto::tcp};
    const std::size_t bytes = family == abi::IpFamily::v6 ? 16 : 4;
    for (abi::IpAddr* const a : {&t.src, &t.dst}) {
        const std::array<std::uint64_t, 2> random{next(state), next(state)};
        std::memcpy(a->bytes.data(), random.data(), bytes);
    }
    const std::uint64_t ports = next(state);
    t.sport = abi::L4Port::of_wire(static_cast<std::uint16_t>(ports));
    t.dport = abi::L4Port::of_wire(static_cast<std::uint16_t>(ports >> 16));
    return t;
}

/// The queue on which a device with this key and table puts the packet: bit by bit, as data sheets write it, and not by
/// what Owners uses.
WorkerIndex queue_of(const RssProgram& device, abi::IpFamily family, const FlowTuple& t) {
    const std::size_t address_bytes = family == abi::IpFamily::v6 ? 16 : 4;
    std::array<std::uint8_t, kToeplitzInputMax> input{};
    std::memcpy(input.data(), t.src.bytes.data(), address_bytes);
    std::memcpy(input.data() + address_bytes, t.dst.bytes.data(), address_bytes);
    t.sport.write(input.data() + 2 * address_bytes);
    t.dport.write(input.data() + 2 * address_bytes + 2);
    std::uint32_t hash = 0;
    std::uint32_t window = 0;
    for (std::size_t i = 0; i < 4; ++i) window = window << 8 | device.key[i];
    for (std::size_t bit = 0; bit < (2 * address_bytes + 4) * 8; ++bit) {
        if ((input[bit / 8] >> (7 - bit % 8) & 1) != 0) hash ^= window;
        const std::size_t entering = bit + 32;
        window = window << 1 | (device.key[entering / 8] >> (7 - entering % 8) & 1U);
    }
    return device.table[hash & (device.table.size() - 1)];
}

}  // namespace

std::optional<RssProgram> program_for(const std::vector<RssDevice>& devices, std::uint32_t workers, std::string& why) {
    std::uint32_t smallest = UINT32_MAX;
    for (const RssDevice& d : devices) {
        if (d.key_bytes < kToeplitzKeyMin || d.key_bytes > kRssKeyMax) {
            why = "its hash has no key that we can set";
        } else if (!std::has_single_bit(d.table_count)) {
            why = "it has no table of queues, or one whose length is no power of two";
        } else if (!d.hashes_tcp_and_udp) {
            why = "it does not hash TCP and UDP by addresses and ports over IPv4 and IPv6";
        } else {
            smallest = std::min(smallest, d.table_count);
            continue;
        }
        return std::nullopt;
    }
    if (smallest == UINT32_MAX || smallest < workers) {
        why = "its table has fewer entries than there are workers";
        return std::nullopt;
    }
    const auto key = symmetric_rss_key();
    RssProgram program{{key.begin(), key.end()}, std::vector<WorkerIndex>(smallest)};
    for (std::uint32_t i = 0; i < smallest; ++i) program.table[i] = static_cast<WorkerIndex>(i % workers);
    return program;
}

RssProgram stretched(const RssProgram& program, const RssDevice& device) {
    RssProgram own{{program.key.begin(), program.key.begin() + device.key_bytes},
                   std::vector<WorkerIndex>(device.table_count)};
    for (std::size_t i = 0; i < own.table.size(); ++i) own.table[i] = program.table[i % program.table.size()];
    return own;
}

std::string rss_mismatch(const RssDevice& device, const Owners& owners) {
    if (device.program.key.size() < kToeplitzKeyMin) return "it does not tell its key";
    if (!std::has_single_bit(device.program.table.size())) return "it does not tell its table of queues";
    if (!device.hashes_tcp_and_udp) return "it did not take the kinds of packets to hash";
    std::uint64_t state = 1;
    for (std::size_t i = 0; i < kProbes; ++i) {
        const auto family = i % 2 == 0 ? abi::IpFamily::v4 : abi::IpFamily::v6;
        const FlowTuple there = random_ends(family, state);
        const FlowTuple back{there.dst, there.src, there.dport, there.sport, there.proto};
        const WorkerIndex owner = owners.owner(family, there, {});
        if (queue_of(device.program, family, there) != owner) return "key or table are not what it was told";
        if (queue_of(device.program, family, back) != owner) return "its key places the two directions differently";
    }
    return {};
}

}  // namespace sluice::dp
