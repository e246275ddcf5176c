#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "controlplane/policy/emit.hpp"
#include "controlplane/policy/model.hpp"
#include "controlplane/policy/names.hpp"
#include "controlplane/policy/schedule.hpp"
#include "controlplane/policy/schema.hpp"

namespace sluice::cp {

namespace {

namespace json = boost::json;

json::string_view view(std::string_view text) { return {text.data(), text.size()}; }

json::object text() { return {{"type", "string"}, {"minLength", 1}}; }

json::object name() { return {{"type", "string"}, {"pattern", view(kNamePattern)}}; }

json::object list_of(json::object items) { return {{"type", "array"}, {"minItems", 1}, {"items", std::move(items)}}; }

/// A single value, or a list of them that means OR.
json::object one_or_more(const json::object& item) { return {{"anyOf", json::array{item, list_of(item)}}}; }

json::object map_of(json::object values) {
    return {{"type", "object"},
            {"minProperties", 1},
            {"propertyNames", name()},
            {"additionalProperties", std::move(values)}};
}

json::object object(const ObjectSchema& schema);

json::object value(const Field& field) {
    switch (field.shape) {
        case Shape::version: return {{"const", 1}};
        case Shape::name: return name();
        case Shape::object: return object(*field.object);
        case Shape::object_map: return map_of(object(*field.object));
        case Shape::object_list: return list_of(object(*field.object));
        case Shape::port_names: return list_of({{"type", "string"}, {"pattern", view(kPortNamePattern)}});
        case Shape::prefixes: return list_of(text());
        case Shape::set_names: return one_or_more(name());
        case Shape::members:
        case Shape::services: return one_or_more(text());
        case Shape::member_map:
        case Shape::service_map: return map_of(one_or_more(text()));
        case Shape::endpoints: {
            auto zone_and_set = object(endpoint_schema());
            zone_and_set["minProperties"] = 1;
            return one_or_more({{"anyOf", json::array{text(), zone_and_set}}});
        }
        case Shape::choice: {
            json::array words;
            for (const auto word : field.choices) words.emplace_back(view(word));
            json::object result{{"enum", std::move(words)}};
            if (!field.standard.empty()) result["default"] = view(field.standard);
            return result;
        }
        case Shape::duration: {
            json::object result{{"type", "string"}, {"pattern", "^[0-9]+(ms|s|m|h|d)$"}};
            if (!field.standard.empty()) result["default"] = view(field.standard);
            return result;
        }
        case Shape::count: return {{"type", "integer"}, {"minimum", field.least}, {"maximum", field.most}};
        case Shape::layer: return {{"type", "integer"}, {"minimum", 0}, {"maximum", kLayerMost}};
        case Shape::days: {
            json::array words;
            for (const auto word : kDayNames) words.emplace_back(view(word));
            return one_or_more({{"enum", std::move(words)}});
        }
        case Shape::day_time: return {{"type", "string"}, {"pattern", "^([01][0-9]|2[0-4]):[0-5][0-9]$"}};
        case Shape::rate: return {{"type", "string"}, {"pattern", "^[0-9]+/s$"}};
        case Shape::test_source:
        case Shape::test_target:
        case Shape::test_service:
        case Shape::time_zone:
        case Shape::instant:
        case Shape::expiry:
        case Shape::note:
        case Shape::unsupported: break;
    }
    return text();
}

json::object object(const ObjectSchema& schema) {
    json::object properties;
    json::array required;
    for (const auto& field : schema.fields) {
        if (field.shape == Shape::unsupported) continue;  // a schema shows what may be written
        auto described = value(field);
        described["description"] = view(field.about);
        properties[view(field.key)] = std::move(described);
        if (field.required) required.emplace_back(view(field.key));
    }
    json::object result{{"type", "object"}, {"properties", std::move(properties)}};
    if (!required.empty()) result["required"] = std::move(required);
    result["additionalProperties"] = false;
    return result;
}

/// Indented, for people and for diffs; short arrays of words stay on one line.
void write(std::string& out, const json::value& node, std::size_t level) {
    const auto new_line = [&](std::size_t at) { out += "\n" + std::string(at * 2, ' '); };
    if (const auto* members = node.if_object()) {
        out += "{";
        bool first = true;
        for (const auto& [key, member] : *members) {
            if (!first) out += ",";
            first = false;
            new_line(level + 1);
            append_json_string(out, {key.data(), key.size()});
            out += ": ";
            write(out, member, level + 1);
        }
        new_line(level);
        out += "}";
    } else if (const auto* items = node.if_array(); items != nullptr && !items->empty() && (*items)[0].is_object()) {
        out += "[";
        for (std::size_t i = 0; i < items->size(); ++i) {
            if (i > 0) out += ",";
            new_line(level + 1);
            write(out, (*items)[i], level + 1);
        }
        new_line(level);
        out += "]";
    } else {
        out += json::serialize(node);
    }
}

}  // namespace

std::string policy_json_schema() {
    json::object schema{{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", "Sluice policy"}};
    for (auto& [key, member] : object(document_schema())) schema[key] = std::move(member);
    std::string out;
    write(out, schema, 0);
    return out + "\n";
}

}  // namespace sluice::cp
