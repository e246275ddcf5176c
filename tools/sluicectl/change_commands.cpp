/// changes: list, show, approve, reject, withdraw and apply changes of the policy that wait.
#include <algorithm>
#include <iostream>

#include <fmt/format.h>

#include "tools/sluicectl/command.hpp"
#include "tools/sluicectl/output.hpp"

namespace sluice::ctl {
namespace json = boost::json;
namespace {

HttpRequest request_of(std::string method, std::uint64_t id, std::string_view verb = {}) {
    return {
        .method = std::move(method), .target = fmt::format("/v1/changes/{}{}", id, verb), .headers = {}, .body = {}};
}

Colour state_colour(std::string_view state) {
    if (state == "applied") return Colour::green;
    if (state == "failed" || state == "stale" || state == "expired" || state == "rejected") return Colour::red;
    return state == "withdrawn" ? Colour::dim : Colour::yellow;
}

std::string seconds_of(std::string time) {
    if (time.size() < 19) return time;
    return time.substr(0, 19) + "Z";
}

std::string approvals_text(const json::value& change) {
    const auto needed = count_of(change, "needed");
    if (needed == 0) return "-";
    return fmt::format("{} of {}", change.at("approvals").as_array().size(), needed);
}

/// When it is due, or until when it waits for approvals.
std::string when_text(const json::value& change) {
    if (const auto at = text_of(change, "at"); !at.empty()) return "at " + seconds_of(at);
    const auto expires = text_of(change, "expires");
    return expires.empty() ? "-" : "until " + seconds_of(expires);
}

int ended(const Context& context, const HttpReply& reply) {
    if (context.machine()) {
        print_value(context, parse_json(reply.body));
        return 0;
    }
    const auto answer = parse_json(reply.body);
    const auto& change = answer.at("change");
    std::cout << fmt::format("change {} is {}; nothing was changed\n", count_of(change, "id"),
                             text_of(change, "state"));
    return 0;
}

}  // namespace

void print_waiting(const json::value& change) {
    const auto id = count_of(change, "id");
    std::cout << fmt::format("change {} waits: nothing is changed yet\n", id);
    const auto needed = count_of(change, "needed");
    const auto at = text_of(change, "at");
    if (text_of(change, "state") == "pending") {
        std::cout << fmt::format("approvals {} until {}: sluicectl changes approve {}\n", approvals_text(change),
                                 seconds_of(text_of(change, "expires")), id);
    } else if (needed != 0) {
        std::cout << "it has its approvals\n";
    }
    if (!at.empty()) std::cout << fmt::format("it is applied at {}\n", seconds_of(at));
}

int change_list(const Context& context, const std::string& state, std::uint64_t count_max) {
    std::string target = fmt::format("/v1/changes?limit={}", std::min<std::uint64_t>(count_max, 1000));
    if (!state.empty()) target += "&state=" + escaped(state);
    const auto answer = fetch(context, {.method = "GET", .target = target, .headers = {}, .body = {}});
    if (context.machine()) {
        print_value(context, answer);
        return 0;
    }
    Table table{{{"CHANGE", Align::right},
                 {"STATE"},
                 {"POLICY"},
                 {"WHAT"},
                 {"APPROVALS"},
                 {"WHEN"},
                 {"BY"},
                 {"MADE"},
                 {"REASON"}}};
    for (const auto& change : answer.at("changes").as_array()) {
        const auto what = text_of(change, "state");
        table.add({std::to_string(count_of(change, "id")),
                   {what, state_colour(what)},
                   text_of(change, "version"),
                   text_of(change, "kind"),
                   approvals_text(change),
                   when_text(change),
                   text_of(change, "by"),
                   seconds_of(text_of(change, "made")),
                   text_of(change, "reason")});
    }
    std::cout << table.text(context.colours);
    if (!text_of(answer, "next").empty()) std::cerr << "there is more; show more with --limit\n";
    return 0;
}

int change_show(const Context& context, std::uint64_t id, bool text) {
    const auto answer = fetch(context, request_of("GET", id));
    if (context.machine()) {
        print_value(context, answer);
        return 0;
    }
    const auto& body = answer.at("text").as_string();
    if (text) {
        std::cout << std::string_view{body.data(), body.size()};
        return 0;
    }
    const auto& change = answer.at("change");
    const auto state = text_of(change, "state"), reason = text_of(change, "reason"), detail = text_of(change, "detail");
    const auto& base = change.at("base");
    std::cout << fmt::format("change     {}  {}  {}  {}\n", id, painted(state, state_colour(state), context.colours),
                             text_of(change, "version"), text_of(change, "kind"))
              << fmt::format("over       {}\n", base.is_null()
                                                    ? std::string{"no policy"}
                                                    : fmt::format("generation {} ({})", count_of(base, "generation"),
                                                                  text_of(base, "version")))
              << fmt::format("by         {} from {}, {}\n", text_of(change, "by"), text_of(change, "origin"),
                             text_of(change, "made"));
    if (!reason.empty()) std::cout << "reason     " << reason << '\n';
    if (when_text(change) != "-") std::cout << "when       " << when_text(change) << '\n';
    if (count_of(change, "needed") != 0) std::cout << "approvals  " << approvals_text(change) << '\n';
    for (const auto& approval : change.at("approvals").as_array()) {
        std::cout << fmt::format("{}  {}  {}\n", flag_of(approval, "break_glass") ? "glass    " : "approved ",
                                 text_of(approval, "by"), text_of(approval, "reason"));
    }
    if (const auto ended_at = text_of(change, "ended"); !ended_at.empty())
        std::cout << fmt::format("ended      {}{}{}\n", ended_at, detail.empty() ? "" : "  ", detail);
    if (!change.at("generation").is_null()) std::cout << "generation " << count_of(change, "generation") << '\n';
    const auto& changes = answer.at("changes");
    if (changes.is_null()) return 0;
    std::cout << "changes    from the policy in force\n";
    for (const auto& one : changes.as_array()) print_change(one, context.colours);
    return 0;
}

int change_approve(const Context& context, std::uint64_t id) {
    auto request = request_of("POST", id, ":approve");
    add_permissions(context, request);
    (void)report_commit(context, send(context, request), {});
    return 0;  // its part is done, whatever it still waits for
}

int change_apply(const Context& context, std::uint64_t id) {
    if (!context.break_glass || context.reason.empty())
        throw CommandError{"this leaves out approvals; it takes --break-glass and --reason"};
    auto request = request_of("POST", id, ":apply");
    add_permissions(context, request);
    return report_commit(context, send(context, request), {});
}

int change_reject(const Context& context, std::uint64_t id) {
    if (context.reason.empty()) throw CommandError{"its author is told why: give --reason"};
    return ended(context, send(context, request_of("POST", id, ":reject")));
}

int change_withdraw(const Context& context, std::uint64_t id) {
    return ended(context, send(context, request_of("DELETE", id)));
}

}  // namespace sluice::ctl
