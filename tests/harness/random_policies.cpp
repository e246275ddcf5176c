#include "tests/harness/random_policies.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <arpa/inet.h>

namespace sluice::test {

namespace {

using abi::IpFamily;
using abi::L4Proto;

std::uint64_t below(Random& random, std::uint64_t n) { return random() % n; }

/// Ones in all host bits (`ones`) or zeros.
abi::IpAddr with_host_bits(const cp::Prefix& p, bool ones) {
    abi::IpAddr addr = p.addr;
    const unsigned bits = p.family == IpFamily::v4 ? 32 : 128;
    for (unsigned bit = p.bits; bit < bits; ++bit) {
        const auto mask = static_cast<std::uint8_t>(0x80U >> (bit % 8));
        std::uint8_t& byte = addr.bytes[bit / 8];
        byte = static_cast<std::uint8_t>(ones ? byte | mask : byte & ~mask);
    }
    return addr;
}

abi::IpAddr random_address(Random& random, IpFamily family) {
    abi::IpAddr addr;
    const std::size_t n = family == IpFamily::v4 ? 4 : 16;
    for (std::size_t i = 0; i < n; ++i) addr.bytes[i] = static_cast<std::uint8_t>(random());
    return addr;
}

/// One more or one less, around the end.
abi::IpAddr neighbour(abi::IpAddr addr, IpFamily family, bool up) {
    for (std::size_t i = family == IpFamily::v4 ? 4 : 16; i-- > 0;) {
        const std::uint8_t before = addr.bytes[i];
        addr.bytes[i] = static_cast<std::uint8_t>(up ? before + 1 : before - 1);
        if (before != (up ? 0xff : 0x00)) break;
    }
    return addr;
}

cp::Prefix cut(const abi::IpAddr& addr, IpFamily family, std::uint64_t bits) {
    cp::Prefix p{.family = family, .bits = static_cast<std::uint8_t>(bits), .addr = addr};
    p.addr = with_host_bits(p, false);
    return p;
}

constexpr std::array kProtos{L4Proto::tcp,  L4Proto::udp, L4Proto::icmp, L4Proto::icmp6, L4Proto::gre, L4Proto::esp,
                             L4Proto::sctp, L4Proto{0},   L4Proto{0xff}, L4Proto::tcp,   L4Proto::udp};

}  // namespace

Pool::Pool(std::uint64_t seed) {
    Random random{seed};
    zone_count_ = static_cast<std::uint16_t>(1 + below(random, 6));
    default_action_ = std::array{cp::Action::deny, cp::Action::allow, cp::Action::reject}[below(random, 3)];
    narrow_ = below(random, 2) != 0;
    for (const IpFamily family : {IpFamily::v4, IpFamily::v6}) {
        const std::uint64_t bits = family == IpFamily::v4 ? 32 : 128;
        abi::IpAddr last;
        std::fill_n(last.bytes.begin(), bits / 8, std::uint8_t{0xff});
        for (const abi::IpAddr& a : {abi::IpAddr{}, last}) {
            for (const std::uint64_t b : {std::uint64_t{0}, std::uint64_t{1}, bits - 1, bits})
                prefixes_.push_back(cut(a, family, b));
        }
        for (int anchor = 0; anchor < (narrow_ ? 40 : 6); ++anchor) {  // nested around one address, with siblings
            const abi::IpAddr a = random_address(random, family);
            for (int i = 0; i < 8; ++i) {
                const std::uint64_t b = narrow_ ? 8 + below(random, bits - 7) : below(random, bits + 1);
                prefixes_.push_back(cut(a, family, b));
                prefixes_.push_back(cut(neighbour(with_host_bits(prefixes_.back(), true), family, true), family, b));
            }
        }
    }
    std::shuffle(prefixes_.begin(), prefixes_.end(), random);
    for (int s = 0; s < 8; ++s) {
        cp::NetSet set{.name = "set" + std::to_string(s), .nets = {}, .pos = {}};
        const std::uint64_t count = below(random, 24);  // an empty set, too
        for (std::uint64_t i = 0; i < count; ++i) set.nets.push_back(prefixes_[below(random, prefixes_.size())]);
        sets_.push_back(std::move(set));
    }
    for (int i = 0; i < 40; ++i) {
        cp::ServiceTerm term{.proto = kProtos[below(random, kProtos.size())]};
        const bool ranged = term.proto == L4Proto::tcp || term.proto == L4Proto::udp || term.proto == L4Proto::icmp ||
                            term.proto == L4Proto::icmp6;
        if (ranged && below(random, 8) != 0) {
            const auto a = static_cast<std::uint16_t>(random()), b = static_cast<std::uint16_t>(random());
            const std::uint64_t shape = below(random, 5);
            term.first = shape == 0 ? std::uint16_t{0} : std::min(a, b);
            term.last = shape == 1 ? std::uint16_t{0xffff} : shape == 2 ? term.first : std::max(a, b);
            if (shape == 3 && !services_.empty()) {  // touches the one before
                term.first = static_cast<std::uint16_t>(services_.back().last + 1U);
                term.last = std::max(term.first, term.last);
            }
        }
        services_.push_back(term);
    }
}

cp::Endpoint Pool::named(std::uint32_t number, bool narrow) const {
    cp::Endpoint e;
    std::uint32_t kind = number % 16;
    const std::uint32_t pick = number / 16;
    if (narrow && kind < 6 && pick % 64 != 0) kind += 6;  // rarely any, a whole zone or a set
    if (kind == 0) return e;
    const bool zoned = kind % 2 == 1;
    if (zoned) e.zone = static_cast<std::uint16_t>(pick % zone_count_);
    if (kind == 1) return e;
    e.any_addr = false;
    const std::uint32_t what = pick / zone_count_;
    if (kind < 6) e.sets.push_back(static_cast<std::uint16_t>(what % sets_.size()));
    if (kind >= 5) e.nets.push_back(prefixes_[what % prefixes_.size()]);
    if (kind >= 14) e.nets.push_back(prefixes_[(what * 7 + 3) % prefixes_.size()]);
    return e;
}

/// One in seven leaves out a set, or two.
cp::Endpoint Pool::endpoint(std::uint32_t number, bool narrow) const {
    cp::Endpoint e = named(number, narrow);
    const std::uint32_t left_out = number / 16 / 64 % 21;
    for (std::uint32_t i = 18; i < left_out; ++i)
        e.except.push_back(static_cast<std::uint16_t>((number / 512 + i) % sets_.size()));
    return e;
}

std::vector<cp::Endpoint> Pool::side(std::uint32_t number, bool narrow) const {
    const std::uint32_t more = number % 8 > 5 ? number % 8 - 5 : 0;  // 1 to 3 alternatives
    std::vector<cp::Endpoint> side;
    for (std::uint32_t i = 0; i <= more; ++i) side.push_back(endpoint(number / 8 * (i + 1) + i * 77, narrow));
    return side;
}

std::vector<cp::ServiceTerm> Pool::services(std::uint32_t number) const {
    std::vector<cp::ServiceTerm> terms;
    for (std::uint32_t i = 0; i < number % 5; ++i) terms.push_back(services_[(number / 5 + i * 13) % services_.size()]);
    return terms;
}

cp::Policy Pool::policy(const std::vector<RawRule>& rules) const {
    cp::Policy p;
    p.name = "random";
    p.default_action = default_action_;
    p.sets = sets_;
    for (std::uint16_t z = 0; z < zone_count_; ++z)
        p.zones.push_back({.name = "z" + std::to_string(z), .ports = {"p" + std::to_string(z)}, .pos = {}});
    for (std::size_t i = 0; i < rules.size(); ++i) {
        cp::Rule rule{.id = "r" + std::to_string(i)};
        rule.from = side(rules[i].from, narrow_);
        rule.to = side(rules[i].to, narrow_ && rules[i].action % 2 != 0);
        rule.service = services(rules[i].service);
        rule.action = static_cast<cp::Action>((rules[i].action + 1) % 4);
        rule.mode = rules[i].action / 4 % 5 == 1 ? abi::RuleMode::observe : abi::RuleMode::enforce;
        p.rules.push_back(std::move(rule));
    }
    return p;
}

abi::IpAddr Pool::address_near_an_edge(Random& random, IpFamily family) const {
    if (below(random, 10) == 0) return random_address(random, family);
    const cp::Prefix* p = nullptr;
    do {
        p = &prefixes_[below(random, prefixes_.size())];
    } while (p->family != family);
    const bool ones = below(random, 2) != 0;
    const abi::IpAddr edge = with_host_bits(*p, ones);
    return below(random, 3) == 0 ? neighbour(edge, family, ones) : edge;
}

dp::LookupKey Pool::key(Random& random) const {
    dp::LookupKey key;
    key.family = below(random, 2) == 0 ? IpFamily::v4 : IpFamily::v6;
    key.src = address_near_an_edge(random, key.family);
    key.dst = address_near_an_edge(random, key.family);
    key.from = abi::ZoneId{static_cast<std::uint16_t>(below(random, zone_count_))};
    key.to = abi::ZoneId{static_cast<std::uint16_t>(below(random, zone_count_))};
    const cp::ServiceTerm& term = services_[below(random, services_.size())];
    key.proto = below(random, 8) == 0 ? L4Proto{static_cast<std::uint8_t>(random())} : term.proto;
    const std::array<std::uint32_t, 5> ports{term.first, term.last, term.first - 1U, term.last + 1U,
                                             static_cast<std::uint32_t>(random())};
    key.dport_or_icmp = static_cast<std::uint16_t>(ports[below(random, ports.size())]);
    return key;
}

namespace {

/// Moves `addr` and `zone` to an edge of an alternative of a rule's side, where it has one in that family.
void aim(Random& random, const cp::Policy& policy, const std::vector<cp::Endpoint>& side, IpFamily family,
         abi::IpAddr& addr, abi::ZoneId& zone) {
    const cp::Endpoint& e = side[below(random, side.size())];
    if (e.zone) zone = abi::ZoneId{*e.zone};
    std::vector<cp::Prefix> nets = e.nets;
    for (const auto* sets : {&e.sets, &e.except}) {
        for (const std::uint16_t set : *sets)
            nets.insert(nets.end(), policy.sets[set].nets.begin(), policy.sets[set].nets.end());
    }
    std::erase_if(nets, [&](const cp::Prefix& p) { return p.family != family; });
    if (!nets.empty()) addr = with_host_bits(nets[below(random, nets.size())], below(random, 2) != 0);
}

}  // namespace

dp::LookupKey Pool::key(Random& random, const cp::Policy& policy) const {
    dp::LookupKey k = key(random);
    if (policy.rules.empty() || below(random, 2) == 0) return k;
    const cp::Rule& rule = policy.rules[below(random, policy.rules.size())];
    aim(random, policy, rule.from, k.family, k.src, k.from);
    aim(random, policy, rule.to, k.family, k.dst, k.to);
    if (!rule.service.empty()) {
        const cp::ServiceTerm& term = rule.service[below(random, rule.service.size())];
        k.proto = term.proto;
        k.dport_or_icmp = below(random, 2) == 0 ? term.first : term.last;
    }
    return k;
}

RawRule random_rule(Random& random) {
    const auto draw = [&] { return static_cast<std::uint32_t>(below(random, RawRule::kMax)); };
    return {.from = draw(), .to = draw(), .service = draw(), .action = draw()};
}

std::vector<RawRule> random_rules(Random& random, std::size_t count) {
    std::vector<RawRule> rules(count);
    for (RawRule& rule : rules) rule = random_rule(random);
    return rules;
}

void add_layers(cp::Policy& policy, Random& random) {
    const std::uint64_t layers = 1 + below(random, 5);
    std::vector<std::uint8_t> numbers;
    for (std::size_t r = 0; r < policy.rules.size(); ++r)
        numbers.push_back(static_cast<std::uint8_t>(10 + 15 * below(random, layers)));
    std::ranges::sort(numbers);
    for (std::size_t r = 0; r < policy.rules.size(); ++r) {
        policy.rules[r].layer = numbers[r];
        if (below(random, 4) == 0) policy.rules[r].action = cp::Action::pass;
    }
}

void settle_layers(cp::Policy& policy) {
    auto& rules = policy.rules;
    for (std::size_t r = 0; r < rules.size(); ++r) {
        const std::uint8_t least = r == 0 ? std::uint8_t{0} : std::as_const(rules)[r - 1].layer;
        const std::uint8_t most = r + 1 == rules.size() ? cp::kLayerMost : std::as_const(rules)[r + 1].layer;
        const std::uint8_t now = std::as_const(rules)[r].layer;
        if (now < least || (now > most && least <= most)) rules[r].layer = now < least ? least : std::max(least, most);
    }
    for (std::size_t r = 1; r < rules.size(); ++r) {
        if (std::as_const(rules)[r].layer < std::as_const(rules)[r - 1].layer)
            rules[r].layer = std::as_const(rules)[r - 1].layer;
    }
}

SetsByApi put_sets_on_api(cp::Policy& policy, Random& random) {
    SetsByApi made;
    for (std::size_t s = 0; s < policy.sets.size(); ++s) {
        if (below(random, 2) == 0) continue;
        cp::NetSet& set = policy.sets[s];
        made.known.insert(made.known.end(), set.nets.begin(), set.nets.end());
        set.nets.clear();
        set.by_api = true;
        made.names.push_back(set.name);
    }
    return made;
}

void add_never_block(cp::Policy& policy, const std::vector<cp::Prefix>& known, Random& random) {
    policy.never_block = {};
    if (below(random, 3) == 0) return;
    for (std::size_t s = 0; s < policy.sets.size(); ++s) {
        if (!std::as_const(policy.sets)[s].by_api && below(random, 4) == 0)
            policy.never_block.sets.push_back(static_cast<std::uint16_t>(s));
    }
    for (std::uint64_t n = below(random, 4); n != 0 && !known.empty(); --n)
        policy.never_block.nets.push_back(known[below(random, known.size())]);
}

void change_rule(cp::Policy& policy, const Pool& pool, Random& random, std::uint32_t& next_id) {
    const auto pick = [&](std::size_t below) { return static_cast<std::size_t>(random() % below); };
    const auto fresh = [&] {
        cp::Rule rule = pool.policy({random_rule(random)}).rules.front();
        rule.id = "fresh-" + std::to_string(next_id++);
        return rule;
    };
    auto& rules = policy.rules;
    if (rules.empty()) {
        rules.push_back(fresh());
        return;
    }
    const std::size_t at = pick(rules.size());
    const auto place = rules.begin() + static_cast<std::ptrdiff_t>(at);
    switch (pick(9)) {
        case 0: rules.insert(place, fresh()); break;
        case 1: rules.erase(place); break;
        case 2: std::rotate(place, place + 1, rules.end()); break;
        case 3: {
            const std::string id = place->id;
            *place = fresh();
            place->id = id;
            break;
        }
        case 4: place->action = fresh().action; break;
        case 5: place->log = place->log == abi::RuleLog::none ? abi::RuleLog::both : abi::RuleLog::none; break;
        case 6:
            place->mode = place->mode == abi::RuleMode::observe ? abi::RuleMode::enforce : abi::RuleMode::observe;
            break;
        case 7: {  // wider or narrower by one endpoint
            auto& side = pick(2) == 0 ? place->from : place->to;
            const cp::Rule other = fresh();
            if (side.size() > 1 && pick(2) == 0) {
                side.pop_back();
            } else {
                side.push_back(other.from.front());
            }
            break;
        }
        default: {
            auto& service = place->service;
            const cp::Rule other = fresh();
            if (service.size() > 1 && pick(2) == 0) {
                service.pop_back();
            } else if (!service.empty() && !other.service.empty()) {
                service.push_back(other.service.front());
            }
            break;
        }
    }
}

std::string to_text(const dp::LookupKey& key) {
    char src[INET6_ADDRSTRLEN]{}, dst[INET6_ADDRSTRLEN]{};
    const int family = key.family == IpFamily::v4 ? AF_INET : AF_INET6;
    inet_ntop(family, key.src.bytes.data(), src, sizeof src);
    inet_ntop(family, key.dst.bytes.data(), dst, sizeof dst);
    return std::string{src} + "@" + std::to_string(static_cast<unsigned>(key.from)) + " -> " + dst + "@" +
           std::to_string(static_cast<unsigned>(key.to)) + " proto " +
           std::to_string(static_cast<unsigned>(key.proto)) + " port or ICMP " + std::to_string(key.dport_or_icmp);
}

}  // namespace sluice::test
