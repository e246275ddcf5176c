/// Live and recorded flows of the policy service that lives in memory.
#include <charconv>
#include <string>

#include "controlplane/lifecycle/record_query.hpp"
#include "tests/unit/controlplane/api/memory_policy_service.hpp"

namespace sluice::cp::api::test {
namespace {

constexpr std::uint32_t kFilteredFlowCount = 50;  // of worker 1, the only filter that it knows

FlowView flow_at(std::uint32_t index) {
    FlowView view;
    auto& record = view.record;
    const bool icmp = index % 5 == 0;
    record.family = index % 2 == 0 ? abi::IpFamily::v4 : abi::IpFamily::v6;
    record.src.bytes = {198, 51, 100, static_cast<std::uint8_t>(index)};
    record.dst.bytes = {198, 51, 100, 80};
    record.proto = icmp ? abi::L4Proto::icmp : abi::L4Proto::tcp;
    record.sport = abi::L4Port::of_host(static_cast<std::uint16_t>(40'000 + index));
    record.dport = abi::L4Port::of_host(icmp ? 0x0800 : 443);
    record.state = icmp ? abi::FlowState::stream : abi::FlowState::established;
    record.packets = {10, 8};
    record.bytes = {1'234, 5'678'901};
    record.generation = 1;
    record.age_ms = 61'500;
    record.idle_ms = 250;
    view.rule = "web-in";
    view.from_zone = "internet";
    view.to_zone = "servers";
    return view;
}

}  // namespace

Expected<EndFlowsResult, Problem> MemoryPolicyService::end_flows(const EndFlowsQuery& query) {
    if (query.filter.empty() && !query.all) return problem(400, "filter-needed", "give a filter, or all=true");
    if (!query.all && query.filter != "worker==1") return problem(400, "bad-filter", "column 1: not this filter");
    return EndFlowsResult{query.all ? kFlowCount : kFilteredFlowCount, !query.answer};
}

Expected<FlowPage, Problem> MemoryPolicyService::flows(const FlowQuery& query) {
    const auto& cursor = query.cursor;
    const std::uint32_t matching = query.filter.empty() ? kFlowCount : kFilteredFlowCount;
    if (!query.filter.empty() && query.filter != "worker==1")
        return problem(400, "bad-filter", "column 1: not this filter");
    if (cursor == "SLOW") wait_released();
    std::uint32_t first = 0;
    if (cursor) {
        const auto [end, error] = std::from_chars(cursor->data(), cursor->data() + cursor->size(), first);
        if (error != std::errc{} || end != cursor->data() + cursor->size())
            return problem(400, "bad-cursor", "this cursor is not one of ours");
    }
    FlowPage page;
    for (auto i = first; i < matching && page.flows.size() < query.count_max; ++i) page.flows.push_back(flow_at(i));
    const auto next = first + static_cast<std::uint32_t>(page.flows.size());
    if (next < matching) page.next = std::to_string(next);
    return page;
}

Expected<RecordPage, Problem> MemoryPolicyService::flow_records(const RecordQuery& query) {
    constexpr std::uint32_t kRecordCount = 4'500;
    if (query.since == "nonsense") return problem(400, "bad-query", no_record_time("since", query.since));
    if (!query.filter.empty() && query.filter != "rule==web-in")
        return problem(400, "bad-filter", "column 1: not this filter: " + query.filter);
    std::uint32_t first = 0;
    if (query.cursor) {
        const auto text = std::string_view{*query.cursor}.substr(1);
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), first);
        if (error != std::errc{} || end != text.data() + text.size())
            return problem(400, "bad-cursor", "this cursor is not one of ours");
    }
    if (query.since == "break" && first != 0) return problem(500, "storage-failed", "the second page can't be had");
    RecordPage page;
    if (query.since == "kinds") {  // one connection, and all that its rule has to say of it
        for (const char* event : {"observed", "flow_start", "seq_check", "limited", "flow_kept", "flow_end"}) {
            page.lines.push_back(R"({"time":"2026-11-26T05:00:00.000Z","event":")" + std::string{event} +
                                 R"(","proto":"tcp","src":"198.51.100.7","sport":40000,"dst":"198.51.100.80","dport":)"
                                 R"(443,"verdict":"allow","rule":"web-in","generation":3})");
        }
        return page;
    }
    const auto count_max = query.last.value_or(query.count_max);
    if (query.last) first = kRecordCount - std::min(*query.last, kRecordCount);
    auto i = first;
    for (; i < kRecordCount && page.lines.size() < count_max; ++i) {
        const bool web = i % 2 == 0;
        if (!query.filter.empty() && !web) continue;
        page.lines.push_back(
            R"({"time":"2026-11-26T05:00:00.000Z","event":")" + std::string{web ? "flow_start" : "flow_denied"} +
            R"(","src":"198.51.100.7","dst":"198.51.100.80","proto":"tcp","sport":)" + std::to_string(i) +
            R"(,"dport":443,"in_port":"outside","from":"internet","to":"servers","verdict":")" +
            (web ? "allow" : "deny") + R"(","rule":")" + (web ? "web-in" : "default") + R"(","generation":3})");
    }
    if (i < kRecordCount) page.next = "r" + std::to_string(i);
    if (query.since == "damage" && first == 0) {
        page.damaged_blocks = 2;
        page.records_lost = 3;
    }
    return page;
}

}  // namespace sluice::cp::api::test
