/// Recorded flows, page by page or the newest of them: what the store has of a time, as lines of the flow log.
#include <algorithm>
#include <chrono>
#include <deque>
#include <iterator>

#include "controlplane/lifecycle/policy_service_impl.hpp"
#include "controlplane/lifecycle/record_filter.hpp"
#include "controlplane/lifecycle/record_query.hpp"
#include "controlplane/records/record_json.hpp"

namespace sluice::cp {
namespace {

using std::chrono::steady_clock;

constexpr std::uint32_t kRecordsPerPageMax = 10'000;
constexpr std::chrono::seconds kPageWithin{2};     ///< a page of a filter that few records fit ends early
constexpr std::chrono::seconds kNewestWithin{5};   ///< some million records
constexpr std::uint64_t kBlocksBetweenLooks = 16;  ///< at the clock
constexpr std::uint32_t kRecordsBetweenLooks = 4096;

Problem bad_query(std::string detail) {
    return {.status = 400, .code = "bad-query", .title = "Which records?", .detail = std::move(detail), .errors = {}};
}

Expected<RecordRange, Problem> range_of(const RecordQuery& query) {
    if (query.cursor) {
        if (const auto range = parse_record_cursor(*query.cursor)) return *range;
        return Unexpected(Problem{.status = 400,
                                  .code = "bad-cursor",
                                  .title = "The cursor is not one of ours",
                                  .detail = "leave it out to start from the front",
                                  .errors = {}});
    }
    const auto now_ns = UtcClock{}.utc_ns(abi::MonoTime::now());
    RecordRange range;
    const auto read = [&](const char* name, const std::string& text, std::int64_t& into) -> std::optional<Problem> {
        if (text.empty()) return std::nullopt;
        const auto time = parse_record_time(text, now_ns);
        if (!time) return bad_query(no_record_time(name, text));
        into = *time;
        return std::nullopt;
    };
    if (auto wrong = read("since", query.since, range.since_ns)) return Unexpected(std::move(*wrong));
    if (auto wrong = read("until", query.until, range.until_ns)) return Unexpected(std::move(*wrong));
    if (range.until_ns <= range.since_ns) return Unexpected(bad_query("until must be later than since"));
    return range;
}

/// The newest that fit: segment by segment from the newest one on, each read twice, since most of what fits in it may
/// be older than what is wanted.
RecordPage newest_of(std::vector<SegmentInfo> segments, const RecordRange& range, const RecordFilter& filter,
                     std::uint32_t count_max, ReadReport& report) {
    const auto deadline = steady_clock::now() + kNewestWithin;
    RecordPage page;
    for (; !segments.empty() && page.lines.size() < count_max && !page.older_unread; segments.pop_back()) {
        const auto wanted = count_max - page.lines.size();
        std::deque<std::uint64_t> numbers;
        RecordReader reader{{segments.back()}, range};
        for (std::uint32_t looked_at = 0; !page.older_unread;) {
            const FlowRecord* record = reader.next_within(kBlocksBetweenLooks);
            if (record == nullptr && reader.at_end()) break;
            if (record != nullptr && filter.fits(*record)) {
                numbers.push_back(record->number);
                if (numbers.size() > wanted) numbers.pop_front();
            }
            const bool look = record == nullptr || ++looked_at % kRecordsBetweenLooks == 0;
            page.older_unread = look && steady_clock::now() >= deadline;
        }
        report.damaged_blocks += reader.report().damaged_blocks;
        report.records_lost += reader.report().records_lost;
        // The newest of a segment that was not read to its end are others.
        if (page.older_unread || numbers.empty()) continue;
        auto tail = range;
        tail.after = std::max(range.after, numbers.front() - 1);
        RecordReader again{{segments.back()}, tail};
        std::vector<std::string> lines;
        while (const FlowRecord* record = again.next()) {
            if (record->number > numbers.back()) break;  // written since
            if (filter.fits(*record)) lines.push_back(record_json(*record));
        }
        // Retention may have taken it between the two.
        if (again.report().segments_gone != 0) report.records_lost += again.report().records_lost;
        std::ranges::move(page.lines, std::back_inserter(lines));
        page.lines = std::move(lines);
    }
    return page;
}

}  // namespace

Expected<RecordPage, Problem> PolicyServiceImpl::flow_records(const RecordQuery& query) {
    if (!records_.enabled()) {
        return Unexpected(Problem{.status = 409,
                                  .code = "records-off",
                                  .title = "No flow records are kept",
                                  .detail = "controlplane.yaml says so: flow_records.path is empty",
                                  .errors = {}});
    }
    const auto filter = RecordFilter::parse(query.filter);
    if (!filter) {
        return Unexpected(
            Problem{.status = 400,
                    .code = "bad-filter",
                    .title = "The filter can't be read",
                    .detail = "column " + std::to_string(filter.error().column) + ": " + filter.error().detail,
                    .errors = {}});
    }
    auto range = range_of(query);
    if (!range) return Unexpected(range.error());
    if (query.last) {
        ReadReport report;
        auto page =
            newest_of(records_.segments(), *range, *filter, std::clamp(*query.last, 1U, kRecordsPerPageMax), report);
        page.damaged_blocks = report.damaged_blocks;
        page.records_lost = report.records_lost;
        records_.met_damage(report);
        return page;
    }
    const auto count_max = std::clamp(query.count_max, 1U, kRecordsPerPageMax);
    const auto deadline = steady_clock::now() + kPageWithin;
    auto reader = records_.read(*range);
    RecordPage page;
    std::uint32_t looked_at = 0;
    while (page.lines.size() < count_max) {
        const FlowRecord* record = reader.next_within(kBlocksBetweenLooks);
        if (record == nullptr && reader.at_end()) break;
        if (record != nullptr && filter->fits(*record)) page.lines.push_back(record_json(*record));
        const bool look = record == nullptr || ++looked_at % kRecordsBetweenLooks == 0;
        if (look && steady_clock::now() >= deadline) break;
    }
    if (!reader.at_end()) {
        range->after = reader.passed();
        page.next = record_cursor(*range);
    }
    page.damaged_blocks = reader.report().damaged_blocks;
    page.records_lost = reader.report().records_lost;
    records_.met_damage(reader.report());
    return page;
}

}  // namespace sluice::cp
