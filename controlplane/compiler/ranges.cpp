#include "controlplane/compiler/ranges.hpp"

#include <algorithm>

namespace sluice::cp {

namespace {

template <typename At>
void merge(Ranges<At>& ranges) {
    std::sort(ranges.begin(), ranges.end());
    std::size_t kept = 0;
    for (std::size_t i = 0; i < ranges.size(); ++i) {
        if (kept > 0) {
            Range<At>& before = ranges[kept - 1];
            At behind = before.last;
            // A range that reaches the end of the line swallows all that follow.
            if (!step(behind) || ranges[i].first <= behind) {
                before.last = std::max(before.last, ranges[i].last);
                continue;
            }
        }
        ranges[kept++] = ranges[i];
    }
    ranges.resize(kept);
}

/// Ones in the lowest `bits` of 64.
constexpr std::uint64_t low_ones(unsigned bits) noexcept {
    return bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
}

}  // namespace

Range<std::uint32_t> v4_range(const Prefix& prefix) noexcept {
    const auto host = static_cast<std::uint32_t>(low_ones(32U - prefix.bits));
    const std::uint32_t at = prefix.addr.v4().to_host();
    return {.first = at & ~host, .last = at | host};
}

Range<V6Number> v6_range(const Prefix& prefix) noexcept {
    const unsigned host_bits = 128U - prefix.bits;
    const std::uint64_t host_high = host_bits > 64 ? low_ones(host_bits - 64) : 0;
    const std::uint64_t host_low = low_ones(std::min(host_bits, 64U));
    const std::uint64_t high = abi::NetOrder<std::uint64_t>::read(prefix.addr.bytes.data()).to_host();
    const std::uint64_t low = abi::NetOrder<std::uint64_t>::read(prefix.addr.bytes.data() + 8).to_host();
    return {.first = {.high = high & ~host_high, .low = low & ~host_low},
            .last = {.high = high | host_high, .low = low | host_low}};
}

void normalise(Ranges<std::uint32_t>& ranges) { merge(ranges); }
void normalise(Ranges<V6Number>& ranges) { merge(ranges); }

AddressList address_list(std::span<const Prefix> nets) {
    AddressList list;
    for (const Prefix& net : nets) {
        if (net.family == abi::IpFamily::v4) {
            list.v4.push_back(v4_range(net));
        } else {
            list.v6.push_back(v6_range(net));
        }
    }
    normalise(list.v4);
    normalise(list.v6);
    return list;
}

const AddressList& every_address() {
    static const AddressList all{{{0, 0xffffffff}}, {{{0, 0}, {~std::uint64_t{0}, ~std::uint64_t{0}}}}};
    return all;
}

ServiceList service_list(std::span<const ServiceTerm> terms) {
    ServiceList list;
    for (const ServiceTerm& t : terms) {
        const Range<std::uint32_t> range{.first = t.first, .last = t.last};
        const auto number = static_cast<std::uint32_t>(t.proto);
        switch (t.proto) {
            case abi::L4Proto::tcp: list.tcp.push_back(range); break;
            case abi::L4Proto::udp: list.udp.push_back(range); break;
            case abi::L4Proto::icmp: list.icmp.push_back(range); break;
            case abi::L4Proto::icmp6: list.icmp6.push_back(range); break;
            default: list.proto.push_back({.first = number, .last = number}); break;
        }
    }
    for (auto* ranges : {&list.tcp, &list.udp, &list.icmp, &list.icmp6, &list.proto}) normalise(*ranges);
    return list;
}

ServiceList any_service() {
    constexpr auto no_next = static_cast<std::uint32_t>(abi::L4Proto::ipv6_no_next);
    const Ranges<std::uint32_t> all{{.first = 0, .last = 65'535}};
    return {.tcp = all,
            .udp = all,
            .icmp = all,
            .icmp6 = all,
            .proto = {{.first = 0, .last = no_next - 1}, {.first = no_next + 1, .last = 255}}};
}

}  // namespace sluice::cp
