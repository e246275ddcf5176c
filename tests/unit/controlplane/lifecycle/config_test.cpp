#include "controlplane/lifecycle/config.hpp"

#include <gtest/gtest.h>

namespace sluice::cp {
namespace {

TEST(ControlConfig, ReadsEveryKeyAndHasDefaults) {
    const auto config = parse_control_config(
        "listen: \"[::1]:9443\"\nstate_dir: /tmp/s\ntables_socket: /tmp/t.sock\nlast_good: /tmp/lg\n"
        "metrics_open: true\nflow_log: {path: /tmp/f.jsonl, rotate_bytes: 64MiB, keep: 3}\n"
        "flow_records: {path: /tmp/r, bytes_max: 1GiB, age_max: 36h}\n",
        "c.yaml");
    ASSERT_TRUE(config) << config.error().front();
    EXPECT_EQ(config->listen, "[::1]:9443");
    EXPECT_EQ(config->state_dir, "/tmp/s");
    EXPECT_EQ(config->tables_socket, "/tmp/t.sock");
    EXPECT_EQ(config->last_good, "/tmp/lg");
    EXPECT_TRUE(config->metrics_open);
    EXPECT_EQ(config->flow_log_path, "/tmp/f.jsonl");
    EXPECT_EQ(config->flow_log_rotate_bytes, 64ULL << 20);
    EXPECT_EQ(config->flow_log_keep, 3U);
    EXPECT_EQ(config->flow_records_path, "/tmp/r");
    EXPECT_EQ(config->flow_records_bytes_max, 1ULL << 30);
    EXPECT_EQ(config->flow_records_age_max_s, 36U * 3600);

    const auto defaults = parse_control_config("{}", "c.yaml");
    ASSERT_TRUE(defaults);
    EXPECT_EQ(defaults->listen, "127.0.0.1:8443");
    EXPECT_EQ(parse_control_config("", "c.yaml")->state_dir, "/var/lib/sluice/control");
}

TEST(ControlConfig, ClientsHaveRolesByTheirCertificates) {
    const auto config = parse_control_config(
        "tls:\n  client_ca: /etc/sluice/clients.pem\n  crl: /etc/sluice/clients.crl\n  required: true\n  clients:\n"
        "    - {subject: \"CN=deploy,O=Example\", roles: [editor, viewer]}\n"
        "    - {san: \"dns:scraper.example\", roles: [viewer]}\n",
        "c.yaml");
    ASSERT_TRUE(config) << config.error().front();
    EXPECT_EQ(config->client_ca, "/etc/sluice/clients.pem");
    EXPECT_EQ(config->client_crl, "/etc/sluice/clients.crl");
    EXPECT_TRUE(config->client_required);
    ASSERT_EQ(config->clients.size(), 2U);
    EXPECT_EQ(config->clients[0].text, "CN=deploy,O=Example");
    EXPECT_EQ(config->clients[0].roles, (Roles{Role::viewer, Role::editor}));
    EXPECT_EQ(config->clients[1].kind, ClientName::Kind::san);

    const auto wrong = parse_control_config(
        "tls:\n  clients:\n    - {subject: a, san: \"dns:B\", roles: [root]}\n    - {san: scraper, roles: viewer}\n    "
        "- x\n",
        "c.yaml");
    ASSERT_FALSE(wrong);
    const std::vector<std::string> expected{
        "c.yaml:3:25: a client has one name: subject or san; make two clients of it",
        "c.yaml:3:25: write dns names in lower case",
        "c.yaml:3:42: a role is viewer, operator, editor, approver, auditor or admin",
        "c.yaml:3:7: a client needs roles: [viewer]",
        "c.yaml:4:13: san must be dns:NAME, email:NAME or uri:TEXT",
        "c.yaml:4:29: roles must be a list: [viewer]",
        "c.yaml:4:7: a client needs roles: [viewer]",
        "c.yaml:5:7: a client must be a map of keys; known: subject, san, roles",
        "c.yaml:2:3: tls needs client_ca: the file with the authorities of clients",
    };
    EXPECT_EQ(wrong.error(), expected);
}

TEST(ControlConfig, AnIssuerOfTokens) {
    const auto config = parse_control_config(
        "oidc:\n  issuer: https://login.example/ops\n  audience: sluice\n  jwks: https://login.example/ops/keys\n"
        "  ca: /etc/sluice/login.pem\n  roles_claim: [realm_access, roles]\n  clock_skew_s: 5\n  refresh: 2m\n"
        "  keys_age_max: 12h\n  roles:\n    - {value: fw-editors, roles: [editor, viewer]}\n"
        "    - {value: fw-audit, roles: [auditor]}\n",
        "c.yaml");
    ASSERT_TRUE(config) << config.error().front();
    const auto& issuer = config->issuer;
    EXPECT_EQ(issuer.issuer, "https://login.example/ops");
    EXPECT_EQ(issuer.audience, "sluice");
    EXPECT_EQ(issuer.jwks, "https://login.example/ops/keys");
    EXPECT_EQ(issuer.ca, "/etc/sluice/login.pem");
    EXPECT_EQ(issuer.roles_claim, (std::vector<std::string>{"realm_access", "roles"}));
    EXPECT_EQ(issuer.clock_skew_s, 5U);
    EXPECT_EQ(issuer.refresh_s, 120U);
    EXPECT_EQ(issuer.keys_age_max_s, 12U * 3600);
    ASSERT_EQ(issuer.roles.size(), 2U);
    EXPECT_EQ(issuer.roles[0].value, "fw-editors");
    EXPECT_EQ(issuer.roles[0].roles, (Roles{Role::editor, Role::viewer}));
    EXPECT_TRUE(parse_control_config("{}", "c.yaml")->issuer.issuer.empty());

    const auto wrong = parse_control_config(
        "oidc:\n  issuer: login@example\n  jwks: http://login.example/keys\n  clock_skew_s: 301\n  roles_claim: []\n"
        "  roles: [{value: a, roles: [root]}, {roles: [viewer]}]\n  secret: x\n",
        "c.yaml");
    ASSERT_FALSE(wrong);
    const std::vector<std::string> expected{
        "c.yaml:2:11: issuer must be what tokens have in iss, such as https://login.example/ops",
        "c.yaml:3:9: jwks must be /PATH, https://HOST/PATH, or http:// on a literal loopback address",
        "c.yaml:4:17: clock_skew_s must be a number from 0 to 300",
        "c.yaml:5:16: roles_claim must be the name of a claim, or a list of keys that leads to it",
        "c.yaml:6:30: a role is viewer, operator, editor, approver, auditor or admin",
        "c.yaml:6:11: a role of the issuer needs roles: [viewer]",
        "c.yaml:6:38: a role of the issuer needs a value: what its claim says",
        "c.yaml:7:3: unknown key \"secret\" in oidc; known: issuer, audience, jwks, ca, roles_claim, roles, "
        "clock_skew_s, refresh, keys_age_max",
        "c.yaml:2:3: oidc needs audience: what tokens for this firewall have in aud",
    };
    EXPECT_EQ(wrong.error(), expected);
    EXPECT_EQ(parse_control_config("oidc: {}\n", "c.yaml").error().size(), 4U);
}

TEST(ControlConfig, WhatClientsMayCost) {
    const auto config = parse_control_config(
        "limits: {connections: 512, connections_per_address: 8, requests_per_second: 0, header_bytes: 8KiB,\n"
        "  body_bytes: 1MiB, header_timeout_s: 3, body_timeout_s: 30}\n",
        "c.yaml");
    ASSERT_TRUE(config) << config.error().front();
    EXPECT_EQ(config->limits.connections, 512U);
    EXPECT_EQ(config->limits.connections_per_address, 8U);
    EXPECT_EQ(config->limits.requests_per_second, 0U);
    EXPECT_EQ(config->limits.header_bytes, 8192U);
    EXPECT_EQ(config->limits.body_bytes, 1U << 20);
    EXPECT_EQ(config->limits.header_timeout_s, 3U);
    EXPECT_EQ(config->limits.body_timeout_s, 30U);
    EXPECT_EQ(parse_control_config("{}", "c.yaml")->limits.requests_per_second, 100U);
    const auto wrong = parse_control_config("limits: {connections: 0, header_bytes: 1KiB, colour: red}\n", "c.yaml");
    ASSERT_FALSE(wrong);
    const std::vector<std::string> expected{
        "c.yaml:1:23: connections must be a number from 1 to 10000",
        "c.yaml:1:40: header_bytes must be a size from 4096 to 1048576; write 64MiB, 512KiB or bytes",
        "c.yaml:1:46: unknown key \"colour\" in limits; known: connections, connections_per_address, "
        "requests_per_second, header_bytes, body_bytes, header_timeout_s, body_timeout_s",
    };
    EXPECT_EQ(wrong.error(), expected);
}

TEST(ControlConfig, AllErrorsAtOnceWithPlaces) {
    const auto config = parse_control_config(
        "listen: nowhere\nstate_dri: /x\nmetrics_open: maybe\nflow_log: {rotate_bytes: 1MB, keep: 5000, colour: red}\n"
        "flow_records: {bytes_max: 1MiB, age_max: 3651d, colour: red}\n",
        "c.yaml");
    ASSERT_FALSE(config);
    const std::vector<std::string> expected{
        "c.yaml:1:9: listen must be ADDRESS:PORT, such as 127.0.0.1:8443",
        "c.yaml:2:1: unknown key \"state_dri\" in controlplane.yaml; known: listen, state_dir, tables_socket, "
        "flow_log, flow_records, last_good, metrics_open, tls, oidc, limits",
        "c.yaml:3:15: metrics_open must be true or false",
        "c.yaml:4:26: rotate_bytes must be a size from 4096 to 1099511627776; write 64MiB, 512KiB or bytes",
        "c.yaml:4:37: keep must be a number from 0 to 1000",
        "c.yaml:4:43: unknown key \"colour\" in flow_log; known: path, rotate_bytes, keep",
        "c.yaml:5:27: bytes_max must be a size from 16777216 to 1125899906842624; write 64MiB, 512KiB or bytes",
        "c.yaml:5:42: age_max must be from 1m to 3650d; write a number and one of m, h, d, such as 7d",
        "c.yaml:5:49: unknown key \"colour\" in flow_records; known: path, bytes_max, age_max",
    };
    EXPECT_EQ(config.error(), expected);
    for (const char* age : {"0d", "7", "d", "-1d", "1w", "1.5h", "99999999999999999999d", "[7d]", "1s"}) {
        EXPECT_FALSE(parse_control_config(std::string{"flow_records: {age_max: "} + age + "}\n", "c.yaml")) << age;
    }
    EXPECT_EQ(parse_control_config("flow_records: {path: \"\"}\n", "c.yaml")->flow_records_path, "");
    EXPECT_FALSE(parse_control_config("listen: [\n", "c.yaml"));
    EXPECT_FALSE(parse_control_config("listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n", "c.yaml"));
    EXPECT_FALSE(read_control_config("/nonexistent/c.yaml"));
}

}  // namespace
}  // namespace sluice::cp
