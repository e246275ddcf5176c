/// Reads a JSON body strictly: field by field, every mistake an error with its place, what nobody asked for as well.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json.hpp>
#include <sluice/expected.hpp>

#include "controlplane/lifecycle/policy_service.hpp"

namespace sluice::cp::api {

class FieldReader {
public:
    FieldReader(const boost::json::object& object, PolicyErrors& errors) : object_{object}, errors_{errors} {}

    const boost::json::value* find(std::string_view name) {
        known_.emplace_back(name);
        return object_.if_contains(name);
    }

    std::optional<std::string> text(std::string_view name) {
        const auto* value = find(name);
        if (value == nullptr) {
            fail(name, "missing-field", std::string{name} + " is required");
            return std::nullopt;
        }
        if (!value->is_string()) {
            fail(name, "wrong-type", std::string{name} + " must be a string");
            return std::nullopt;
        }
        const auto& string = value->get_string();
        return std::string(string.data(), string.size());
    }

    std::optional<std::uint16_t> number(std::string_view name, std::int64_t min, std::int64_t max) {
        const auto* value = find(name);
        if (value == nullptr) return std::nullopt;
        const auto* number = value->if_int64();
        if (number == nullptr || *number < min || *number > max) {
            fail(name, "out-of-range",
                 std::string{name} + " must be a whole number from " + std::to_string(min) + " to " +
                     std::to_string(max));
            return std::nullopt;
        }
        return static_cast<std::uint16_t>(*number);
    }

    bool has(std::string_view name) const { return object_.contains(name); }

    void fail(std::string_view name, std::string code, std::string detail) {
        errors_.push_back(
            {.code = std::move(code), .pointer = "/" + std::string{name}, .pos = {}, .detail = std::move(detail)});
    }

    void refuse_unknown() {
        for (const auto& item : object_) {
            const std::string_view key{item.key()};
            if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
                std::string pointer = "/";
                for (const char c : key) pointer += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
                errors_.push_back({.code = "unknown-key",
                                   .pointer = pointer,
                                   .pos = {},
                                   .detail = "unknown key; this body has " + list()});
            }
        }
    }

private:
    std::string list() const {
        std::string out;
        for (const auto& name : known_) out += (out.empty() ? "" : ", ") + name;
        return out;
    }

    const boost::json::object& object_;
    PolicyErrors& errors_;
    std::vector<std::string> known_;
};

/// The body as one object without a key that stands twice; else a 400.
Expected<boost::json::object, Problem> read_object(std::string_view body);
/// 400 with all that FieldReader found; `code` is the problem's own, `what` what the body is.
Problem bad_fields(std::string code, std::string_view what, PolicyErrors errors);

}  // namespace sluice::cp::api
