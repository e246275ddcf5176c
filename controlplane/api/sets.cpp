/// /v1/sets: sets whose members come over the API, and their members.
#include <algorithm>

#include <boost/json.hpp>

#include "controlplane/api/commit_options.hpp"
#include "controlplane/api/field_reader.hpp"
#include "controlplane/api/once.hpp"
#include "controlplane/api/problem.hpp"
#include "controlplane/api/resources.hpp"
#include "controlplane/api/wire_text.hpp"
#include "controlplane/policy/address.hpp"

namespace sluice::cp::api {
namespace json = boost::json;
namespace {

constexpr std::size_t kMembersPerPage = 1000;
constexpr std::int64_t kTtlMax_s = 10LL * 366 * 86'400;
constexpr std::size_t kErrorsMax = 20;

Response list(PolicyService& service) {
    json::array sets;
    for (const auto& set : service.sets()) {
        sets.push_back(json::object{{"name", set.name},
                                    {"members", set.members},
                                    {"max_ips", set.in_policy ? json::value(set.members_max) : json::value(nullptr)},
                                    {"in_policy", set.in_policy},
                                    {"refuses", set.refuses}});
    }
    return json_response(200, json::serialize(json::object{{"sets", std::move(sets)}}));
}

Response page(const Request& request, const PathParameters& parameters, PolicyService& service) {
    std::size_t limit = 100;
    std::string cursor;
    for (const auto& [name, value] : request.query) {
        if (name == "cursor") {
            cursor = value;
            continue;
        }
        const auto number = parse_number(value);
        if (!number || *number == 0 || *number > kMembersPerPage)
            return problem_response(400, "bad-query", "limit is a whole number from 1 to 1000", request.id);
        limit = *number;
    }
    const auto page = service.set_members(parameters.at(0), limit, cursor);
    if (!page) return problem_response(page.error(), request.id);
    json::array members;
    for (const auto& m : page->members) {
        members.push_back(
            json::object{{"member", to_text(m.member)},
                         {"expires", m.expires_ns ? json::value(time_text_of_ns(*m.expires_ns)) : json::value(nullptr)},
                         {"hits", m.hits ? json::value(*m.hits) : json::value(nullptr)}});
    }
    json::object out{{"members", std::move(members)}};
    out["next"] = page->next ? json::value(*page->next) : json::value(nullptr);
    auto response = json_response(200, json::serialize(out));
    response.headers.push_back({"ETag", "\"" + page->etag + "\""});
    return response;
}

/// `ttl_s` of the body or of a member; nothing if it is no number that could be one.
std::optional<std::uint64_t> ttl_of(const json::value& value) {
    const auto* number = value.if_int64();
    if (number == nullptr || *number < 1 || *number > kTtlMax_s) return std::nullopt;
    return static_cast<std::uint64_t>(*number);
}

/// "198.51.100.7", or {"member": "198.51.100.0/24", "ttl_s": 60}.
std::optional<std::string> read_member(const json::value& item, std::uint64_t ttl_s, SetMemberEdit& edit) {
    edit.ttl_s = ttl_s;
    const json::value* word = &item;
    if (const auto* object = item.if_object()) {
        word = object->if_contains("member");
        for (const auto& field : *object) {
            if (field.key() != "member" && field.key() != "ttl_s") return "a member has member and ttl_s, nothing else";
        }
        if (const auto* own = object->if_contains("ttl_s")) {
            const auto ttl = ttl_of(*own);
            if (!ttl) return "ttl_s is a whole number of seconds from 1 to " + std::to_string(kTtlMax_s);
            edit.ttl_s = *ttl;
        }
    }
    if (word == nullptr || !word->is_string()) return "a member is an address or a prefix, as a string";
    const auto prefix = parse_prefix(std::string_view{word->get_string()});
    if (!prefix) return prefix.error().detail;
    edit.member = *prefix;
    return std::nullopt;
}

Expected<std::vector<SetMemberEdit>, Problem> read_members(std::string_view body, bool may_be_empty, bool may_expire) {
    const auto object = read_object(body);
    if (!object) return Unexpected(object.error());
    PolicyErrors errors;
    FieldReader reader{*object, errors};
    std::uint64_t ttl_s = 0;
    if (const auto* value = may_expire ? reader.find("ttl_s") : nullptr) {
        const auto ttl = ttl_of(*value);
        if (!ttl) {
            reader.fail("ttl_s", "out-of-range",
                        "ttl_s is a whole number of seconds from 1 to " + std::to_string(kTtlMax_s));
        }
        ttl_s = ttl.value_or(0);
    }
    std::vector<SetMemberEdit> members;
    const auto* value = reader.find("members");
    const auto* items = value == nullptr ? nullptr : value->if_array();
    if (items == nullptr || (items->empty() && !may_be_empty)) {
        reader.fail("members", "missing-field", "members is a list of addresses and prefixes");
    } else {
        members.resize(items->size());
        for (std::size_t i = 0; i < items->size() && errors.size() < kErrorsMax; ++i) {
            if (auto wrong = read_member((*items)[i], ttl_s, members[i]))
                reader.fail("members/" + std::to_string(i), "bad-member", std::move(*wrong));
        }
    }
    reader.refuse_unknown();
    if (!errors.empty()) return Unexpected(bad_fields("bad-members", "list of members", std::move(errors)));
    return members;
}

Response change(const Request& request, const PathParameters& parameters, PolicyService& service, SetEdit edit) {
    auto members = read_members(request.body, edit == SetEdit::replace, edit != SetEdit::remove);
    if (!members) return problem_response(members.error(), request.id);
    SetChangeQuery query{.name = parameters.at(0), .edit = edit, .members = std::move(*members)};
    query.caller = caller_of(request);
    if (const auto match = request.header("If-Match")) {
        std::string tag{*match};
        std::erase(tag, '"');
        query.if_match = std::move(tag);
    }
    const auto result = service.change_set(query);
    if (!result) return problem_response(result.error(), request.id);
    json::object out{{"added", result->added},
                     {"removed", result->removed},
                     {"members", result->members},
                     {"enforced", result->enforced}};
    if (!result->enforced) out["trouble"] = valid_utf8(result->trouble);
    if (!result->warnings.empty()) out["warnings"] = errors_json(result->warnings);
    auto response = json_response(result->enforced ? 200 : 202, json::serialize(out));
    response.headers.push_back({"ETag", "\"" + result->etag + "\""});
    return response;
}

}  // namespace

void add_set_routes(Router& router, PolicyService& service) {
    router.add({.method = "GET",
                .pattern = "/v1/sets",
                .roles = kEveryRole,
                .handler = [&service](const Request&, const PathParameters&) { return list(service); }});
    router.add({.method = "GET",
                .pattern = "/v1/sets/{name}/members",
                .roles = kEveryRole,
                .lane = Lane::walks,
                .query_parameters = {"limit", "cursor"},
                .handler = [&service](const Request& r, const PathParameters& p) { return page(r, p, service); }});
    const auto add = [&](std::string method, std::string pattern, SetEdit edit) {
        router.add({.method = std::move(method),
                    .pattern = std::move(pattern),
                    .roles = {Role::operator_},
                    .lane = Lane::commits,
                    .body_types = {"application/json"},
                    .handler = once(service, [&service, edit](const Request& r, const PathParameters& p) {
                        return change(r, p, service, edit);
                    })});
    };
    add("PUT", "/v1/sets/{name}/members", SetEdit::replace);
    add("POST", "/v1/sets/{name}/members", SetEdit::add);
    add("DELETE", "/v1/sets/{name}/members", SetEdit::remove);
}

}  // namespace sluice::cp::api
