#include "controlplane/api/json_keys.hpp"

#include <set>
#include <vector>

#include <boost/json/basic_parser_impl.hpp>

namespace sluice::cp::api {
namespace {

namespace json = boost::json;

/// The parser's events; only objects and their keys matter here.
struct KeyHandler {
    static constexpr std::size_t max_object_size = ~std::size_t{};
    static constexpr std::size_t max_array_size = ~std::size_t{};
    static constexpr std::size_t max_key_size = ~std::size_t{};
    static constexpr std::size_t max_string_size = ~std::size_t{};

    std::vector<std::set<std::string>> open;
    std::string key;
    std::optional<std::string> duplicate;

    bool on_document_begin(json::error_code&) { return true; }
    bool on_document_end(json::error_code&) { return true; }
    bool on_object_begin(json::error_code&) {
        open.emplace_back();
        return true;
    }
    bool on_object_end(std::size_t, json::error_code&) {
        open.pop_back();
        return true;
    }
    bool on_array_begin(json::error_code&) { return true; }
    bool on_array_end(std::size_t, json::error_code&) { return true; }
    bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
        key.append(part.data(), part.size());
        return true;
    }
    bool on_key(json::string_view part, std::size_t, json::error_code&) {
        key.append(part.data(), part.size());
        if (!duplicate && !open.back().insert(key).second) duplicate = key;
        key.clear();
        return true;
    }
    bool on_string_part(json::string_view, std::size_t, json::error_code&) { return true; }
    bool on_string(json::string_view, std::size_t, json::error_code&) { return true; }
    bool on_number_part(json::string_view, json::error_code&) { return true; }
    bool on_int64(std::int64_t, json::string_view, json::error_code&) { return true; }
    bool on_uint64(std::uint64_t, json::string_view, json::error_code&) { return true; }
    bool on_double(double, json::string_view, json::error_code&) { return true; }
    bool on_bool(bool, json::error_code&) { return true; }
    bool on_null(json::error_code&) { return true; }
    bool on_comment_part(json::string_view, json::error_code&) { return true; }
    bool on_comment(json::string_view, json::error_code&) { return true; }
};

}  // namespace

std::optional<std::string> duplicate_key(std::string_view text) {
    json::basic_parser<KeyHandler> parser{json::parse_options{}};
    json::error_code error;
    parser.write_some(false, text.data(), text.size(), error);
    return parser.handler().duplicate;
}

}  // namespace sluice::cp::api
