/// What a YAML or JSON text says, before anybody asks what it means: a tree whose every node knows its line and column.
/// Both formats give the same tree, and the rest of the reader doesn't care which it was.
///
/// Refused here, each with its place: syntax errors, invalid UTF-8, aliases, anchors, tags, several documents, keys
/// that are no plain words, duplicate keys, and anything over the limits. So a tree costs at most what its text
/// deserves: no alias multiplies it, no depth overflows a recursion over it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <string_view>
#include <vector>

#include <sluice/expected.hpp>

#include "controlplane/policy/errors.hpp"

namespace sluice::cp {

struct Node {
    enum class Kind : std::uint8_t {
        null,    ///< nothing written, `~` or `null`
        scalar,  ///< a word, a number, a text
        list,
        map,
        refused,  ///< already reported (an alias); say no more about it
    };
    /// What may be read from a scalar: the schema, not the look, decides what a plain YAML scalar is.
    enum class Form : std::uint8_t {
        plain,    ///< YAML without quotes: text, or a number where one is wanted
        text,     ///< YAML with quotes, JSON string
        number,   ///< JSON number
        boolean,  ///< JSON true or false
    };
    Kind kind{};
    Form form{};
    SourcePos pos{};
    std::string_view text{};     ///< of a scalar; the document keeps the bytes
    std::vector<Node> children;  ///< items of a list; key, value, key, value, ... of a map

    std::size_t member_count() const noexcept { return children.size() / 2; }
    const Node& key(std::size_t i) const noexcept { return children[2 * i]; }
    const Node& value(std::size_t i) const noexcept { return children[2 * i + 1]; }
    Node& value(std::size_t i) noexcept { return children[2 * i + 1]; }
    /// Value of a map's key; null if there is none or this is no map.
    const Node* find(std::string_view name) const noexcept;
    Node* find(std::string_view name) noexcept;
};

struct DocumentLimits {
    std::size_t bytes_max{32U << 20};
    std::size_t depth_max{32};
    std::size_t scalars_max{2'000'000};  ///< a node costs 56 bytes while it is read (P4)
    std::size_t errors_max{100};
};

/// Owns the bytes of its scalars. Nodes may be copied from one document to another if `adopt` is called too.
class Document {
public:
    Node root;

    /// Copies text into the document.
    std::string_view keep(std::string_view text);
    /// Keeps the bytes of `other` alive, so that nodes of it may move here.
    void adopt(const Document& other);
    /// The same tree with bytes of its own: may be changed and kept while others read this one, and holds nothing that
    /// earlier changes have left behind.
    Document copy() const;

private:
    std::shared_ptr<std::pmr::monotonic_buffer_resource> arena_;
    std::vector<std::shared_ptr<std::pmr::monotonic_buffer_resource>> adopted_;
};

struct ParsedDocument {
    Document document;
    PolicyErrors errors;
    bool whole{};  ///< the syntax was right to the end, so reading on makes sense even with errors
};

ParsedDocument parse_document(std::string_view text, PolicyFormat format, const DocumentLimits& limits = {});

}  // namespace sluice::cp
