#include "controlplane/api/bootstrap_tls.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>

#include <gtest/gtest.h>

namespace sluice::cp::api {
namespace {
namespace fs = std::filesystem;

class BootstrapTls : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "sluice-tls-XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        dir = name;
    }
    void TearDown() override { fs::remove_all(dir); }

    std::string text(const char* name) const {
        std::ifstream in{dir / name, std::ios::binary};
        return {std::istreambuf_iterator<char>{in}, {}};
    }
    std::set<std::string> names() const {
        std::set<std::string> out;
        for (const auto& entry : fs::directory_iterator{dir}) out.insert(entry.path().filename());
        return out;
    }

    fs::path dir;
    const std::set<std::string> all{"ca.pem", "server.key", "server.pem", "token"};
};

TEST_F(BootstrapTls, MakesThemOnceAndKeepsThem) {
    const auto first = ensure_secrets(dir, "127.0.0.1");
    ASSERT_TRUE(first) << first.error();
    EXPECT_TRUE(first->made_now);
    EXPECT_EQ(first->token.value().size(), 43U);  // 32 bytes in base64url
    EXPECT_EQ(names(), all);
    const auto key = text("server.key");
    const auto second = ensure_secrets(dir, "127.0.0.1");
    ASSERT_TRUE(second);
    EXPECT_FALSE(second->made_now);
    EXPECT_EQ(second->token, first->token);
    EXPECT_EQ(text("server.key"), key);
}

TEST_F(BootstrapTls, EveryInstallationHasItsOwn) {
    const auto one = ensure_secrets(dir, "127.0.0.1");
    const auto key = text("server.key");
    TearDown();
    SetUp();
    const auto two = ensure_secrets(dir, "127.0.0.1");
    EXPECT_NE(one->token, two->token);
    EXPECT_NE(text("server.key"), key);
}

/// A crash after any step of the first start: the next one finishes it or starts over, and never refuses.
TEST_F(BootstrapTls, AnInterruptedFirstStartIsFinished) {
    ASSERT_TRUE(ensure_secrets(dir, "127.0.0.1"));
    const std::vector<std::string> order{"ca.pem", "server.pem", "server.key"};
    for (std::size_t placed = 0; placed <= order.size(); ++placed) {
        for (std::size_t i = placed; i < order.size(); ++i) fs::rename(dir / order[i], dir / (order[i] + ".new"));
        const auto again = ensure_secrets(dir, "127.0.0.1");
        ASSERT_TRUE(again) << placed << ": " << again.error();
        EXPECT_EQ(names(), all);
    }
    for (std::size_t written = 0; written < order.size(); ++written) {
        for (const auto& name : order) fs::remove(dir / name);
        for (std::size_t i = 0; i < written; ++i) std::ofstream{dir / (order[i] + ".new")} << "half";
        ASSERT_TRUE(ensure_secrets(dir, "127.0.0.1")) << written;
        EXPECT_EQ(text("server.key").substr(0, 10), "-----BEGIN");
    }
}

TEST_F(BootstrapTls, RefusesAnIncompleteSetInOneSentence) {
    ASSERT_TRUE(ensure_secrets(dir, "127.0.0.1"));
    fs::remove(dir / "server.key");
    const auto refused = ensure_secrets(dir, "127.0.0.1");
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().find("has only some of"), std::string::npos);
    EXPECT_EQ(refused.error().find('\n'), std::string::npos);
}

// Whoever removes the file once they have other tokens does not find a new one beside them at the next start.
TEST_F(BootstrapTls, NoTokenIsMadeThatNobodyNeeds) {
    const auto without = ensure_secrets(dir, "127.0.0.1", false);
    ASSERT_TRUE(without);
    EXPECT_FALSE(without->token);
    EXPECT_FALSE(fs::exists(dir / "token"));
    const auto made = ensure_secrets(dir, "127.0.0.1", true);
    EXPECT_EQ(ensure_secrets(dir, "127.0.0.1", false)->token, made->token);
}

TEST_F(BootstrapTls, AnOperatorsOwnCertificateNeedsNoAuthorityHere) {
    ASSERT_TRUE(ensure_secrets(dir, "127.0.0.1"));
    fs::remove(dir / "ca.pem");
    EXPECT_TRUE(ensure_secrets(dir, "127.0.0.1"));
    EXPECT_FALSE(fs::exists(dir / "ca.pem"));
}

TEST_F(BootstrapTls, RefusesSecretsThatOthersCanRead) {
    ASSERT_TRUE(ensure_secrets(dir, "127.0.0.1"));
    for (const auto* name : {"token", "server.key"}) {
        ASSERT_EQ(chmod((dir / name).c_str(), 0644), 0);
        const auto refused = ensure_secrets(dir, "127.0.0.1");
        ASSERT_FALSE(refused) << name;
        EXPECT_NE(refused.error().find("by others"), std::string::npos);
        ASSERT_EQ(chmod((dir / name).c_str(), 0600), 0);
    }
}

}  // namespace
}  // namespace sluice::cp::api
