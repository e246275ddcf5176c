/// history, history show, diff, audit, audit verify.
#include <algorithm>
#include <iostream>
#include <vector>

#include <fmt/format.h>

#include "tools/sluicectl/command.hpp"
#include "tools/sluicectl/output.hpp"

namespace sluice::ctl {
namespace json = boost::json;
namespace {

constexpr std::uint64_t kRowsPerPage = 1000;

/// `2026-11-26T05:00:00.123Z` -> `2026-11-26 05:00:00`
std::string time_column(const json::value& object) {
    auto time = text_of(object, "time");
    if (time.size() < 19) return time;
    time[10] = ' ';
    return time.substr(0, 19);
}

/// All pages, as many rows as wanted, newest first.
json::array collect(const Context& context, const std::string& target, std::string_view rows, std::uint64_t count_max,
                    bool& more) {
    json::array out;
    std::string next;
    do {
        auto page_target = fmt::format("{}{}limit={}", target, target.find('?') == std::string::npos ? '?' : '&',
                                       std::min<std::uint64_t>(count_max - out.size(), kRowsPerPage));
        if (!next.empty()) page_target += "&cursor=" + escaped(next);
        const auto page = fetch(context, {.method = "GET", .target = page_target, .headers = {}, .body = {}});
        for (const auto& row : page.at({rows.data(), rows.size()}).as_array()) out.push_back(row);
        next = text_of(page, "next");
    } while (!next.empty() && out.size() < count_max);
    more = !next.empty();
    return out;
}

json::value view_of(const Context& context, std::uint64_t generation, std::uint64_t against) {
    auto target = fmt::format("/v1/history/{}", generation);
    if (against != 0) target += fmt::format("?against={}", against);
    return fetch(context, {.method = "GET", .target = target, .headers = {}, .body = {}});
}

void print_changes(const json::value& view, bool colours) {
    const auto& changes = view.at("changes").as_array();
    for (const auto& change : changes) print_change(change, colours);
    if (changes.empty()) std::cout << "no changes\n";
}

std::string named(const json::value& adoption) {
    return fmt::format("generation {} ({})", count_of(adoption, "generation"), text_of(adoption, "version"));
}

std::string generation_text(const json::value& state) {
    const auto generation = count_of(state, "generation");
    return generation == 0 ? "-" : std::to_string(generation);
}

}  // namespace

int history(const Context& context, std::uint64_t count_max) {
    bool more = false;
    auto rows = collect(context, "/v1/history", "history", count_max, more);
    if (context.machine()) {
        print_value(context, json::object{{"history", std::move(rows)}, {"more", more}});
        return 0;
    }
    Table table{
        {{""}, {"GENERATION", Align::right}, {"POLICY"}, {"IN FORCE SINCE"}, {"BY"}, {"FROM"}, {"WHAT"}, {"REASON"}}};
    // The newest last, where the eye is.
    for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
        auto reason = text_of(*row, "reason");
        if (const auto who = text_of(*row, "approval"); !who.empty())
            reason += fmt::format("{}(approved by {})", reason.empty() ? "" : " ", who);
        if (!flag_of(*row, "text_kept")) reason += reason.empty() ? "(text not kept)" : " (text not kept)";
        table.add({{flag_of(*row, "current") ? "*" : " ", Colour::green},
                   std::to_string(count_of(*row, "generation")),
                   text_of(*row, "version"),
                   time_column(*row),
                   text_of(*row, "actor"),
                   text_of(*row, "origin"),
                   text_of(*row, "action"),
                   std::move(reason)});
    }
    std::cout << table.text(context.colours);
    if (more) std::cerr << "there is more; show more with --limit\n";
    return 0;
}

int history_show(const Context& context, std::uint64_t generation, bool text) {
    const auto view = view_of(context, generation, 0);
    if (context.machine()) {
        print_value(context, view);
        return 0;
    }
    if (text) {
        const auto& body = view.at("text").as_string();
        std::cout << std::string_view{body.data(), body.size()};
        return 0;
    }
    const auto& adoption = view.at("adoption");
    std::cout << fmt::format("{}  in force since {} UTC\n", named(adoption), time_column(adoption));
    std::cout << fmt::format("by         {} from {}, {}, audit entry {}\n", text_of(adoption, "actor"),
                             text_of(adoption, "origin"), text_of(adoption, "action"), count_of(adoption, "audit"));
    if (const auto reason = text_of(adoption, "reason"); !reason.empty()) std::cout << "reason     " << reason << '\n';
    if (const auto who = text_of(adoption, "approval"); !who.empty()) std::cout << "approved   by " << who << '\n';
    const auto& against = view.at("against");
    std::cout << "changes    " << (against.is_null() ? "from nothing" : "from " + named(against)) << '\n';
    print_changes(view, context.colours);
    return 0;
}

int history_diff(const Context& context, std::uint64_t from, std::uint64_t to) {
    const auto view = view_of(context, to, from);
    if (context.machine()) {
        print_value(context, view.at("changes"));
        return 0;
    }
    std::cout << fmt::format("from {} to {}\n", named(view.at("against")), named(view.at("adoption")));
    print_changes(view, context.colours);
    return 0;
}

int audit(const Context& context, const AuditOptions& options) {
    std::string target = "/v1/audit";
    const auto add = [&](std::string_view name, const std::string& value) {
        if (value.empty()) return;
        target += fmt::format("{}{}={}", target.find('?') == std::string::npos ? '?' : '&', name, escaped(value));
    };
    add("since", options.since);
    add("until", options.until);
    add("actor", options.user);
    add("action", options.action);
    bool more = false;
    auto entries = collect(context, target, "entries", options.count_max, more);
    std::ranges::reverse(entries);
    if (context.machine()) {
        // A line per entry: what a log lake and a verifier of one's own take.
        for (const auto& entry : entries) print_value(context, entry);
        return 0;
    }
    Table table{{{"ENTRY", Align::right},
                 {"TIME (UTC)"},
                 {"BY"},
                 {"FROM"},
                 {"WHAT"},
                 {"RESULT"},
                 {"BEFORE", Align::right},
                 {"AFTER", Align::right},
                 {"REASON"},
                 {"DETAIL"}}};
    for (const auto& entry : entries) {
        const auto result = text_of(entry, "result");
        const bool bad = result == "refused" || result == "failed";
        table.add({std::to_string(count_of(entry, "number")),
                   time_column(entry),
                   text_of(entry, "actor"),
                   text_of(entry, "origin"),
                   text_of(entry, "action"),
                   {result, bad                 ? Colour::red
                            : result == "begun" ? Colour::dim
                                                : Colour::none},
                   generation_text(entry.at("before")),
                   generation_text(entry.at("after")),
                   text_of(entry, "reason"),
                   text_of(entry, "detail")});
    }
    std::cout << table.text(context.colours);
    if (more) std::cerr << "there is more; show more with --limit, or less with --since, --user, --action\n";
    return 0;
}

int audit_verify(const Context& context) {
    const auto check = fetch(context, {.method = "GET", .target = "/v1/audit:verify", .headers = {}, .body = {}});
    const bool whole = flag_of(check, "whole");
    if (context.machine()) {
        print_value(context, check);
        return whole ? 0 : kExitError;
    }
    if (!whole) {
        throw CommandError{
            fmt::format("the audit is broken: {}; docs/OPERATING.md says what to do", text_of(check, "what"))};
    }
    const auto& head = check.at("head");
    std::cout << fmt::format("the audit is whole: {} entries", count_text(count_of(check, "entries")));
    if (const auto first = count_of(check, "first"); first > 1) {
        std::cout << fmt::format(" from {} on; those before are in a database that was given up", first);
    }
    std::cout << fmt::format("\nhead {} {}\n", count_of(head, "number"), text_of(head, "hash"));
    if (check.at("witness").is_null())
        std::cout << "there is no second copy of the head: a lost tail would not be noticed\n";
    return 0;
}

}  // namespace sluice::ctl
