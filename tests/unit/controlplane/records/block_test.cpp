#include <gtest/gtest.h>

#include <cstring>

#include "controlplane/records/block_builder.hpp"
#include "controlplane/records/block_view.hpp"
#include "controlplane/records/crc32c.hpp"
#include "controlplane/records/record_json.hpp"
#include "tests/harness/seed.hpp"
#include "tests/unit/controlplane/records/record_rig.hpp"

namespace sluice::cp {
namespace {

using namespace test;

std::uint32_t crc_of(std::string_view text) { return crc32c(std::as_bytes(std::span{text})); }

// RFC 3720 section B.4, and the check value of the usual catalogues.
TEST(Crc32c, KnownValues) {
    EXPECT_EQ(crc_of("123456789"), 0xe3069283U);
    EXPECT_EQ(crc_of(std::string(32, '\0')), 0x8a9136aaU);
    EXPECT_EQ(crc_of(std::string(32, '\xff')), 0x62a8ab43U);
    EXPECT_EQ(crc_of(""), 0U);
}

TEST(Crc32c, BothWaysAgreeAndAddUp) {
    SCOPED_TRACE(sluice::test::seed_line());
    std::mt19937_64 random{sluice::test::seed_of_this_run()};
    for (int round = 0; round < 300; ++round) {
        std::vector<std::byte> bytes(random() % 100);
        for (auto& b : bytes) b = static_cast<std::byte>(random());
        const std::span<const std::byte> all{bytes};
        const auto cut = bytes.empty() ? 0 : random() % bytes.size();
        EXPECT_EQ(crc32c(all), crc32c_by_table(all));
        EXPECT_EQ(crc32c(all.subspan(cut), crc32c(all.first(cut))), crc32c(all));
    }
}

std::shared_ptr<const SharedList<std::string>> all_called(const std::string& name) {
    auto rules = std::make_shared<SharedList<std::string>>();
    while (rules->size() < 7) rules->push_back(name);
    return rules;
}

TEST(Block, GivesBackWhatWasPutIn) {
    SCOPED_TRACE(sluice::test::seed_line());
    std::mt19937_64 random{sluice::test::seed_of_this_run()};
    BlockBuilder builder;
    std::uint64_t sequence = 1;
    for (int round = 0; round < 200; ++round) {
        const auto batch = some_batch(random, sequence, 1 + random() % 50);
        sequence += batch->events.size();
        std::vector<std::string> wanted;
        for (const auto& event : batch->events) {
            builder.add(event, *batch);
            wanted.push_back(expected(event, *batch));
        }
        const auto block = builder.finish(3, 640, 1000);
        ASSERT_TRUE(block_header_good(block.header, 3, 640));
        ASSERT_EQ(block.bytes.size(), sizeof(BlockHeader) + block.header.payload_bytes);
        BlockView view;
        ASSERT_TRUE(view.open(block.header, block.bytes.subspan(sizeof(BlockHeader))));
        std::uint64_t number = 1000;
        for (const auto& text : wanted) {
            const FlowRecord* record = view.next();
            ASSERT_NE(record, nullptr);
            EXPECT_EQ(record->number, number++);
            EXPECT_EQ(told(*record), text);
            EXPECT_LE(block.header.time_min_ns, record->time_ns);
            EXPECT_GE(block.header.time_max_ns, record->time_ns);
        }
        EXPECT_EQ(view.next(), nullptr);
        EXPECT_EQ(view.rings().boot_id, 1U);
        for (std::uint32_t w = 0; w < 3; ++w) {
            std::uint64_t last = 0;
            for (const auto& event : batch->events) last = event.worker == w ? event.sequence + 1 : last;
            if (last != 0) {
                EXPECT_EQ(view.rings().next[w], last);
            }
        }
        builder.clear();
        EXPECT_TRUE(builder.empty());
    }
}

// The flow log and the store tell the same event in the same words.
TEST(RecordJson, IsTheLineOfTheFlowLog) {
    SCOPED_TRACE(sluice::test::seed_line());
    std::mt19937_64 random{sluice::test::seed_of_this_run()};
    auto batch = some_batch(random, 1, 300);
    auto names = std::make_shared<Names>(*batch->names);
    names->rules = all_called("web-in");
    batch->names = names;
    BlockBuilder builder;
    for (const auto& event : batch->events) builder.add(event, *batch);
    const auto block = builder.finish(1, 64, 1);
    BlockView view;
    ASSERT_TRUE(view.open(block.header, block.bytes.subspan(sizeof(BlockHeader))));
    for (const auto& event : batch->events)
        EXPECT_EQ(record_json(*view.next()), event_json(event, *batch->names, batch->clock));
}

TEST(Block, ANumberThatPassesToAnotherNameIsToldByTheNameOfItsTime) {
    std::mt19937_64 random{1};
    auto first = some_batch(random, 1, 1);
    auto second = some_batch(random, 2, 1);
    second->events[0] = first->events[0];
    first->events[0].slot = second->events[0].slot = abi::RuleSlot{4};
    auto renamed = std::make_shared<Names>(*second->names);
    renamed->rules = all_called("someone-else");
    second->names = renamed;
    BlockBuilder builder;
    builder.add(first->events[0], *first);
    builder.add(second->events[0], *second);
    const auto block = builder.finish(1, 64, 1);
    BlockView view;
    ASSERT_TRUE(view.open(block.header, block.bytes.subspan(sizeof(BlockHeader))));
    EXPECT_EQ(view.next()->context->rule, "web-in");
    EXPECT_EQ(view.next()->context->rule, "someone-else");
}

TEST(Block, PositionsStayOverBlocksOfABootAndEndWithIt) {
    std::mt19937_64 random{2};
    BlockBuilder builder;
    auto batch = some_batch(random, 10, 1);
    batch->events[0].worker = 1;
    builder.add(batch->events[0], *batch);
    builder.clear();
    batch->events[0].worker = 2;
    batch->events[0].sequence = 40;
    builder.add(batch->events[0], *batch);
    BlockView view;
    auto block = builder.finish(1, 64, 1);
    ASSERT_TRUE(view.open(block.header, block.bytes.subspan(sizeof(BlockHeader))));
    EXPECT_EQ(view.rings().next[1], 11U);
    EXPECT_EQ(view.rings().next[2], 41U);
    builder.clear();
    batch->boot_id = 9;
    builder.add(batch->events[0], *batch);
    block = builder.finish(1, 64, 1);
    ASSERT_TRUE(view.open(block.header, block.bytes.subspan(sizeof(BlockHeader))));
    EXPECT_EQ(view.rings().boot_id, 9U);
    EXPECT_EQ(view.rings().next[1], 0U);
}

TEST(Block, EveryFlippedBitIsNoticed) {
    std::mt19937_64 random{3};
    const auto batch = some_batch(random, 1, 5);
    BlockBuilder builder;
    for (const auto& event : batch->events) builder.add(event, *batch);
    const auto made = builder.finish(1, 64, 1);
    std::vector<std::byte> bytes{made.bytes.begin(), made.bytes.end()};
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        auto bad = bytes;
        bad[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
        BlockHeader header;
        std::memcpy(&header, bad.data(), sizeof header);
        BlockView view;
        const bool believed = block_header_good(header, 1, 64) &&
                              view.open(header, std::span<const std::byte>{bad}.subspan(sizeof header));
        EXPECT_FALSE(believed) << "bit " << bit;
        EXPECT_EQ(view.next(), nullptr);
    }
}

TEST(Block, AWholeBlockInTheWrongPlaceIsNone) {
    std::mt19937_64 random{4};
    const auto batch = some_batch(random, 1, 1);
    BlockBuilder builder;
    builder.add(batch->events[0], *batch);
    const auto header = builder.finish(1, 64, 1).header;
    EXPECT_TRUE(block_header_good(header, 1, 64));
    EXPECT_FALSE(block_header_good(header, 2, 64));
    EXPECT_FALSE(block_header_good(header, 1, 128));
}

// Checksums keep nobody out who can compute them: what stands inside is checked as well.
TEST(Block, LiesUnderAGoodChecksumAreRefused) {
    std::mt19937_64 random{5};
    const auto batch = some_batch(random, 1, 3);
    BlockBuilder builder;
    for (const auto& event : batch->events) builder.add(event, *batch);
    const auto made = builder.finish(1, 64, 1);
    const std::vector<std::byte> good{made.bytes.begin() + sizeof(BlockHeader), made.bytes.end()};
    const auto opens = [&](auto&& lie) {
        BlockHeader header = made.header;
        auto payload = good;
        lie(header, payload);
        header.payload_bytes = static_cast<std::uint32_t>(payload.size());
        header.payload_crc = crc32c(payload);
        header.crc = 0;
        header.crc = crc32c(std::as_bytes(std::span{&header, 1}));
        BlockView view;
        return block_header_good(header, 1, 64) && view.open(header, payload);
    };
    EXPECT_TRUE(opens([](auto&, auto&) {}));
    EXPECT_FALSE(opens([](auto& h, auto&) { ++h.record_count; }));
    EXPECT_FALSE(opens([](auto& h, auto&) { --h.record_count; }));
    EXPECT_FALSE(opens([](auto& h, auto&) { h.record_count = 0; }));
    EXPECT_FALSE(opens([](auto& h, auto&) { ++h.context_count; }));
    EXPECT_FALSE(opens([](auto& h, auto&) { h.context_count = 0xffffffff; }));
    EXPECT_FALSE(opens([](auto& h, auto&) { h.ring_count = 65; }));
    EXPECT_FALSE(opens([](auto& h, auto&) { h.first_record = 0; }));
    EXPECT_FALSE(opens([](auto& h, auto&) { h.first_record = ~0ULL; }));
    EXPECT_FALSE(opens([](auto& h, auto&) { std::swap(h.time_min_ns, h.time_max_ns); }));
    EXPECT_FALSE(opens([](auto&, auto& p) { p[8 + 3] = std::byte{5}; })) << "a family that there is not";
    EXPECT_FALSE(opens([](auto&, auto& p) { p[8 + 5] = std::byte{4}; })) << "a part that there is not";
    EXPECT_FALSE(opens([](auto&, auto& p) { p[16] = std::byte{255}; })) << "a name longer than what follows";
    EXPECT_FALSE(opens([](auto&, auto& p) { p.resize(p.size() - 16); }));
    EXPECT_FALSE(opens([](auto&, auto& p) { p.resize(p.size() + 8); }));
}

}  // namespace
}  // namespace sluice::cp
