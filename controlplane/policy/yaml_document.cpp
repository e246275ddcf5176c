// YAML through yaml-cpp's events, never through YAML::Node: the node tree takes the first of duplicate keys in silence,
// follows aliases into exponential size and even into cycles, and costs 18 times the memory.

#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <istream>
#include <streambuf>
#include <string>

#include "controlplane/policy/tree_builder.hpp"

namespace sluice::cp {

namespace {

constexpr std::string_view kNoAlias = "aliases are not part of the policy language; write the value out";

/// Reads the text where it stands.
class ViewBuffer : public std::streambuf {
public:
    explicit ViewBuffer(std::string_view text) {
        auto* begin = const_cast<char*>(text.data());  // NOLINT: streambuf's get area is char*, and only read
        setg(begin, begin, begin + text.size());
    }
};

/// Leaves the parser from inside an event; caught where the parser is called.
struct Stop {};

class Events : public YAML::EventHandler {
public:
    Events(std::string_view text, TreeBuilder& builder) : text_{text}, finder_{text}, builder_{builder} {}

    SourcePos pos(const YAML::Mark& mark) {
        return mark.is_null() || mark.pos < 0 ? SourcePos{} : finder_.at(static_cast<std::size_t>(mark.pos));
    }

    void OnDocumentStart(const YAML::Mark& mark) override {
        if (++document_count_ == 2) {
            builder_.error(pos(mark), "several-documents", "a second document starts here; a policy is one document");
            throw Stop{};
        }
    }
    void OnDocumentEnd() override { refuse_open_quote(); }

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        const auto at = pos(mark);
        refuse_properties(at, mark, "?", anchor);
        const auto offset = static_cast<std::size_t>(std::max(mark.pos, 0));
        const bool is_written =
            offset < text_.size() && std::string_view{"~nN"}.find(text_[offset]) != std::string_view::npos;
        need(is_written ? builder_.null(at) : builder_.absent(at));
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
        const auto at = pos(mark);
        need(builder_.error(at, "alias", std::string{kNoAlias}));
        need(builder_.refused(at));
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        const auto at = pos(mark);
        refuse_properties(at, mark, tag, anchor);
        if (tag != "?" && mark.pos >= 0) last_quoted_ = static_cast<std::size_t>(mark.pos);
        need(builder_.scalar(at, value, tag == "?" ? Node::Form::plain : Node::Form::text));
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        begin(mark, tag, anchor, Node::Kind::list);
    }
    void OnSequenceEnd() override { need(builder_.end()); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        begin(mark, tag, anchor, Node::Kind::map);
    }
    void OnMapEnd() override { need(builder_.end()); }

private:
    static void need(bool go_on) {
        if (!go_on) throw Stop{};
    }

    /// yaml-cpp takes the end of the text for the end of a quoted scalar: half of a policy would pass for a whole one.
    /// Whatever is never closed reaches to the end, so only the last quoted scalar can be that.
    void refuse_open_quote() {
        if (last_quoted_ >= text_.size()) return;
        const char quote = text_[last_quoted_];
        if (quote != '"' && quote != '\'') return;
        for (std::size_t i = last_quoted_ + 1; i < text_.size(); ++i) {
            const bool is_escape = quote == '"' ? text_[i] == '\\' : text_.substr(i, 2) == "''";
            if (is_escape) {
                ++i;
            } else if (text_[i] == quote) {
                return;
            }
        }
        builder_.error(
            finder_.at(last_quoted_), "bad-yaml",
            "this is not valid YAML: the quote that begins here is never closed; close it, or send the whole text");
        throw Stop{};
    }

    void begin(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, Node::Kind kind) {
        const auto at = pos(mark);
        refuse_properties(at, mark, tag, anchor);
        need(builder_.begin(at, kind));
    }

    void refuse_properties(SourcePos at, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
        if (anchor != YAML::NullAnchor) {
            need(builder_.error(at, "anchor", "anchors are not part of the policy language; remove the &name"));
        }
        // yaml-cpp reports "!" both for a quoted scalar and for a bare `!` tag: the text tells them apart.
        const bool bare_tag = mark.pos >= 0 && static_cast<std::size_t>(mark.pos) < text_.size() &&
                              text_[static_cast<std::size_t>(mark.pos)] == '!';
        if (bare_tag || (!tag.empty() && tag != "?" && tag != "!")) {
            need(builder_.error(at, "tag", "tags are not part of the policy language; remove the !tag"));
        }
    }

    std::string_view text_;
    PositionFinder finder_;
    TreeBuilder& builder_;
    int document_count_{};
    std::size_t last_quoted_{std::string_view::npos};  ///< where it begins
};

/// `2001:db8::` at the end of a value looks like a key to YAML. Is there one on this line?
bool has_bare_address(std::string_view text, std::uint32_t line) {
    std::size_t begin = 0;
    for (std::uint32_t i = 1; i < line && begin != std::string_view::npos; ++i) {
        const auto newline = text.find('\n', begin);
        begin = newline == std::string_view::npos ? newline : newline + 1;
    }
    if (begin == std::string_view::npos) return false;
    const auto shown = text.substr(begin, text.find('\n', begin) - begin);
    for (auto at = shown.find("::"); at != std::string_view::npos; at = shown.find("::", at + 2)) {
        const auto end = at + 2;
        if (end == shown.size() || std::string_view{" ,]}\r"}.find(shown[end]) != std::string_view::npos) return true;
    }
    return false;
}

}  // namespace

ParsedDocument parse_yaml(std::string_view text, const DocumentLimits& limits) {
    TreeBuilder builder{limits};
    Events events{text, builder};
    try {
        ViewBuffer buffer{text};
        std::istream stream{&buffer};
        YAML::Parser parser{stream};
        while (parser.HandleNextDocument(events)) {
        }
        return builder.finish(true);
    } catch (const Stop&) {
    } catch (const YAML::Exception& problem) {
        const auto at = events.pos(problem.mark);
        if (problem.msg == YAML::ErrorMsg::UNKNOWN_ANCHOR) {
            builder.error(at, "alias", std::string{kNoAlias});
            return builder.finish(false);
        }
        auto detail = "this is not valid YAML: " + problem.msg;
        if (has_bare_address(text, at.line)) {
            detail += "; quote an address that ends in a colon: \"2001:db8::\"";
        } else {
            detail += "; check indentation, brackets and quotes";
        }
        builder.error(at, "bad-yaml", std::move(detail));
    }
    return builder.finish(false);
}

}  // namespace sluice::cp
