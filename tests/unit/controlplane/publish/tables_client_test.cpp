#include "controlplane/publish/tables_client.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>

#include <sluice/abi/last_good.hpp>
#include <sluice/abi/layout.hpp>

#include "controlplane/publish/generation_memfds.hpp"
#include "controlplane/publish/last_good.hpp"
#include "controlplane/publish/tables_wire.hpp"
#include "tests/harness/seed.hpp"
#include "tests/unit/controlplane/publish/test_dataplane.hpp"
#include "tests/unit/controlplane/store/power_cut_disk.hpp"

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;

class Listener final : public TablesListener {
public:
    void on_hello(const abi::Hello& hello, TelemetryFds telemetry) override {
        EXPECT_TRUE(telemetry.counters && telemetry.rules && telemetry.events);
        EXPECT_LE(hello.state.worker_count, abi::kWorkersMax);
        ++hellos;
    }
    void on_claim(bool may_publish, std::uint32_t holder) override {
        holder_pid = holder;
        claims += may_publish ? 1 : 0;
        granted = may_publish;
        ++claim_answers;
    }
    void on_notice(const abi::Notice&) override { ++notices; }
    void on_status(const abi::ProcessState&) override { ++states; }
    void on_lost(const std::string& why) override {
        const std::lock_guard lock{mutex};
        reasons.push_back(why);
        granted = false;
        ++lost;
    }
    std::string last_reason() {
        const std::lock_guard lock{mutex};
        return reasons.empty() ? "" : reasons.back();
    }
    std::atomic<int> hellos{0}, claims{0}, claim_answers{0}, notices{0}, states{0}, lost{0};
    std::atomic<bool> granted{false};  ///< of the connection that stands: it may publish
    std::atomic<std::uint32_t> holder_pid{0};

private:
    std::mutex mutex;
    std::vector<std::string> reasons;
};

template <typename Condition>
bool soon(Condition condition, std::chrono::milliseconds within = 10s) {
    const auto deadline = std::chrono::steady_clock::now() + within;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

/// A generation whose sections are bytes only: this test's dataplane checks seals, not contents.
struct Generation {
    abi::Manifest manifest{};
    std::array<std::vector<std::byte>, abi::kSectionKindCount> sections;
    GenerationBytes bytes() const {
        GenerationBytes b{&manifest, {}};
        for (std::size_t k = 0; k < sections.size(); ++k) b.sections[k] = sections[k];
        return b;
    }
};
Generation generation_of(std::uint64_t number, std::size_t big_section_bytes = 100) {
    Generation g;
    g.manifest.generation = number;
    g.manifest.generation_digest.bytes[0] = static_cast<std::uint8_t>(number);
    for (std::size_t k = 0; k < g.sections.size(); ++k) {
        g.sections[k].assign(k == 2 ? big_section_bytes : 80 + k, std::byte{static_cast<unsigned char>(k)});
        g.manifest.sections[k] = {static_cast<abi::SectionKind>(k + 1), 0, g.sections[k].size(), {k, 1}};
    }
    return g;
}

class TablesClientTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "sluice-client-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        dir = name;
        path = dir + "/tables.sock";
    }
    void TearDown() override { std::filesystem::remove_all(dir); }
    bool connected() {
        return soon([&] { return listener.granted.load(); });
    }
    std::string dir, path;
    Listener listener;
};

std::size_t open_descriptors() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
    return count;
}

TEST_F(TablesClientTest, ConnectsClaimsAndHandsAGenerationOver) {
    test::TestDataplane dataplane{path, {}};
    TablesClient client{path, listener};
    client.start();
    ASSERT_TRUE(connected());
    EXPECT_EQ(client.trouble(), "");
    EXPECT_EQ(std::string{client.hello()->ports[1].text.data()}, "inside");

    // 3 MiB: on huge pages where the machine has them; sealed, 0600 and not sparse, or the dataplane refuses.
    const auto first = generation_of(1, 3U << 20);
    const auto answer = client.offer(first.bytes(), 0ms, 1s);
    ASSERT_TRUE(answer) << answer.error().what;
    EXPECT_EQ(answer->kind, abi::AnswerKind::adopted) << answer->where.data();
    EXPECT_EQ(answer->generation, 1U);
    EXPECT_EQ(client.get_status()->running_generation, 1U);
}

TEST_F(TablesClientTest, SendsOnlySectionsThatAreNotHeld) {
    test::TestDataplane dataplane{path, {}};
    TablesClient client{path, listener};
    client.start();
    ASSERT_TRUE(connected());
    auto g = generation_of(1);
    ASSERT_EQ(client.offer(g.bytes(), 0ms, 1s)->kind, abi::AnswerKind::adopted);
    EXPECT_EQ(std::ranges::count(dataplane.last_offer_fds(), -1), 0);

    g.manifest.generation = 2;
    g.manifest.sections[3].digest = {99, 99};
    ASSERT_EQ(client.offer(g.bytes(), 0ms, 1s)->kind, abi::AnswerKind::adopted);
    EXPECT_EQ(dataplane.last_offer_fds(), (std::vector<std::int32_t>{-1, -1, -1, 1, -1, -1, -1, -1, -1, -1}));

    // It lost them after all: refused once, then everything is sent, and the caller sees neither.
    dataplane.forget_sections();
    g.manifest.generation = 3;
    ASSERT_EQ(client.offer(g.bytes(), 0ms, 1s)->kind, abi::AnswerKind::adopted);
    EXPECT_EQ(dataplane.offers(), 4U);
    EXPECT_EQ(std::ranges::count(dataplane.last_offer_fds(), -1), 0);
}

TEST_F(TablesClientTest, ConfirmRevertAndNotices) {
    test::TestDataplane dataplane{path, {}};
    TablesClient client{path, listener};
    client.start();
    ASSERT_TRUE(connected());
    ASSERT_TRUE(client.offer(generation_of(1).bytes(), 0ms, 1s));
    EXPECT_EQ(client.confirm(1)->reason, abi::RefuseReason::nothing_to_confirm);
    const auto pending = client.offer(generation_of(2).bytes(), 60s, 1s);
    EXPECT_NE(pending->confirm_deadline.ns, 0U);
    EXPECT_EQ(client.confirm(2)->kind, abi::AnswerKind::adopted);
    EXPECT_EQ(client.revert(2)->generation, 1U);
    ASSERT_TRUE(client.offer(generation_of(3).bytes(), 60s, 1s));
    dataplane.revert_by_deadline();
    EXPECT_TRUE(soon([&] { return listener.notices == 1; }));
    EXPECT_EQ(client.hello()->state.running_generation, 1U);
}

TEST_F(TablesClientTest, FlowsComeInPages) {
    test::TestDataplane dataplane{path, {}};
    std::vector<abi::FlowRecord> flows(700);
    for (std::size_t i = 0; i < flows.size(); ++i) {
        flows[i].family = i == 5 ? abi::IpFamily::none : abi::IpFamily::v4;  // nonsense is left out
        flows[i].age_ms = static_cast<std::uint32_t>(i);
    }
    dataplane.set_flows(flows);
    TablesClient client{path, listener};
    client.start();
    ASSERT_TRUE(connected());
    const auto first = client.dump_flows(0, 100000);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->flows.size(), 511U);
    EXPECT_FALSE(first->last);
    const auto second = client.dump_flows(first->next, 512);
    EXPECT_EQ(second->flows.size(), 700U - 512U);
    EXPECT_TRUE(second->last);
    EXPECT_EQ(second->flows.back().age_ms, 699U);
}

TEST_F(TablesClientTest, ComesBackAfterTheDataplaneDied) {
    TablesClient client{path, listener};
    client.start();
    EXPECT_TRUE(soon([&] { return client.trouble().find("cannot connect to " + path) == 0; }));
    const auto nobody = client.get_status();
    ASSERT_FALSE(nobody);
    EXPECT_EQ(nobody.error().kind, ClientError::Kind::no_dataplane);
    for (std::uint64_t boot = 1; boot <= 3; ++boot) {
        // On a busy machine the next one may stand before the client has seen the last one go.
        ASSERT_TRUE(soon([&] { return listener.lost == static_cast<int>(boot) - 1; }));
        test::TestDataplane dataplane{path, {.boot_id = boot}};
        ASSERT_TRUE(connected());
        EXPECT_EQ(client.hello()->state.boot_id, boot);
    }
    EXPECT_TRUE(soon([&] { return listener.lost == 3; }));
}

TEST_F(TablesClientTest, AnOfferWithoutAnswerIsUnknownNotRefused) {
    test::TestDataplane dataplane{path, {}};
    TablesClient client{path, listener};
    client.start();
    ASSERT_TRUE(connected());
    dataplane.die_at_next_offer();
    const auto answer = client.offer(generation_of(1).bytes(), 0ms, 1s);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, ClientError::Kind::unknown);
}

TEST_F(TablesClientTest, SomebodyElsePublishes) {
    test::TestDataplane dataplane{path, {}};
    dataplane.grant_claims(false);
    TablesClient client{path, listener};
    client.start();
    ASSERT_TRUE(soon([&] { return listener.claim_answers > 0; }));
    EXPECT_EQ(listener.holder_pid, 4711U);
    const auto answer = client.offer(generation_of(1).bytes(), 0ms, 1s);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, ClientError::Kind::not_publisher);
    EXPECT_TRUE(client.get_status());
    dataplane.grant_claims(true);
    EXPECT_TRUE(connected());  // asks again by itself
}

TEST_F(TablesClientTest, EveryReasonOfARefusalReachesWhoAsked) {
    test::TestDataplane dataplane{path, {}};
    TablesClient client{path, listener};
    client.start();
    ASSERT_TRUE(connected());
    const auto generation = generation_of(1);
    for (auto reason = abi::RefuseReason::not_publisher; reason <= abi::kRefuseReasonLast;
         reason = static_cast<abi::RefuseReason>(static_cast<std::uint32_t>(reason) + 1)) {
        if (reason == abi::RefuseReason::section_not_held) continue;  // is answered by sending everything
        dataplane.refuse_next(reason);
        const auto answer = client.offer(generation.bytes(), 0ms, 1s);
        ASSERT_TRUE(answer) << static_cast<std::uint32_t>(reason) << ": " << answer.error().what;
        EXPECT_EQ(answer->reason, reason);
    }
    EXPECT_EQ(listener.lost, 0) << listener.last_reason();
}

// What a hostile dataplane may send: the connection ends, descriptors are closed, and the client comes back.
TEST_F(TablesClientTest, MalformedDatagramsEndTheConnection) {
    test::TestDataplane dataplane{path, {}};
    TablesClient client{path, listener};
    client.start();
    ASSERT_TRUE(connected());
    const auto descriptors = open_descriptors();

    abi::Answer answer;
    answer.header.bytes = sizeof answer;
    answer.header.sequence = 77;
    answer.kind = abi::AnswerKind::adopted;
    const auto raw = [](const auto& message, std::size_t bytes) {
        std::vector<std::byte> out(bytes);
        std::memcpy(out.data(), &message, std::min(bytes, sizeof message));
        return out;
    };
    auto bad_kind = answer, bad_text = answer, bad_magic = answer, bad_type = answer, bad_bytes = answer;
    bad_kind.kind = static_cast<abi::AnswerKind>(9);
    bad_text.where.fill('x');
    bad_magic.header.magic = 1;
    bad_type.header.type = static_cast<abi::MessageType>(4000);
    bad_bytes.header.bytes = 3;
    abi::FlowDump dump;
    dump.header.bytes = 200;
    dump.count = 500;
    abi::Notice notice;
    notice.header.bytes = sizeof notice;
    notice.kind = abi::NoticeKind::reverted;
    notice.worker = 64;
    struct {
        std::vector<std::byte> bytes;
        std::size_t fds;
        const char* why;
    } const cases[] = {
        {raw(answer, sizeof answer), 0, "nobody asked"},
        {raw(answer, sizeof answer), 2, "descriptors"},
        {raw(bad_kind, sizeof answer), 0, "unknown kind"},
        {raw(bad_text, sizeof answer), 0, "text without end"},
        {raw(bad_magic, sizeof answer), 0, "wrong header"},
        {raw(bad_type, sizeof answer), 0, "unknown type"},
        {raw(bad_bytes, sizeof answer), 0, "wrong header"},
        {raw(answer, 3), 0, "shorter than its header"},
        {raw(dump, 200), 0, "disagree"},
        {raw(notice, sizeof notice), 0, "unknown kind"},
    };
    for (const auto& c : cases) {
        ASSERT_TRUE(connected());
        const int before = listener.lost;
        dataplane.send_raw(c.bytes, c.fds);
        ASSERT_TRUE(soon([&] { return listener.lost == before + 1; })) << c.why;
        EXPECT_NE(listener.last_reason().find(c.why), std::string::npos) << listener.last_reason();
    }
    ASSERT_TRUE(connected());
    EXPECT_TRUE(soon([&] { return open_descriptors() == descriptors; }));
}

TEST_F(TablesClientTest, RandomDatagramsNeverPassTheCheckWrongly) {
    SCOPED_TRACE(sluice::test::seed_line());
    std::mt19937_64 random{sluice::test::seed_of_this_run()};
    for (int round = 0; round < 200000; ++round) {
        Datagram datagram;
        datagram.bytes.resize(random() % 700);
        for (auto& b : datagram.bytes) b = static_cast<std::byte>(random() % 4 == 0 ? random() : 0);
        if (datagram.bytes.size() >= sizeof(abi::MessageHeader)) {
            const abi::MessageHeader header{abi::kMessageMagic, static_cast<abi::MessageType>(random() % 20),
                                            static_cast<std::uint32_t>(datagram.bytes.size()), 1};
            std::memcpy(datagram.bytes.data(), &header, sizeof header);
        }
        if (!check(datagram)) continue;
        if (datagram.header().type == abi::MessageType::flow_dump) {
            const auto& dump = datagram.as<abi::FlowDump>();
            ASSERT_EQ(datagram.bytes.size(), offsetof(abi::FlowDump, flows) + dump.count * sizeof(abi::FlowRecord));
        }
    }
}

// Decision: the layout that the dataplane reads at a cold start.
TEST(LastGood, FileHoldsHeaderManifestAndSectionsPadded) {
    const auto g = generation_of(7);
    test::PowerCutDisk disk;
    ASSERT_TRUE(write_last_good(disk, "/kept", g.bytes()));
    const auto file = disk.read("/kept/" + std::string{abi::kLastGoodName}, 1U << 20).value();
    abi::LastGoodHeader header;
    std::memcpy(&header, file.data(), sizeof header);
    EXPECT_EQ(std::memcmp(file.data(), "SLUCLG01", 8), 0);
    EXPECT_EQ(header.layout_hash, abi::kLayoutHash);
    EXPECT_EQ(header.bytes, file.size());
    std::size_t at = sizeof header;
    abi::Manifest manifest;
    std::memcpy(&manifest, file.data() + at, sizeof manifest);
    EXPECT_EQ(manifest.generation, 7U);
    at += (sizeof manifest + 7) / 8 * 8;
    for (const auto& section : g.sections) {
        EXPECT_EQ(std::memcmp(file.data() + at, section.data(), section.size()), 0);
        at += (section.size() + 7) / 8 * 8;
    }
    EXPECT_EQ(at, file.size());
}

}  // namespace
}  // namespace sluice::cp
