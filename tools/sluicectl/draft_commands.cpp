/// draft: list, show, save, plan, apply and delete policies that are worked on.
#include <algorithm>
#include <iostream>

#include <fmt/format.h>

#include "tools/sluicectl/command.hpp"
#include "tools/sluicectl/output.hpp"
#include "tools/sluicectl/policy_files.hpp"

namespace sluice::ctl {
namespace json = boost::json;
namespace {

HttpRequest request_of(std::string method, std::string target) {
    return {.method = std::move(method), .target = std::move(target), .headers = {}, .body = {}};
}

std::string base_text(const json::value& draft) {
    const auto& base = draft.at("base");
    if (base.is_null()) return "no policy";
    return fmt::format("generation {} ({})", count_of(base, "generation"), text_of(base, "version"));
}

Colour state_colour(std::string_view state) {
    if (state == "ready") return Colour::green;
    if (state == "in_force") return Colour::none;
    return state == "errors" ? Colour::red : Colour::yellow;
}

std::string version_of(const json::value& draft) {
    const auto errors = count_of(draft, "errors");
    if (errors == 0) return text_of(draft, "version");
    return fmt::format("{} error{}", errors, errors == 1 ? "" : "s");
}

}  // namespace

/// Looked at here as well: another name would be another path.
std::string draft_path(const std::string& name, std::string_view verb) {
    const bool good = !name.empty() && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    });
    if (!good) throw CommandError{fmt::format("\"{}\" is no name of a draft; it has a-z, 0-9 and -", printable(name))};
    return fmt::format("/v1/drafts/{}{}", name, verb);
}

int draft_list(const Context& context) {
    const auto answer = fetch(context, request_of("GET", "/v1/drafts"));
    if (context.machine()) {
        print_value(context, answer);
        return 0;
    }
    Table table{{{"DRAFT"}, {"STATE"}, {"POLICY"}, {"WRITTEN OVER"}, {"SAVED"}, {"BY"}, {"REASON"}}};
    for (const auto& draft : answer.at("drafts").as_array()) {
        const auto state = text_of(draft, "state");
        table.add({text_of(draft, "name"),
                   {state, state_colour(state)},
                   version_of(draft),
                   base_text(draft),
                   text_of(draft, "saved_at").substr(0, 19) + "Z",
                   text_of(draft, "saved_by"),
                   text_of(draft, "reason")});
    }
    std::cout << table.text(context.colours);
    return 0;
}

int draft_show(const Context& context, const std::string& name, bool text) {
    const auto answer = fetch(context, request_of("GET", draft_path(name)));
    if (context.machine()) {
        print_value(context, answer);
        return 0;
    }
    const auto& body = answer.at("text").as_string();
    if (!text) {
        const auto& draft = answer.at("draft");
        const auto state = text_of(draft, "state"), reason = text_of(draft, "reason");
        std::cout << fmt::format("draft      {}  {}  {}\n", text_of(draft, "name"),
                                 painted(state, state_colour(state), context.colours), version_of(draft))
                  << fmt::format("over       {}\n", base_text(draft))
                  << fmt::format("saved      {} by {}\n", text_of(draft, "saved_at"), text_of(draft, "saved_by"));
        if (!reason.empty()) std::cout << "reason     " << reason << '\n';
        std::cout << '\n';
    }
    std::cout << std::string_view{body.data(), body.size()};
    return 0;
}

int draft_save(const Context& context, const DraftSaveOptions& options) {
    const PolicyText policy = read_policy_files({options.file});
    auto request = request_of("PUT", draft_path(options.name));
    request.body = policy.text;
    request.headers.emplace_back("Content-Type", policy.content_type);
    if (options.only_new) request.headers.emplace_back("If-None-Match", "*");
    if (!options.base.empty()) request.target += "?base=" + escaped(options.base);
    const auto reply = send_policy(context, request, policy);
    const auto answer = parse_json(reply.body);
    std::cerr << error_lines(answer.at("errors").as_array(), options.file);
    if (context.machine()) {
        print_value(context, parse_json(reply.body));
        return 0;
    }
    const auto& draft = answer.at("draft");
    std::cout << fmt::format("draft {}  {}  {}, over {}\n", text_of(draft, "name"), text_of(draft, "state"),
                             version_of(draft), base_text(draft));
    return 0;
}

int draft_plan(const Context& context, const std::string& name, const std::string& flows_since) {
    auto request = request_of("POST", draft_path(name, ":plan"));
    if (!flows_since.empty()) request.target += "?flows_since=" + escaped(flows_since);
    const auto etag = stored_etag(context);
    return report_plan(context, send(context, request, name), etag, name, "draft apply " + name);
}

int draft_apply(const Context& context, const DraftApplyOptions& options) {
    auto request = request_of("POST", draft_path(options.name, ":apply"));
    if (!options.hash.empty()) request.target += "?hash=" + escaped(options.hash);
    add_commit_headers(context, request, options.confirm, options.guard);
    add_time(request, options.at);
    (void)add_condition(context, request, {});
    return report_commit(context, send(context, request, options.name), options.name);
}

int draft_delete(const Context& context, const std::string& name) {
    const auto reply = send(context, request_of("DELETE", draft_path(name)));
    if (context.machine()) {
        print_value(context, parse_json(reply.body));
    } else {
        std::cout << fmt::format("draft {} is gone\n", text_of(parse_json(reply.body).at("draft"), "name"));
    }
    return 0;
}

}  // namespace sluice::ctl
