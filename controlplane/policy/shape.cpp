#include "controlplane/policy/shape.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "controlplane/policy/duration.hpp"
#include "controlplane/policy/names.hpp"
#include "controlplane/policy/rate.hpp"
#include "controlplane/policy/schedule.hpp"
#include "controlplane/policy/spelling.hpp"
#include "controlplane/policy/tree_builder.hpp"

namespace sluice::cp {

namespace {

std::string_view describe(const Node& node) noexcept {
    switch (node.kind) {
        case Node::Kind::null: return "nothing";
        case Node::Kind::list: return "a list";
        case Node::Kind::map: return "a map";
        case Node::Kind::refused: return "an alias";
        case Node::Kind::scalar: break;
    }
    switch (node.form) {
        case Node::Form::number: return "a number";
        case Node::Form::boolean: return "true or false";
        case Node::Form::plain:
        case Node::Form::text: break;
    }
    return "a text";
}

/// YAML reads a bare `2001:db8::` as the map {"2001:db8:": null}. The address that was meant, if it looks like one.
std::optional<std::string> bare_address(const Node& node) {
    if (node.kind != Node::Kind::map || node.member_count() != 1 || node.value(0).kind != Node::Kind::null) return {};
    const auto key = node.key(0).text;
    const bool is_address = key.find(':') != std::string_view::npos &&
                            key.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos;
    return is_address ? std::optional{std::string{key} + ":"} : std::nullopt;
}

bool check_kind(const Node& node, Node::Kind wanted, std::string_view words, const Path& path, Report& report) {
    if (node.kind == wanted) return true;
    if (node.kind == Node::Kind::refused) return false;
    if (const auto address = bare_address(node)) {
        report.add(path, node.pos, "quote-address",
                   "YAML reads this as a map because it ends in a colon; quote this address: \"" + *address + "\"");
    } else if (node.kind == Node::Kind::null) {
        report.add(path, node.pos, "wrong-type", "nothing is written here; write " + std::string{words});
    } else {
        report.add(path, node.pos, "wrong-type",
                   "this is " + std::string{describe(node)} + "; write " + std::string{words});
    }
    return false;
}

bool check_not_empty(const Node& node, const Path& path, Report& report) {
    if (!node.children.empty()) return true;
    report.add(path, node.pos, "empty-list",
               "nothing is listed here; list at least one, or leave the key out if you may");
    return false;
}

void check_name(const Node& node, const Path& path, Report& report) {
    if (!check_text(node, path, report) || is_name(node.text)) return;
    report.add(path, node.pos, "bad-name",
               quoted(node.text) + " is no name; write 1 to 63 of a-z, 0-9 and -, not beginning with -");
}

void check_choice(const Node& node, const Field& field, const Path& path, Report& report) {
    if (!check_text(node, path, report)) return;
    if (std::ranges::find(field.choices, node.text) != field.choices.end()) return;
    std::string words;
    for (std::size_t i = 0; i < field.choices.size(); ++i) {
        if (i > 0) words += i + 1 == field.choices.size() ? " or " : ", ";
        words += field.choices[i];
    }
    report.add(path, node.pos, "bad-choice", quoted(node.text) + " is not known here; write " + words);
}

void check_duration(const Node& node, const Path& path, Report& report) {
    if (!check_text(node, path, report)) return;
    if (const auto ms = parse_duration(node.text); !ms) report.add(path, node.pos, ms.error());
}

/// `parse` says what is wrong with a text.
template <typename Parse>
void check_value(const Node& node, const Path& path, Report& report, Parse&& parse) {
    if (!check_text(node, path, report)) return;
    if (auto value = parse(node.text); !value) report.add(path, node.pos, std::move(value.error()));
}

/// One line of at most so many bytes.
constexpr std::size_t kNoteBytesMax = 200;
void check_note(const Node& node, const Path& path, Report& report) {
    if (!check_text(node, path, report)) return;
    const bool one_line = std::ranges::all_of(node.text, [](char c) { return static_cast<unsigned char>(c) >= 0x20; });
    if (!node.text.empty() && node.text.size() <= kNoteBytesMax && one_line) return;
    report.add(path, node.pos, "bad-note",
               "this is for people: write one line of 1 to " + std::to_string(kNoteBytesMax) + " bytes");
}

void check_count(const Node& node, const Field& field, const Path& path, Report& report) {
    if (!check_kind(node, Node::Kind::scalar, "a number", path, report)) return;
    const bool is_number = node.form == Node::Form::plain || node.form == Node::Form::number;
    const std::uint32_t value = is_number ? count_of(node.text, field.most) : 0;
    if (value != 0 && value >= field.least) return;
    report.add(path, node.pos, "bad-count",
               quoted(node.text) + " is no number from " + std::to_string(field.least) + " to " +
                   std::to_string(field.most) + "; write digits only, and leave the key out where there is no limit");
}

void check_layer(const Node& node, const Path& path, Report& report) {
    if (!check_kind(node, Node::Kind::scalar, "a number", path, report)) return;
    const bool is_number = node.form == Node::Form::plain || node.form == Node::Form::number;
    if (is_number && layer_of(node.text)) return;
    report.add(path, node.pos, "bad-layer",
               quoted(node.text) +
                   " is no layer; write 0 to 9 for emergency, 10 to 19 for protection, 20 to 49 for the "
                   "organisation or 50 to 89 for applications");
}

/// The key that was meant, else all that may stand there.
std::string known_keys(std::string_view key, const ObjectSchema& schema) {
    std::vector<std::string_view> known;
    std::string list;
    for (const auto& field : schema.fields) {
        known.push_back(field.key);
        if (field.shape == Shape::unsupported) continue;
        list += (list.empty() ? "" : ", ") + std::string{field.key};
    }
    const auto hint = did_you_mean(key, known);
    return hint.empty() ? "; it may have " + list : hint;
}

void check_version(const Node& node, const Path& path, Report& report) {
    if (!check_kind(node, Node::Kind::scalar, "1", path, report)) return;
    const bool is_number = node.form == Node::Form::plain || node.form == Node::Form::number;
    if (is_number && node.text == "1") return;
    report.add(path, node.pos, "bad-version",
               "version " + quoted(node.text) + " of the language is not known; write the number 1");
}

/// A list of words, or with `one` a single word too.
void check_words(const Node& node, bool one, std::string_view words, const Path& path, Report& report) {
    if (one && node.kind != Node::Kind::list) {
        check_text(node, path, report);
        return;
    }
    if (!check_kind(node, Node::Kind::list, words, path, report) || !check_not_empty(node, path, report)) return;
    for_each_of(node, path, [&](const Node& item, const Path& at) { check_text(item, at, report); });
}

void check_endpoints(const Node& node, const Path& path, Report& report) {
    if (node.kind == Node::Kind::list && !check_not_empty(node, path, report)) return;
    for_each_of(node, path, [&](const Node& item, const Path& at) {
        if (item.kind == Node::Kind::map && !bare_address(item)) {
            check_object(item, endpoint_schema(), at, report);
            if (item.children.empty())
                report.add(at, item.pos, "missing-key", "this says nothing; write zone, set or not");
        } else {
            check_text(item, at, report);
        }
    });
}

/// `check` is asked about each value of a map from names.
template <typename Check>
void check_map(const Node& node, std::string_view words, const Path& path, Report& report, Check&& check) {
    if (!check_kind(node, Node::Kind::map, words, path, report) || !check_not_empty(node, path, report)) return;
    for (std::size_t i = 0; i < node.member_count() && !report.full(); ++i) {
        const Path at{path, node.key(i).text};
        check_name(node.key(i), at, report);
        check(node.value(i), at);
    }
}

void check_field(const Node& node, const Field& field, const Path& path, Report& report) {
    switch (field.shape) {
        case Shape::version: return check_version(node, path, report);
        case Shape::name: return check_name(node, path, report);
        case Shape::choice: return check_choice(node, field, path, report);
        case Shape::duration: return check_duration(node, path, report);
        case Shape::count: return check_count(node, field, path, report);
        case Shape::object: return check_object(node, *field.object, path, report);
        case Shape::object_list: return check_object_list(node, *field.object, path, report);
        case Shape::port_names: return check_words(node, false, "a list of ports: [wan0]", path, report);
        case Shape::prefixes: return check_words(node, false, "a list of addresses: [192.0.2.0/24]", path, report);
        case Shape::members:
        case Shape::set_names:
        case Shape::services: return check_words(node, true, "", path, report);
        case Shape::endpoints: return check_endpoints(node, path, report);
        case Shape::test_source:
        case Shape::test_target:
        case Shape::test_service: return void(check_text(node, path, report));
        case Shape::time_zone: return check_value(node, path, report, check_time_zone);
        case Shape::day_time: return check_value(node, path, report, parse_day_time);
        case Shape::instant: return check_value(node, path, report, parse_instant);
        case Shape::expiry: return check_value(node, path, report, parse_expiry);
        case Shape::rate: return check_value(node, path, report, parse_rate);
        case Shape::days: return check_words(node, true, "a list of days: [mon, tue]", path, report);
        case Shape::note: return check_note(node, path, report);
        case Shape::layer: return check_layer(node, path, report);
        case Shape::object_map:
            return check_map(node, "a map from names", path, report, [&](const Node& value, const Path& at) {
                check_object(value, *field.object, at, report);
            });
        case Shape::member_map:
        case Shape::service_map:
            return check_map(node, "a map from names", path, report,
                             [&](const Node& value, const Path& at) { check_words(value, true, "", at, report); });
        case Shape::unsupported: return;  // reported with its key
    }
}

}  // namespace

std::string Path::pointer() const {
    if (parent_ == nullptr) return {};
    auto text = parent_->pointer();
    append_pointer(text, is_index_ ? std::to_string(index_) : std::string{key_});
    return text;
}

void Report::add(const Path& path, SourcePos pos, std::string code, std::string detail) {
    if (!full()) errors_.push_back({std::move(code), path.pointer(), pos, std::move(detail)});
}

void Report::add(const Path& path, SourcePos pos, ValueError error) {
    add(path, pos, std::move(error.code), std::move(error.detail));
}

PolicyErrors Report::take(PolicyErrors earlier) {
    earlier.insert(earlier.end(), std::make_move_iterator(errors_.begin()), std::make_move_iterator(errors_.end()));
    std::ranges::stable_sort(earlier, {}, [](const PolicyError& e) { return std::pair{e.pos.line, e.pos.column}; });
    if (earlier.size() > errors_max_) earlier.resize(errors_max_);
    return earlier;
}

std::uint32_t count_of(std::string_view text, std::uint32_t most) noexcept {
    std::uint32_t value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = error == std::errc{} && end == text.data() + text.size() && text.front() != '0';
    return whole && value <= most ? value : 0;
}

bool check_text(const Node& node, const Path& path, Report& report) {
    if (!check_kind(node, Node::Kind::scalar, "a text", path, report)) return false;
    if (node.form == Node::Form::plain || node.form == Node::Form::text) return true;
    report.add(path, node.pos, "wrong-type", "this is " + std::string{describe(node)} + "; write a text in quotes");
    return false;
}

void check_object(const Node& node, const ObjectSchema& schema, const Path& path, Report& report) {
    if (!check_kind(node, Node::Kind::map, "a map: {key: value}", path, report)) return;
    bool has_unsupported = false;
    for (std::size_t i = 0; i < node.member_count() && !report.full(); ++i) {
        const Node& key = node.key(i);
        const Path at{path, key.text};
        const auto* field = schema.find(key.text);
        if (field == nullptr) {
            report.add(at, key.pos, "unknown-key",
                       "key " + quoted(key.text) + " is not part of " + std::string{schema.name} +
                           known_keys(key.text, schema));
        } else if (field->shape == Shape::unsupported) {
            has_unsupported = true;
            report.add(at, key.pos, "not-supported-yet",
                       "key " + quoted(key.text) + " of " + std::string{schema.name} +
                           " is not supported yet; remove it, for what it says would not be done");
        } else {
            check_field(node.value(i), *field, at, report);
        }
    }
    // A set of a kind that is not supported yet lacks `nets` for that reason: one error is enough.
    if (has_unsupported) return;
    for (const auto& field : schema.fields) {
        if (!field.required || node.find(field.key) != nullptr) continue;
        report.add(path, node.pos, "missing-key",
                   std::string{schema.name} + " lacks " + quoted(field.key) + "; add it");
    }
}

void check_object_list(const Node& node, const ObjectSchema& schema, const Path& path, Report& report) {
    if (!check_kind(node, Node::Kind::list, "a list", path, report) || !check_not_empty(node, path, report)) return;
    for (std::size_t i = 0; i < node.children.size() && !report.full(); ++i) {
        check_object(node.children[i], schema, Path{path, i}, report);
    }
}

}  // namespace sluice::cp
