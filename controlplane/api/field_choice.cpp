#include "controlplane/api/field_choice.hpp"

#include <algorithm>
#include <map>

#include <boost/json.hpp>

#include "controlplane/api/problem.hpp"
#include "controlplane/api/resources.hpp"
#include "controlplane/policy/names.hpp"

namespace sluice::cp::api {
namespace json = boost::json;
namespace {

using Names = std::vector<std::string>;

/// By schema. Made at the first question, which is soon enough: the document is ours, and whole.
const std::map<std::string, Names, std::less<>>& members_of_schemas() {
    static const auto all = [] {
        std::map<std::string, Names, std::less<>> out;
        const auto text = openapi_json();
        const auto document = json::parse({text.data(), text.size()});
        for (const auto& schema : document.at("components").at("schemas").as_object()) {
            const auto* properties = schema.value().as_object().if_contains("properties");
            if (properties == nullptr || !properties->is_object()) continue;
            auto& members = out[std::string{std::string_view{schema.key()}}];
            for (const auto& member : properties->as_object()) members.emplace_back(std::string_view{member.key()});
        }
        return out;
    }();
    return all;
}

}  // namespace

Expected<FieldChoice, std::string> FieldChoice::of(const Request& request, std::string_view schema) {
    FieldChoice choice;
    const auto asked = std::ranges::find(request.query, kFieldsParameter, &std::pair<std::string, std::string>::first);
    if (asked == request.query.end()) return choice;
    const auto& known = members_of_schemas().find(schema)->second;
    std::string_view left{asked->second};
    while (true) {
        const auto comma = left.find(',');
        const std::string name{left.substr(0, comma)};
        if (std::ranges::find(known, name) == known.end()) {
            const std::vector<std::string_view> candidates{known.begin(), known.end()};
            auto text = "fields: there is no " + quoted(name);
            if (const auto meant = did_you_mean(name, candidates); !meant.empty())
                return Unexpected<std::string>(text + meant);
            std::string list;
            for (const auto& member : known) list += (list.empty() ? "" : ", ") + member;
            return Unexpected<std::string>(text + "; there are " + list);
        }
        choice.names_.push_back(name);
        if (comma == std::string_view::npos) return choice;
        left.remove_prefix(comma + 1);
    }
}

void FieldChoice::apply(json::object& item) const {
    if (all()) return;
    json::object chosen;
    for (auto& member : item) {
        if (std::ranges::find(names_, std::string_view{member.key()}) != names_.end())
            chosen.emplace(member.key(), std::move(member.value()));
    }
    item = std::move(chosen);
}

std::string FieldChoice::apply(std::string line) const {
    if (all()) return line;
    json::error_code error;
    auto item = json::parse(line, error);
    if (error || !item.is_object()) return line;
    apply(item.get_object());
    return json::serialize(item);
}

}  // namespace sluice::cp::api
