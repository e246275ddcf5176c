#include "tests/harness/policies.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

#include <arpa/inet.h>

#include "controlplane/compiler/overlay.hpp"
#include "dataplane/acl/digest.hpp"
#include "dataplane/acl/validator.hpp"
#include "tests/harness/frames.hpp"

namespace sluice::test {

namespace {

[[noreturn]] void wrong(const std::string& what) {
    std::fprintf(stderr, "policy in a test: %s\n", what.c_str());
    std::abort();
}

std::uint32_t number(std::string_view text, std::uint32_t max) {
    std::uint32_t n{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (error != std::errc{} || end != text.data() + text.size() || n > max)
        wrong("\"" + std::string{text} + "\" is no number up to " + std::to_string(max));
    return n;
}

template <typename Named>
std::optional<std::uint16_t> index_of(const Named& named, std::string_view name) {
    const auto it = std::find_if(named.begin(), named.end(), [&](const auto& n) { return n.name == name; });
    if (it == named.end()) return std::nullopt;
    return static_cast<std::uint16_t>(it - named.begin());
}

bool is_v6(std::string_view text) { return text.find(':') != std::string_view::npos; }

}  // namespace

cp::Prefix prefix(std::string_view text) {
    const std::size_t slash = text.find('/');
    const bool v6 = is_v6(text);
    const std::uint32_t bits_max = v6 ? 128 : 32;
    const std::uint32_t bits = slash == std::string_view::npos ? bits_max : number(text.substr(slash + 1), bits_max);
    return {.family = v6 ? abi::IpFamily::v6 : abi::IpFamily::v4,
            .bits = static_cast<std::uint8_t>(bits),
            .addr = address(text.substr(0, slash))};
}

cp::ServiceTerm service(std::string_view text) {
    const std::size_t slash = text.find('/');
    const std::string_view name = text.substr(0, slash);
    const std::string_view rest = slash == std::string_view::npos ? std::string_view{} : text.substr(slash + 1);
    if (name == "proto") return {.proto = abi::L4Proto{static_cast<std::uint8_t>(number(rest, 255))}};
    if (name == "icmp" || name == "icmp6") {
        cp::ServiceTerm term{.proto = name == "icmp" ? abi::L4Proto::icmp : abi::L4Proto::icmp6};
        if (rest.empty()) return term;
        const std::size_t code_at = rest.find('/');
        const std::uint32_t type = number(rest.substr(0, code_at), 255) << 8;
        const bool all_codes = code_at == std::string_view::npos;
        const std::uint32_t code = all_codes ? 0 : number(rest.substr(code_at + 1), 255);
        term.first = static_cast<std::uint16_t>(type | code);
        term.last = static_cast<std::uint16_t>(type | (all_codes ? 255 : code));
        return term;
    }
    if (name != "tcp" && name != "udp") wrong("\"" + std::string{text} + "\" is no service");
    cp::ServiceTerm term{.proto = name == "tcp" ? abi::L4Proto::tcp : abi::L4Proto::udp};
    if (rest.empty()) return term;
    const std::size_t dash = rest.find('-');
    term.first = static_cast<std::uint16_t>(number(rest.substr(0, dash), 65'535));
    term.last =
        dash == std::string_view::npos ? term.first : static_cast<std::uint16_t>(number(rest.substr(dash + 1), 65'535));
    return term;
}

PolicyBuilder& PolicyBuilder::zone(std::string name, std::vector<std::string> ports) {
    policy.zones.push_back({.name = std::move(name), .ports = std::move(ports), .pos = {}});
    return *this;
}

PolicyBuilder& PolicyBuilder::set(std::string name, const std::vector<std::string>& nets) {
    cp::NetSet set{.name = std::move(name), .nets = {}, .pos = {}};
    for (const std::string& net : nets) set.nets.push_back(prefix(net));
    policy.sets.push_back(std::move(set));
    return *this;
}

PolicyBuilder& PolicyBuilder::set_by_api(std::string name) {
    policy.sets.push_back({.name = std::move(name), .nets = {}, .pos = {}, .by_api = true, .members_max = 10});
    return *this;
}

PolicyBuilder& PolicyBuilder::never_block(const std::vector<std::string>& words) {
    for (const std::string& word : words) {
        if (const auto set = index_of(policy.sets, word)) {
            policy.never_block.sets.push_back(*set);
        } else {
            policy.never_block.nets.push_back(prefix(word));
        }
    }
    return *this;
}

cp::Endpoint PolicyBuilder::endpoint(std::string_view text) const {
    if (const std::size_t left_out = text.find('!'); left_out != std::string_view::npos) {
        cp::Endpoint e = endpoint(text.substr(0, left_out));
        const auto set = index_of(policy.sets, text.substr(left_out + 1));
        if (!set) wrong("no set behind ! in \"" + std::string{text} + "\"");
        e.except.push_back(*set);
        return e;
    }
    cp::Endpoint e;
    if (text == "any") return e;
    const std::size_t both = text.find('&');
    std::string_view what = text;
    if (both != std::string_view::npos) {
        e.zone = index_of(policy.zones, text.substr(0, both));
        if (!e.zone) wrong("no zone in \"" + std::string{text} + "\"");
        what = text.substr(both + 1);
    } else if (const auto zone = index_of(policy.zones, text)) {
        e.zone = *zone;
        return e;
    }
    e.any_addr = false;
    if (const auto set = index_of(policy.sets, what)) {
        e.sets.push_back(*set);
    } else {
        e.nets.push_back(prefix(what));
    }
    return e;
}

PolicyBuilder& PolicyBuilder::rule(const RuleSpec& spec) {
    cp::Rule rule{.id = spec.id, .action = spec.action, .mode = spec.mode, .log = spec.log};
    for (const std::string& text : spec.from) rule.from.push_back(endpoint(text));
    for (const std::string& text : spec.to) rule.to.push_back(endpoint(text));
    for (const std::string& text : spec.service) rule.service.push_back(service(text));
    rule.layer = spec.layer;
    policy.rules.push_back(std::move(rule));
    return *this;
}

PolicyBuilder& PolicyBuilder::default_action(cp::Action action, abi::RuleLog log) {
    policy.default_action = action;
    policy.default_log = log;
    return *this;
}

PolicyBuilder& PolicyBuilder::wire(abi::WireAction arp, abi::WireAction nd, abi::WireAction other) {
    policy.wire_arp = arp;
    policy.wire_nd = nd;
    policy.wire_other = other;
    return *this;
}

PolicyBuilder& PolicyBuilder::timeouts(const abi::FlowTimeouts& timeouts) {
    policy.timeouts = timeouts;
    return *this;
}

cp::Policy PolicyBuilder::build() const {
    cp::Policy out = policy;
    if (out.name.empty()) out.name = "test";
    // Two digests of what the policy compiles to: no SHA-256 of canonical text, but as distinct.
    cp::SlotMap slots{1U << 20};
    if (!slots.assign(out)) wrong("too many rules");
    const auto compiled = cp::compile(out, slots, {.generation = 1});
    if (!compiled) wrong(compiled.error().detail);
    for (const auto section : compiled->section_bytes()) {
        const abi::Digest128 d = dp::digest_of(section);
        std::uint64_t words[4];
        std::memcpy(words, out.version.bytes.data(), sizeof words);
        words[0] = words[0] * 31 + d.low;
        words[1] = words[1] * 31 + d.high;
        words[2] += d.low ^ d.high;
        words[3] = words[3] * 7 + d.low;
        std::memcpy(out.version.bytes.data(), words, sizeof words);
    }
    return out;
}

dp::LookupKey key(std::uint16_t from_zone, std::string_view src, std::uint16_t to_zone, std::string_view dst,
                  abi::L4Proto proto, std::uint16_t dport_or_icmp) {
    if (is_v6(src) != is_v6(dst)) wrong("a key with two families");
    return {.src = address(src),
            .dst = address(dst),
            .from = abi::ZoneId{from_zone},
            .to = abi::ZoneId{to_zone},
            .dport_or_icmp = dport_or_icmp,
            .family = is_v6(src) ? abi::IpFamily::v6 : abi::IpFamily::v4,
            .proto = proto};
}

CompiledTables::CompiledTables(const cp::Policy& policy, std::uint64_t generation,
                               const std::vector<std::string>& ports) {
    cp::SlotMap slots;
    make(policy, slots, generation, ports);
}

CompiledTables::CompiledTables(const cp::Policy& policy, cp::SlotMap& slots, std::uint64_t generation,
                               const std::vector<std::string>& ports) {
    make(policy, slots, generation, ports);
}

void CompiledTables::make(const cp::Policy& policy, cp::SlotMap& slots, std::uint64_t generation,
                          const std::vector<std::string>& ports) {
    if (const auto assigned = slots.assign(policy); !assigned) wrong(assigned.error().to_string());
    auto compiled = cp::compile(policy, slots, {.generation = generation});
    if (!compiled) wrong(compiled.error().detail);
    take(std::move(*compiled), policy, slots, ports);
}

CompiledTables::CompiledTables(const cp::Policy& before, const cp::Policy& after, cp::SlotMap& slots,
                               std::uint64_t generation, const std::vector<std::string>& ports) {
    const auto slots_before = slots.assign(before), slots_after = slots.assign(after);
    if (!slots_before || !slots_after) wrong("too many rules");
    const auto whole = cp::compile(before, *slots_before, {.generation = 1});
    if (!whole) wrong(whole.error().detail);
    const cp::ChangeBase base{&before, *slots_before, 1, {}, whole->whole->terms.get()};
    auto compiled = cp::compile_beside(*whole, after, *slots_after, base, {.generation = generation});
    if (!compiled) wrong("it was to be compiled beside, but " + compiled.error());
    take(std::move(*compiled), after, slots, ports);
}

void CompiledTables::take(cp::CompiledGeneration compiled, const cp::Policy& policy, const cp::SlotMap& slots,
                          const std::vector<std::string>& ports) {
    compiled_ = std::move(compiled);
    std::vector<std::string_view> names(ports.begin(), ports.end());
    if (names.empty()) {
        for (const cp::Zone& zone : policy.zones) names.insert(names.end(), zone.ports.begin(), zone.ports.end());
    }
    const auto view = dp::validate(compiled_.manifest_bytes(), compiled_.section_bytes(),
                                   {.rule_slots_max = slots.capacity(), .ports = names});
    if (!view) wrong(view.error().where);
    view_ = *view;
}

void CompiledTables::ask_for_sets_after(std::uint64_t epoch, std::uint64_t delta) {
    compiled_.manifest.set_epoch = epoch;
    compiled_.manifest.set_delta = delta;
    renumber(compiled_.manifest.generation);
}

void CompiledTables::renumber(std::uint64_t generation) {
    cp::renumber(compiled_, generation, 0);
    view_.generation = generation;
}

dp::LookupResult CompiledTables::lookup(const dp::LookupKey& key) const noexcept {
    dp::LookupResult result;
    dp::lookup(view_, std::span{&key, 1}, std::span{&result, 1});
    return result;
}

std::string_view CompiledTables::rule_for(const dp::LookupKey& key) const noexcept {
    return view_.rule_id(lookup(key).rule);
}

}  // namespace sluice::test
