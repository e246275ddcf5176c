#include <fstream>

#include "tests/unit/controlplane/lifecycle/policy_service_rig.hpp"

namespace sluice::cp {
namespace {

abi::FlowEvent event_of(std::uint16_t n) {
    abi::FlowEvent e;
    e.time = abi::MonoTime::now();
    e.kind = abi::EventKind::flow_start;
    e.verdict = abi::Verdict::allow;
    e.family = abi::IpFamily::v4;
    e.proto = abi::L4Proto::tcp;
    e.sport = abi::L4Port::of_host(n);
    e.slot = abi::kSlotFirstFree;
    e.from_zone = abi::ZoneId{0};
    e.to_zone = abi::ZoneId{1};
    return e;
}

class FlowRecordsTest : public PolicyServiceTest {
protected:
    std::vector<std::string> recorded(const std::string& since, const std::string& filter = {}) {
        const auto page =
            service->flow_records({.count_max = 10'000, .since = since, .until = {}, .cursor = {}, .filter = filter});
        EXPECT_TRUE(page) << page.error().detail;
        return page ? page->lines : std::vector<std::string>{};
    }
    static std::vector<std::string> ports_of(const std::vector<std::string>& lines) {
        std::vector<std::string> out;
        for (const auto& line : lines) {
            const auto at = line.find("\"sport\":") + 8;
            out.push_back(line.substr(at, line.find(',', at) - at));
        }
        return out;
    }
};

TEST_F(FlowRecordsTest, AreToldInTheWordsOfTheLogByTheNamesOfTheirTime) {
    start_service();
    must_put(policy_text(kWebIn));
    auto event = event_of(1);
    event.generation = running_generation();
    dataplane->telemetry().emit(0, event);
    ASSERT_TRUE(soon([&] { return recorded("1h").size() == 1; }));
    must_put(policy_text(kSshOut));  // the rule is gone
    event = event_of(2);
    event.generation = running_generation();
    event.slot = abi::kSlotDefault;
    dataplane->telemetry().emit(0, event);
    ASSERT_TRUE(soon([&] { return recorded("1h").size() == 2; }));

    const auto lines = recorded("1h");
    EXPECT_NE(lines[0].find("\"rule\":\"web-in\""), std::string::npos) << lines[0];
    EXPECT_NE(lines[0].find("\"from\":\"internet\",\"to\":\"servers\""), std::string::npos) << lines[0];
    EXPECT_NE(lines[0].find("\"in_port\":\"outside\""), std::string::npos) << lines[0];
    EXPECT_NE(lines[1].find("\"rule\":\"default\""), std::string::npos) << lines[1];
    EXPECT_EQ(ports_of(recorded("1h", "rule == web-in")), std::vector<std::string>{"1"});
    EXPECT_TRUE(recorded("0s").empty());
    const auto log = [&] {
        std::ifstream in{config.flow_log_path};
        return std::string{std::istreambuf_iterator<char>{in}, {}};
    };
    ASSERT_TRUE(soon([&] { return log() == lines[0] + "\n" + lines[1] + "\n"; })) << log();
}

TEST_F(FlowRecordsTest, TheNewestThatFitComeFromAsManySegmentsAsItTakes) {
    start_service();
    const auto newest = [&](std::uint32_t count, const std::string& filter = {}) {
        const auto page = service->flow_records(
            {.count_max = 1, .since = "1h", .until = {}, .cursor = {}, .filter = filter, .last = count});
        EXPECT_TRUE(page) << page.error().detail;
        EXPECT_FALSE(page->next || page->older_unread);
        return ports_of(page->lines);
    };
    const auto ports = [](int first, int last, int step) {
        std::vector<std::string> out;
        for (int port = first; port <= last; port += step) out.push_back(std::to_string(port));
        return out;
    };
    EXPECT_TRUE(newest(5).empty());
    for (std::uint16_t last = 50; last <= 300; last = static_cast<std::uint16_t>(last + 50)) {
        for (auto n = static_cast<std::uint16_t>(last - 49); n <= last; ++n)
            dataplane->telemetry().emit(0, event_of(n));
        ASSERT_TRUE(soon([&] { return recorded("1h").size() == last; }));
        service.reset();
        start_service();
    }
    ASSERT_GE(service->status().records_segments, 6U);
    EXPECT_EQ(newest(3), ports(298, 300, 1));
    EXPECT_EQ(newest(220), ports(81, 300, 1));
    EXPECT_EQ(newest(10'000), ports(1, 300, 1));
    EXPECT_EQ(newest(2, "sport in {7,77}"), ports(7, 77, 70)) << "far back";
    EXPECT_EQ(newest(1, "sport in {7,77}"), ports(77, 77, 1));
}

TEST_F(FlowRecordsTest, PagesGoOnWhereTheLastOneEndedAlsoOverARestart) {
    start_service();
    for (std::uint16_t n = 1; n <= 50; ++n) dataplane->telemetry().emit(0, event_of(n));
    ASSERT_TRUE(soon([&] { return recorded("1h").size() == 50; }));
    service.reset();
    start_service();
    for (std::uint16_t n = 51; n <= 55; ++n) dataplane->telemetry().emit(0, event_of(n));
    ASSERT_TRUE(soon([&] { return recorded("1h").size() == 55; }));
    EXPECT_EQ(service->status().records_segments, 2U);

    std::vector<std::string> seen;
    RecordQuery query{.count_max = 7, .since = "1h", .until = {}, .cursor = {}, .filter = {}};
    do {
        const auto page = service->flow_records(query);
        ASSERT_TRUE(page) << page.error().detail;
        EXPECT_LE(page->lines.size(), 7U);
        seen.insert(seen.end(), page->lines.begin(), page->lines.end());
        query = {.count_max = 7, .since = {}, .until = {}, .cursor = page->next, .filter = {}};
    } while (query.cursor);
    EXPECT_EQ(seen, recorded("1h"));
}

TEST_F(FlowRecordsTest, QuestionsThatMakeNoSenseAreRefusedWithTheRemedy) {
    start_service();
    const auto refused = [&](const RecordQuery& query) {
        const auto page = service->flow_records(query);
        return page ? std::string{}
                    : std::to_string(page.error().status) + " " + page.error().code + ": " + page.error().detail;
    };
    EXPECT_EQ(
        refused({.count_max = 1, .since = "yesterday"}),
        "400 bad-query: since is \"yesterday\", which is no time; write 2026-11-26T05:00:00Z, or how long ago, such as "
        "90s, 1h30m or 7d");
    EXPECT_NE(refused({.count_max = 1, .since = std::string(61, 'x')}).find(std::string(60, 'x') + "...\""),
              std::string::npos);
    EXPECT_EQ(refused({.count_max = 1, .since = "1h", .until = "2h"}), "400 bad-query: until must be later than since");
    EXPECT_EQ(refused({.count_max = 1, .cursor = "r1"}), "400 bad-cursor: leave it out to start from the front");
    EXPECT_EQ(refused({.count_max = 1, .filter = "dport"}).substr(0, 25), "400 bad-filter: column 6:");
    service.reset();
    config.flow_records_path.clear();
    start_service();
    EXPECT_EQ(refused({.count_max = 1, .since = "1h"}),
              "409 records-off: controlplane.yaml says so: flow_records.path is empty");
    EXPECT_FALSE(service->status().records_enabled);
}

TEST_F(FlowRecordsTest, APlanTellsWhatTheTablesWouldSayOfThem) {
    start_service();
    must_put(policy_text(kWebIn));
    for (std::uint16_t n = 1; n <= 40; ++n) {
        auto event = event_of(n);
        event.generation = running_generation();
        event.dst = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(0xc6336450));  // 198.51.100.80
        event.dport = abi::L4Port::of_host(n % 4 == 0 ? 80 : 443);
        dataplane->telemetry().emit(0, event);
    }
    ASSERT_TRUE(soon([&] { return recorded("1h").size() == 40; }));
    const auto closed = policy_text("  - {id: web-in, from: internet, to: web, service: https, action: deny}\n");
    const auto plan = service->dry_run(closed, PolicyFormat::yaml, {.flows_since = "1h"});
    ASSERT_TRUE(plan) << plan.error().detail;
    ASSERT_TRUE(plan->recorded);
    EXPECT_EQ(plan->recorded->records, 40U);
    EXPECT_EQ(plan->recorded->flows, 40U);
    EXPECT_EQ(plan->recorded->changed, 30U);
    EXPECT_EQ(plan->recorded->incomplete, "");
    EXPECT_TRUE(plan->live) << "the dataplane is there to be asked";
    const auto none = service->dry_run(closed, PolicyFormat::yaml, {.flows_since = "0s"});
    EXPECT_EQ(none->recorded->records, 0U);
    EXPECT_FALSE(service->dry_run(closed, PolicyFormat::yaml, {})->recorded) << "it was not asked for";
    EXPECT_EQ(service->dry_run(closed, PolicyFormat::yaml, {.flows_since = "soon"}).error().code, "bad-query");
}

TEST_F(FlowRecordsTest, A6_AFullDiskShowsInStatusAndMetricsAndIsNoReasonNotToBeReady) {
    start_service();
    must_put(policy_text(kWebIn));
    ASSERT_TRUE(soon([&] { return last_good_generation() == running_generation(); })) << "it has been written before";
    disk.full = true;
    dataplane->telemetry().emit(0, event_of(1));
    ASSERT_TRUE(soon([&] { return service->status().records_lost == 1; }));
    EXPECT_NE(service->status().records_trouble.find("No space left on device"), std::string::npos);
    EXPECT_TRUE(ready());
    const auto text = service->metrics(false);
    EXPECT_NE(text.find("sluice_flow_records_lost_total{reason=\"disk\"} 1\n"), std::string::npos) << text;
    EXPECT_NE(text.find("sluice_flow_records_written_total 0\n"), std::string::npos);
    disk.full = false;
    ASSERT_TRUE(soon([&] {
        dataplane->telemetry().emit(0, event_of(2));
        std::this_thread::sleep_for(20ms);
        return !recorded("1h").empty();
    }));
    EXPECT_EQ(service->status().records_trouble, "");
}

}  // namespace
}  // namespace sluice::cp
