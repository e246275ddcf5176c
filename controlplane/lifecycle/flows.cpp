/// Live flows, page by page. A cursor belongs to one dataplane process: it says where in its flow memory the walk goes
/// on.
#include <algorithm>
#include <charconv>

#include "controlplane/lifecycle/policy_service_impl.hpp"

namespace sluice::cp {
namespace {

constexpr std::uint32_t kFlowsPerPageMax = 10'000;

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

}  // namespace

Expected<FlowPage, Problem> PolicyServiceImpl::flows(std::uint32_t count_max,
                                                     const std::optional<std::string>& cursor_text) {
    const auto now = shared();
    if (!now.connected) {
        return Unexpected(problem(503, "dataplane-unavailable", "The dataplane is not there", client_.trouble()));
    }
    Cursor cursor{now.hello->state.boot_id, 0};
    if (cursor_text) {
        const auto parsed = parse_cursor(*cursor_text);
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
    count_max = std::clamp(count_max, 1U, kFlowsPerPageMax);
    const auto names = telemetry_.names().names();
    FlowPage page;
    for (;;) {
        const auto wanted = count_max - static_cast<std::uint32_t>(page.flows.size());
        const auto dump = client_.dump_flows(cursor.position, wanted);
        if (!dump) {
            return Unexpected(problem(503, "dataplane-unavailable", "The dataplane is not there", dump.error().what));
        }
        for (const auto& flow : dump->flows) {
            page.flows.push_back({flow, std::string{names->rule(flow.slot)},
                                  std::string{names->zone(flow.generation, flow.from_zone)},
                                  std::string{names->zone(flow.generation, flow.to_zone)}});
        }
        if (dump->last) return page;
        if (dump->next <= cursor.position) {
            return Unexpected(problem(
                502, "dataplane-confused", "The dataplane's flow walk does not move on",
                "its cursor went from " + std::to_string(cursor.position) + " to " + std::to_string(dump->next)));
        }
        cursor.position = dump->next;
        if (page.flows.size() >= count_max) {
            page.next = to_text(cursor);
            return page;
        }
    }
}

}  // namespace sluice::cp
