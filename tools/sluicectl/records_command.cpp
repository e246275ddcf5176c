/// flows --since: what the control plane's store has of a time, page after page, printed as it comes.
#include <algorithm>
#include <iostream>

#include <fmt/format.h>

#include "tools/sluicectl/command.hpp"
#include "tools/sluicectl/output.hpp"

namespace sluice::ctl {
namespace json = boost::json;
namespace {

constexpr std::uint64_t kRecordsPerPage = 10'000;

std::string target_of(const FlowsWanted& wanted, std::uint64_t count, const std::string& cursor) {
    std::string target =
        wanted.last ? fmt::format("/v1/flows?last={}", *wanted.last) : fmt::format("/v1/flows?limit={}", count);
    if (!cursor.empty()) target += "&cursor=" + escaped(cursor);
    if (cursor.empty() && !wanted.since.empty()) target += "&since=" + escaped(wanted.since);
    if (cursor.empty() && !wanted.until.empty()) target += "&until=" + escaped(wanted.until);
    if (!wanted.filter.empty()) target += "&filter=" + escaped(wanted.filter);
    return target;
}

}  // namespace

int recorded_flows(const Context& context, const FlowsWanted& wanted, ToldLines* told) {
    std::uint64_t left = wanted.count_max.value_or(UINT64_MAX);
    std::uint64_t shown = 0, damaged_blocks = 0, records_lost = 0;
    std::string cursor;
    do {
        const auto target = target_of(wanted, std::min(left, kRecordsPerPage), cursor);
        const auto page = fetch(context, {.method = "GET", .target = target, .headers = {}, .body = {}});
        for (const auto& record : page.at("records").as_array()) {
            if (context.machine()) {
                print_value(context, record);
            } else {
                std::cout << event_line(record.as_object(), true, context.colours) << '\n';
            }
            if (told != nullptr) told->add(json::serialize(record));
            --left;
            ++shown;
        }
        std::cout.flush();
        if (!std::cout) return 0;  // whoever read our output has left
        if (flag_of(page, "older_unread"))
            std::cerr << "there was no time to look further back; narrow the time with --since and --until\n";
        damaged_blocks += count_of(page, "damaged_blocks");
        records_lost += count_of(page, "records_lost");
        cursor = text_of(page, "next");
    } while (!cursor.empty() && left != 0);
    if (shown == 0) std::cerr << "nothing was recorded that fits; rules record what their `log:` says\n";
    if (!cursor.empty()) std::cerr << "there are more records; show more with --limit\n";
    if (damaged_blocks != 0) {
        std::cerr << fmt::format("{} records are missing: {} blocks of the store are damaged; check the disk\n",
                                 count_text(records_lost), count_text(damaged_blocks));
    }
    return 0;
}

}  // namespace sluice::ctl
