/// Members of sets on the disk: what a change counts, pages, times to live, and what is there after a crash.
#include "controlplane/store/set_store.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "controlplane/policy/address.hpp"
#include "controlplane/store/policy_store.hpp"

namespace sluice::cp {
namespace {

class SetStoreTest : public testing::Test {
protected:
    void SetUp() override {
        dir_ = std::filesystem::temp_directory_path() / ("sluice-sets-" + std::to_string(getpid()));
        std::filesystem::remove_all(dir_);
        open();
    }
    void TearDown() override {
        store_.reset();
        std::filesystem::remove_all(dir_);
    }
    void open() {
        store_.reset();
        auto opened = PolicyStore::open(posix_file_ops(), dir_.string(), {});
        ASSERT_TRUE(opened) << opened.error().what;
        store_ = std::move(*opened);
    }
    static StoredMember member(std::string_view text, std::int64_t expires_ns = 0) {
        const auto p = parse_prefix(text);
        return {{.addr = p->addr, .family = p->family, .bits = p->bits}, expires_ns};
    }
    SetEdited edit(SetEdit kind, std::vector<StoredMember> members, std::uint64_t batches = 1) {
        const auto done = sets().edit("blocked", kind, members, 4, batches, AuditRecord{});
        EXPECT_TRUE(done) << done.error().error.what;
        return done ? *done : SetEdited{};
    }
    std::vector<std::string> members(std::string_view after = {}, std::size_t count = 100, std::int64_t now = 0) {
        std::vector<std::string> out;
        const auto page = sets().page("blocked", after, count, now);
        for (const auto& m : *page)
            out.push_back(to_text(Prefix{.family = m.member.family, .bits = m.member.bits, .addr = m.member.addr}));
        return out;
    }
    SetStore& sets() { return store_->sets(); }

    std::filesystem::path dir_;
    std::unique_ptr<PolicyStore> store_;
};

using Words = std::vector<std::string>;

TEST_F(SetStoreTest, CountsWhatAChangeDid) {
    auto done = edit(SetEdit::add, {member("192.0.2.1"), member("2001:db8::/48")});
    EXPECT_EQ(done.added, 2U);
    done = edit(SetEdit::add, {member("192.0.2.1"), member("192.0.2.0/24")}, 3);
    EXPECT_EQ(done.added, 1U);
    EXPECT_EQ(done.members, 3U);
    EXPECT_EQ(done.first_number, 2U);
    EXPECT_EQ(done.last_number, 4U);
    done = edit(SetEdit::remove, {member("192.0.2.1"), member("192.0.2.9")});
    EXPECT_EQ(done.removed, 1U);
    EXPECT_EQ(members(), (Words{"192.0.2.0/24", "2001:db8::/48"}));
    done = edit(SetEdit::replace, {member("10.0.0.1")});
    EXPECT_EQ(done.members, 1U);
    EXPECT_EQ(members(), Words{"10.0.0.1"});
}

TEST_F(SetStoreTest, WhatWasAcknowledgedIsThereAfterwards) {
    edit(SetEdit::add, {member("192.0.2.1"), member("192.0.2.2")}, 2);
    const auto epoch = sets().epoch();
    EXPECT_NE(epoch, 0U);
    open();
    EXPECT_EQ(sets().epoch(), epoch);
    EXPECT_EQ(sets().number(), 2U);
    EXPECT_EQ(sets().counts().at("blocked"), 2U);
    EXPECT_EQ(members(), (Words{"192.0.2.1", "192.0.2.2"}));
}

TEST_F(SetStoreTest, MoreThanMayBeIsRefusedWhole) {
    edit(SetEdit::add, {member("192.0.2.1")});
    const std::vector<StoredMember> many{member("10.0.0.1"), member("10.0.0.2"), member("10.0.0.3"),
                                         member("10.0.0.4")};
    const auto refused = sets().edit("blocked", SetEdit::add, many, 4, 1, AuditRecord{});
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().full);
    EXPECT_EQ(refused.error().wanted, 5U);
    EXPECT_EQ(sets().number(), 1U);
    EXPECT_EQ(members(), Words{"192.0.2.1"});
}

TEST_F(SetStoreTest, PagesGoOnWhereTheyEndedAndLeaveOutWhatIsOver) {
    edit(SetEdit::add, {member("192.0.2.1", 50), member("192.0.2.2"), member("2001:db8::1"), member("10.0.0.0/8")});
    EXPECT_EQ(members({}, 2), (Words{"10.0.0.0/8", "192.0.2.1"}));
    EXPECT_EQ(members(SetStore::key_of(member("192.0.2.1").member), 2), (Words{"192.0.2.2", "2001:db8::1"}));
    EXPECT_EQ(members({}, 2, 50), (Words{"10.0.0.0/8", "192.0.2.2"}));
    ASSERT_TRUE(sets().expire(49));
    EXPECT_EQ(sets().counts().at("blocked"), 4U);
    ASSERT_TRUE(sets().expire(50));
    EXPECT_EQ(sets().counts().at("blocked"), 3U);
}

TEST_F(SetStoreTest, FindsThePrefixesAroundAnAddress) {
    edit(SetEdit::add, {member("192.0.2.0/24"), member("192.0.2.7"), member("192.0.3.0/24"), member("::/0")});
    const auto addr = parse_address("192.0.2.7");
    const auto found = sets().holding("blocked", addr->family, addr->addr, 0);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->size(), 2U);
    const auto v6 = parse_address("2001:db8::1");
    EXPECT_EQ(sets().holding("blocked", v6->family, v6->addr, 0)->size(), 1U);
}

TEST_F(SetStoreTest, EachChangeHasOneEntryInTheAudit) {
    edit(SetEdit::add, {member("192.0.2.1"), member("192.0.2.2")});
    const auto page = store_->audit().page({.action = "set.add"});
    ASSERT_TRUE(page);
    ASSERT_EQ(page->entries.size(), 1U);
    EXPECT_EQ(page->entries[0].record.detail, "blocked: 2 added, 0 removed, it has 2");
}

}  // namespace
}  // namespace sluice::cp
