#include "controlplane/store/token_store.hpp"

#include <gtest/gtest.h>

#include <cerrno>

#include "controlplane/identity/secret.hpp"
#include "controlplane/store/wall_clock.hpp"
#include "tests/unit/controlplane/store/power_cut_disk.hpp"
#include "tests/unit/controlplane/store/power_cut_vfs.hpp"

namespace sluice::cp {
namespace {

constexpr std::int64_t kHourNs = 3'600'000'000'000;

AuditRecord by_anna() {
    AuditRecord record;
    record.actor = "token:anna/0badcafe";
    record.reason = "CHG-7";
    return record;
}

class TokenStoreTest : public testing::Test {
protected:
    void SetUp() override { reopen(true); }
    void reopen(bool make = false) {
        store.reset();
        audit.reset();
        database.reset();
        database = *Database::open("/s/tokens.db", vfs.name());
        if (make) {
            const auto lock = database->lock();
            for (const auto statement : audit_schema()) ASSERT_TRUE(database->run(statement));
            for (const auto statement : token_schema()) ASSERT_TRUE(database->run(statement));
        }
        audit = std::make_unique<AuditLog>(*database, files, "/s");
        store = std::make_unique<TokenStore>(*database, *audit);
        const auto lock = database->lock();
        ASSERT_TRUE(store->load());
    }
    static TokenRecord token(std::string id, std::string name, Roles roles = {Role::viewer}) {
        return {.id = std::move(id), .name = std::move(name), .roles = roles, .hash = "$argon2id$canary"};
    }
    std::optional<TokenRefusal> create(TokenRecord wanted) {
        const auto made = store->create(std::move(wanted), by_anna());
        if (made) return std::nullopt;
        return made.error().refusal;
    }
    std::optional<TokenRefusal> revoke(std::string_view id) {
        const auto done = store->revoke(id, by_anna());
        if (done) return std::nullopt;
        return done.error().refusal;
    }
    std::vector<AuditEntry> entries() { return audit->page({})->entries; }

    test::PowerCutVfs vfs;
    test::PowerCutDisk files;
    std::unique_ptr<Database> database;
    std::unique_ptr<AuditLog> audit;
    std::unique_ptr<TokenStore> store;
};

TEST_F(TokenStoreTest, WhatWasMadeAndRevokedIsThereAfterARestart) {
    ASSERT_FALSE(create(token("0000000a", "ci", {Role::editor, Role::viewer})));
    auto other = token("0000000b", "old");
    other.expires_at_ns = wall_clock_ns() + kHourNs;
    ASSERT_FALSE(create(other));
    ASSERT_FALSE(revoke("0000000b"));
    reopen();
    const auto ci = store->find("0000000a");
    ASSERT_TRUE(ci);
    EXPECT_EQ(ci->name, "ci");
    EXPECT_EQ(ci->roles, (Roles{Role::viewer, Role::editor}));
    EXPECT_EQ(ci->hash, "$argon2id$canary");
    EXPECT_EQ(ci->created_by, "token:anna/0badcafe");
    EXPECT_TRUE(ci->live(wall_clock_ns()));
    const auto old = store->find("0000000b");
    ASSERT_TRUE(old);
    EXPECT_EQ(old->expires_at_ns, store->list().front().expires_at_ns);
    EXPECT_FALSE(old->live(wall_clock_ns()));
    EXPECT_EQ(old->revoked_by, "token:anna/0badcafe");
    EXPECT_FALSE(store->find("0000000c"));
}

TEST_F(TokenStoreTest, EveryChangeHasItsEntryWithoutTheHash) {
    ASSERT_FALSE(create(token("0000000a", "ci", {Role::editor})));
    ASSERT_FALSE(revoke("0000000a"));
    const auto found = entries();
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[1].record.action, "token.create");
    EXPECT_EQ(found[1].record.detail, "ci/0000000a: editor, never expires");
    EXPECT_EQ(found[0].record.action, "token.revoke");
    EXPECT_EQ(found[0].record.actor, "token:anna/0badcafe");
    EXPECT_EQ(found[0].record.reason, "CHG-7");
    for (const auto& entry : found) EXPECT_EQ(canonical_bytes(entry).find("canary"), std::string::npos);
    EXPECT_TRUE(audit->verify().whole);
}

TEST_F(TokenStoreTest, NamesAreThoseOfLiveTokensOnly) {
    ASSERT_FALSE(create(token("0000000a", "ci")));
    EXPECT_EQ(create(token("0000000b", "ci")), TokenRefusal::name_taken);
    ASSERT_FALSE(revoke("0000000a"));
    EXPECT_FALSE(create(token("0000000b", "ci")));
    EXPECT_EQ(revoke("0000000a"), TokenRefusal::not_live);
    EXPECT_EQ(revoke("0000000c"), TokenRefusal::unknown);
    for (const auto* name : {"a", "ci-deploy", "9.lives_x"}) EXPECT_TRUE(is_token_name(name)) << name;
    for (const auto* name : {"", "-a", "A", "a b", "a/b", "\xc3\xa9"}) EXPECT_FALSE(is_token_name(name)) << name;
    EXPECT_FALSE(is_token_name(std::string(64, 'a')));
}

TEST_F(TokenStoreTest, SomebodyCanAlwaysHandOutTokens) {
    ASSERT_FALSE(create(token("0000000a", "anna", {Role::admin})));
    EXPECT_EQ(revoke("0000000a"), TokenRefusal::last_admin);
    auto expired = token("0000000b", "bao", {Role::admin});
    expired.expires_at_ns = wall_clock_ns() - 1;
    ASSERT_FALSE(create(expired));
    EXPECT_EQ(revoke("0000000a"), TokenRefusal::last_admin) << "one that has expired is none";
    ASSERT_FALSE(create(token("0000000c", "chi", {Role::admin})));
    EXPECT_FALSE(revoke("0000000a"));
    EXPECT_TRUE(store->has_live_admin());
    EXPECT_FALSE(revoke("0000000b")) << "the row of one that has expired may go at any time";
}

TEST_F(TokenStoreTest, TheFirstTokenComesBackWithAnotherText) {
    ASSERT_TRUE(store->set_first("hash one"));
    ASSERT_FALSE(create(token("0000000a", "anna", {Role::admin})));
    ASSERT_FALSE(revoke(kFirstTokenId));
    reopen();
    EXPECT_FALSE(store->find(kFirstTokenId)->live(wall_clock_ns()));
    ASSERT_TRUE(store->set_first("hash two"));
    const auto first = store->find(kFirstTokenId);
    EXPECT_TRUE(first->live(wall_clock_ns()));
    EXPECT_EQ(first->hash, "hash two");
    EXPECT_EQ(first->roles, kEveryRole);
    EXPECT_EQ(entries().front().record.action, "token.replace");
}

TEST_F(TokenStoreTest, AFullDiskChangesNothing) {
    ASSERT_FALSE(create(token("0000000a", "ci")));
    vfs.bytes_max = 1;
    EXPECT_EQ(create(token("0000000b", "more")), TokenRefusal::storage);
    EXPECT_EQ(revoke("0000000a"), TokenRefusal::storage);
    EXPECT_FALSE(store->find("0000000b"));
    EXPECT_TRUE(store->find("0000000a")->live(wall_clock_ns())) << "what is not durable is not so";
    vfs.bytes_max = static_cast<std::size_t>(-1);
    EXPECT_FALSE(revoke("0000000a"));
}

TEST_F(TokenStoreTest, RowsAndLiveTokensAreBounded) {
    const auto id = [](std::size_t i) {
        char text[9];
        std::snprintf(text, sizeof text, "%08zx", i + 0x100);
        return std::string{text};
    };
    for (std::size_t i = 0; i < kTokenRowsMax + 5; ++i) {
        auto wanted = token(id(i), "t" + std::to_string(i));
        wanted.expires_at_ns = 1;
        ASSERT_FALSE(create(wanted)) << i;
    }
    EXPECT_EQ(store->list().size(), kTokenRowsMax);
    EXPECT_FALSE(store->find(id(0)));
    EXPECT_TRUE(store->find(id(5)));
    for (std::size_t i = 0; i < kTokensLiveMax; ++i) {
        ASSERT_FALSE(create(token(id(10'000 + i), "l" + std::to_string(i)))) << i;
    }
    EXPECT_EQ(create(token("0000000b", "more")), TokenRefusal::too_many);
    reopen();
    EXPECT_EQ(store->list().size(), kTokenRowsMax);
}

}  // namespace
}  // namespace sluice::cp
