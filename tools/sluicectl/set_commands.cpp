/// set list, set add, set remove, set replace: sets whose members come over the API.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>

#include <fmt/format.h>

#include "tools/sluicectl/command.hpp"
#include "tools/sluicectl/output.hpp"

namespace sluice::ctl {
namespace json = boost::json;
namespace {

constexpr std::uint64_t kForMax_s = 10ULL * 366 * 86'400;
constexpr std::size_t kMembersPerPage = 1000;

std::string target_of(const std::string& name) { return "/v1/sets/" + name + "/members"; }

/// A word a line; what stands behind # is for people.
json::array members_of_file(const std::string& file) {
    std::ifstream opened;
    if (file != "-") {
        opened.open(file);
        if (!opened) throw CommandError{"cannot read " + file};
    }
    std::istream& in = file == "-" ? std::cin : opened;
    json::array members;
    for (std::string line; std::getline(in, line);) {
        std::istringstream words{line.substr(0, line.find('#'))};
        for (std::string word; words >> word;) members.emplace_back(word);
    }
    return members;
}

int tell(const Context& context, const json::value& result) {
    if (context.machine()) {
        print_value(context, result);
        return 0;
    }
    std::cout << fmt::format("{} added, {} removed, {} members\n", result.at("added").to_number<std::uint64_t>(),
                             result.at("removed").to_number<std::uint64_t>(),
                             result.at("members").to_number<std::uint64_t>());
    if (!result.at("enforced").as_bool()) {
        std::cerr << "stored, and not in force yet: " << text_of(result, "trouble") << '\n';
    }
    if (const auto* warnings = result.as_object().if_contains("warnings")) {
        for (const auto& warning : warnings->as_array())
            std::cerr << "warning: " << printable(text_of(warning, "detail")) << '\n';
    }
    return 0;
}

int change(const Context& context, const std::string& method, const std::string& name, json::object body) {
    return tell(context, fetch(context, {.method = method,
                                         .target = target_of(name),
                                         .headers = {{"Content-Type", "application/json"}},
                                         .body = json::serialize(body)}));
}

}  // namespace

int set_list(const Context& context, const std::string& name, std::uint64_t count_max) {
    if (name.empty()) {
        const auto listed = fetch(context, {.method = "GET", .target = "/v1/sets", .headers = {}, .body = {}});
        if (context.machine()) {
            print_value(context, listed);
            return 0;
        }
        Table table{{{"SET"}, {"MEMBERS"}, {"MAX"}, {"POLICY"}}};
        for (const auto& set : listed.at("sets").as_array()) {
            const auto& most = set.at("max_ips");
            table.add({text_of(set, "name"), std::to_string(set.at("members").to_number<std::uint64_t>()),
                       most.is_null() ? "-" : std::to_string(most.to_number<std::uint64_t>()),
                       flag_of(set, "refuses")     ? "refuses it"
                       : flag_of(set, "in_policy") ? "asks for it"
                                                   : "does not know it"});
        }
        std::cout << table.text(context.colours);
        return 0;
    }
    json::array members;
    std::string cursor;
    do {
        const auto limit = std::min<std::uint64_t>(kMembersPerPage, count_max - members.size());
        auto page = fetch(context, {.method = "GET",
                                    .target = target_of(name) + "?limit=" + std::to_string(limit) +
                                              (cursor.empty() ? "" : "&cursor=" + cursor),
                                    .headers = {},
                                    .body = {}});
        for (auto& member : page.at("members").as_array()) members.push_back(std::move(member));
        cursor = text_of(page, "next");
    } while (!cursor.empty() && members.size() < count_max);
    if (context.machine()) {
        print_value(context, json::object{{"members", std::move(members)}});
        return 0;
    }
    Table table{{{"MEMBER"}, {"EXPIRES"}, {"HITS"}}};
    for (const auto& member : members) {
        const auto expires = text_of(member, "expires");
        const auto& hits = member.at("hits");
        table.add({text_of(member, "member"), expires.empty() ? "never" : expires,
                   hits.is_null() ? "-" : std::to_string(hits.to_number<std::uint64_t>())});
    }
    std::cout << table.text(context.colours);
    return 0;
}

int set_add(const Context& context, const std::string& name, const std::vector<std::string>& members,
            const std::string& for_time) {
    json::object body{{"members", json::array(members.begin(), members.end())}};
    if (!for_time.empty()) {
        const auto seconds = parse_duration_s(for_time, kForMax_s);
        if (!seconds || *seconds == 0) throw CommandError{"--for: \"" + for_time + "\" is no time; write 1h, 90s, 7d"};
        body["ttl_s"] = *seconds;
    }
    return change(context, "POST", name, std::move(body));
}

int set_remove(const Context& context, const std::string& name, const std::vector<std::string>& members) {
    return change(context, "DELETE", name, {{"members", json::array(members.begin(), members.end())}});
}

int set_replace(const Context& context, const std::string& name, const std::string& file) {
    return change(context, "PUT", name, {{"members", members_of_file(file)}});
}

int block(const Context& context, const std::string& set, const std::vector<std::string>& members,
          const std::string& for_time) {
    const auto listed = fetch(context, {.method = "GET", .target = "/v1/sets", .headers = {}, .body = {}});
    std::string known;
    for (const auto& each : listed.at("sets").as_array()) {
        const auto name = text_of(each, "name");
        const bool refuses = flag_of(each, "refuses");
        if (name == set && refuses) return set_add(context, set, members, for_time);
        if (refuses) known += (known.empty() ? "" : ", ") + name;
    }
    throw CommandError{
        fmt::format("no rule refuses members of a set \"{}\" that come over the API; {}declare it in the policy (sets: "
                    "{{{}: {{members: api}}}}) and deny from it in a rule",
                    set, known.empty() ? "" : "take one of " + known + " with --set, or ", set)};
}

}  // namespace sluice::ctl
