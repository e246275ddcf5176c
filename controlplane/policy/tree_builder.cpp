#include "controlplane/policy/tree_builder.hpp"

#include <algorithm>
#include <iterator>
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
    for (std::size_t f = 0; f < frames_.size(); ++f) {
        const Frame& frame = frames_[f];
        const std::size_t end = f + 1 < frames_.size() ? frames_[f + 1].first : open_.size();
        if (frame.kind == Node::Kind::list) {
            append_pointer(result, std::to_string(end - frame.first));
        } else if (!frame.awaits_key && end != frame.first) {
            append_pointer(result, open_[end - 1].text);
        }
    }
    return result;
}

bool TreeBuilder::attach(Node&& node) {
    if (frames_.empty()) {
        document_.root = std::move(node);
        return true;
    }
    Frame& parent = frames_.back();
    if (parent.kind == Node::Kind::map) {
        if (parent.awaits_key && node.kind != Node::Kind::scalar) {
            error(node.pos, "bad-key", "a key must be a plain word; write `key: value`");
            return false;
        }
        parent.awaits_key = !parent.awaits_key;
    }
    open_.push_back(std::move(node));
    return true;
}

bool TreeBuilder::null(SourcePos pos) { return attach({.kind = Node::Kind::null, .pos = pos}); }

bool TreeBuilder::absent(SourcePos next) {
    if (frames_.empty()) return null(next);
    const Frame& parent = frames_.back();
    return null(parent.kind == Node::Kind::map && !parent.awaits_key ? open_.back().pos : next);
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
    frames_.push_back({.kind = kind, .pos = pos, .first = open_.size(), .awaits_key = kind == Node::Kind::map});
    return true;
}

bool TreeBuilder::end() {
    const Frame& frame = frames_.back();
    Node node{.kind = frame.kind, .pos = frame.pos};
    const auto first = open_.begin() + static_cast<std::ptrdiff_t>(frame.first);
    node.children.assign(std::move_iterator{first}, std::move_iterator{open_.end()});
    open_.erase(first, open_.end());
    if (node.kind == Node::Kind::map && has_equal_keys(node)) {
        refuse_duplicate_keys(node);
        if (errors_.size() >= limits_.errors_max) return false;
    }
    frames_.pop_back();
    return attach(std::move(node));
}

/// Maybe: of many keys it is not asked here.
bool TreeBuilder::has_equal_keys(const Node& map) const {
    constexpr std::size_t kComparedEach = 24;
    const std::size_t count = map.member_count();
    if (count > kComparedEach) return true;
    for (std::size_t i = 1; i < count; ++i) {
        for (std::size_t k = 0; k < i; ++k) {
            if (map.key(i).text == map.key(k).text) return true;
        }
    }
    return false;
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
