#include "controlplane/analysis/service_line.hpp"

#include <algorithm>
#include <array>

#include "controlplane/compiler/range_algebra.hpp"
#include "controlplane/policy/service.hpp"

namespace sluice::cp {
namespace {

using abi::L4Proto;

constexpr std::uint32_t kPortCount = 65'536;
constexpr std::uint32_t kTcpAt = 0, kUdpAt = kPortCount, kIcmpAt = 2 * kPortCount, kOthersAt = 3 * kPortCount;
constexpr std::uint32_t kOtherCount = 253;  ///< 256 less TCP, UDP and the family's ICMP
constexpr std::uint32_t kLast = kOthersAt + kOtherCount - 1;

struct Others {
    std::array<std::uint8_t, kOtherCount> proto_at{};
    std::array<std::uint32_t, 256> place{};  ///< kOtherCount = none
};

constexpr Others others_of(L4Proto icmp) {
    Others line;
    std::uint32_t next = 0;
    const auto add = [&](unsigned number) {
        line.place[number] = next;
        line.proto_at[next++] = static_cast<std::uint8_t>(number);
    };
    for (unsigned number = 0; number < 256; ++number) {
        const L4Proto proto{static_cast<std::uint8_t>(number)};
        line.place[number] = kOtherCount;
        if (proto != L4Proto::tcp && proto != L4Proto::udp && proto != icmp && proto != L4Proto::ipv6_no_next)
            add(number);
    }
    add(static_cast<unsigned>(L4Proto::ipv6_no_next));
    return line;
}

const Others& others(abi::IpFamily family) noexcept {
    static constexpr Others kV4 = others_of(L4Proto::icmp), kV6 = others_of(L4Proto::icmp6);
    return family == abi::IpFamily::v4 ? kV4 : kV6;
}

L4Proto icmp_of(abi::IpFamily family) noexcept { return family == abi::IpFamily::v4 ? L4Proto::icmp : L4Proto::icmp6; }

void append_moved(ServiceRanges& to, const Ranges<std::uint32_t>& from, std::uint32_t by) {
    for (const auto& range : from) to.push_back({range.first + by, range.last + by});
}

}  // namespace

ServiceRanges service_ranges(const ServiceList& services, abi::IpFamily family) {
    ServiceRanges line;
    append_moved(line, services.tcp, kTcpAt);
    append_moved(line, services.udp, kUdpAt);
    append_moved(line, family == abi::IpFamily::v4 ? services.icmp : services.icmp6, kIcmpAt);
    for (const auto& range : services.proto) {
        for (std::uint32_t number = range.first; number <= range.last; ++number) {
            const std::uint32_t place = others(family).place[number];
            if (place != kOtherCount) line.push_back({kOthersAt + place, kOthersAt + place});
        }
    }
    normalise(line);
    return line;
}

const std::shared_ptr<const ServiceRanges>& every_service() {
    static const auto all = std::make_shared<const ServiceRanges>(ServiceRanges{{0, kLast}});
    return all;
}

ServicePoint service_at(std::uint32_t place, abi::IpFamily family) noexcept {
    const auto low = static_cast<std::uint16_t>(place % kPortCount);
    if (place < kUdpAt) return {L4Proto::tcp, low};
    if (place < kIcmpAt) return {L4Proto::udp, low};
    if (place < kOthersAt) return {icmp_of(family), low};
    return {L4Proto{others(family).proto_at[place - kOthersAt]}, 0};
}

std::uint32_t place_of(ServicePoint point, abi::IpFamily family) noexcept {
    if (point.proto == L4Proto::tcp) return kTcpAt + point.dport_or_icmp;
    if (point.proto == L4Proto::udp) return kUdpAt + point.dport_or_icmp;
    if (point.proto == icmp_of(family)) return kIcmpAt + point.dport_or_icmp;
    return kOthersAt + others(family).place[static_cast<std::size_t>(point.proto)];
}

std::vector<std::string> to_texts(const ServiceRanges& services, abi::IpFamily family) {
    static const ServiceRanges any{{0, kLast - 1}};
    std::vector<std::string> texts;
    ServiceRanges rest = services;
    if (covers(services, any)) {
        texts.emplace_back("any");
        rest = without(services, any);
    }
    const std::array lines{std::pair{kTcpAt, L4Proto::tcp}, std::pair{kUdpAt, L4Proto::udp},
                           std::pair{kIcmpAt, icmp_of(family)}};
    for (const auto& [at, proto] : lines) {
        for (const auto& part : common(rest, ServiceRanges{{at, at + kPortCount - 1}})) {
            const auto first = static_cast<std::uint16_t>(part.first - at),
                       last = static_cast<std::uint16_t>(part.last - at);
            // A term of ICMP has one type, with one code or all; a range over types is written by its ends.
            if (at != kIcmpAt || first == last || (first == 0 && last == 0xffff) ||
                (first % 256 == 0 && last == (first | 0xff))) {
                texts.push_back(to_text(ServiceTerm{proto, first, last}));
            } else {
                texts.push_back(to_text(ServiceTerm{proto, first, first}) + "-" + std::to_string(last >> 8) + "/" +
                                std::to_string(last & 0xff));
            }
        }
    }
    const auto& numbers = others(family).proto_at;
    for (const auto& part : common(rest, ServiceRanges{{kOthersAt, kLast}})) {
        for (std::uint32_t at = part.first - kOthersAt; at <= part.last - kOthersAt;) {
            std::uint32_t end = at;  // numbers that follow each other are one text
            while (end < part.last - kOthersAt && numbers[end + 1] == numbers[end] + 1) ++end;
            const auto text = "proto/" + std::to_string(numbers[at]);
            texts.push_back(at == end ? text : text + "-" + std::to_string(numbers[end]));
            at = end + 1;
        }
    }
    return texts;
}

bool is_wide_open(const ServiceRanges& services) noexcept {
    for (const std::uint32_t at : {kTcpAt, kUdpAt}) {
        std::uint64_t count = 0;
        for (const auto& part : services) {
            const std::uint32_t first = std::max(part.first, at), last = std::min(part.last, at + kPortCount - 1);
            if (first <= last) count += last - first + 1;
        }
        if (count * 2 >= kPortCount) return true;
    }
    return false;
}

}  // namespace sluice::cp
