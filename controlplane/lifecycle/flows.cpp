/// Live flows, page by page, and ending them. A cursor belongs to one dataplane process: it says where in its flow
/// memory the walk goes on.
#include <algorithm>
#include <charconv>
#include <chrono>

#include "controlplane/lifecycle/audit_records.hpp"
#include "controlplane/lifecycle/flow_filter.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"

namespace sluice::cp {
namespace {

using std::chrono::steady_clock;

constexpr std::uint32_t kFlowsPerPageMax = 10'000;
constexpr std::chrono::seconds kPageWithin{2};  ///< a page of a filter that few flows fit ends early
constexpr std::chrono::seconds kEndWithin{30};  ///< ten million flows take about so long on an idle worker

struct Cursor {
    std::uint64_t boot_id{}, position{};
};

std::string to_text(const Cursor& cursor) {
    return std::to_string(cursor.boot_id) + "-" + std::to_string(cursor.position);
}

std::optional<Cursor> parse_cursor(std::string_view text) {
    Cursor cursor;
    const auto dash = text.find('-');
    if (dash == std::string_view::npos) return std::nullopt;
    const auto number = [](std::string_view digits, std::uint64_t& value) {
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
        return error == std::errc{} && end == digits.data() + digits.size();
    };
    if (!number(text.substr(0, dash), cursor.boot_id) || !number(text.substr(dash + 1), cursor.position)) {
        return std::nullopt;
    }
    return cursor;
}

Problem not_there(std::string why) {
    return problem(503, "dataplane-unavailable", "The dataplane is not there", std::move(why));
}

Problem stands_still(std::uint64_t from, std::uint64_t to) {
    return problem(502, "dataplane-confused", "The dataplane's flow walk does not move on",
                   "its cursor went from " + std::to_string(from) + " to " + std::to_string(to));
}

}  // namespace

Expected<abi::FlowFilter, Problem> PolicyServiceImpl::filter_of(const Shared& now, const std::string& text) {
    FilterNames names;
    const auto active = now.active();
    if (active) {
        for (const auto& rule : active->policy.rules) names.rules.push_back(rule.id);
        names.zones = active->zone_names();
    }
    names.rules.emplace_back(abi::kIdDefault);
    names.rule = [&](std::string_view id) -> std::optional<std::uint64_t> {
        if (id == abi::kIdDefault) return static_cast<std::uint64_t>(abi::kSlotDefault);
        // Rules that are gone too, as long as their slot is not another's: old flows stand under them.
        const auto slot = now.slots ? now.slots->last_of(id) : std::nullopt;
        return slot ? std::optional{static_cast<std::uint64_t>(*slot)} : std::nullopt;
    };
    names.zone = [&](std::string_view name) -> std::optional<std::uint64_t> {
        const auto at = std::ranges::find(names.zones, name);
        if (at == names.zones.end()) return std::nullopt;
        return static_cast<std::uint64_t>(at - names.zones.begin());
    };
    auto filter = parse_flow_filter(text, names);
    if (!filter) {
        return Unexpected(problem(400, "bad-filter", "The filter can't be read",
                                  "column " + std::to_string(filter.error().column) + ": " + filter.error().detail));
    }
    return *filter;
}

Expected<FlowPage, Problem> PolicyServiceImpl::flows(const FlowQuery& query) {
    const auto now = shared();
    const auto filter = filter_of(now, query.filter);
    if (!filter) return Unexpected(filter.error());
    if (!now.connected) return Unexpected(not_there(client_.trouble()));
    Cursor cursor{now.hello->state.boot_id, 0};
    if (query.cursor) {
        const auto parsed = parse_cursor(*query.cursor);
        if (!parsed) {
            return Unexpected(
                problem(400, "bad-cursor", "The cursor is not one of ours", "leave it out to start from the front"));
        }
        if (parsed->boot_id != cursor.boot_id) {
            return Unexpected(problem(410, "cursor-expired", "The dataplane has restarted meanwhile",
                                      "leave the cursor out to start from the front"));
        }
        cursor = *parsed;
    }
    const auto count_max = std::clamp(query.count_max, 1U, kFlowsPerPageMax);
    const auto names = telemetry_.names().names();
    const auto deadline = steady_clock::now() + kPageWithin;
    FlowPage page;
    for (;;) {
        const auto wanted = count_max - static_cast<std::uint32_t>(page.flows.size());
        const auto dump = client_.dump_flows(cursor.position, wanted, *filter);
        if (!dump) return Unexpected(not_there(dump.error().what));
        for (const auto& flow : dump->flows) {
            page.flows.push_back({flow, std::string{names->rule(flow.slot)},
                                  std::string{names->zone(flow.generation, flow.from_zone)},
                                  std::string{names->zone(flow.generation, flow.to_zone)}});
        }
        if (dump->last) return page;
        if (dump->next <= cursor.position) return Unexpected(stands_still(cursor.position, dump->next));
        cursor.position = dump->next;
        if (page.flows.size() >= count_max || steady_clock::now() >= deadline) {
            page.next = to_text(cursor);
            return page;
        }
    }
}

Expected<EndFlowsResult, Problem> PolicyServiceImpl::end_flows(const EndFlowsQuery& query) {
    const auto now = shared();
    const auto filter = filter_of(now, query.filter);
    if (!filter) return Unexpected(filter.error());
    if (filter->term_count == 0 && !query.all) {
        return Unexpected(problem(400, "filter-needed", "Which flows?",
                                  "give a filter, e.g. filter=rule==web-in, or all=true to end every flow"));
    }
    if (filter->term_count != 0 && query.all) {
        return Unexpected(problem(400, "filter-and-all", "Which flows?", "give a filter or all=true, not both"));
    }
    if (!now.connected) return Unexpected(not_there(client_.trouble()));
    auto record = record_of("flows.end", query.caller, state_of(now.active().get()), state_of(now.active().get()));
    record.detail = (query.all ? std::string{"all"} : query.filter) + (query.answer ? ", answering their ends" : "");
    const std::string which = record.detail;
    if (const auto begun = store_->audit().write(record); !begun) {
        auto full = storage_problem(begun.error());
        full.detail = begun.error().what + "; no flow was ended";
        return Unexpected(std::move(full));
    }
    const auto deadline = steady_clock::now() + kEndWithin;
    EndFlowsResult result;
    const auto settle = [&](const char* outcome) {
        store_->audit().write_or_keep(with_result(
            record, outcome,
            which + "; ended " + std::to_string(result.ended) + (result.complete ? "" : ", not all looked at")));
    };
    std::uint64_t position = 0;
    for (;;) {
        const auto part = client_.end_flows(position, query.answer, *filter);
        if (!part) {
            auto gone = not_there(part.error().what);
            gone.detail += "; " + std::to_string(result.ended) + " flows were ended before";
            settle("failed");
            return Unexpected(std::move(gone));
        }
        result.ended += part->count;
        result.complete = part->last;
        if (part->last || steady_clock::now() >= deadline) break;
        if (part->next <= position) {
            settle("failed");
            return Unexpected(stands_still(position, part->next));
        }
        position = part->next;
    }
    settle("done");
    return result;
}

}  // namespace sluice::cp
