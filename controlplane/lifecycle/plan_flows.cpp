/// The flows of a plan: those that live now, and the newest of those that were recorded. Both walks are bounded in time
/// and number, and say where they ended early.
#include <algorithm>
#include <chrono>

#include "controlplane/lifecycle/policy_service_impl.hpp"
#include "controlplane/lifecycle/record_query.hpp"

namespace sluice::cp {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kLiveWithin{3};     ///< some hundred thousand flows on an idle worker
constexpr std::chrono::seconds kRecordsWithin{8};  ///< some million records
constexpr std::uint64_t kRecordsMax = 8'000'000;
constexpr std::uint64_t kBlocksBetweenLooks = 16;  ///< at the clock
constexpr std::uint32_t kRecordsBetweenLooks = 4096;

/// Numbers count without gaps, so the newest so many are those behind this one.
std::uint64_t before_the_newest(const std::vector<SegmentInfo>& segments, std::uint64_t count) {
    std::uint64_t end = 0;
    for (const auto& segment : segments) end = std::max(end, segment.end_record);
    return end > count + 1 ? end - count - 1 : 0;
}

}  // namespace

RecordedEffect recorded_effect(RecordReader& reader, FlowTally& tally, steady_clock::time_point deadline) {
    RecordedEffect effect;
    bool in_time = true;
    while (in_time) {
        const FlowRecord* record = reader.next_within(kBlocksBetweenLooks);
        if (record == nullptr && reader.at_end()) break;
        if (record != nullptr) {
            if (effect.records++ == 0) effect.since_ns = effect.until_ns = record->time_ns;
            effect.since_ns = std::min(effect.since_ns, record->time_ns);
            effect.until_ns = std::max(effect.until_ns, record->time_ns);
            effect.suppressed += record->suppressed;
            tally.add(*record);
        }
        if (record == nullptr || effect.records % kRecordsBetweenLooks == 0) in_time = steady_clock::now() < deadline;
    }
    static_cast<FlowEffect&>(effect) = tally.take();
    effect.lost = reader.report().records_lost;
    if (!in_time) effect.incomplete = "there was no time for the newest records";
    return effect;
}

std::optional<RecordedEffect> PolicyServiceImpl::recorded_of_plan(const AnalysedPolicy& before,
                                                                  const AnalysedPolicy& after, const WireHint& wires,
                                                                  std::int64_t since_ns) {
    if (!records_.enabled()) return std::nullopt;
    RecordRange range{.since_ns = since_ns};
    auto segments = records_.segments();
    range.after = before_the_newest(segments, kRecordsMax);
    const bool all = range.after == 0;
    RecordReader reader{std::move(segments), range};
    FlowTally tally{before, after, wires};
    auto effect = recorded_effect(reader, tally, steady_clock::now() + kRecordsWithin);
    records_.met_damage(reader.report());
    if (!all && effect.records >= kRecordsMax && effect.incomplete.empty())
        effect.incomplete = "only the newest " + std::to_string(kRecordsMax) + " records were read";
    return effect;
}

std::optional<LiveEffect> PolicyServiceImpl::live_of_plan(const AnalysedPolicy& before, const AnalysedPolicy& after,
                                                          const Shared& now) {
    if (!now.connected) return std::nullopt;
    FlowTally tally{before, after, now.wires()};
    LiveEffect effect;
    telemetry_.collector().collect();
    for (const auto& worker : telemetry_.collector().snapshot()->workers) effect.live += worker.flows;
    const auto names = telemetry_.names().names();
    const auto deadline = steady_clock::now() + kLiveWithin;
    std::uint64_t position = 0;
    std::string incomplete;
    for (;;) {
        const auto dump = client_.dump_flows(position, abi::kFlowsPerDumpMax);
        if (!dump) {
            incomplete = "the dataplane did not tell all of its flows: " + dump.error().what;
            break;
        }
        for (const auto& flow : dump->flows) {
            tally.add(flow, names->zone(flow.generation, flow.from_zone), names->zone(flow.generation, flow.to_zone));
        }
        if (dump->last) break;
        if (dump->next <= position) {
            incomplete = "the dataplane's flow walk does not move on";
            break;
        }
        position = dump->next;
        if (steady_clock::now() >= deadline) {
            incomplete = "there was no time for all flows";
            break;
        }
    }
    static_cast<FlowEffect&>(effect) = tally.take();
    effect.incomplete = std::move(incomplete);
    return effect;
}

}  // namespace sluice::cp
