#include "tests/publish/colours.hpp"

#include <string>

#include "controlplane/compiler/slot_map.hpp"
#include "tests/harness/frames.hpp"

namespace sluice::test {

namespace {

constexpr std::uint16_t kPort0 = 2000;
constexpr std::uint16_t kTestEthertype = 0x88b5;  // IEEE 802 local experimental

std::string port_of(std::uint32_t tag) { return "udp/" + std::to_string(kPort0 + tag); }
std::string address_of(std::uint32_t tag) { return "203.0.113." + std::to_string(tag + 1); }

/// About half of the tags, another half for each colour: the finalizer of splitmix64.
Verdicts pattern(std::uint32_t colour) {
    std::uint64_t x = (colour + 1) * 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return static_cast<Verdicts>(x ^ (x >> 31)) & (kWireBit - 1);
}

/// By ports, by an address set, or by the ports that do not pass.
void add_rules(PolicyBuilder& p, const std::string& name, std::uint32_t colour, Verdicts passing) {
    std::vector<std::string> pass_ports, stop_ports, nets;
    for (std::uint32_t t = 0; t < kTags; ++t) {
        const bool passes = (passing >> t & 1) != 0;
        (passes ? pass_ports : stop_ports).push_back(port_of(t));
        if (passes) nets.push_back(address_of(t));
    }
    const auto log = abi::RuleLog::both;
    const std::vector<std::string> from{"outside"};
    p.rule({.id = name + "-back", .from = {"inside"}, .to = {"outside"}, .action = cp::Action::deny, .log = log});
    switch (colour % 3) {
        case 0:
            p.rule(
                {.id = name + "-pass", .from = from, .service = pass_ports, .action = cp::Action::allow, .log = log});
            p.rule({.id = name + "-stop", .from = from, .action = cp::Action::deny, .log = log});
            p.default_action(cp::Action::allow);
            break;
        case 1:
            p.set(name, nets);
            p.rule({.id = name + "-pass", .from = from, .to = {name}, .action = cp::Action::allow, .log = log});
            p.rule({.id = name + "-stop", .from = from, .to = {"203.0.113.0/24"}, .log = log});
            break;
        default:
            p.rule({.id = name + "-stop", .from = from, .service = stop_ports, .action = cp::Action::deny, .log = log});
            p.rule({.id = name + "-pass", .from = from, .service = {"udp"}, .action = cp::Action::allow, .log = log});
            break;
    }
}

}  // namespace

Colours::Colours() {
    cp::SlotMap slots{kRuleSlots};
    for (std::uint32_t c = 0; c < kColours; ++c) {
        Colour& colour = colours_[c];
        const std::string name = "c" + std::to_string(c);
        const bool outside_first = c % 2 == 0;
        PolicyBuilder p;
        p.zone(outside_first ? "outside" : "inside", {outside_first ? "p0" : "p1"});
        p.zone(outside_first ? "inside" : "outside", {outside_first ? "p1" : "p0"});
        colour.outside = abi::ZoneId{static_cast<std::uint16_t>(outside_first ? 0 : 1)};
        colour.inside = abi::ZoneId{static_cast<std::uint16_t>(outside_first ? 1 : 0)};
        const bool other_passes = c % 4 < 2;
        p.wire(abi::WireAction::allow, abi::WireAction::allow,
               other_passes ? abi::WireAction::allow : abi::WireAction::deny);
        p.timeouts({.udp_oneway_ms = 60'000 + c * 1'000, .udp_stream_ms = 90'000 + c * 1'000});
        colour.verdicts = pattern(c);
        add_rules(p, name, c, colour.verdicts);
        if (other_passes) colour.verdicts |= kWireBit;
        colour.tables = std::make_unique<CompiledTables>(p.build(), slots, c + 1, std::vector<std::string>{"p0", "p1"});
        for (const char* rule : {"-pass", "-stop", "-back"}) colour.slots.insert(*slots.find(name + rule));
        colour.pass = *slots.find(name + "-pass");
    }
}

const CompiledTables& Colours::tables(std::uint64_t generation) {
    CompiledTables& tables = *colours_[generation % kColours].tables;
    tables.renumber(generation);
    return tables;
}

bool Colours::owns(std::uint64_t generation, abi::RuleSlot slot) const { return of(generation).slots.contains(slot); }

std::vector<std::uint8_t> tagged_frame(std::uint32_t tag, bool reply) {
    const auto port = static_cast<std::uint16_t>(kPort0 + tag);
    const std::string peer = address_of(tag);
    if (reply) return frame(Ipv4{.src = peer, .dst = "198.51.100.7"}, Udp{.sport = port, .dport = 40000});
    return frame(Ipv4{.src = "198.51.100.7", .dst = peer}, Udp{.sport = 40000, .dport = port});
}

std::vector<std::uint8_t> wire_frame(bool reply) { return frame(kTestEthertype, bytes_of(46, reply ? 'r' : 'o')); }

Verdicts bit_of(const std::vector<std::uint8_t>& frame) {
    constexpr std::size_t kEthertypeAt = 12, kSourceAt = 14 + 12, kDestinationAt = 14 + 16;
    const auto type = static_cast<std::uint16_t>(frame[kEthertypeAt] << 8 | frame[kEthertypeAt + 1]);
    if (type == kTestEthertype) return kWireBit;
    const std::size_t peer = frame[kSourceAt] == 203 ? kSourceAt : kDestinationAt;
    return Verdicts{1} << (frame[peer + 3] - 1);
}

}  // namespace sluice::test
