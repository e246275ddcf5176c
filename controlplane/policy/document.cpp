#include "controlplane/policy/document.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "controlplane/policy/tree_builder.hpp"

namespace sluice::cp {

namespace {

/// Offset of the first byte that is no UTF-8 (RFC 3629: shortest form, no surrogates, at most U+10FFFF).
std::optional<std::size_t> first_invalid_utf8(std::string_view text) noexcept {
    const auto byte = [&](std::size_t i) -> unsigned {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
    };
    const auto continues = [&](std::size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
    for (std::size_t i = 0; i < text.size();) {
        const unsigned lead = byte(i), second = byte(i + 1);
        if (lead < 0x80) {
            i += 1;
        } else if (lead >= 0xc2 && lead <= 0xdf && continues(i + 1)) {
            i += 2;
        } else if (lead >= 0xe0 && lead <= 0xef && continues(i + 1) && continues(i + 2) &&
                   (lead != 0xe0 || second >= 0xa0) && (lead != 0xed || second < 0xa0)) {
            i += 3;
        } else if (lead >= 0xf0 && lead <= 0xf4 && continues(i + 1) && continues(i + 2) && continues(i + 3) &&
                   (lead != 0xf0 || second >= 0x90) && (lead != 0xf4 || second < 0x90)) {
            i += 4;
        } else {
            return i;
        }
    }
    return std::nullopt;
}

/// A control character other than tab, line feed and carriage return has no place in either format's raw text.
std::optional<std::size_t> first_control_character(std::string_view text) noexcept {
    const auto* found = std::ranges::find_if(text, [](char c) {
        const auto u = static_cast<unsigned char>(c);
        return (u < 0x20 && c != '\t' && c != '\n' && c != '\r') || u == 0x7f;
    });
    if (found == text.end()) return std::nullopt;
    return static_cast<std::size_t>(found - text.begin());
}

ParsedDocument refusal(SourcePos pos, std::string code, std::string detail) {
    ParsedDocument result;
    result.errors.push_back({std::move(code), "", pos, std::move(detail)});
    return result;
}

}  // namespace

const Node* Node::find(std::string_view name) const noexcept {
    if (kind != Kind::map) return nullptr;
    for (std::size_t i = 0; i < member_count(); ++i) {
        if (key(i).text == name) return &value(i);
    }
    return nullptr;
}

Node* Node::find(std::string_view name) noexcept {
    return const_cast<Node*>(static_cast<const Node*>(this)->find(name));  // NOLINT: the one search, for both
}

std::string_view Document::keep(std::string_view text) {
    if (text.empty()) return {};
    if (!arena_) arena_ = std::make_shared<std::pmr::monotonic_buffer_resource>();
    auto* bytes = static_cast<char*>(arena_->allocate(text.size(), 1));
    std::memcpy(bytes, text.data(), text.size());
    return {bytes, text.size()};
}

Document Document::copy() const {
    Document fresh;
    fresh.root = root;
    const auto own = [&fresh](const auto& self, Node& node) -> void {  // depth: at most DocumentLimits::depth_max
        node.text = fresh.keep(node.text);
        for (auto& child : node.children) self(self, child);
    };
    own(own, fresh.root);
    return fresh;
}

void Document::adopt(const Document& other) {
    if (other.arena_) adopted_.push_back(other.arena_);
    adopted_.insert(adopted_.end(), other.adopted_.begin(), other.adopted_.end());
}

ParsedDocument parse_document(std::string_view text, PolicyFormat format, const DocumentLimits& limits) {
    if (text.size() > limits.bytes_max) {
        return refusal({}, "too-large",
                       "the text has " + std::to_string(text.size()) + " bytes, at most " +
                           std::to_string(limits.bytes_max) + " are read; split the policy");
    }
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark says nothing in UTF-8
    PositionFinder finder{text};
    if (const auto at = first_invalid_utf8(text)) {
        return refusal(finder.at(*at), "bad-encoding", "this is not valid UTF-8; save the file as UTF-8");
    }
    if (const auto at = first_control_character(text)) {
        return refusal(finder.at(*at), "bad-encoding", "a control character stands here; remove it");
    }
    return format == PolicyFormat::yaml ? parse_yaml(text, limits) : parse_json(text, limits);
}

}  // namespace sluice::cp
