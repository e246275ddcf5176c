// JSON through Boost.JSON's incremental parser (RFC 8259, nothing more). It reports no positions, so the text is fed
// one token at a time: the token being fed is the place of the event that comes back.

#include <boost/json/basic_parser_impl.hpp>
#include <string>

#include "controlplane/policy/tree_builder.hpp"

namespace sluice::cp {

namespace {

namespace json = boost::json;

/// Receives the parser's events. Texts come in parts when they hold escapes or were fed in parts.
class Events {
public:
    static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);

    Events(std::string_view text, const DocumentLimits& limits) : builder{limits}, text_{text}, finder_{text} {}

    void feeding(std::size_t offset, std::size_t bytes, bool is_number) {
        token_ = offset;
        if (!is_number) return;
        number_ = text_.substr(offset, bytes);
        number_offset_ = offset;
        is_number_open_ = true;
    }
    /// A number that breaks off is noticed when the next token comes.
    SourcePos fault() { return finder_.at(is_number_open_ ? number_offset_ : token_); }
    SourcePos here() { return finder_.at(token_); }

    bool on_document_begin(json::error_code&) { return true; }
    bool on_document_end(json::error_code&) { return true; }
    bool on_array_begin(json::error_code& ec) { return go(builder.begin(here(), Node::Kind::list), ec); }
    bool on_array_end(std::size_t, json::error_code& ec) { return go(builder.end(), ec); }
    bool on_object_begin(json::error_code& ec) { return go(builder.begin(here(), Node::Kind::map), ec); }
    bool on_object_end(std::size_t, json::error_code& ec) { return go(builder.end(), ec); }
    bool on_string_part(json::string_view part, std::size_t, json::error_code&) { return collect(part); }
    bool on_string(json::string_view part, std::size_t, json::error_code& ec) { return text(part, ec); }
    bool on_key_part(json::string_view part, std::size_t, json::error_code&) { return collect(part); }
    bool on_key(json::string_view part, std::size_t, json::error_code& ec) { return text(part, ec); }
    bool on_number_part(json::string_view, json::error_code&) { return true; }
    bool on_int64(std::int64_t, json::string_view, json::error_code& ec) { return number(ec); }
    bool on_uint64(std::uint64_t, json::string_view, json::error_code& ec) { return number(ec); }
    bool on_double(double, json::string_view, json::error_code& ec) { return number(ec); }
    bool on_bool(bool value, json::error_code& ec) {
        return go(builder.scalar(here(), value ? "true" : "false", Node::Form::boolean), ec);
    }
    bool on_null(json::error_code& ec) { return go(builder.null(here()), ec); }
    bool on_comment_part(json::string_view, json::error_code&) { return true; }
    bool on_comment(json::string_view, json::error_code&) { return true; }

    TreeBuilder builder;

private:
    static bool go(bool go_on, json::error_code& ec) {
        if (!go_on) ec = json::make_error_code(json::error::exception);  // the builder holds the reason
        return go_on;
    }
    bool collect(json::string_view part) {
        parts_.append(part.data(), part.size());
        return true;
    }
    bool text(json::string_view part, json::error_code& ec) {
        collect(part);
        const bool go_on = builder.scalar(here(), parts_, Node::Form::text);
        parts_.clear();
        return go(go_on, ec);
    }
    /// The end of a number is known when the next token comes: its own place was noted.
    bool number(json::error_code& ec) {
        is_number_open_ = false;
        return go(builder.scalar(finder_.at(number_offset_), number_, Node::Form::number), ec);
    }

    std::string_view text_;
    PositionFinder finder_;
    std::size_t token_{}, number_offset_{};
    std::string_view number_;
    bool is_number_open_{};
    std::string parts_;
};

constexpr std::string_view kSpace = " \t\r\n", kBetween = " \t\r\n:,";

/// Bytes of the token at `offset`: a brace or bracket, a string, or a run of anything else.
std::size_t token_bytes(std::string_view text, std::size_t offset) noexcept {
    constexpr std::string_view kStructure = "{}[]", kEndsLiteral = " \t\r\n{}[]:,\"";
    const auto run_until = [&](std::size_t end) {
        return (end == std::string_view::npos ? text.size() : end) - offset;
    };
    const char c = text[offset];
    if (kStructure.find(c) != std::string_view::npos) return 1;
    if (c != '"') return run_until(text.find_first_of(kEndsLiteral, offset));
    for (auto i = offset + 1; i < text.size(); ++i) {
        if (text[i] == '\\') {
            ++i;
        } else if (text[i] == '"') {
            return i + 1 - offset;
        }
    }
    return text.size() - offset;
}

bool is_unknown_word(std::string_view token) noexcept {
    const char c = token.front();
    const bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return is_word && token != "true" && token != "false" && token != "null";
}

}  // namespace

ParsedDocument parse_json(std::string_view text, const DocumentLimits& limits) {
    json::parse_options options;
    options.max_depth = limits.depth_max + 1;  // the builder refuses first, and says where
    json::basic_parser<Events> parser{options, text, limits};
    Events& events = parser.handler();
    json::error_code ec;
    for (std::size_t from = 0; from < text.size() && !ec;) {
        // What stands between tokens makes no event: it is fed with the token behind it.
        const std::size_t offset = std::min(text.find_first_not_of(kBetween, from), text.size());
        const char c = offset == text.size() ? '\0' : text[offset];
        const bool is_number = c == '-' || (c >= '0' && c <= '9');
        // But a number ends with what stands behind it: before the next one's place is noted that must have been fed.
        const bool alone = offset == text.size() || (is_number && offset != from);
        const std::size_t bytes = alone ? 0 : token_bytes(text, offset);
        // The parser would notice at the token behind it.
        const bool unknown = bytes != 0 && is_unknown_word(text.substr(offset, bytes));
        events.feeding(offset, bytes, is_number && !alone);
        const std::size_t fed = offset - from + (unknown ? 0 : bytes);
        const auto read = parser.write_some(true, text.data() + from, fed, ec);
        if (!ec && read < fed) ec = json::make_error_code(json::error::extra_data);
        if (ec) {  // a comma or a colon? Spaces are right everywhere
            const std::size_t at = text.find_first_not_of(kSpace, from + read);
            if (at < offset) events.feeding(at, 0, false);
        }
        if (!ec && unknown) ec = json::make_error_code(json::error::syntax);
        from = offset + bytes;
    }
    if (!ec) {
        events.feeding(text.size(), 0, false);
        parser.write_some(false, nullptr, 0, ec);
    }
    if (!ec) return events.builder.finish(true);
    if (ec != json::make_error_code(json::error::exception)) {
        events.builder.error(events.fault(), "bad-json", "this is not valid JSON: " + ec.message() + "; see RFC 8259");
    }
    return events.builder.finish(false);
}

}  // namespace sluice::cp
