#include "controlplane/store/answer_store.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace sluice::cp {
namespace {

class AnswerStoreTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "sluice-answers-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        dir = name;
        open();
    }
    void TearDown() override {
        database.reset();
        std::filesystem::remove_all(dir);
    }
    void open() {
        database.reset();
        auto opened = Database::open(dir + "/state.db");
        ASSERT_TRUE(opened) << opened.error().what;
        database = std::move(*opened);
        answers = std::make_unique<AnswerStore>(*database);
        ASSERT_TRUE(answers->open());
    }
    std::optional<AnswerStore::Kept> begin(std::string_view actor, std::string_view key, std::int64_t now_ns = 1) {
        const auto kept = answers->begin({actor, key}, "digest", now_ns);
        EXPECT_TRUE(kept) << kept.error().what;
        return kept ? *kept : std::nullopt;
    }

    std::string dir;
    std::unique_ptr<Database> database;
    std::unique_ptr<AnswerStore> answers;
};

TEST_F(AnswerStoreTest, KeepsAnAnswerOverARestart) {
    EXPECT_FALSE(begin("anna", "k"));
    ASSERT_TRUE(answers->finish({"anna", "k"}, "done"));
    open();
    const auto kept = begin("anna", "k");
    ASSERT_TRUE(kept);
    EXPECT_EQ(kept->request, "digest");
    EXPECT_EQ(kept->answer, "done");
    EXPECT_FALSE(begin("bert", "k")) << "a key belongs to who sent it";
}

TEST_F(AnswerStoreTest, WhatWasCutHasNoAnswer) {
    EXPECT_FALSE(begin("anna", "k"));
    open();
    const auto kept = begin("anna", "k");
    ASSERT_TRUE(kept);
    EXPECT_FALSE(kept->answer);
    ASSERT_TRUE(answers->forget({"anna", "k"}));
    EXPECT_FALSE(begin("anna", "k"));
}

TEST_F(AnswerStoreTest, ADayLaterAKeyIsFreeAgain) {
    EXPECT_FALSE(begin("anna", "k", 5));
    EXPECT_TRUE(begin("anna", "k", 5 + kAnswersKeptNs));
    EXPECT_FALSE(begin("anna", "k", 6 + kAnswersKeptNs));
}

TEST_F(AnswerStoreTest, TheOldestGoWhereThereAreTooMany) {
    {
        const auto lock = database->lock();
        ASSERT_TRUE(
            database->run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT "
                          "INTO answers SELECT 'anna', 'k' || i, 'digest', 'done', i FROM n",
                          {static_cast<std::int64_t>(kAnswersKept)}));
    }
    EXPECT_FALSE(begin("anna", "one more", 20'000));
    EXPECT_TRUE(begin("anna", "k2", 20'000));
    EXPECT_FALSE(begin("anna", "k1", 20'000)) << "the oldest made room";
}

}  // namespace
}  // namespace sluice::cp
