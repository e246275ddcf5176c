/// P6 on policies that someone made to hurt: all rules alike, prefixes that cross in both families, nested sets, port
/// ranges that meet at the edges of 16 bits, every protocol, observe rules in front of and behind everything. Compiled
/// tables against the reference matcher; rapidcheck prints its seed and takes rules away until few are left.
#include <algorithm>
#include <array>
#include <ostream>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "controlplane/compiler/reference.hpp"
#include "tests/harness/policies.hpp"
#include "tests/harness/random_policies.hpp"

namespace sluice::test {
namespace {

using abi::L4Proto;
using Numbers = std::vector<std::uint32_t>;

/// One anchor per family, cut at every length that is an edge of something: /0 and /32, on both sides of the tables'
/// 16-bit root, on both sides of IPv6's two words; and each prefix's sibling.
std::vector<cp::Prefix> nested_prefixes() {
    std::vector<cp::Prefix> out;
    const auto add = [&](abi::IpFamily family, const abi::IpAddr& anchor, unsigned bits, bool sibling) {
        cp::Prefix p{.family = family, .bits = static_cast<std::uint8_t>(bits), .addr = anchor};
        for (unsigned bit = bits; bit < 128; ++bit)
            p.addr.bytes[bit / 8] = static_cast<std::uint8_t>(p.addr.bytes[bit / 8] & ~(0x80U >> (bit % 8)));
        if (sibling && bits != 0)
            p.addr.bytes[(bits - 1) / 8] =
                static_cast<std::uint8_t>(p.addr.bytes[(bits - 1) / 8] ^ (0x80U >> ((bits - 1) % 8)));
        out.push_back(p);
    };
    for (const bool sibling : {false, true}) {
        for (const unsigned bits : {0U, 1U, 8U, 15U, 16U, 17U, 24U, 31U, 32U})
            add(abi::IpFamily::v4, address("10.255.255.254"), bits, sibling);
        for (const unsigned bits : {0U, 1U, 15U, 16U, 17U, 63U, 64U, 65U, 127U, 128U})
            add(abi::IpFamily::v6, address("2001:db8:ffff:ffff:8000::1"), bits, sibling);
    }
    add(abi::IpFamily::v4, address("255.255.255.255"), 32, false);
    add(abi::IpFamily::v4, address("0.0.0.0"), 32, false);
    add(abi::IpFamily::v6, address("::"), 128, false);
    return out;
}

const std::vector<cp::Prefix>& prefixes() {
    static const std::vector<cp::Prefix> kPrefixes = nested_prefixes();
    return kPrefixes;
}

/// Ranges of one port, of all, of all but one; that touch, overlap by one, leave one out.
constexpr std::array<std::pair<std::uint16_t, std::uint16_t>, 12> kRanges{{{0, 0},
                                                                           {65535, 65535},
                                                                           {0, 65535},
                                                                           {1, 65535},
                                                                           {0, 65534},
                                                                           {0, 1023},
                                                                           {1023, 1024},
                                                                           {1024, 65535},
                                                                           {1025, 2000},
                                                                           {443, 443},
                                                                           {442, 444},
                                                                           {32767, 32768}}};

cp::ServiceTerm service_of(std::uint32_t n) {
    const auto proto = n % 3 == 0 ? L4Proto{static_cast<std::uint8_t>(n / 3)}  // any of 256
                                  : std::array{L4Proto::tcp, L4Proto::udp, L4Proto::icmp, L4Proto::icmp6}[n / 3 % 4];
    cp::ServiceTerm term{.proto = proto};
    const bool ranged =
        proto == L4Proto::tcp || proto == L4Proto::udp || proto == L4Proto::icmp || proto == L4Proto::icmp6;
    if (ranged) std::tie(term.first, term.last) = kRanges[n / 12 % kRanges.size()];
    return term;
}

cp::Endpoint side_of(std::uint32_t n) {
    cp::Endpoint e;
    if (n % 7 == 0) e.zone = static_cast<std::uint16_t>(n / 7 % 2);
    if (n % 5 == 0) return e;
    e.any_addr = false;
    if (n % 5 == 1) {
        e.sets.push_back(static_cast<std::uint16_t>(n / 5 % 3));  // nested: each set holds the one before
    } else {
        e.nets.push_back(prefixes()[n / 5 % prefixes().size()]);
    }
    return e;
}

enum class Shape : std::uint32_t {
    mixed,
    all_alike,
    observe_first,
    observe_last,
    observe_all,
    every_protocol,
    one_side
};
constexpr std::uint32_t kShapes = 7;

cp::Policy policy_of(Shape shape, const Numbers& numbers) {
    cp::Policy p;
    p.name = "adversarial";
    p.default_action = cp::Action::deny;
    p.zones = {{.name = "a", .ports = {"p0"}, .pos = {}}, {.name = "b", .ports = {"p1"}, .pos = {}}};
    for (std::size_t s = 0; s < 3; ++s) {
        const auto count = static_cast<std::ptrdiff_t>((s + 1) * prefixes().size() / 3);
        p.sets.push_back(
            {.name = "s" + std::to_string(s), .nets = {prefixes().begin(), prefixes().begin() + count}, .pos = {}});
    }
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        const std::uint32_t n = shape == Shape::all_alike ? numbers.front() : numbers[i];
        cp::Rule rule{.id = "r" + std::to_string(i)};
        rule.from = {side_of(n)};
        rule.to = {shape == Shape::one_side ? cp::Endpoint{} : side_of(n / 11)};
        if (n % 4 != 0) rule.service = {service_of(n / 4), service_of(n / 29)};
        if (shape == Shape::every_protocol) rule.service = {{.proto = L4Proto{static_cast<std::uint8_t>(i)}}};
        rule.action = static_cast<cp::Action>(n / 3 % 4);
        const bool observe = shape == Shape::observe_all || (shape == Shape::observe_first && i < numbers.size() / 2) ||
                             (shape == Shape::observe_last && i + 1 == numbers.size()) ||
                             (shape == Shape::mixed && n % 9 == 0);
        rule.mode = observe ? abi::RuleMode::observe : abi::RuleMode::enforce;
        p.rules.push_back(std::move(rule));
    }
    return p;
}

/// First or last address of a prefix, or the one beside.
abi::IpAddr edge_of(const cp::Prefix& p, Random& random) {
    abi::IpAddr addr = p.addr;
    const unsigned bits = p.family == abi::IpFamily::v4 ? 32 : 128;
    const bool ones = random() % 2 == 0;
    for (unsigned bit = p.bits; ones && bit < bits; ++bit)
        addr.bytes[bit / 8] = static_cast<std::uint8_t>(addr.bytes[bit / 8] | (0x80U >> (bit % 8)));
    if (random() % 3 != 0) return addr;
    for (unsigned i = bits / 8; i-- > 0;) {
        const std::uint8_t before = addr.bytes[i];
        addr.bytes[i] = static_cast<std::uint8_t>(ones ? before + 1 : before - 1);
        if (before != (ones ? 0xff : 0)) break;
    }
    return addr;
}

dp::LookupKey key_of(Random& random) {
    dp::LookupKey key;
    const cp::Prefix& src = prefixes()[random() % prefixes().size()];
    const cp::Prefix* dst = nullptr;
    do {
        dst = &prefixes()[random() % prefixes().size()];
    } while (dst->family != src.family);
    key.family = src.family;
    key.src = edge_of(src, random);
    key.dst = edge_of(*dst, random);
    key.from = abi::ZoneId{static_cast<std::uint16_t>(random() % 2)};
    key.to = abi::ZoneId{static_cast<std::uint16_t>(random() % 2)};
    const cp::ServiceTerm term = service_of(static_cast<std::uint32_t>(random() % 4096));
    key.proto = term.proto;
    const std::uint32_t at = random() % 2 == 0 ? term.first : term.last;
    key.dport_or_icmp = static_cast<std::uint16_t>(at + random() % 3 - 1);
    return key;
}

RC_GTEST_PROP(AdversarialPolicies, P6CompiledEqualsReference, ()) {
    const auto shape = static_cast<Shape>(*rc::gen::inRange<std::uint32_t>(0, kShapes).as("shape"));
    const auto number = rc::gen::resize(rc::kNominalSize, rc::gen::inRange<std::uint32_t>(0, 1U << 20));
    const auto numbers = *rc::gen::nonEmpty(rc::gen::scale(3.0, rc::gen::container<Numbers>(number))).as("rules");
    const auto seed = *rc::gen::noShrink(rc::gen::arbitrary<std::uint64_t>()).as("keys' seed");
    const cp::Policy policy = policy_of(shape, numbers);
    const CompiledTables tables{policy};
    Random random{seed};
    for (int batch = 0; batch < 200; ++batch) {
        std::vector<dp::LookupKey> keys(dp::kLookupBatchMax);
        for (dp::LookupKey& key : keys) key = key_of(random);
        std::vector<dp::LookupResult> got(keys.size());
        dp::lookup(tables.view(), keys, got);
        for (std::size_t i = 0; i < keys.size(); ++i) {
            const dp::LookupResult expected = cp::reference_lookup(policy, keys[i]);
            if (got[i].rule == expected.rule && got[i].observe == expected.observe) continue;
            RC_FAIL(to_text(keys[i]) + ": rule " + std::to_string(got[i].rule) + " observed " +
                    std::to_string(got[i].observe) + ", expected " + std::to_string(expected.rule) + " observed " +
                    std::to_string(expected.observe));
        }
    }
}

}  // namespace
}  // namespace sluice::test
