/// top: the rules, addresses and services with the most of something, of live flows or of recorded ones.
#include <algorithm>
#include <iostream>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "tools/sluicectl/command.hpp"
#include "tools/sluicectl/output.hpp"

namespace sluice::ctl {
namespace json = boost::json;
namespace {

constexpr std::uint64_t kLivePerPage = 1000, kRecordsPerPage = 10'000;

struct Sum {
    std::uint64_t flows{}, packets{}, bytes{};
};
using Sums = std::map<std::string, Sum>;

std::uint64_t both(const json::object& flow, std::string_view key) {
    const auto* value = flow.if_contains({key.data(), key.size()});
    const auto* pair = value == nullptr ? nullptr : value->if_array();
    std::uint64_t sum = 0;
    if (pair != nullptr) {
        for (const auto& one : *pair) sum += one.to_number<std::uint64_t>();
    }
    return sum;
}

std::string word(const json::object& flow, std::string_view key) {
    const auto* value = flow.if_contains({key.data(), key.size()});
    if (value == nullptr) return {};
    if (const auto* text = value->if_string()) return printable({text->data(), text->size()});
    return json::serialize(*value);
}

/// tcp/443; icmp/8; gre
std::string service_of(const json::object& flow) {
    const auto proto = word(flow, "proto");
    auto port = word(flow, "icmp_type");
    if (port.empty()) port = word(flow, "dport");
    return proto.empty() ? std::string{} : port.empty() || port == "0" ? proto : proto + '/' + port;
}

/// A flow that was let in and ends has begun in another record, if its rule logs both: its packets and bytes stand in
/// the end, and it is counted where it began; where only ends are logged, there. Other events are no flows.
void add_record(Sum& sum, const json::object& record, bool starts_are_told) {
    const auto event = word(record, "event");
    const bool begins = event == "flow_start" || event == "flow_denied" || event == "flow_rejected";
    if (begins || (event == "flow_end" && !starts_are_told)) ++sum.flows;
    sum.packets += both(record, "packets");
    sum.bytes += both(record, "bytes");
}

class Walk {
public:
    Walk(const Context& context, const TopOptions& options)
        : context_{context}, options_{options}, recorded_{!options.since.empty() || !options.until.empty()} {}

    Sums run() {
        std::string cursor;
        do {
            auto target = fmt::format("/v1/flows?limit={}", recorded_ ? kRecordsPerPage : kLivePerPage);
            if (!cursor.empty()) target += "&cursor=" + escaped(cursor);
            if (cursor.empty() && !options_.since.empty()) target += "&since=" + escaped(options_.since);
            if (cursor.empty() && !options_.until.empty()) target += "&until=" + escaped(options_.until);
            if (!options_.filter.empty()) target += "&filter=" + escaped(options_.filter);
            const auto page = fetch(context_, {.method = "GET", .target = target, .headers = {}, .body = {}});
            for (const auto& one : page.at(recorded_ ? "records" : "flows").as_array()) add(one.as_object());
            cursor = text_of(page, "next");
        } while (!cursor.empty());
        return std::move(sums_);
    }

private:
    void add(const json::object& flow) {
        const auto name = options_.what == "rules"     ? word(flow, "rule")
                          : options_.what == "talkers" ? word(flow, "src")
                                                       : service_of(flow);
        if (name.empty()) return;
        Sum& sum = sums_[name];
        if (!recorded_) {
            ++sum.flows;
            sum.packets += both(flow, "packets");
            sum.bytes += both(flow, "bytes");
            return;
        }
        if (word(flow, "event") == "flow_start") starts_.insert_or_assign(word(flow, "rule"), true);
        add_record(sum, flow, starts_.contains(word(flow, "rule")));
    }

    const Context& context_;
    const TopOptions& options_;
    const bool recorded_;
    std::map<std::string, bool> starts_;  ///< rules whose flows' starts are told
    Sums sums_;
};

Sums sums_of_rules(const Context& context) {
    Sums sums;
    const auto rules = fetch(context, {.method = "GET", .target = "/v1/rules", .headers = {}, .body = {}});
    for (const auto& rule : rules.as_array())
        sums[text_of(rule, "id")] = {count_of(rule, "hits"), count_of(rule, "packets"), count_of(rule, "bytes")};
    return sums;
}

}  // namespace

int top(const Context& context, const TopOptions& options) {
    // What a rule has ever decided is counted; everything else is in its flows.
    const bool of_counters =
        options.what == "rules" && options.since.empty() && options.until.empty() && options.filter.empty();
    const auto sums = of_counters ? sums_of_rules(context) : Walk{context, options}.run();
    const auto figure = [&](const Sum& sum) {
        return options.by == "packets" ? sum.packets : options.by == "bytes" ? sum.bytes : sum.flows;
    };
    std::vector<std::pair<std::string, Sum>> order;
    for (const auto& [name, sum] : sums) {
        if (figure(sum) != 0) order.emplace_back(name, sum);
    }
    std::ranges::stable_sort(order, std::greater{}, [&](const auto& row) { return figure(row.second); });
    if (order.size() > options.count_max) order.resize(options.count_max);
    if (context.machine()) {
        json::array rows;
        for (const auto& [name, sum] : order)
            rows.push_back({{"name", name}, {"flows", sum.flows}, {"packets", sum.packets}, {"bytes", sum.bytes}});
        print_value(context, rows);
        return 0;
    }
    const char* const title = options.what == "rules" ? "RULE" : options.what == "talkers" ? "SOURCE" : "SERVICE";
    Table table{{{title}, {"FLOWS", Align::right}, {"PACKETS", Align::right}, {"BYTES", Align::right}}};
    for (const auto& [name, sum] : order)
        table.add({name, count_text(sum.flows), count_text(sum.packets), bytes_text(sum.bytes)});
    std::cout << table.text(context.colours);
    return 0;
}

}  // namespace sluice::ctl
