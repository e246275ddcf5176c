#include "controlplane/policy/canonical.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "controlplane/policy/address.hpp"
#include "controlplane/policy/duration.hpp"
#include "controlplane/policy/emit.hpp"
#include "controlplane/policy/rate.hpp"
#include "controlplane/policy/schedule.hpp"
#include "controlplane/policy/schema.hpp"
#include "controlplane/policy/service.hpp"
#include "controlplane/policy/shape.hpp"
#include "controlplane/policy/test_address.hpp"

namespace sluice::cp {

namespace {

std::string json_string(std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
}

std::string join(const std::vector<std::string>& items, char open, char close) {
    std::string out(1, open);
    for (std::size_t i = 0; i < items.size(); ++i) {
        if (i > 0) out += ',';
        out += items[i];
    }
    return out += close;
}

/// A list that means OR: sorted, each once.
std::string alternatives(std::vector<std::string> items) {
    std::ranges::sort(items);
    items.erase(std::unique(items.begin(), items.end()), items.end());
    return join(items, '[', ']');
}

std::string member(std::string_view word) {
    const auto prefix = looks_like_address(word) ? parse_prefix(word) : Unexpected<ValueError>{ValueError{}};
    return json_string(prefix ? to_text(*prefix) : std::string{word});
}

std::string service(std::string_view word) {
    const auto term = parse_service_term(word);
    return json_string(term ? to_text(*term) : std::string{word});
}

template <typename Spell>
std::string words(const Node& node, Spell&& spell) {
    std::vector<std::string> items;
    for_each_of(node, {}, [&](const Node& item, const Path&) { items.push_back(spell(item.text)); });
    return alternatives(std::move(items));
}

/// `{zone: z}` says what `z` says, `{set: [a, b]}` what `[a, b]` says; where something is left out, nothing shorter
/// does.
std::string endpoints(const Node& node) {
    std::vector<std::string> items;
    for_each_of(node, {}, [&](const Node& item, const Path&) {
        if (item.kind == Node::Kind::scalar) {
            items.push_back(member(item.text));
            return;
        }
        const auto* zone = item.find("zone");
        const auto* set = item.find("set");
        if (const auto* except = item.find("not")) {
            std::string text = "{\"not\":" + words(*except, member);
            if (set != nullptr) text += ",\"set\":" + words(*set, member);
            if (zone != nullptr) text += ",\"zone\":" + json_string(zone->text);
            items.push_back(text + "}");
        } else if (zone != nullptr && set != nullptr) {
            items.push_back("{\"set\":" + words(*set, member) + ",\"zone\":" + json_string(zone->text) + "}");
        } else if (zone != nullptr) {
            items.push_back(json_string(zone->text));
        } else if (set != nullptr) {
            for_each_of(*set, {}, [&](const Node& word, const Path&) { items.push_back(member(word.text)); });
        }
    });
    return alternatives(std::move(items));
}

class Writer {
public:
    static std::string object(const Node& node, const ObjectSchema& schema) { return sorted(members(node, schema)); }

    static std::string head(const Node& root) {
        auto all = members(root, document_schema());
        std::erase_if(all, [](const auto& member) { return member.first == "rules"; });
        return sorted(std::move(all));
    }

private:
    using Members = std::vector<std::pair<std::string_view, std::string>>;

    static Members members(const Node& node, const ObjectSchema& schema) {
        Members members;
        for (const auto& field : schema.fields) {
            const auto* present = node.find(field.key);
            if (field.silent_standard && (present == nullptr || present->text == field.standard)) continue;
            if (present != nullptr) {
                members.emplace_back(field.key, value(*present, field));
            } else if (!field.standard.empty()) {
                members.emplace_back(field.key, json_string(field.standard));
            } else if (field.shape == Shape::object && !field.required && has_standards(*field.object)) {
                members.emplace_back(field.key, object(Node{.kind = Node::Kind::map}, *field.object));
            }
        }
        return members;
    }

    /// Left out altogether it still means something: `wire`, `timeouts`.
    static bool has_standards(const ObjectSchema& schema) {
        return std::ranges::all_of(schema.fields, [](const Field& field) { return !field.standard.empty(); });
    }

    static std::string sorted(Members members) {
        std::ranges::sort(members);
        std::vector<std::string> items;
        items.reserve(members.size());
        for (const auto& [key, text] : members) items.push_back(json_string(key) + ":" + text);
        return join(items, '{', '}');
    }

    template <typename Spell>
    static std::string map(const Node& node, Spell&& spell) {
        Members members;
        for (std::size_t i = 0; i < node.member_count(); ++i)
            members.emplace_back(node.key(i).text, spell(node.value(i)));
        return sorted(std::move(members));
    }

    static std::string list(const Node& node, const ObjectSchema& schema) {
        std::vector<std::string> items;
        items.reserve(node.children.size());
        for (const auto& child : node.children) items.push_back(object(child, schema));
        return join(items, '[', ']');
    }

    static std::string duration(std::string_view text) {
        const auto ms = parse_duration(text);
        return json_string(ms ? duration_text(*ms) : std::string{text});
    }

    static std::string rate(std::string_view text) {
        const auto per_second = parse_rate(text);
        return json_string(per_second ? rate_text(*per_second) : std::string{text});
    }

    static std::string instant(const Expected<UnixSeconds, ValueError>& at, std::string_view text) {
        return json_string(at ? instant_text(*at) : std::string{text});
    }

    static std::string test_source(std::string_view text) {
        const auto source = parse_test_source(text);
        if (!source) return json_string(text);
        auto spelt = to_text(source->address) + "@" + std::string{source->zone};
        if (source->port && *source->port != kTestSourcePort) spelt += ":" + std::to_string(*source->port);
        return json_string(spelt);
    }

    static std::string test_target(std::string_view text) {
        const auto target = parse_test_target(text);
        if (!target) return json_string(text);
        auto spelt = to_text(target->address);
        if (!target->zone.empty()) spelt += "@" + std::string{target->zone};
        if (target->service) {
            const auto term = parse_service_term(*target->service);
            spelt += " " + (term ? to_text(*term) : *target->service);
        }
        return json_string(spelt);
    }

    static std::string value(const Node& node, const Field& field) {
        switch (field.shape) {
            case Shape::version:
            case Shape::layer:
            case Shape::count: return std::string{node.text};
            case Shape::object: return object(node, *field.object);
            case Shape::object_list: return list(node, *field.object);
            case Shape::object_map: return map(node, [&](const Node& v) { return object(v, *field.object); });
            case Shape::member_map: return map(node, [](const Node& v) { return words(v, member); });
            case Shape::service_map: return map(node, [](const Node& v) { return words(v, service); });
            case Shape::port_names: return words(node, json_string);
            case Shape::prefixes:
            case Shape::set_names:
            case Shape::members: return words(node, member);
            case Shape::endpoints: return endpoints(node);
            case Shape::services: return words(node, service);
            case Shape::test_source: return test_source(node.text);
            case Shape::test_target: return test_target(node.text);
            case Shape::test_service: return service(node.text);
            case Shape::duration: return duration(node.text);
            case Shape::days: return words(node, json_string);
            case Shape::instant: return instant(parse_instant(node.text), node.text);
            case Shape::rate: return rate(node.text);
            case Shape::expiry: return instant(parse_expiry(node.text), node.text);
            case Shape::name:
            case Shape::choice:
            case Shape::time_zone:
            case Shape::day_time:
            case Shape::note:
            case Shape::unsupported: break;
        }
        return json_string(node.text);
    }
};

}  // namespace

std::string canonical_text(const Document& document) { return Writer::object(document.root, document_schema()); }

std::string canonical_head(const Node& root) { return Writer::head(root); }

std::string canonical_rule(const Node& rule) { return Writer::object(rule, *document_schema().find("rules")->object); }

}  // namespace sluice::cp
