#include "controlplane/api/event_feed.hpp"

#include <gtest/gtest.h>

#include "tests/unit/controlplane/api/memory_policy_service.hpp"

namespace sluice::cp::api {
namespace {

class Feed : public testing::Test {
protected:
    void audit(std::string action) {
        AuditRecord record;
        record.action = std::move(action);
        record.result = "done";
        service.audit().write_or_keep(std::move(record));
    }
    EventStart start(EventTopics topics, std::string_view last_id = {}) {
        return event_start(service, topics, last_id).value();
    }
    /// The id of the last event in it.
    static std::string last_id(const std::string& text) {
        const auto at = text.rfind("id: ") + 4;
        return text.substr(at, text.find('\n', at) - at);
    }
    static std::size_t count(const std::string& text, std::string_view word) {
        std::size_t n = 0;
        for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++n;
        return n;
    }

    test::MemoryPolicyService service;
};

TEST_F(Feed, TopicsAreFlowsAndPolicy) {
    EXPECT_TRUE(event_topics_from("flows")->flows);
    EXPECT_FALSE(event_topics_from("flows")->policy);
    EXPECT_TRUE(event_topics_from("policy,flows")->policy);
    for (const auto* bad : {"", "flow", "flows,", ",flows", "flows,flows", "flows policy"})
        EXPECT_FALSE(event_topics_from(bad)) << bad;
}

TEST_F(Feed, BeginsNowWithoutAnId) {
    service.add_events(3, 0);
    audit("policy.put");
    EventFeed feed{service, start({true, true})};
    EXPECT_EQ(feed.next(), "");
    service.add_events(1, 0);
    EXPECT_EQ(count(feed.next(), "event: flow\n"), 1U);
    EXPECT_EQ(feed.next(), "");
}

TEST_F(Feed, GoesOnBehindTheLastIdInBothTopics) {
    EventFeed first{service, start({true, true})};
    audit("policy.put");
    service.add_events(2, 0);
    const auto id = last_id(first.next());
    audit("policy.confirm");
    service.add_events(1, 0);
    EventFeed again{service, start({true, true}, id)};
    const auto text = again.next();
    EXPECT_EQ(count(text, "event: flow\n"), 1U);
    EXPECT_EQ(count(text, "event: policy\n"), 1U);
    EXPECT_NE(text.find("policy.confirm"), std::string::npos);
    EXPECT_EQ(text.find("restarted"), std::string::npos);
}

TEST_F(Feed, AnIdOfAnotherProcessIsTold) {
    audit("policy.put");
    const auto seen = service.audit().head().number;
    audit("policy.confirm");
    service.add_events(2, 0);
    EventFeed feed{service, start({true, true}, "00000000-900-" + std::to_string(seen))};
    const auto text = feed.next();
    EXPECT_TRUE(text.starts_with("event: restarted\ndata: {}\n\n"));
    EXPECT_EQ(count(text, "event: flow\n"), 2U);    // all that this process has
    EXPECT_EQ(count(text, "event: policy\n"), 1U);  // the audit outlives the process: only what is new
    EXPECT_NE(text.find("policy.confirm"), std::string::npos);
    EXPECT_EQ(feed.next(), "");  // told once
}

TEST_F(Feed, OnlyPolicyAndProcessAreTopicsOfTheAudit) {
    EventFeed feed{service, start({false, true})};
    for (const auto* action :
         {"access", "token.create", "flows.end", "policy.put", "process.start", "change.approve", "approvals.broken"})
        audit(action);
    const auto text = feed.next();
    EXPECT_EQ(count(text, "event: policy\n"), 4U);
    EXPECT_EQ(text.find("access"), std::string::npos);
    EXPECT_EQ(text.find("token.create"), std::string::npos);
}

TEST_F(Feed, ManyEntriesComeInPagesAndNoneIsLost) {
    EventFeed feed{service, start({false, true})};
    constexpr std::size_t kEntries = 150;
    for (std::size_t i = 0; i < kEntries; ++i) {
        audit("policy.put");
        audit("access");
    }
    std::size_t seen = 0, pages = 0;
    for (auto text = feed.next(); !text.empty(); text = feed.next(), ++pages) seen += count(text, "event: policy\n");
    EXPECT_EQ(seen, kEntries);
    EXPECT_GT(pages, 2U);
}

TEST_F(Feed, WhoComesFromLongAgoGetsTheNewestOfTheAuditAndIsToldSo) {
    for (std::size_t i = 0; i < kAuditEntriesBack + 500; ++i) audit("policy.put");
    const auto head = service.audit().head().number;
    EventFeed feed{service, start({false, true}, "00000000-0-0")};
    std::string all;
    for (auto text = feed.next(); !text.empty(); text = feed.next()) all += text;
    EXPECT_TRUE(all.starts_with(
        "event: left_out\ndata: {\"audit_entries\":" + std::to_string(head - kAuditEntriesBack) + "}\n\n"));
    EXPECT_EQ(count(all, "event: policy\n"), kAuditEntriesBack);
    EXPECT_EQ(count(all, "left_out"), 1U);
}

TEST_F(Feed, LossesAreToldFirst) {
    const auto behind = start({true, false});
    service.add_events(2500, 0);  // the ring of this service holds 2000
    EXPECT_TRUE(EventFeed(service, behind).next().starts_with("event: lost\ndata: {\"lost\":500}\n\nid: "));
}

TEST_F(Feed, IdsAreOursOrRefused) {
    for (const auto* bad : {"x", "7", "00000000-1", "00000000-1-", "00000000--1", "0000000-1-1", "00000000-1-1-1",
                            "00000000-99999999999999999999-1", "-1-1"})
        EXPECT_FALSE(event_start(service, {}, bad)) << bad;
}

TEST_F(Feed, AFilterLeavesOutFlowEventsAndNothingElse) {
    auto begin = start({true, true});
    begin.filter = *EventFilter::parse("rule==web-in");
    EventFeed feed{service, begin};
    service.add_events(4, 0);
    audit("policy.put");
    const auto told = feed.next();
    EXPECT_EQ(count(told, "event: flow\n"), 2U);
    EXPECT_EQ(count(told, "\"rule\":\"web-in\""), 2U);
    EXPECT_EQ(count(told, "event: policy\n"), 1U);
    EXPECT_EQ(feed.next(), "");
}

TEST_F(Feed, WhoWaitsForWhatDoesNotComeStillKnowsHowFarItIs) {
    auto begin = start({true, false});
    begin.filter = *EventFilter::parse("rule==nobody");
    EventFeed feed{service, begin};
    service.add_events(300, 0);
    for (int page = 0; page < 2; ++page) {
        const auto told = feed.next();
        EXPECT_EQ(count(told, "event: "), 0U);
        EXPECT_EQ(count(told, "id: "), 1U);
        begin = start({true, false}, last_id(told));
    }
    EXPECT_EQ(feed.next(), "");
    EXPECT_EQ((EventFeed{service, begin}.next()), "") << "and does not come back for it";
    EXPECT_EQ(last_id(feed.place()), last_id(EventFeed{service, begin}.place()));
}

}  // namespace
}  // namespace sluice::cp::api
