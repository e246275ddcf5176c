// The flow log's file, alone and behind everything that fills it.
#include "controlplane/telemetry/flow_log.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "controlplane/telemetry/event_lines.hpp"
#include "controlplane/telemetry/event_ring.hpp"
#include "controlplane/telemetry/names.hpp"
#include "controlplane/telemetry/telemetry.hpp"
#include "tests/unit/controlplane/telemetry/telemetry_rig.hpp"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;
using test::TestTelemetry;

class FlowLogTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "sluice-flowlog-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        dir = name;
    }
    void TearDown() override { std::filesystem::remove_all(dir); }
    static std::string text(const std::string& path) {
        std::ifstream in{path};
        return {std::istreambuf_iterator<char>{in}, {}};
    }
    std::string dir;
};

TEST_F(FlowLogTest, RotatesBySizeAndKeepsSoMany) {
    FlowLog log{{dir + "/flows.jsonl", 40, 2}};
    for (int i = 0; i < 50; ++i) log.write({"{\"n\":" + std::to_string(1000 + i) + "}"});  // 11 bytes each
    EXPECT_EQ(log.lines_written(), 50U);
    EXPECT_EQ(log.lines_failed(), 0U);
    const auto all = text(dir + "/flows.jsonl.2") + text(dir + "/flows.jsonl.1") + text(dir + "/flows.jsonl");
    EXPECT_TRUE(all.ends_with("{\"n\":1048}\n{\"n\":1049}\n"));
    EXPECT_FALSE(std::filesystem::exists(dir + "/flows.jsonl.3"));
    EXPECT_LE(std::filesystem::file_size(dir + "/flows.jsonl.1"), 44U);
}

TEST_F(FlowLogTest, WhereTheFileWasMovedAwayANewOneBegins) {
    const auto path = dir + "/flows.jsonl", away = dir + "/flows.jsonl-20261128";
    FlowLog log{{path, 1000, 2}};
    log.write({"one"});
    std::filesystem::rename(path, away);
    log.write({"two"});
    EXPECT_EQ(text(away), "one\n");
    EXPECT_EQ(text(path), "two\n");
    std::filesystem::remove(path);
    std::ofstream{path} << "of another\n";  // who rotates may make the new one
    log.write({"three"});
    EXPECT_EQ(text(path), "of another\nthree\n");
    std::filesystem::rename(dir, dir + "-away");
    log.write({"lost"});
    EXPECT_EQ(log.lines_failed(), 1U);
    EXPECT_NE(log.trouble().find("No such file or directory"), std::string::npos) << log.trouble();
    std::filesystem::rename(dir + "-away", dir);
}

// A6: where nothing can be written lines are counted as lost, and nothing else happens.
TEST_F(FlowLogTest, FailuresAreCountedAndEndByThemselves) {
    FlowLog log{{dir + "/missing/flows.jsonl", 1000, 2}};
    log.write({"a", "b"});
    EXPECT_EQ(log.lines_failed(), 2U);
    EXPECT_NE(log.trouble().find("missing/flows.jsonl"), std::string::npos);
    FlowLog full{{"/dev/full", 1000, 2}};
    full.write({"a"});
    EXPECT_EQ(full.lines_failed(), 1U);
}

// Lines that nobody comes to write are counted, and whoever drains does not wait.
TEST_F(FlowLogTest, WhatComesFasterThanLinesCanBeWrittenIsCounted) {
    EventRing recent{100};
    EventLines lines{{dir + "/flows.jsonl", 1ULL << 30, 2}, recent};
    auto batch = std::make_shared<EventBatch>();
    batch->names = std::make_shared<const Names>();
    for (int i = 0; i < 40'000; ++i) batch->events.push_back({event_of(1)});
    lines.submit(batch);
    lines.submit(batch);
    EXPECT_EQ(lines.stats().failed, 40'000U);
    EXPECT_EQ(lines.stats().trouble, "events come faster than lines can be written");
    lines.start();
    lines.stop();
    EXPECT_EQ(lines.stats().written, 40'000U);
    EXPECT_EQ(lines.stats().failed, 40'000U);
    EXPECT_EQ(lines.stats().trouble, "") << "over";
}

TEST_F(FlowLogTest, EventsReachTheLogAndTheFollowers) {
    TestTelemetry t{1, 2, 2};
    Telemetry telemetry{{dir + "/flows.jsonl", 1 << 20, 2}};
    ASSERT_TRUE(telemetry.attach(fds_of(t), {"outside", "inside"}));
    telemetry.start();
    t.emit(0, event_of(1));
    t.emit(1, event_of(2));
    std::uint64_t seen = 0;
    while (seen < 2) {
        const auto page = telemetry.events().after(seen, 10, 10s);
        ASSERT_FALSE(page.lines.empty()) << "no event within the deadline";
        seen += page.lines.size();
    }
    telemetry.stop();
    const auto log = text(dir + "/flows.jsonl");
    EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 2);
    EXPECT_NE(log.find("\"in_port\":\"outside\""), std::string::npos);

    EXPECT_EQ(telemetry.flow_log_trouble(), "");

    // A restarted control plane meets the same dataplane: what is in its ring stands in the log already.
    Telemetry again{{dir + "/flows.jsonl", 1 << 20, 2}};
    ASSERT_TRUE(again.attach(fds_of(t), {"outside", "inside"}));
    again.start();
    t.emit(0, event_of(3));
    EXPECT_EQ(again.events().after(0, 10, 10s).lines.size(), 1U);
    again.stop();
}

TEST_F(FlowLogTest, LostLinesAreToldAndTheFollowersHaveThem) {
    TestTelemetry t{1, 2, 2};
    Telemetry telemetry{{dir + "/missing/flows.jsonl", 1 << 20, 2}};
    ASSERT_TRUE(telemetry.attach(fds_of(t), {"outside", "inside"}));
    telemetry.start();
    t.emit(0, event_of(1));
    EXPECT_EQ(telemetry.events().after(0, 10, 10s).lines.size(), 1U);
    telemetry.stop();
    EXPECT_NE(telemetry.flow_log_trouble().find("cannot open " + dir + "/missing/flows.jsonl"), std::string::npos);
}

}  // namespace
}  // namespace sluice::cp
