/// S1 for settings and zones.

#include <gtest/gtest.h>

#include "tests/unit/dataplane/acl/damage.hpp"

namespace sluice::dp {
namespace {

using R = abi::RefuseReason;
using test::EditableGeneration;
using K = abi::SectionKind;

abi::ZonesSection& zones(EditableGeneration& g) { return g.section<abi::ZonesSection>(K::zones); }
abi::SettingsSection& settings(EditableGeneration& g) { return g.section<abi::SettingsSection>(K::settings); }

const Damage kSettingsDamages[] = {
    {"wire action", [](auto& g) { settings(g).wire_nd = abi::WireAction{2}; }, R::enum_value},
    {"on_change", [](auto& g) { settings(g).on_change = abi::OnChange{3}; }, R::enum_value},
    {"settings padding behind", [](auto& g) { settings(g).must_be_zero_behind = 1; }, R::bounds},
    {"seq_check", [](auto& g) { settings(g).seq_check = abi::SeqCheck{3}; }, R::enum_value},
    {"a cookie's MSS too small", [](auto& g) { settings(g).syn_proxy.mss = abi::kSynMssMin - 1; }, R::bounds},
    {"a cookie's MSS too large", [](auto& g) { settings(g).syn_proxy.mss = abi::kSynMssMax + 1; }, R::bounds},
    {"a cookie's window scale", [](auto& g) { settings(g).syn_proxy.wscale = 15; }, R::bounds},
    {"a cookie's SACK", [](auto& g) { settings(g).syn_proxy.sack = abi::SynPromise{3}; }, R::enum_value},
    {"a cookie's timestamps", [](auto& g) { settings(g).syn_proxy.timestamps = abi::SynPromise{3}; }, R::enum_value},
    {"a cookie's padding", [](auto& g) { settings(g).syn_proxy.must_be_zero[0] = 1; }, R::bounds},
    {"unacknowledged too short", [](auto& g) { settings(g).timeouts.tcp_unacknowledged_ms = abi::kTimeoutMsMin - 1; },
     R::bounds},
    {"timeout too short", [](auto& g) { settings(g).timeouts.icmp_ms = abi::kTimeoutMsMin - 1; }, R::bounds},
    {"timeout too long", [](auto& g) { settings(g).timeouts.tcp_established_ms = abi::kTimeoutMsMax + 1; }, R::bounds},
    {"untouched without a base",
     [](auto& g) {
         settings(g).untouched = {sizeof(abi::SettingsSection), 0};
         settings(g).untouched.count = 1;
         g.section_bytes(K::settings).resize(sizeof(abi::SettingsSection) + 8);
         settings(g).header.bytes = g.section_bytes(K::settings).size();
     },
     R::order},
    {"untouched outside the section", [](auto& g) { settings(g).untouched.count = 1; }, R::bounds},
    {"untouched inside the fields", [](auto& g) { settings(g).untouched.offset = 8; }, R::bounds},
    {"untouched too long", [](auto& g) { settings(g).untouched.count = abi::kUntouchedWordsMax + 1; }, R::budget},
    {"settings padding", [](auto& g) { settings(g).must_be_zero[2] = 1; }, R::bounds},
};

TEST(ValidateSettings, S1RefusesEachDamageWithItsReason) { expect_refused(kSettingsDamages); }

const Damage kZoneDamages[] = {
    {"zone name outside the text",
     [](auto& g) { g.template element<abi::ZoneRecord>(K::zones, zones(g).zones, 0).name.offset = 1U << 30; }, R::text},
    {"zone name empty",
     [](auto& g) { g.template element<abi::ZoneRecord>(K::zones, zones(g).zones, 0).name.bytes = 0; }, R::text},
    {"zone name with a newline", [](auto& g) { g.template element<char>(K::zones, zones(g).text, 0) = '\n'; }, R::text},
    {"zone name not UTF-8", [](auto& g) { g.template element<char>(K::zones, zones(g).text, 0) = '\xc0'; }, R::text},
    {"two zones of one name",
     [](auto& g) {
         g.template element<abi::ZoneRecord>(K::zones, zones(g).zones, 1) =
             g.template element<abi::ZoneRecord>(K::zones, zones(g).zones, 0);
     },
     R::order},
    {"binding names no zone",
     [](auto& g) { g.template element<abi::ZoneBinding>(K::zones, zones(g).bindings, 0).zone = abi::ZoneId{2}; },
     R::index},
    {"binding with VLAN 4095",
     [](auto& g) { g.template element<abi::ZoneBinding>(K::zones, zones(g).bindings, 0).vlan = 4095; }, R::bounds},
    {"binding with a VNI of 25 bits",
     [](auto& g) { g.template element<abi::ZoneBinding>(K::zones, zones(g).bindings, 0).vni = 1U << 24; }, R::bounds},
    {"a port bound twice",
     [](auto& g) {
         g.template element<abi::ZoneBinding>(K::zones, zones(g).bindings, 1).port =
             g.template element<abi::ZoneBinding>(K::zones, zones(g).bindings, 0).port;
     },
     R::order},
    {"a port bound for a VLAN only",
     [](auto& g) { g.template element<abi::ZoneBinding>(K::zones, zones(g).bindings, 0).vlan = 7; }, R::port_unbound},
    {"zone limit of flows",
     [](auto& g) {
         g.template element<abi::ZoneRecord>(K::zones, zones(g).zones, 1).limits.states_max = abi::kStatesLimitMax + 1;
     },
     R::bounds},
    {"zone limit of new flows",
     [](auto& g) {
         g.template element<abi::ZoneRecord>(K::zones, zones(g).zones, 0).limits.new_per_second_max =
             abi::kRateLimitMax + 1;
     },
     R::bounds},
    {"zone array behind the end", [](auto& g) { zones(g).zones.count = 200; }, R::bounds},
    {"too many zones", [](auto& g) { zones(g).zones.count = abi::kZonesMax + 1; }, R::budget},
};

TEST(ValidateZones, S1RefusesEachDamageWithItsReason) { expect_refused(kZoneDamages); }

}  // namespace
}  // namespace sluice::dp
