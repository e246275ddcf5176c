/// Puts a tree together from the events of either parser, and refuses what a tree may not be. Private to the document
/// readers: `yaml_document.cpp` and `json_document.cpp`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "controlplane/policy/document.hpp"

namespace sluice::cp {

/// Turns offsets into lines and columns; columns count characters, not bytes, as editors do. Offsets come in ascending
/// order almost always, so the whole text is walked once.
class PositionFinder {
public:
    explicit PositionFinder(std::string_view text) noexcept : text_{text} {}
    SourcePos at(std::size_t offset) noexcept;

private:
    std::string_view text_;
    std::size_t offset_{};
    std::uint32_t line_{1}, column_{1};
};

/// Every event answers whether reading may go on; after `false` the tree is cut short and `errors()` says why.
class TreeBuilder {
public:
    explicit TreeBuilder(const DocumentLimits& limits) : limits_{limits} {}

    bool null(SourcePos pos);
    /// Nothing was written: it has no place of its own, that of its key tells more than whatever comes next.
    bool absent(SourcePos next);
    bool scalar(SourcePos pos, std::string_view text, Node::Form form);
    bool begin(SourcePos pos, Node::Kind kind);
    bool end();
    /// A value that was reported and is left out.
    bool refused(SourcePos pos);
    /// Reports; `false` when it was the last one to be kept.
    bool error(SourcePos pos, std::string code, std::string detail);

    bool inside() const noexcept { return !frames_.empty(); }
    ParsedDocument finish(bool whole);

private:
    /// A list or map that has begun.
    struct Frame {
        Node::Kind kind{};
        SourcePos pos{};
        std::size_t first{};  ///< of its children, in `open_`
        bool awaits_key{};
    };
    bool attach(Node&& node);
    bool has_equal_keys(const Node& map) const;
    void refuse_duplicate_keys(const Node& map);
    /// Of the value that comes next.
    std::string pointer() const;

    DocumentLimits limits_;
    Document document_;
    PolicyErrors errors_;
    std::vector<Frame> frames_;
    /// Children of all frames, those of the innermost last: each gets a vector of its size when it ends.
    std::vector<Node> open_;
    std::size_t scalar_count_{};
};

/// RFC 6901: `~` and `/` are escaped. The text of a key may be hostile and long, so it is cut.
void append_pointer(std::string& pointer, std::string_view key);

ParsedDocument parse_yaml(std::string_view text, const DocumentLimits& limits);
ParsedDocument parse_json(std::string_view text, const DocumentLimits& limits);

}  // namespace sluice::cp
