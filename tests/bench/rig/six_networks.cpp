#include "tests/bench/rig/six_networks.hpp"

namespace sluice::bench {

namespace {

constexpr unsigned kTopBits = 16;  ///< 2001::/16

std::uint64_t mixed(std::uint64_t x) noexcept {  // splitmix64's finisher
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/// The upper 64 bits of a host.
std::uint64_t site_of(std::uint32_t addr) noexcept {
    std::uint64_t bits = 0x2001'0000ULL << 32 | std::uint64_t{addr >> 16} << 32;
    for (unsigned i = 0; i < 16; ++i) {
        const std::uint32_t until_here = addr >> (15 - i);
        const std::uint64_t pair =
            std::uint64_t{until_here & 1U} << 1 | (mixed(until_here + (std::uint64_t{i} << 32)) & 1U);
        bits |= pair << (30 - 2 * i);
    }
    return bits;
}

unsigned six_bits(unsigned bits) noexcept {
    if (bits == 0 || bits == 32) return bits * 4;
    return bits <= 16 ? kTopBits + bits : 2 * bits;
}

void put(abi::IpAddr& into, std::size_t at, std::uint64_t value) noexcept {
    abi::NetOrder<std::uint64_t>::of_host(value).write(into.bytes.data() + at);
}

}  // namespace

abi::IpAddr six_host(std::uint32_t addr) noexcept {
    abi::IpAddr host;
    put(host, 0, site_of(addr));
    put(host, 8, mixed(addr + 1));
    return host;
}

cp::Prefix six_prefix(const Net& net) noexcept {
    const unsigned bits = six_bits(net.bits);
    cp::Prefix made{.family = abi::IpFamily::v6, .bits = static_cast<std::uint8_t>(bits), .addr = {}};
    if (bits == 128) {
        made.addr = six_host(net.addr);
    } else if (bits != 0) {
        put(made.addr, 0, site_of(net.addr) & ~std::uint64_t{0} << (64 - bits));
    }
    return made;
}

}  // namespace sluice::bench
