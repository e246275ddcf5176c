#include "controlplane/policy/canonical.hpp"

#include <algorithm>
#include <array>
#include <span>
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

/// A list that means OR: sorted, each once.
void alternatives(std::string& out, std::vector<std::string> items) {
    std::ranges::sort(items);
    items.erase(std::unique(items.begin(), items.end()), items.end());
    out += '[';
    for (std::size_t i = 0; i < items.size(); ++i) {
        if (i > 0) out += ',';
        out += items[i];
    }
    out += ']';
}

void member(std::string& out, std::string_view word) {
    const auto prefix = looks_like_address(word) ? parse_prefix(word) : Unexpected<ValueError>{ValueError{}};
    append_json_string(out, prefix ? to_text(*prefix) : std::string{word});
}

void service(std::string& out, std::string_view word) {
    const auto term = parse_service_term(word);
    append_json_string(out, term ? to_text(*term) : std::string{word});
}

/// `spell(out, text)`: one of them.
template <typename Spell>
void words(std::string& out, const Node& node, Spell&& spell) {
    const bool is_list = node.kind == Node::Kind::list;
    if (!is_list || node.children.size() == 1) {  // most lists
        out += '[';
        spell(out, is_list ? node.children.front().text : node.text);
        out += ']';
        return;
    }
    std::vector<std::string> items;
    for (const Node& item : node.children) spell(items.emplace_back(), item.text);
    alternatives(out, std::move(items));
}

/// `{zone: z}` says what `z` says, `{set: [a, b]}` what `[a, b]` says; where something is left out, nothing shorter
/// does.
void endpoints(std::string& out, const Node& node) {
    if (node.kind == Node::Kind::scalar) return words(out, node, member);  // most
    std::vector<std::string> items;
    for_each_of(node, {}, [&](const Node& item, const Path&) {
        if (item.kind == Node::Kind::scalar) return member(items.emplace_back(), item.text);
        const auto* zone = item.find("zone");
        const auto* set = item.find("set");
        const auto* except = item.find("not");
        if (except == nullptr && zone == nullptr) {
            if (set == nullptr) return;
            for_each_of(*set, {},
                        [&](const Node& word, const Path&) { return member(items.emplace_back(), word.text); });
            return;
        }
        std::string& text = items.emplace_back();
        if (except == nullptr && set == nullptr) return append_json_string(text, zone->text);
        const auto part = [&](std::string_view key, auto&& write) {
            text += text.empty() ? "{\"" : ",\"";
            text.append(key).append("\":");
            write();
        };
        if (except != nullptr) part("not", [&] { words(text, *except, member); });
        if (set != nullptr) part("set", [&] { words(text, *set, member); });
        if (zone != nullptr) part("zone", [&] { append_json_string(text, zone->text); });
        text += '}';
    });
    alternatives(out, std::move(items));
}

/// Appends to `out_`: a policy of 100,000 rules is a million members.
class Writer {
public:
    static std::string object(const Node& node, const ObjectSchema& schema) {
        Writer writer;
        writer.write_object(node, schema, {});
        return std::move(writer.out_);
    }

    static std::string head(const Node& root) {
        Writer writer;
        writer.write_object(root, document_schema(), "rules");
        return std::move(writer.out_);
    }

private:
    /// `value`: null where what the field stands for unwritten is said.
    struct Member {
        const Field* field{};
        const Node* value{};
    };

    void write_object(const Node& node, const ObjectSchema& schema, std::string_view left_out) {
        constexpr std::size_t kMost = 64;
        std::array<Member, kMost> members;
        std::size_t count = 0;
        for (const auto& field : schema.fields) {
            const auto* present = node.find(field.key);
            if (field.silent_standard && (present == nullptr || present->text == field.standard)) continue;
            const bool says_something =
                present != nullptr || !field.standard.empty() ||
                (field.shape == Shape::object && !field.required && has_standards(*field.object));
            if (says_something && field.key != left_out) members.at(count++) = {&field, present};
        }
        const auto own = std::span{members}.first(count);
        std::ranges::sort(own, {}, [](const Member& m) { return m.field->key; });
        out_ += '{';
        for (const Member& m : own) {
            if (&m != own.data()) out_ += ',';
            append_json_string(out_, m.field->key);
            out_ += ':';
            if (m.value != nullptr) {
                value(*m.value, *m.field);
            } else if (!m.field->standard.empty()) {
                append_json_string(out_, m.field->standard);
            } else {
                write_object(Node{.kind = Node::Kind::map}, *m.field->object, {});
            }
        }
        out_ += '}';
    }

    /// Left out altogether it still means something: `wire`, `timeouts`.
    static bool has_standards(const ObjectSchema& schema) {
        return std::ranges::all_of(schema.fields, [](const Field& field) { return !field.standard.empty(); });
    }

    template <typename Spell>
    void map(const Node& node, Spell&& spell) {
        std::vector<std::pair<std::string_view, const Node*>> members;
        for (std::size_t i = 0; i < node.member_count(); ++i) members.emplace_back(node.key(i).text, &node.value(i));
        std::ranges::sort(members);
        out_ += '{';
        for (std::size_t i = 0; i < members.size(); ++i) {
            if (i > 0) out_ += ',';
            append_json_string(out_, members[i].first);
            out_ += ':';
            spell(*members[i].second);
        }
        out_ += '}';
    }

    void list(const Node& node, const ObjectSchema& schema) {
        out_ += '[';
        for (std::size_t i = 0; i < node.children.size(); ++i) {
            if (i > 0) out_ += ',';
            write_object(node.children[i], schema, {});
        }
        out_ += ']';
    }

    static std::string duration(std::string_view text) {
        const auto ms = parse_duration(text);
        return ms ? duration_text(*ms) : std::string{text};
    }

    static std::string rate(std::string_view text) {
        const auto per_second = parse_rate(text);
        return per_second ? rate_text(*per_second) : std::string{text};
    }

    static std::string instant(const Expected<UnixSeconds, ValueError>& at, std::string_view text) {
        return at ? instant_text(*at) : std::string{text};
    }

    static std::string test_source(std::string_view text) {
        const auto source = parse_test_source(text);
        if (!source) return std::string{text};
        auto spelt = to_text(source->address) + "@" + std::string{source->zone};
        if (source->port && *source->port != kTestSourcePort) spelt += ":" + std::to_string(*source->port);
        return spelt;
    }

    static std::string test_target(std::string_view text) {
        const auto target = parse_test_target(text);
        if (!target) return std::string{text};
        auto spelt = to_text(target->address);
        if (!target->zone.empty()) spelt += "@" + std::string{target->zone};
        if (target->service) {
            const auto term = parse_service_term(*target->service);
            spelt += " " + (term ? to_text(*term) : *target->service);
        }
        return spelt;
    }

    void value(const Node& node, const Field& field) {
        const auto name = [](std::string& out, std::string_view text) { append_json_string(out, text); };
        switch (field.shape) {
            case Shape::version:
            case Shape::layer:
            case Shape::count: out_ += node.text; return;
            case Shape::object: return write_object(node, *field.object, {});
            case Shape::object_list: return list(node, *field.object);
            case Shape::object_map: return map(node, [&](const Node& v) { write_object(v, *field.object, {}); });
            case Shape::member_map: return map(node, [&](const Node& v) { words(out_, v, member); });
            case Shape::service_map: return map(node, [&](const Node& v) { words(out_, v, service); });
            case Shape::port_names: return words(out_, node, name);
            case Shape::prefixes:
            case Shape::set_names:
            case Shape::members: return words(out_, node, member);
            case Shape::endpoints: return endpoints(out_, node);
            case Shape::services: return words(out_, node, service);
            case Shape::test_source: return append_json_string(out_, test_source(node.text));
            case Shape::test_target: return append_json_string(out_, test_target(node.text));
            case Shape::test_service: return service(out_, node.text);
            case Shape::duration: return append_json_string(out_, duration(node.text));
            case Shape::days: return words(out_, node, name);
            case Shape::instant: return append_json_string(out_, instant(parse_instant(node.text), node.text));
            case Shape::rate: return append_json_string(out_, rate(node.text));
            case Shape::expiry: return append_json_string(out_, instant(parse_expiry(node.text), node.text));
            case Shape::name:
            case Shape::choice:
            case Shape::time_zone:
            case Shape::day_time:
            case Shape::note:
            case Shape::unsupported: break;
        }
        append_json_string(out_, node.text);
    }

    std::string out_;
};

}  // namespace

std::string canonical_text(const Document& document) { return Writer::object(document.root, document_schema()); }

std::string canonical_head(const Node& root) { return Writer::head(root); }

std::string canonical_rule(const Node& rule) { return Writer::object(rule, *document_schema().find("rules")->object); }

}  // namespace sluice::cp
