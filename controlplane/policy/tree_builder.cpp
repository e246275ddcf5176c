#include "controlplane/policy/tree_builder.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "controlplane/policy/names.hpp"

namespace sluice::cp {

namespace {

constexpr std::size_t kShownBytesMax = 80;

bool is_continuation(char c) noexcept { return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U; }

/// At most `bytes_max` bytes, never half a character.
std::string_view cut(std::string_view text, std::size_t bytes_max) noexcept {
    if (text.size() <= bytes_max) return text;
    while (bytes_max > 0 && is_continuation(text[bytes_max])) --bytes_max;
    return text.substr(0, bytes_max);
}

}  // namespace

SourcePos PositionFinder::at(std::size_t offset) noexcept {
    offset = std::min(offset, text_.size());
    if (offset < offset_) {
        offset_ = 0;
        line_ = column_ = 1;
    }
    for (; offset_ < offset; ++offset_) {
        const char c = text_[offset_];
        if (c == '\n') {
            ++line_;
            column_ = 1;
        } else if (!is_continuation(c)) {
            ++column_;
        }
    }
    return {line_, column_};
}

void append_pointer(std::string& pointer, std::string_view key) {
    pointer += '/';
    for (const char c : cut(key, kShownBytesMax)) {
        if (c == '~') {
            pointer += "~0";
        } else if (c == '/') {
            pointer += "~1";
        } else {
            pointer += c;
        }
    }
}

bool TreeBuilder::error(SourcePos pos, std::string code, std::string detail) {
    errors_.push_back({std::move(code), pointer(), pos, std::move(detail)});
    return errors_.size() < limits_.errors_max;
}

std::string TreeBuilder::pointer() const {
    std::string result;
    for (const auto& [node, awaits_key] : frames_) {
        if (node.kind == Node::Kind::list) {
            append_pointer(result, std::to_string(node.children.size()));
        } else if (!awaits_key && !node.children.empty()) {
            append_pointer(result, node.children.back().text);
        }
    }
    return result;
}

bool TreeBuilder::attach(Node&& node) {
    if (frames_.empty()) {
        document_.root = std::move(node);
        return true;
    }
    auto& [parent, awaits_key] = frames_.back();
    if (parent.kind == Node::Kind::map) {
        if (awaits_key && node.kind != Node::Kind::scalar) {
            error(node.pos, "bad-key", "a key must be a plain word; write `key: value`");
            return false;
        }
        awaits_key = !awaits_key;
    }
    parent.children.push_back(std::move(node));
    return true;
}

bool TreeBuilder::null(SourcePos pos) { return attach({.kind = Node::Kind::null, .pos = pos}); }

bool TreeBuilder::absent(SourcePos next) {
    if (frames_.empty()) return null(next);
    const auto& [parent, awaits_key] = frames_.back();
    return null(parent.kind == Node::Kind::map && !awaits_key ? parent.children.back().pos : next);
}

bool TreeBuilder::refused(SourcePos pos) { return attach({.kind = Node::Kind::refused, .pos = pos}); }

bool TreeBuilder::scalar(SourcePos pos, std::string_view text, Node::Form form) {
    if (++scalar_count_ > limits_.scalars_max) {
        error(pos, "too-large", "more than " + std::to_string(limits_.scalars_max) + " values; split the policy");
        return false;
    }
    return attach({.kind = Node::Kind::scalar, .form = form, .pos = pos, .text = document_.keep(text)});
}

bool TreeBuilder::begin(SourcePos pos, Node::Kind kind) {
    if (frames_.size() >= limits_.depth_max) {
        error(pos, "too-deep",
              "nested more than " + std::to_string(limits_.depth_max) + " levels deep; a policy needs 5");
        return false;
    }
    // Lists and maps cost memory as scalars do: `[[],[],...]` must meet a limit too.
    if (++scalar_count_ > limits_.scalars_max) {
        error(pos, "too-large", "more than " + std::to_string(limits_.scalars_max) + " values; split the policy");
        return false;
    }
    if (!frames_.empty() && frames_.back().awaits_key) {
        error(pos, "bad-key", "a key must be a plain word; write `key: value`");
        return false;
    }
    frames_.push_back({{.kind = kind, .pos = pos}, kind == Node::Kind::map});
    return true;
}

bool TreeBuilder::end() {
    Node node = std::move(frames_.back().node);
    if (node.kind == Node::Kind::map) {
        refuse_duplicate_keys(node);
        if (errors_.size() >= limits_.errors_max) return false;
    }
    node.children.shrink_to_fit();
    frames_.pop_back();
    return attach(std::move(node));
}

void TreeBuilder::refuse_duplicate_keys(const Node& map) {
    std::vector<std::size_t> order(map.member_count());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::stable_sort(order, {}, [&](std::size_t i) { return map.key(i).text; });
    // Stable: the first of equal keys is the one that stands first in the text.
    for (std::size_t i = 1, first = 0; i < order.size() && errors_.size() < limits_.errors_max; ++i) {
        const Node& key = map.key(order[i]);
        const Node& earlier = map.key(order[first]);
        if (key.text != earlier.text) {
            first = i;
            continue;
        }
        auto where = pointer();  // of the map: it waits for a key again
        append_pointer(where, key.text);
        errors_.push_back({"duplicate-key", std::move(where), key.pos,
                           "key " + quoted(key.text) + " stands here and at " + std::to_string(earlier.pos.line) + ":" +
                               std::to_string(earlier.pos.column) + "; keep one"});
    }
}

ParsedDocument TreeBuilder::finish(bool whole) {
    return {std::move(document_), std::move(errors_), whole && frames_.empty()};
}

}  // namespace sluice::cp
