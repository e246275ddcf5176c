/// The process ends behind any instruction of an insert, an erase or a new beginning: what the next one finds in the
/// slab is the flows before it or the flows after it, each of them whole.
#include <atomic>
#include <cstring>
#include <map>
#include <new>
#include <vector>

#include <gtest/gtest.h>

#include "tests/harness/single_step.hpp"
#include "tests/unit/dataplane/flow/slab_memory.hpp"

namespace sluice::dp::test {
namespace {

using sluice::test::SharedMemory;
using sluice::test::single_step;

constexpr std::uint32_t kEntries = 4, kLines = 2;

/// Flows by the number of their key, IPv6 from 100 on, with their marks.
using Flows = std::map<std::uint32_t, std::uint32_t>;

struct Step {
    enum class Kind { add, erase, restart } kind;
    std::uint32_t key, mark;
};
constexpr Step kSteps[] = {
    {Step::Kind::add, 1, 11},     {Step::Kind::add, 101, 12}, {Step::Kind::erase, 1, 0},   {Step::Kind::add, 2, 13},
    {Step::Kind::restart, 2, 14}, {Step::Kind::add, 102, 15}, {Step::Kind::erase, 101, 0}, {Step::Kind::add, 103, 16},
    {Step::Kind::add, 1, 17},     {Step::Kind::erase, 2, 0},  {Step::Kind::erase, 103, 0}, {Step::Kind::erase, 1, 0},
};
constexpr std::size_t kStepCount = std::size(kSteps);

FlowHandle find_number(const FlowTable& t, std::uint32_t key) {
    return key >= 100 ? find(t, v6_key(key)) : find(t, v4_key(key));
}

void apply(FlowTable& t, const Step& step) {
    switch (step.kind) {
        case Step::Kind::add:
            step.key >= 100 ? add(t, v6_key(step.key), 50, step.mark) : add(t, v4_key(step.key), 50, step.mark);
            break;
        case Step::Kind::erase: t.erase(find_number(t, step.key)); break;
        case Step::Kind::restart: {
            const FlowHandle h = find_number(t, step.key);
            t.restart(h, 55);
            t.hot(h).seq_end = {step.mark, step.mark};
            t.set_phase(h, FlowPhase::syn_sent, 55);
            break;
        }
    }
}

/// What is there before each step, and behind the last.
std::vector<Flows> expected() {
    std::vector<Flows> all(1);
    for (const Step& step : kSteps) {
        Flows next = all.back();
        step.kind == Step::Kind::erase ? void(next.erase(step.key)) : void(next[step.key] = step.mark);
        all.push_back(next);
    }
    return all;
}

/// What a successor makes of a slab in which a process died; nothing if any of it is not whole.
std::optional<Flows> found_in(const std::byte* slab) {
    SlabMemory copy{kEntries, kLines};
    std::memcpy(copy.data(), slab, copy.bytes());
    FlowTable t{copy.config({.now_tick = 60, .rule_slots = 100, .wires = 1}, {3, 4})};
    if (t.recovered().lost_total() != 0) return std::nullopt;
    Flows flows;
    for (const std::uint32_t key : {1U, 2U, 101U, 102U, 103U}) {
        const FlowHandle h = find_number(t, key);
        if (h == kNoFlow) continue;
        const FlowHot& e = t.hot(h);
        if (e.seq_end[0] != e.seq_end[1] || e.has(flow_flag::v6) != (key >= 100)) return std::nullopt;
        if (t.cold(h).started_tick != e.last_seen_tick) return std::nullopt;
        flows[key] = e.seq_end[0];
    }
    if (flows.size() != t.count()) return std::nullopt;
    std::uint32_t n = 500;
    while (t.count() < kEntries) {
        if (add(t, v4_key(n++)) == kNoFlow) return std::nullopt;
    }
    return flows;
}

TEST(FlowCrash, BehindEveryInstructionTheFlowsAreWhole) {
    const SharedMemory shared{4096 + FlowSlab::bytes(kEntries, kLines)};
    auto* const progress = new (shared.data()) std::atomic<std::size_t>{0};
    std::byte* const slab = shared.data() + 4096;
    const auto states = expected();

    std::vector<std::byte> last(FlowSlab::bytes(kEntries, kLines), std::byte{0xff});
    std::size_t looks = 0, complaints = 0;
    const auto look = [&] {
        if (std::memcmp(last.data(), slab, last.size()) == 0) return;
        std::memcpy(last.data(), slab, last.size());
        ++looks;
        const std::size_t at = progress->load();
        const auto flows = found_in(slab);
        Flows without = states[at];
        if (at < kStepCount) without.erase(kSteps[at].key);  // a new beginning has a moment without the flow
        const bool is_right =
            flows && (*flows == states[at] || (at < kStepCount && (*flows == states[at + 1] || *flows == without)));
        if (is_right || ++complaints > 5) return;
        ADD_FAILURE() << "step " << at << (flows ? ": other flows than before or after it" : ": not whole");
    };
    const auto body = [&](void (*begin)()) {
        FlowTable t{{.entries_max = kEntries,
                     .v6_entries_max = kLines,
                     .hash_secret = {1, 2},
                     .slab = FlowSlab::at(slab, kEntries, kLines)}};
        begin();
        for (std::size_t i = 0; i < kStepCount; ++i) {
            apply(t, kSteps[i]);
            progress->store(i + 1);
        }
    };
    const std::size_t steps = single_step(body, look);
    EXPECT_GT(steps, 1'000U) << "the child did not come to its end";
    EXPECT_GT(looks, 40U) << "hardly anything was seen to change";
    EXPECT_EQ(progress->load(), kStepCount);
    EXPECT_EQ(complaints, 0U);
    RecordProperty("instructions", static_cast<int>(steps));
}

// The same for a process that ends while it takes over: the next one finds what it found.
TEST(FlowCrash, BehindEveryInstructionOfTakingOver) {
    const SharedMemory shared{FlowSlab::bytes(kEntries, kLines)};
    const Flows flows{{1, 21}, {101, 22}, {102, 23}};
    {
        FlowTable t{{.entries_max = kEntries,
                     .v6_entries_max = kLines,
                     .hash_secret = {1, 2},
                     .slab = FlowSlab::at(shared.data(), kEntries, kLines)}};
        for (const auto& [key, mark] : flows) apply(t, {Step::Kind::add, key, mark});
        apply(t, {Step::Kind::add, 2, 24});
        t.hot(find_number(t, 2)).extension[0] = 1;  // to be dropped
    }
    std::vector<std::byte> last(shared.size());
    std::size_t looks = 0;
    const auto look = [&] {
        if (std::memcmp(last.data(), shared.data(), last.size()) == 0) return;
        std::memcpy(last.data(), shared.data(), last.size());
        ++looks;
        SlabMemory copy{kEntries, kLines};
        std::memcpy(copy.data(), shared.data(), copy.bytes());
        FlowTable t{copy.config({.now_tick = 60, .rule_slots = 100, .wires = 1})};
        ASSERT_EQ(t.recovered().kept, 3U);
        for (const auto& [key, mark] : flows) ASSERT_EQ(t.hot(find_number(t, key)).seq_end[0], mark);
    };
    const auto body = [&](void (*begin)()) {
        begin();
        const FlowTable t{{.entries_max = kEntries,
                           .v6_entries_max = kLines,
                           .hash_secret = {8, 9},
                           .slab = FlowSlab::at(shared.data(), kEntries, kLines),
                           .limits = {.now_tick = 60, .rule_slots = 100, .wires = 1}}};
    };
    EXPECT_GT(single_step(body, look), 500U);
    EXPECT_GT(looks, 3U);
}

}  // namespace
}  // namespace sluice::dp::test
