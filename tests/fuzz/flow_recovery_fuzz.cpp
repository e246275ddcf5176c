/// libFuzzer target for the flows that an earlier process left: flow_recovery_fuzz [-max_total_time=60] CORPUS_DIR.
/// Input: how many flows stand in a slab (1 byte IPv4, 1 IPv6), the wires there are now (1), then patches of its
/// memory, which may be anything: which array (1), which entry (1), offset in it (1), count (1), bytes. The slab is
/// used where it stands, and its flows are copied into another. Every entry is kept or counted as lost; what is kept is
/// a flow that is found, ages and goes; and the table has all its room.
#include <cstring>
#include <vector>

#include "dataplane/flow/flow_recovery.hpp"
#include "dataplane/flow/flow_table.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/unit/dataplane/flow/slab_memory.hpp"

namespace {

using namespace sluice;
using namespace sluice::dp;
using namespace sluice::dp::test;
using sluice::test::Input;
using sluice::test::must;

constexpr std::uint32_t kEntries = 24, kLines = 8, kThen = 50'000, kNow = 60'000;

template <typename T>
void patch_one(std::span<T> array, Input& in) {
    auto* const bytes = reinterpret_cast<std::uint8_t*>(&array[in.byte() % array.size()]);
    const std::size_t at = in.byte() % sizeof(T);
    const auto taken = in.bytes(std::min<std::size_t>(in.byte(), sizeof(T) - at));
    std::copy(taken.begin(), taken.end(), bytes + at);
}

void leave_flows(SlabMemory& memory, Input& in) {
    FlowTable t{memory.config({.now_tick = kThen})};
    const std::uint32_t v4 = in.byte() % (kEntries + 1), v6 = in.byte() % (kLines + 1);
    for (std::uint32_t n = 0; n < v4; ++n) (void)add(t, v4_key(n), kThen, n);
    for (std::uint32_t n = 0; n < v6; ++n) (void)add(t, v6_key(n), kThen, n);
}

void damage(const FlowSlab& slab, Input& in) {
    while (!in.empty()) {
        switch (in.byte() % 4) {
            case 0:
            case 1: patch_one(slab.hot, in); break;
            case 2: patch_one(slab.v6, in); break;
            case 3: patch_one(slab.cold, in); break;
        }
    }
}

std::uint64_t left_in(const FlowSlab& slab) {
    return static_cast<std::uint64_t>(
        std::count_if(slab.hot.begin(), slab.hot.end(), [](const FlowHot& e) { return e.phase != FlowPhase::free; }));
}

void check(FlowTable& t, std::uint64_t left) {
    const RecoveryCount& r = t.recovered();
    must(r.kept + r.lost_total() == left, "every entry is kept or counted as lost");
    must(t.count() == r.kept, "what is kept is counted");
    std::uint64_t live = 0;
    for (std::uint32_t i = t.next_live(0, t.capacity()); i < t.capacity(); i = t.next_live(i + 1, t.capacity())) {
        const FlowHandle h{i};
        ++live;
        must(t.hot(h).policy_seq == 0, "nobody whom this process knows has judged it");
        must((t.hot(h).has(flow_flag::v6) ? find(t, t.key_v6(h)) : find(t, t.hot(h).v4)) == h,
             "it is found by its key");
        (void)t.original_tuple(h);
    }
    must(live == r.kept, "as many live as are kept");
}

/// They age: in the end none is left, and every place can be used.
void expect_all_room(FlowTable& t, std::uint32_t lines) {
    std::array<FlowHandle, 64> out;
    for (std::uint32_t i = t.next_live(0, t.capacity()); i < t.capacity(); i = t.next_live(i + 1, t.capacity())) {
        t.set_phase(FlowHandle{i}, FlowPhase::closed, kNow);
    }
    for (std::uint32_t now = kNow; t.count() != 0 && now < kNow + 100'000; now += 25) {
        const std::size_t over = t.collect_expired(now, out);
        for (std::size_t k = 0; k < over; ++k) t.erase(out[k]);
    }
    must(t.count() == 0, "every flow ends");
    for (std::uint32_t n = 0; n < lines; ++n) must(add(t, v6_key(1000 + n), kNow) != kNoFlow, "every line can be used");
    for (std::uint32_t n = lines; n < t.capacity(); ++n) {
        must(add(t, v4_key(1000 + n), kNow) != kNoFlow, "every entry can be used");
    }
    must(add(t, v4_key(999), kNow) == kNoFlow, "and no more");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input in{data, size};
    SlabMemory memory{kEntries, kLines};
    leave_flows(memory, in);
    const std::uint32_t wires = in.byte();
    damage(memory.slab(), in);
    const std::uint64_t left = left_in(memory.slab());
    const RecoveryLimits limits{.now_tick = kNow, .rule_slots = 100, .wires = wires};

    // From elsewhere first: that writes nothing into the old slab.
    FlowMove move{.ticks = 1000};
    for (std::size_t domain = 0; domain < move.domain.size(); ++domain) {
        move.domain[domain] = (wires >> domain & 1U) != 0 ? static_cast<std::uint8_t>(domain ^ 1U) : FlowMove::kNoWire;
        move.ports_swap[domain] = domain % 3 == 0;
    }
    FlowTable other{{.entries_max = kEntries / 2, .v6_entries_max = kLines / 2, .hash_secret = {3, 4}}};
    other.take_over(memory.slab(), move, limits);
    check(other, left);
    expect_all_room(other, kLines / 2);

    must(left_in(memory.slab()) == left, "the old slab is as it was");
    FlowTable where_it_stands{memory.config(limits)};
    check(where_it_stands, left);
    expect_all_room(where_it_stands, kLines);
    return 0;
}
