/// token create, token list, token revoke.
#include <algorithm>
#include <iostream>

#include <fmt/format.h>

#include "tools/sluicectl/command.hpp"
#include "tools/sluicectl/output.hpp"

namespace sluice::ctl {
namespace json = boost::json;
namespace {

constexpr std::uint64_t kExpiresMax_s = 10ULL * 366 * 86'400;

std::string day_of(const json::value& token, std::string_view key, const char* none) {
    const auto time = text_of(token, key);
    return time.empty() ? none : time.substr(0, 10);
}

std::string roles_of(const json::value& token) {
    std::string out;
    for (const auto& role : token.at("roles").as_array()) {
        const auto& text = role.as_string();
        out += (out.empty() ? "" : " ") + printable({text.data(), text.size()});
    }
    return out;
}

json::value all_tokens(const Context& context) {
    return fetch(context, {.method = "GET", .target = "/v1/tokens", .headers = {}, .body = {}});
}

/// An id, or the name of a live token.
std::string id_of(const Context& context, const std::string& word) {
    const auto listed = all_tokens(context);
    std::vector<std::string> names;
    for (const auto& token : listed.at("tokens").as_array()) {
        if (text_of(token, "id") == word) return word;
        if (text_of(token, "state") == "live") names.push_back(text_of(token, "name"));
    }
    for (const auto& token : listed.at("tokens").as_array()) {
        if (text_of(token, "state") == "live" && text_of(token, "name") == word) return text_of(token, "id");
    }
    throw CommandError{"no live token has this name or id: " + unknown_word(word, names)};
}

}  // namespace

int token_create(const Context& context, const std::string& name, const std::vector<std::string>& roles,
                 const std::string& expires) {
    json::object wanted{{"name", name}, {"roles", json::array(roles.begin(), roles.end())}};
    if (expires == "never") {
        wanted["expires_in_s"] = nullptr;
    } else if (!expires.empty()) {
        const auto seconds = parse_duration_s(expires, kExpiresMax_s);
        if (!seconds) throw CommandError{"--expires: \"" + expires + "\" is no time; write 90d, 12h or never"};
        wanted["expires_in_s"] = *seconds;
    }
    const auto made = fetch(context, {.method = "POST",
                                      .target = "/v1/tokens",
                                      .headers = {{"Content-Type", "application/json"}},
                                      .body = json::serialize(wanted)});
    if (context.machine()) {
        print_value(context, made);
        return 0;
    }
    // The text alone on standard output, so that it can go where it is meant to without passing a terminal.
    std::cout << text_of(made, "token") << '\n';
    std::cerr << fmt::format("token {}/{}  {}  expires {}; it is not shown again\n", text_of(made, "name"),
                             text_of(made, "id"), roles_of(made), day_of(made, "expires", "never"));
    return 0;
}

int token_list(const Context& context) {
    const auto listed = all_tokens(context);
    if (context.machine()) {
        print_value(context, listed);
        return 0;
    }
    Table table{{{"ID"}, {"NAME"}, {"ROLES"}, {"STATE"}, {"CREATED"}, {"BY"}, {"EXPIRES"}}};
    for (const auto& token : listed.at("tokens").as_array()) {
        const auto state = text_of(token, "state");
        table.add({text_of(token, "id"),
                   text_of(token, "name"),
                   roles_of(token),
                   {state, state == "live" ? Colour::green : Colour::dim},
                   day_of(token, "created", "-"),
                   text_of(token, "created_by"),
                   day_of(token, "expires", "never")});
    }
    std::cout << table.text(context.colours);
    return 0;
}

int token_revoke(const Context& context, const std::string& name_or_id) {
    const auto revoked = fetch(
        context, {.method = "DELETE", .target = "/v1/tokens/" + id_of(context, name_or_id), .headers = {}, .body = {}});
    if (context.machine()) {
        print_value(context, revoked);
    } else {
        std::cout << fmt::format("revoked {}/{}\n", text_of(revoked, "name"), text_of(revoked, "id"));
    }
    return 0;
}

}  // namespace sluice::ctl
