#include "controlplane/store/draft_store.hpp"

#include <gtest/gtest.h>

#include "controlplane/store/policy_store.hpp"
#include "tests/unit/controlplane/store/power_cut_disk.hpp"
#include "tests/unit/controlplane/store/power_cut_vfs.hpp"

namespace sluice::cp {
namespace {

using Kind = DraftTrouble::Kind;

class DraftStoreTest : public testing::Test {
protected:
    void SetUp() override { open(); }
    void open() {
        store.reset();
        auto opened = PolicyStore::open(files, "/s", {.vfs = database.name(), .print = {}});
        ASSERT_TRUE(opened) << opened.error().what;
        store = std::move(*opened);
    }
    static AuditRecord entry(const std::string& action) {
        AuditRecord record;
        record.actor = "token:anna/1";
        record.reason = "CHG-1";
        record.action = action;
        record.result = "done";
        return record;
    }
    Expected<Draft, DraftTrouble> save(const std::string& name, const std::string& text,
                                       const DraftCondition& condition = {}, const std::string& base = "b") {
        return store->drafts().save({.name = name, .format = "yaml", .text = text, .base = {3, base, "edge@b"}},
                                    condition, entry("draft.save"));
    }
    std::uint64_t entries() { return store->audit().head().number; }

    test::PowerCutVfs database;
    test::PowerCutDisk files;
    std::unique_ptr<PolicyStore> store;
};

TEST_F(DraftStoreTest, KeepsATextWithItsBaseOverARestart) {
    EXPECT_TRUE(store->drafts().list()->empty());
    const auto before = entries();
    const auto saved = save("web", "sluice: 1\n");
    ASSERT_TRUE(saved);
    EXPECT_EQ(entries(), before + 1);
    open();
    const auto found = *store->drafts().find("web");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->text, "sluice: 1\n");
    EXPECT_EQ(found->base.generation, 3U);
    EXPECT_EQ(found->base.hash, "b");
    EXPECT_EQ(found->base.version, "edge@b");
    EXPECT_EQ(found->saved_by, "token:anna/1");
    EXPECT_EQ(found->reason, "CHG-1");
    EXPECT_EQ(found->tag, saved->tag);
    EXPECT_EQ(found->bytes, 10U);
    EXPECT_FALSE(*store->drafts().find("other"));
    EXPECT_EQ(store->drafts().list()->at(0).text, "") << "a list of a hundred drafts carries no texts";
}

TEST_F(DraftStoreTest, TwoWritersOneWins) {
    ASSERT_TRUE(save("web", "one", {.absent = true}));
    EXPECT_EQ(save("web", "two", {.absent = true}).error().kind, Kind::exists);
    const auto tag = store->drafts().find("web")->value().tag;
    ASSERT_TRUE(save("web", "two", {.tag = tag}));
    EXPECT_EQ(save("web", "three", {.tag = tag}).error().kind, Kind::changed);
    EXPECT_EQ(save("new", "one", {.tag = tag}).error().kind, Kind::changed) << "it is not there";
    const auto entries_before = entries();
    EXPECT_EQ(store->drafts().remove("web", {.tag = tag}, entry("draft.delete")).error().kind, Kind::changed);
    EXPECT_EQ(entries(), entries_before);
    EXPECT_EQ(store->drafts().find("web")->value().text, "two");
}

TEST_F(DraftStoreTest, AnotherBaseIsAnotherDraft) {
    const auto one = save("web", "one"), other = save("web", "one", {}, "c");
    EXPECT_NE(one->tag, other->tag);
    EXPECT_EQ(save("web", "one")->tag, one->tag);
}

TEST_F(DraftStoreTest, DeletesOne) {
    ASSERT_TRUE(save("web", "one"));
    ASSERT_TRUE(save("db", "two"));
    const auto gone = store->drafts().remove("web", {}, entry("draft.delete"));
    ASSERT_TRUE(gone);
    EXPECT_EQ(gone->name, "web");
    EXPECT_EQ(store->drafts().remove("web", {}, entry("draft.delete")).error().kind, Kind::absent);
    open();
    ASSERT_EQ(store->drafts().list()->size(), 1U);
    EXPECT_EQ(store->drafts().list()->at(0).name, "db");
}

TEST_F(DraftStoreTest, IsBoundedInCountAndBytes) {
    const std::string large(kDraftBytesMax / 2, 'x');
    ASSERT_TRUE(save("large", large));
    ASSERT_TRUE(save("large", large + "y")) << "it takes its own place";
    EXPECT_EQ(save("more", large).error().kind, Kind::too_large);
    ASSERT_TRUE(save("large", "x"));
    for (std::size_t n = 1; n < kDraftsMax; ++n) ASSERT_TRUE(save("d" + std::to_string(n), "x"));
    EXPECT_EQ(save("more", "x").error().kind, Kind::too_many);
    EXPECT_TRUE(save("d1", "other"));
}

TEST_F(DraftStoreTest, AFullDiskKeepsWhatWasThere) {
    ASSERT_TRUE(save("web", "one"));
    database.bytes_max = 1;
    const auto refused = save("web", "two");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::storage);
    EXPECT_TRUE(refused.error().storage.disk_full());
    database.bytes_max = static_cast<std::size_t>(-1);
    EXPECT_EQ(store->drafts().find("web")->value().text, "one");
    EXPECT_TRUE(store->audit().verify().whole);
}

TEST(DraftName, IsAWordAsIdsOfRulesAre) {
    for (const auto* good :
         {"a", "0-9", "web-change", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})
        EXPECT_TRUE(is_draft_name(good)) << good;
    for (const auto* bad :
         {"", "-a", "A", "a.b", "a b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})
        EXPECT_FALSE(is_draft_name(bad)) << bad;
}

}  // namespace
}  // namespace sluice::cp
