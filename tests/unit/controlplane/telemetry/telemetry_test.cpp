#include "controlplane/telemetry/telemetry.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include <sluice/abi/layout.hpp>

#include "controlplane/telemetry/collector.hpp"
#include "controlplane/telemetry/event_json.hpp"
#include "controlplane/telemetry/event_reader.hpp"
#include "controlplane/telemetry/event_ring.hpp"
#include "controlplane/telemetry/metrics.hpp"
#include "controlplane/telemetry/names.hpp"
#include "controlplane/telemetry/segments.hpp"
#include "tests/harness/seed.hpp"
#include "tests/unit/controlplane/telemetry/telemetry_rig.hpp"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;
using test::TestTelemetry;

// ------------------------------------------------------------------------------------------------------------ segments
TEST(TelemetrySegments, RefusesWhatLiesAboutItself) {
    const auto mutate = [](std::size_t kind, auto&& change) {
        TestTelemetry t{1, 2, 2};
        change(t.header(kind));
        auto mapped = TelemetrySegments::map(fds_of(t));
        return mapped ? std::string{} : mapped.error();
    };
    EXPECT_EQ(mutate(0, [](auto&) {}), "");
    EXPECT_EQ(mutate(0, [](auto& h) { h.magic = 0; }), "counters: not telemetry of this ABI");
    EXPECT_EQ(mutate(1, [](auto& h) { h.layout_hash ^= 1; }), "rules: not telemetry of this ABI");
    EXPECT_EQ(mutate(0, [](auto& h) { h.kind = abi::TelemetryKind::events; }), "counters: another kind of telemetry");
    EXPECT_EQ(mutate(0, [](auto& h) { h.worker_count = 65; }), "counters: impossible worker or port count");
    EXPECT_EQ(mutate(0, [](auto& h) { h.worker_count = 3; }), "counters: blocks lie outside the segment");
    EXPECT_EQ(mutate(0, [](auto& h) { h.port_count = 17; }), "counters: impossible worker or port count");
    EXPECT_EQ(mutate(1, [](auto& h) { h.rule_slots = 65; }), "rules: blocks overlap or are too short");
    EXPECT_EQ(mutate(1, [](auto& h) { h.rule_slots = 0xffffffff; }), "rules: impossible sizes");
    EXPECT_EQ(mutate(2, [](auto& h) { h.ring_records = 63; }), "events: ring length is no power of two");
    EXPECT_EQ(mutate(2, [](auto& h) { h.ring_records = 128; }), "events: blocks overlap or are too short");
    EXPECT_EQ(mutate(2, [](auto& h) { h.bytes += 4096 * 64; }), "events: blocks lie outside the segment");
    EXPECT_EQ(mutate(2, [](auto& h) { h.block_bytes = ~0ULL; }), "events: blocks lie outside the segment");
    EXPECT_EQ(mutate(2, [](auto& h) { h.first_block = ~0ULL - 63; }), "events: blocks lie outside the segment");
    EXPECT_EQ(mutate(0, [](auto& h) { h.first_block = 64; }), "counters: blocks overlap or are too short");
    EXPECT_EQ(mutate(2, [](auto& h) { h.boot_id = 2; }), "the three telemetry segments are not of one process");
}

TEST(TelemetrySegments, RandomHeadersNeverLeadOutsideTheMapping) {
    SCOPED_TRACE(sluice::test::seed_line());
    std::mt19937_64 random{sluice::test::seed_of_this_run()};
    int accepted = 0;
    for (int round = 0; round < 3000; ++round) {
        TestTelemetry t{1, 2, 2};
        auto* bytes = reinterpret_cast<unsigned char*>(&t.header(random() % 3));
        for (std::uint64_t n = random() % 3; n > 0; --n) bytes[random() % 72] = static_cast<unsigned char>(random());
        const auto mapped = TelemetrySegments::map(fds_of(t));
        if (!mapped) continue;
        ++accepted;
        const auto& s = **mapped;
        Collector collector;
        collector.attach(*mapped, std::vector<std::string>(s.port_count(), "p"));
        EventReader reader;
        reader.attach(*mapped, [](const abi::FlowEvent&) {});
        reader.drain([](const abi::FlowEvent&) {});
    }
    EXPECT_GT(accepted, 0);
}

TEST(TelemetrySegments, RefusesMemoryThatCanShrink) {
    TestTelemetry t{1, 1, 1};
    auto fds = fds_of(t);
    fds.rules.reset(::memfd_create("x", MFD_ALLOW_SEALING | MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(fds.rules.get(), 1 << 20), 0);
    EXPECT_EQ(TelemetrySegments::map(fds).error(), "rules: not a memfd that is sealed against shrinking");
    fds.rules.reset(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
    EXPECT_FALSE(TelemetrySegments::map(fds));
}

// ----------------------------------------------------------------------------------------------------------- collector
// A9: counters that start beyond 2^32 and 2^53, over three boots: sums are exact, nothing goes back.
TEST(Collector, SumsWorkersAndBootsAndNeverGoesBack) {
    Collector collector;
    const std::uint64_t near_32 = (1ULL << 32) - 1000, beyond_53 = (1ULL << 53) + 1;
    std::uint64_t expected_rx = 0, last = 0;
    for (std::uint64_t boot = 1; boot <= 3; ++boot) {
        TestTelemetry t{boot, 2, 2};
        collector.attach(segments_of(t), {"outside", "inside"});
        t.worker(0).ports[0].rx_packets.set(near_32);
        t.worker(1).ports[0].rx_packets.set(beyond_53);
        for (int step = 0; step < 2000; step += 500) {
            t.worker(0).ports[0].rx_packets.add(500);
            collector.collect();
            const auto now = collector.snapshot()->totals.ports.at("outside").rx_packets;
            EXPECT_GE(now, last);
            last = now;
        }
        // Counted after the last copy, before the death: still there for the next attach.
        t.worker(1).ports[0].rx_packets.add(7);
        t.rule(1, 20).hits.add(3);
        expected_rx += near_32 + 2000 + beyond_53 + 7;
    }
    TestTelemetry t{4, 2, 2};
    collector.attach(segments_of(t), {"inside", "outside"});  // numbered otherwise; added up by name
    t.worker(0).ports[1].rx_packets.set(1);
    collector.collect();
    const auto s = collector.snapshot();
    EXPECT_EQ(s->totals.ports.at("outside").rx_packets, expected_rx + 1);
    EXPECT_EQ(s->totals.ports.at("inside").rx_packets, 0U);
    EXPECT_EQ(s->totals.rules[20].hits, 9U);
}

// A9, as Prometheus reads it: the text of a counter around 2^32 and 2^53 is a whole number that never gets smaller, and
// up to 2^53 it is exact.
TEST(Metrics, TextOfLargeCountersNeverGoesBack) {
    TestTelemetry t{1, 1, 1};
    Collector collector;
    collector.attach(segments_of(t), {"a"});
    const auto shown = [&] {
        collector.collect();
        const std::string text = metrics_text(*collector.snapshot(), ControlMetrics{}, Names{}, false);
        const auto at = text.find("\nsluice_rx_packets_total{");
        if (at == std::string::npos) return std::string{};
        const std::string line = text.substr(at + 1, text.find('\n', at + 1) - at - 1);
        return line.substr(line.rfind(' ') + 1);
    };
    double last = 0;
    for (const std::uint64_t start : {(1ULL << 32) - 3, (1ULL << 53) - 3, (1ULL << 63) - 3}) {
        t.worker(0).ports[0].rx_packets.set(start);
        for (int step = 0; step < 6; ++step, t.worker(0).ports[0].rx_packets.add(1)) {
            const std::string text = shown();
            EXPECT_EQ(text.find_first_not_of("0123456789.e+"), std::string::npos) << text;
            const double value = std::stod(text);
            EXPECT_GE(value, last);
            if (start + 6 < (1ULL << 53)) {
                EXPECT_EQ(static_cast<std::uint64_t>(value), start + step) << text;
            }
            last = value;
        }
    }
}

TEST(Collector, AddsUpWhatRestartsKeptAndShowsTheLastOne) {
    Collector collector;
    TestTelemetry first{1, 1, 1}, second{2, 1, 1};
    collector.attach(segments_of(first), {"a"});
    first.manager().flows_kept.set(10);
    first.manager().flows_lost[static_cast<std::size_t>(abi::FlowLoss::room)].set(4);
    collector.attach(segments_of(second), {"a"});
    second.manager().flows_kept.set(7);
    second.manager().flows_lost[static_cast<std::size_t>(abi::FlowLoss::damaged)].set(1);
    collector.collect();
    const auto s = collector.snapshot();
    EXPECT_EQ(s->totals.flows_kept, 17U);
    EXPECT_EQ(s->flows_kept, 7U);
    EXPECT_EQ(s->flows_lost, 1U);
    const std::string text = metrics_text(*s, ControlMetrics{}, Names{}, false);
    EXPECT_NE(text.find("sluice_flows_kept_total 17\n"), std::string::npos);
    EXPECT_NE(text.find("sluice_flows_lost_total{cause=\"room\"} 4\n"), std::string::npos);
    EXPECT_NE(text.find("sluice_flows_lost_total{cause=\"damaged\"} 1\n"), std::string::npos);
    EXPECT_NE(text.find("sluice_flows_lost_total{cause=\"layout\"} 0\n"), std::string::npos);
}

TEST(Collector, TheSameBootAgainIsNotCountedTwice) {
    TestTelemetry t{1, 1, 1};
    Collector collector;
    t.worker(0).ports[0].rx_packets.set(5);
    collector.attach(segments_of(t), {"a"});
    collector.attach(segments_of(t), {"a"});
    EXPECT_EQ(collector.snapshot()->totals.ports.at("a").rx_packets, 5U);
}

TEST(Collector, AReusedSlotStartsAtZero) {
    TestTelemetry t{1, 2, 1};
    Collector collector;
    collector.attach(segments_of(t), {"a"});
    t.rule(0, 17).hits.set(10);
    t.rule(1, 17).hits.set(5);
    t.rule(0, 17).first_hit_ns.set(1);
    t.rule(0, 17).last_hit_ns.set(2);
    collector.rebase_rule(abi::RuleSlot{17});
    collector.collect();
    EXPECT_EQ(collector.snapshot()->totals.rules[17].hits, 0U);
    EXPECT_EQ(collector.snapshot()->totals.rules[17].first_hit.ns, 0U);
    t.rule(1, 17).hits.add(2);
    TestTelemetry next{2, 1, 1};
    collector.attach(segments_of(next), {"a"});
    EXPECT_EQ(collector.snapshot()->totals.rules[17].hits, 2U);
}

TEST(Collector, FlowsAreJudgedWhenEveryWorkerSaysSo) {
    TestTelemetry t{1, 2, 1};
    Collector collector;
    EXPECT_FALSE(collector.all_judged(7)) << "nobody is there";
    collector.attach(segments_of(t), {"a"});
    t.worker(0).generation.set(7);
    EXPECT_FALSE(collector.all_judged(7)) << "the second runs another one";
    t.worker(1).generation.set(7);
    EXPECT_TRUE(collector.all_judged(7)) << "without a collection in between";
    EXPECT_FALSE(collector.all_judged(8));
    t.worker(1).rejudge_left.set(1);
    EXPECT_FALSE(collector.all_judged(7)) << "the second still looks at its flows";
}

// -------------------------------------------------------------------------------------------------------- event reader
TEST(EventReader, ReadsEachOnceInOrderAndCountsWhatALapCost) {
    TestTelemetry t{1, 1, 1};  // 64 records
    EventReader reader;
    std::vector<std::uint16_t> seen;
    const auto sink = [&](const abi::FlowEvent& e) { seen.push_back(e.sport.to_host()); };
    reader.attach(segments_of(t), sink);
    for (std::uint16_t n = 0; n < 64; ++n) t.emit(0, event_of(n));
    reader.drain(sink);
    reader.drain(sink);
    ASSERT_EQ(seen.size(), 64U);
    EXPECT_EQ(reader.lost(), 0U);
    for (std::uint16_t n = 64; n < 264; ++n) t.emit(0, event_of(n));
    reader.drain(sink);
    EXPECT_EQ(seen.size(), 128U);
    EXPECT_EQ(reader.lost(), 136U);
    EXPECT_EQ(seen.back(), 263U);
    EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
}

TEST(EventReader, NonsenseIsCountedAndHarmless) {
    TestTelemetry t{1, 1, 1};
    EventReader reader;
    int seen = 0;
    const auto sink = [&](const abi::FlowEvent&) { ++seen; };
    reader.attach(segments_of(t), sink);
    auto bad = event_of(1);
    bad.kind = static_cast<abi::EventKind>(200);
    t.emit(0, bad);
    bad = event_of(1);
    bad.drop = static_cast<abi::DropReason>(60000);
    t.emit(0, bad);
    t.emit(0, event_of(2));
    reader.drain(sink);
    EXPECT_EQ(seen, 1);
    EXPECT_EQ(reader.invalid(), 2U);
    // A ring that claims to be far ahead costs one ring length, not 2^60 steps.
    t.claim_written(0, 1ULL << 60);
    reader.drain(sink);
    EXPECT_EQ(seen, 1);
    EXPECT_EQ(reader.lost(), (1ULL << 60) - 3);
    t.claim_written(0, 2);  // and back again
    reader.drain(sink);
    EXPECT_EQ(seen, 1);
    t.claim_written(0, ~0ULL);  // no sequence is behind this one: counting up to it must end all the same
    reader.drain(sink);
    reader.drain(sink);
    EXPECT_EQ(seen, 1);
}

TEST(EventReader, AWriterAtFullSpeedNeverGivesTornRecords) {
    TestTelemetry t{1, 1, 1};
    EventReader reader;
    std::uint64_t seen = 0, last = 0;
    const auto sink = [&](const abi::FlowEvent& e) {
        ++seen;
        ASSERT_EQ(e.packets[0], e.bytes[1]) << "torn";
        ASSERT_GT(e.packets[0], last);
        last = e.packets[0];
    };
    reader.attach(segments_of(t), sink);
    constexpr std::uint64_t kEvents = 200'000;
    std::thread writer{[&] {
        for (std::uint64_t n = 1; n <= kEvents; ++n) {
            auto e = event_of(1);
            e.packets[0] = e.bytes[1] = n;
            t.emit(0, e);
        }
    }};
    while (last < kEvents) reader.drain(sink);
    writer.join();
    EXPECT_EQ(seen + reader.lost(), kEvents);
}

// ---------------------------------------------------------------------------------------------------------- event json
TEST(EventJson, SaysWhatHappenedInNames) {
    NameBook book;
    book.set_rules({{abi::RuleSlot{0}, "default"}, {abi::RuleSlot{4}, "web-in"}});
    book.add_generation(7, {"internet", "servers"});
    book.set_ports({"outside", "inside"});
    abi::FlowEvent e;
    e.time = {5'000'000'000};
    e.started = {3'500'000'000};
    e.kind = abi::EventKind::flow_end;
    e.end = abi::FlowEnd::closed;
    e.verdict = abi::Verdict::allow;
    e.family = abi::IpFamily::v4;
    e.proto = abi::L4Proto::tcp;
    e.src = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(0xc6336407));
    e.dst = abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(0xc6336450));
    e.sport = abi::L4Port::of_host(40000);
    e.dport = abi::L4Port::of_host(443);
    e.slot = abi::RuleSlot{4};
    e.generation = 7;
    e.from_zone = abi::ZoneId{0};
    e.to_zone = abi::ZoneId{1};
    e.packets = {3, 2};
    e.bytes = {200, 1500};
    const UtcClock clock{1'795'384'742'000'000'000, {5'000'000'000}};
    EXPECT_EQ(event_json(e, *book.names(), clock),
              R"({"time":"2026-11-22T21:59:02.000Z","event":"flow_end","src":"198.51.100.7","dst":"198.51.100.80",)"
              R"("proto":"tcp","sport":40000,"dport":443,"in_port":"outside","from":"internet","to":"servers",)"
              R"("verdict":"allow","rule":"web-in","generation":7,"end":"closed","packets":[3,2],"bytes":[200,1500],)"
              R"("started":"2026-11-22T21:59:00.500Z","duration_ms":1500})");
    e.kind = abi::EventKind::flow_denied;
    e.proto = abi::L4Proto::icmp;
    e.dport = abi::L4Port::of_host(8 << 8);
    e.suppressed = 4;
    const auto icmp = event_json(e, *book.names(), clock);
    EXPECT_NE(icmp.find(R"("icmp_type":8,"icmp_code":0,"icmp_id":40000)"), std::string::npos);
    EXPECT_NE(icmp.find(R"("suppressed":4})"), std::string::npos);
    e.kind = abi::EventKind::seq_check;
    e.drop = abi::DropReason::tcp_out_of_window;
    const auto passed = event_json(e, *book.names(), clock);
    EXPECT_NE(passed.find(R"("event":"seq_check")"), std::string::npos);
    EXPECT_NE(passed.find(R"("verdict":"allow")"), std::string::npos);
    EXPECT_NE(passed.find(R"("reason":"tcp_out_of_window")"), std::string::npos);
    // A7: a wall clock after 2038 and before 1970 is still written right.
    EXPECT_EQ(rfc3339(4'000'000'000'123'000'000), "2096-10-02T07:06:40.123Z");
    EXPECT_EQ(rfc3339(-1), "1969-12-31T23:59:59.999Z");
    // A hostile dataplane's times: any number gives some time, by arithmetic that is defined.
    EXPECT_EQ(clock.utc_ns({5'000'000'001}), 1'795'384'742'000'000'001);
    for (const std::uint64_t ns : {~0ULL, 1ULL << 63U, (1ULL << 63U) - 1}) {
        EXPECT_EQ(rfc3339(clock.utc_ns({ns})).size(), std::size("2096-10-02T07:06:40.123Z") - 1) << ns;
    }
    EXPECT_EQ(json_string("a\"\\\n"), R"("a\"\\\u000a")");
}

// ---------------------------------------------------------------------------------------------------------- event ring
TEST(EventRing, PagesWaitsAndTellsWhatWasLost) {
    EventRing ring{4};
    ring.push({"1", "2", "3"});
    EXPECT_EQ(ring.newest(), 3U);
    auto page = ring.after(0, 2, 0ms);
    ASSERT_EQ(page.lines.size(), 2U);
    EXPECT_EQ(page.lines[1].id, 2U);
    ring.push({"4", "5", "6"});
    page = ring.after(1, 100, 0ms);
    EXPECT_EQ(page.lost, 1U);
    EXPECT_EQ(page.lines.front().id, 3U);
    EXPECT_EQ(page.lines.front().json, "3");
    EXPECT_TRUE(ring.after(6, 10, 1ms).lines.empty());
    std::thread later{[&] { ring.push({"7"}); }};
    EXPECT_EQ(ring.after(6, 10, 10s).lines.at(0).json, "7");
    later.join();
    EXPECT_EQ(ring.after(9000, 10, 0ms).lines.size(), 4U);  // an id of an earlier process
    std::thread closer{[&] { ring.close(); }};
    EXPECT_TRUE(ring.after(7, 10, 10s).lines.empty());
    closer.join();
}

// ------------------------------------------------------------------------------------------------------------- metrics
/// Per worker, since which one is busy is the question; and what waits between them is held.
TEST(Metrics, SayWhatWorkersHandToEachOther) {
    TestTelemetry t{1, 2, 2};
    Telemetry telemetry{{}};
    ASSERT_TRUE(telemetry.attach(fds_of(t), {"outside", "inside"}));
    t.manager().steering.set(static_cast<std::uint64_t>(abi::SteeringMode::software));
    for (const std::size_t port : {0U, 1U}) {
        t.worker(0).ports[port].rx_packets.set(100 + port);
        t.worker(0).ports[port].handed_out_packets.set(40);
        t.worker(1).ports[port].handed_in_packets.set(30 + port);
        t.worker(0).ports[port].drops[static_cast<std::size_t>(abi::DropReason::hand_over_full)].set(5);
    }
    t.worker(1).ports[1].held_packets.set(3);
    t.worker(1).steering_misplaced.set(7);
    t.worker(1).flows.set(8);
    telemetry.collector().collect();
    const auto text = metrics_text(*telemetry.collector().snapshot(), {}, *telemetry.names().names(), false);
    for (const char* line :
         {"packets_total{way=\"received\",worker=\"0\"} 201", "packets_total{way=\"handed_out\",worker=\"0\"} 80",
          "packets_total{way=\"handed_in\",worker=\"1\"} 61", "packets_total{way=\"handed_in\",worker=\"0\"} 0",
          "hand_over_full_total{worker=\"0\"} 10", "misplaced_total{worker=\"1\"} 7", "flows{worker=\"1\"} 8"}) {
        EXPECT_NE(text.find("sluice_worker_" + std::string{line} + "\n"), std::string::npos) << line << '\n' << text;
    }
    EXPECT_NE(text.find("sluice_steering{mode=\"software\"} 1\n"), std::string::npos);
    EXPECT_NE(text.find("sluice_steering{mode=\"none\"} 0\n"), std::string::npos);
    EXPECT_NE(text.find("sluice_port_held_packets{port=\"outside\"} 10\n"), std::string::npos);
    EXPECT_NE(text.find("sluice_port_held_packets{port=\"inside\"} 12\n"), std::string::npos);
    // Counters are read one after the other while workers go on: never less than nothing.
    t.worker(1).ports[0].handed_in_packets.set(41);
    t.manager().steering.set(99);
    telemetry.collector().collect();
    EXPECT_EQ(telemetry.collector().snapshot()->ports[0].held, 0U);
    EXPECT_EQ(telemetry.collector().snapshot()->steering, abi::SteeringMode::none);
}

TEST(Metrics, PassPromtoolAndSaySums) {
    TestTelemetry t{1, 2, 2};
    Telemetry telemetry{{}};
    ASSERT_TRUE(telemetry.attach(fds_of(t), {"outside", "inside"}));
    auto& port = t.worker(0).ports[0];
    port.rx_packets.set((1ULL << 53) + 2);
    port.drops[static_cast<std::size_t>(abi::DropReason::policy_deny)].set(5);
    t.rule(0, 16).hits.set(12);
    for (const std::uint32_t w : {0U, 1U}) {
        t.worker(w).frag_reassembled.set(3);
        t.worker(w).frag_duplicates.set(4);
        t.worker(w).frag_held_bytes.set(5);
        t.worker(w).icmp_related.set(7);
        t.worker(w).ports[0].held_packets.set(6);
        t.worker(w).flows_half_open.set(7);
        t.worker(w).syn_early_drop.set(8);
        t.worker(w).closing_early_drop.set(9);
        t.worker(w).sources.set(10);
        t.worker(w).syn_cookies_sent.set(11);
        t.worker(w).syn_cookies_accepted.set(12);
        t.worker(w).syn_proxy_repeats.set(13);
        t.worker(w).syn_proxy_unanswered.set(14);
        t.worker(w).syn_proxy_refused.set(15);
        t.worker(w).syn_proxy_data.set(16);
        t.worker(w).flows_proxied.set(17);
        t.worker(w).syn_cookies_active.set(w);
        t.worker(w).flow_pressure.set(w == 0 ? 2 : 1);
    }
    telemetry.names().set_rules({{abi::RuleSlot{16}, "old"}});
    telemetry.names().set_rules({{abi::RuleSlot{16}, "web-in"}});
    telemetry.collector().collect();

    ControlMetrics control;
    control.policy_name = "demo-edge";
    control.version = "demo-edge@3f9c1a";
    control.hash = "3f9c1a";
    control.apply.add(0.004);
    control.apply.add(0.03);
    control.apply.add(60);
    control.publishes["adopted"] = 3;
    telemetry.add_to(control);
    const auto names = telemetry.names().names();
    const auto text = metrics_text(*telemetry.collector().snapshot(), control, *names, true);
    EXPECT_NE(text.find("sluice_rx_packets_total{port=\"outside\"} 9007199254740994\n"), std::string::npos) << text;
    EXPECT_NE(text.find("sluice_drop_reasons_total{port=\"outside\",reason=\"policy_deny\"} 5\n"), std::string::npos);
    EXPECT_NE(text.find("sluice_frag_reassembled_total 6\n"), std::string::npos);
    EXPECT_NE(text.find("sluice_observations_total{kind=\"frag_duplicate\"} 8\n"), std::string::npos);
    EXPECT_NE(text.find("sluice_frag_held_bytes 10\n"), std::string::npos);
    EXPECT_NE(text.find("sluice_observations_total{kind=\"icmp_related\"} 14\n"), std::string::npos);
    EXPECT_NE(text.find("sluice_flows_half_open 14\n"), std::string::npos);
    EXPECT_NE(text.find("sluice_flows_ended_total{cause=\"syn_early_drop\"} 16\n"), std::string::npos);
    EXPECT_NE(text.find("sluice_flows_ended_total{cause=\"closing_early_drop\"} 18\n"), std::string::npos);
    EXPECT_NE(text.find("sluice_limited_sources 20\n"), std::string::npos);
    EXPECT_NE(text.find("sluice_flows_proxied 34\n"), std::string::npos);
    EXPECT_NE(text.find("sluice_syn_cookies_active 1\n"), std::string::npos) << "any worker";
    for (const char* line : {"cookie_sent\"} 22", "cookie_accepted\"} 24", "syn_repeated\"} 26", "server_silent\"} 28",
                             "server_refused\"} 30", "early_data_dropped\"} 32"}) {
        EXPECT_NE(text.find("sluice_syn_proxy_total{event=\"" + std::string{line} + "\n"), std::string::npos) << line;
    }
    EXPECT_NE(text.find("sluice_flow_pressure{level=\"none\"} 0\n"), std::string::npos);
    EXPECT_NE(text.find("sluice_flow_pressure{level=\"closing\"} 1\n"), std::string::npos) << "the worst worker's";
    EXPECT_NE(text.find("sluice_port_held_packets{port=\"outside\"} 12\n"), std::string::npos);
    EXPECT_NE(text.find("sluice_rule_hits_total{rule=\"web-in\"} 12\n"), std::string::npos);
    EXPECT_NE(text.find("sluice_policy_apply_duration_seconds_bucket{le=\"+Inf\"} 3\n"), std::string::npos);
    EXPECT_NE(
        text.find("sluice_policy_version_info{hash=\"3f9c1a\",name=\"demo-edge\",version=\"demo-edge@3f9c1a\"} 1\n"),
        std::string::npos);
    EXPECT_EQ(metrics_text(*telemetry.collector().snapshot(), control, *names, false).find("sluice_rule_"),
              std::string::npos);

    std::FILE* promtool = ::popen("promtool check metrics 2>&1", "w");
    ASSERT_NE(promtool, nullptr);
    ASSERT_EQ(std::fwrite(text.data(), 1, text.size(), promtool), text.size());
    EXPECT_EQ(::pclose(promtool), 0) << text;
}

}  // namespace
}  // namespace sluice::cp
