/// IP headers of packets of our own: answers (answer.hpp) and segments of the SYN proxy (own_segment.hpp).
#pragma once

#include <cstdint>
#include <cstring>

#include <sluice/abi/net_order.hpp>

#include "dataplane/pipeline/checksum.hpp"

namespace sluice::dp {

constexpr std::uint32_t ip_header_bytes(abi::IpFamily family) noexcept { return family == abi::IpFamily::v4 ? 20 : 40; }

struct OwnIp {
    abi::IpFamily family{};
    abi::IpAddr src{}, dst{};
    abi::L4Proto proto{};
};

/// Without options or extension headers: ip_header_bytes() bytes.
inline void write_own_ip(std::uint8_t* ip, const OwnIp& h, std::uint32_t l4_bytes) noexcept {
    constexpr std::uint8_t kHopLimit = 64;
    constexpr std::uint8_t kTosInternetworkControl = 0xc0;  // of ICMP errors: RFC 1812 section 4.3.2.5
    constexpr std::uint16_t kDontFragment = 0x4000;         // then the identification may be 0 (RFC 6864 section 4.1)
    const auto put16 = [ip](std::size_t at, std::uint32_t value) {
        abi::NetOrder<std::uint16_t>::of_host(static_cast<std::uint16_t>(value)).write(ip + at);
    };
    if (h.family == abi::IpFamily::v4) {
        std::memset(ip, 0, 20);
        ip[0] = 0x45;
        ip[1] = h.proto == abi::L4Proto::icmp ? kTosInternetworkControl : 0;
        put16(2, 20 + l4_bytes);
        put16(6, kDontFragment);
        ip[8] = kHopLimit;
        ip[9] = static_cast<std::uint8_t>(h.proto);
        std::memcpy(ip + 12, h.src.bytes.data(), 4);
        std::memcpy(ip + 16, h.dst.bytes.data(), 4);
        checksum_value(checksum_add(0, {ip, 20})).write(ip + 10);
    } else {
        std::memset(ip, 0, 8);
        ip[0] = 0x60;
        put16(4, l4_bytes);
        ip[6] = static_cast<std::uint8_t>(h.proto);
        ip[7] = kHopLimit;
        std::memcpy(ip + 8, h.src.bytes.data(), 16);
        std::memcpy(ip + 24, h.dst.bytes.data(), 16);
    }
}

}  // namespace sluice::dp
