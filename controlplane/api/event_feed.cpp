#include "controlplane/api/event_feed.hpp"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "controlplane/api/problem.hpp"
#include "controlplane/api/wire_text.hpp"

namespace sluice::cp::api {
namespace json = boost::json;
namespace {

constexpr std::size_t kFlowsPerPage = 256, kEntriesPerPage = 64;
constexpr std::size_t kRunDigits = 8;

/// Tells the flow events of this process from those of any other.
const std::string& run_name() {
    static const std::string name = [] {
        std::array<unsigned char, kRunDigits / 2> bytes{};
        RAND_bytes(bytes.data(), static_cast<int>(bytes.size()));
        std::string text;
        for (const auto byte : bytes) text += fmt::format("{:02x}", byte);
        return text;
    }();
    return name;
}

std::optional<std::uint64_t> whole_number(std::string_view text) {
    std::uint64_t value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

json::object policy_json(const AuditEntry& entry) {
    const auto& r = entry.record;
    const auto state = [](const AuditState& s) {
        return s.hash.empty() && s.generation == 0 ? json::value(nullptr)
                                                   : json::value{{"hash", s.hash}, {"generation", s.generation}};
    };
    return {{"time", time_text_of_ns(r.at_ns)},
            {"action", r.action},
            {"result", r.result},
            {"actor", valid_utf8(r.actor)},
            {"reason", valid_utf8(r.reason)},
            {"detail", valid_utf8(r.detail)},
            {"before", state(r.before)},
            {"after", state(r.after)},
            {"audit", entry.number}};
}

}  // namespace

std::optional<EventTopics> event_topics_from(std::string_view text) {
    EventTopics topics{.flows = false, .policy = false};
    while (true) {
        const auto comma = text.find(',');
        const auto word = text.substr(0, comma);
        auto& wanted = word == "flows" ? topics.flows : topics.policy;
        if ((word != "flows" && word != "policy") || wanted) return std::nullopt;
        wanted = true;
        if (comma == std::string_view::npos) return topics;
        text.remove_prefix(comma + 1);
    }
}

std::optional<EventStart> event_start(PolicyService& service, EventTopics topics, std::string_view last_id) {
    EventStart start{.topics = topics, .behind = {service.newest_event(), service.audit().head().number}};
    if (last_id.empty()) return start;
    const auto first = last_id.find('-'), second = last_id.find('-', first + 1);
    if (first != kRunDigits || second == std::string_view::npos) return std::nullopt;
    const auto flow = whole_number(last_id.substr(first + 1, second - first - 1));
    const auto audit = whole_number(last_id.substr(second + 1));
    if (!flow || !audit) return std::nullopt;
    start.restarted = last_id.substr(0, first) != run_name();
    // Of another process's events everything that is here is new.
    start.behind.flow = start.restarted ? 0 : std::min(*flow, start.behind.flow);
    // The rest is in the audit, which is not for everybody.
    const auto oldest = start.behind.audit > kAuditEntriesBack ? start.behind.audit - kAuditEntriesBack : 0;
    start.left_out = *audit < oldest ? oldest - *audit : 0;
    start.behind.audit = std::clamp(*audit, oldest, start.behind.audit);
    return start;
}

std::string EventFeed::next() {
    std::string out;
    if (start_.topics.flows && std::exchange(start_.restarted, false)) out += "event: restarted\ndata: {}\n\n";
    if (const auto left_out = std::exchange(start_.left_out, 0); start_.topics.policy && left_out != 0)
        out += fmt::format("event: left_out\ndata: {{\"audit_entries\":{}}}\n\n", left_out);
    if (start_.topics.policy) add_policy(out);
    if (start_.topics.flows) add_flows(out);
    return out;
}

std::string EventFeed::id_line() const {
    return fmt::format("id: {}-{}-{}\n", run_name(), start_.behind.flow, start_.behind.audit);
}

void EventFeed::add_policy(std::string& out) {
    auto& behind = start_.behind.audit;
    // Before the question: entries that come meanwhile are left to the next one.
    const auto head = service_.audit().head().number;
    if (head <= behind) return;
    const auto page = service_.audit().entries_behind(
        behind, head, {"policy.", "change.", "approvals.", "draft.", "process."}, kEntriesPerPage);
    if (!page) return;  // the disk; the place stays, the next look asks again
    for (const auto& entry : *page) {
        behind = entry.number;
        out += id_line() + "event: policy\ndata: " + json::serialize(policy_json(entry)) + "\n\n";
    }
    if (page->size() < kEntriesPerPage) behind = head;
}

void EventFeed::add_flows(std::string& out) {
    const auto page = service_.events_after(start_.behind.flow, kFlowsPerPage, {});
    if (page.lost != 0) out += fmt::format("event: lost\ndata: {{\"lost\":{}}}\n\n", page.lost);
    const auto before = out.size();
    for (const auto& line : page.lines) {
        start_.behind.flow = line.id;
        if (!start_.filter || start_.filter->fits(line.json))
            out += id_line() + "event: flow\ndata: " + line.json + "\n\n";
    }
    // How far it is, although nothing fits: else it would come back for all of that.
    if (!page.lines.empty() && out.size() == before) out += id_line() + '\n';
}

}  // namespace sluice::cp::api
