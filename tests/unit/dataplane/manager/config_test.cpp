/// dataplane.yaml: what is taken, and that every mistake is named with its place and a cure.
#include "dataplane/manager/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::dp {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

// The example of the documentation.
constexpr const char* kWhole = R"(
eal: [--no-pci, --no-telemetry, --in-memory, -m, "256", --file-prefix=sl]
ports:
  - {name: outside, device: "net_af_xdp0,iface=c1"}
  - {name: inside,  device: "net_af_xdp1,iface=s1"}
wires: [[outside, inside]]
workers: [1]
tables_socket: /run/sluice/tables.sock
flow_table: {entries_max: 1048576}
idle: {sleep_us: 20, sleep_us_max: 320}
fail_mode: closed
last_good: /var/lib/sluice/last-good
)";

/// The shortest good file, with `line` after it.
std::string with(const std::string& line) {
    return "ports: [{name: a, device: net_null0}, {name: b, device: net_null1}]\nwires: [[a, b]]\nworkers: [0]\n" +
           line;
}

ConfigErrors errors(const std::string& text) {
    const auto config = parse_config(text, "dp.yaml");
    return config ? ConfigErrors{} : config.error();
}

TEST(Config, ReadsTheWholeExample) {
    const auto config = parse_config(kWhole, "dp.yaml");
    ASSERT_TRUE(config.has_value()) << config.error().front();
    EXPECT_EQ(config->eal.size(), 6U);
    EXPECT_EQ(config->ports[1].device, "net_af_xdp1,iface=s1");
    EXPECT_EQ(config->wires.front(), (std::pair<std::uint32_t, std::uint32_t>{0, 1}));
    EXPECT_THAT(config->worker_lcores, ElementsAre(1));
    EXPECT_FALSE(config->fail_open);
    EXPECT_EQ(config->last_good, "/var/lib/sluice/last-good");
}

TEST(Config, HasDefaultsThatFailClosed) {
    const auto config = parse_config(with(""), "dp.yaml");
    ASSERT_TRUE(config.has_value());
    EXPECT_FALSE(config->fail_open);
    EXPECT_EQ(config->rule_slots_max, 16'384U);
    EXPECT_TRUE(config->publisher_uids.empty());
    // CASES Q13.
    EXPECT_EQ(config->fragments.memory_bytes_max, 4U << 20);
    EXPECT_EQ(config->fragments.timeout_v4_ms, 30'000U);
    EXPECT_EQ(config->fragments.timeout_v6_ms, 60'000U);
}

TEST(Config, ReadsTheOptionalKeys) {
    const auto config = parse_config(with("tables_socket_group: 64110\npublisher_uids: [64110]\nrule_slots_max: 2048\n"
                                          "last_good_uid: 7\nfail_mode: open\nflow_table: {pickup_s: 0}\n"
                                          "fragments: {packets_max: 100, memory_bytes_max: 200000, timeout_v4_s: 5, "
                                          "timeout_v6_s: 6}\n"),
                                     "dp.yaml");
    ASSERT_TRUE(config.has_value()) << config.error().front();
    EXPECT_EQ(config->tables_socket_gid, 64'110U);
    EXPECT_THAT(config->publisher_uids, ElementsAre(64'110));
    EXPECT_EQ(config->rule_slots_max, 2'048U);
    EXPECT_EQ(config->last_good_uid, 7U);
    EXPECT_TRUE(config->fail_open);
    EXPECT_EQ(config->pickup_s, 0U);
    EXPECT_EQ(config->fragments.packets_max, 100U);
    EXPECT_EQ(config->fragments.memory_bytes_max, 200'000U);
    EXPECT_EQ(config->fragments.timeout_v4_ms, 5'000U);
    EXPECT_EQ(config->fragments.timeout_v6_ms, 6'000U);
}

TEST(Config, NamesPlaceAndCureOfEveryMistake) {
    const std::pair<std::string, std::string> cases[] = {
        {"fail_mod: open", "unknown key \"fail_mod\""},
        {"fail_mode: opne", "closed or open"},
        {"fail_mode: open\nfail_mode: closed", "stands twice"},
        {"idle: {sleep_us: 20, sleep: 3}", "unknown key \"sleep\""},
        {"idle: {sleep_us: 2O}", "whole number"},
        {"idle: {sleep_us: -1}", "whole number"},
        {"idle: {sleep_us: 400}", "sleep_us_max"},
        {"idle: 20", "must be a map"},
        {"flow_table: {entries_max: 10}", "1024"},
        {"flow_table: {proxies_max: 1}", "64"},
        {"flow_table: {entries_max: 1024, proxies_max: 1025}", "proxies_max is above entries_max"},
        {"flow_table: {pickup_s: 601}", "600"},
        {"fragments: {packets_max: 63}", "64 to 65536"},
        {"fragments: {memory_bytes_max: 1}", "131072"},
        {"fragments: {timeout_v4_s: 0}", "1 to 120"},
        {"fragments: {timeout_v6_s: 121}", "1 to 120"},
        {"fragments: {timeout: 30}", "unknown key \"timeout\""},
        {"eal: --no-pci", "must be a list"},
        {"eal: [-l, \"0-3\"]", "workers:"},
        {"eal: [--vdev=net_null0]", "ports:"},
        {"publisher_uids: [root]", "whole number"},
        {"tables_socket: [a]", "must be text"},
        {"tables_socket:", "must be text"},
    };
    for (const auto& [line, what] : cases) {
        const auto found = errors(with(line));
        ASSERT_FALSE(found.empty()) << line;
        EXPECT_THAT(found.front(), AllOf(StartsWith("dp.yaml:"), HasSubstr(what))) << line;
        EXPECT_THAT(found.front(), testing::ContainsRegex("^dp.yaml:[0-9]+:[0-9]+: .+; .+")) << line;
    }
    EXPECT_THAT(errors(with("fail_mod: open")).front(), StartsWith("dp.yaml:4:1: "));
}

TEST(Config, PortsAndWiresMustFit) {
    const std::string ports = "ports: [{name: a, device: net_null0}, {name: b, device: net_null1}]\nworkers: [0]\n";
    EXPECT_THAT(errors(ports).front(), HasSubstr("in no wire"));
    EXPECT_THAT(errors(ports + "wires: [[a, a]]").front(), HasSubstr("wired twice"));
    EXPECT_THAT(errors(ports + "wires: [[a, c]]").front(), HasSubstr("\"c\""));
    EXPECT_THAT(errors(ports + "wires: [[a]]").front(), HasSubstr("two ports"));
    EXPECT_THAT(errors("ports: [{name: a, device: d}, {name: a, device: e}]\nworkers: [0]").front(),
                HasSubstr("twice"));
    EXPECT_THAT(errors("ports: [{name: a, device: \"d,x=1\"}, {name: b, device: \"d,x=2\"}]\nworkers: [0]").front(),
                HasSubstr("same device"));
    EXPECT_THAT(errors("workers: [0]").front(), HasSubstr("no ports"));
    EXPECT_THAT(errors(with("").replace(with("").find("[0]"), 3, "[0, 0]")).front(), HasSubstr("twice"));
}

TEST(Config, ReportsAllMistakesAtOnce) {
    EXPECT_EQ(errors(with("fail_mode: maybe\nidle: {sleep_us: x}\ncolour: red\n")).size(), 3U);
}

TEST(Config, BrokenYamlIsAnErrorWithAPlace) {
    // yaml-cpp reads a lone comma as documents without end; an alias to what holds it, as a tree without end.
    for (const char* text : {"", "[", "a: [1, 2", "a: b: c", "---\na: 1\n---\nb: 2\n", "- 1", "x", ",",
                             "ports: &a [*a]", "workers: &a [1]\nwires: *a"}) {
        const auto found = errors(text);
        ASSERT_FALSE(found.empty()) << text;
        EXPECT_THAT(found.front(), StartsWith("dp.yaml:")) << text;
    }
    EXPECT_FALSE(read_config("/nonexistent.yaml").has_value());
}

}  // namespace
}  // namespace sluice::dp
