#include "controlplane/api/field_reader.hpp"

#include "controlplane/api/json_keys.hpp"
#include "controlplane/api/problem.hpp"

namespace sluice::cp::api {
namespace json = boost::json;
namespace {

/// More than any body needs, little enough that no nesting costs stack.
constexpr std::size_t kJsonDepthMax = 8;

Unexpected<Problem> bad_json(std::string detail) {
    return Unexpected(
        Problem{.status = 400, .code = "bad-json", .title = {}, .detail = std::move(detail), .errors = {}});
}

}  // namespace

Expected<json::object, Problem> read_object(std::string_view body) {
    json::parse_options options;
    options.max_depth = kJsonDepthMax;
    json::error_code error;
    json::value document = json::parse({body.data(), body.size()}, error, {}, options);
    if (error) return bad_json("the body is no JSON document: " + error.message());
    if (!document.is_object()) return bad_json("the body must be a JSON object");
    if (const auto key = duplicate_key(body)) {
        return bad_json("the key \"" + valid_utf8(*key) + "\" stands twice in one object");
    }
    return std::move(document.get_object());
}

Problem bad_fields(std::string code, std::string_view what, PolicyErrors errors) {
    auto detail = errors.size() > 1 ? std::to_string(errors.size()) + " errors in the " + std::string{what}
                                    : errors.begin()->detail;
    return {
        .status = 400, .code = std::move(code), .title = {}, .detail = std::move(detail), .errors = std::move(errors)};
}

}  // namespace sluice::cp::api
