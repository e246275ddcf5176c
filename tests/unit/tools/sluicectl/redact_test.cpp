#include "tools/sluicectl/redact.hpp"

#include <gtest/gtest.h>

namespace sluice::ctl {
namespace {

std::string redacted(std::string_view text, std::vector<std::string> secrets = {}) {
    return Redactor{std::move(secrets)}.apply(text);
}

TEST(Redactor, TakesOutWhatLooksLikeASecret) {
    const std::string canary = "c4n4ry-Zq8";
    const std::string token = "sluice_0000000a_" + std::string(43, 'x');
    for (const auto& text : {
             "password: " + canary,
             "db_password = " + canary + " # of the database",
             "  client-secret: '" + canary + " with spaces'",
             "{\"passphrase\": \"" + canary + "\\\" still\", \"port\": 1}",
             "{name: a, api_key: " + canary + ", port: 1}",
             "Authorization: Bearer " + canary,
             "curl -H 'authorization: basic " + canary + "'",
             "GET https://anna:" + canary + "@192.0.2.7/feed",
             "-----BEGIN EC PRIVATE KEY-----\n" + canary + "\n-----END EC PRIVATE KEY-----\n",
             "-----BEGIN PRIVATE KEY-----\n" + canary + "\n",
             "TOKEN=" + canary,
             "token_secret: \"" + canary + '"',
         }) {
        const auto out = redacted(text);
        EXPECT_EQ(out.find("c4n4ry"), std::string::npos) << text << "\n" << out;
        EXPECT_NE(out.find("redacted"), std::string::npos) << out;
    }
    EXPECT_EQ(redacted("x " + token + " y"), "x sluice_0000000a_<redacted> y") << "the id names it in the audit";
}

TEST(Redactor, TakesOutTheTextsThatItIsTold) {
    EXPECT_EQ(redacted("a hunter2-long b\nhunter2-long", {"hunter2-long"}), "a <redacted> b\n<redacted>");
    EXPECT_EQ(redacted("a to b", {"to"}), "a to b") << "a short one would cut words";
}

TEST(Redactor, LeavesWhatIsNone) {
    for (const std::string text : {
             "listen: \"127.0.0.1:8443\"",
             "token_file: /var/lib/sluice/control/token",
             "{\"request_id\":\"7f3a\",\"hash\":\"00ff\",\"actor\":\"token:ci/7f3a9c21\"}",
             "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\nbehind",
             "sluice_flows{worker=\"0\"} 250",
             "rules:\n  - {id: web-in, from: internet, to: shop}\n",
             "see https://example.com/a@b",
             "the basic rule",
             "one: 1\ntwo: 2",
         }) {
        EXPECT_EQ(redacted(text), text);
    }
}

TEST(Redactor, KeepsWhatStandsBesideIt) {
    EXPECT_EQ(redacted("{name: a, password: x123456, port: 1}"), "{name: a, password: <redacted>, port: 1}");
    EXPECT_EQ(redacted(R"({"secret":"a\"b","port":1})"), R"({"secret":"<redacted>","port":1})");
    EXPECT_EQ(redacted("a\npassword: x\nb\n"), "a\npassword: <redacted>\nb\n");
    Redactor redactor{{}};
    (void)redactor.apply("password: x\nsecret: y");
    EXPECT_EQ(redactor.count(), 2U);
}

}  // namespace
}  // namespace sluice::ctl
