#include "controlplane/policy/emit.hpp"

#include <algorithm>
#include <array>
#include <type_traits>

#include "controlplane/policy/schema.hpp"

namespace sluice::cp {

namespace {

/// Booleans of YAML 1.1, which other readers of a policy may speak; of our words `on` and `off` are two.
bool is_yaml_1_1_boolean(std::string_view text) noexcept {
    constexpr std::array<std::string_view, 6> kWords{"on", "off", "yes", "no", "y", "n"};
    return std::ranges::any_of(kWords, [&](std::string_view word) {
        return std::ranges::equal(text, word, {},
                                  [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    });
}

/// Plain in YAML wherever it stands: nothing that could be an indicator, and not one of the spellings of null.
bool is_safe_plain(std::string_view text) noexcept {
    const auto is_safe = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '/' ||
               c == '_' || c == '-';
    };
    return !text.empty() && text.front() != '-' && text.front() != '.' && std::ranges::all_of(text, is_safe) &&
           text != "null" && text != "Null" && text != "NULL" && !is_yaml_1_1_boolean(text);
}

bool is_digits(std::string_view text) noexcept {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

void mark_numbers(Node& node, const ObjectSchema& schema);

void mark_number(Node& value, const Field& field) {
    switch (field.shape) {
        case Shape::version:
        case Shape::count:
        case Shape::layer:
            if (value.kind != Node::Kind::scalar || value.form != Node::Form::plain || !is_digits(value.text)) return;
            value.form = Node::Form::number;
            while (value.text.size() > 1 && value.text.front() == '0') value.text.remove_prefix(1);
            return;
        case Shape::object: return mark_numbers(value, *field.object);
        case Shape::object_list:
            for (Node& item : value.children) mark_numbers(item, *field.object);
            return;
        case Shape::object_map:
            for (std::size_t i = 1; i < value.children.size(); i += 2) mark_numbers(value.children[i], *field.object);
            return;
        default: return;
    }
}

/// A plain YAML scalar is whatever the schema wants; JSON must say which are numbers.
void mark_numbers(Node& node, const ObjectSchema& schema) {
    if (node.kind != Node::Kind::map) return;
    for (std::size_t i = 0; i < node.member_count(); ++i) {
        if (const auto* field = schema.find(node.key(i).text)) mark_number(node.children[2 * i + 1], *field);
    }
}

/// Two levels in block form, the third in one line each: `zones:`, `  dmz: {ports: [dmz0]}`.
constexpr std::size_t kBlockLevels = 2;

/// Tree: Node, whose positions become those in the text; or const Node, which keeps its own.
template <typename Tree>
class Emitter {
public:
    explicit Emitter(bool json) : json_{json} {}

    std::string write(Tree& root) {
        value(root, 0);
        if (out_.empty() || out_.back() != '\n') text("\n");
        return std::move(out_);
    }

    std::string write_rule(Tree& rule) {
        in_line(rule);
        return std::move(out_);
    }

    TextFrame write_frame(Tree& root, std::size_t rule_count) {
        rules_ = root.find("rules");
        rule_count_ = rule_count;
        frame_.after = write(root);
        return std::move(frame_);
    }

private:
    void text(std::string_view bytes) {
        for (const char c : bytes) {
            if (c == '\n') {
                ++line_;
                column_ = 1;
            } else if ((static_cast<unsigned char>(c) & 0xc0U) != 0x80U) {
                ++column_;
            }
        }
        out_ += bytes;
    }

    void place(Tree& node) {
        if constexpr (!std::is_const_v<Tree>) node.pos = {line_, column_};
    }

    void new_line(std::size_t level) {
        text("\n");
        text(std::string(level * 2, ' '));
    }

    void scalar(Tree& node) {
        place(node);
        const bool is_string = node.form == Node::Form::text || node.form == Node::Form::plain;
        if (!is_string || (!json_ && is_safe_plain(node.text))) return text(node.text);
        std::string quoted;
        append_json_string(quoted, node.text);
        text(quoted);
    }

    /// In the rules' place there is nothing but the lines that they will take.
    void leave_room(Tree& list) {
        if (json_) {
            place(list);
            text("[");
            new_line(kBlockLevels);
        } else {
            new_line(1);
            place(list);
            text("- ");
        }
        frame_.first_rule = {line_, column_};
        frame_.between = json_ ? ",\n    " : "\n  - ";
        frame_.before = std::move(out_);
        out_.clear();
        line_ += static_cast<std::uint32_t>(rule_count_ - 1);
        if (!json_) return;
        new_line(1);
        text("]");
    }

    void value(Tree& node, std::size_t level) {
        if (&node == rules_) return leave_room(node);
        if (node.kind == Node::Kind::scalar) return scalar(node);
        if (node.kind == Node::Kind::map || node.kind == Node::Kind::list) {
            if (!node.children.empty() && level < kBlockLevels)
                return json_ ? json_block(node, level) : yaml_block(node, level);
            return flow(node);
        }
        place(node);
        text("null");
    }

    void flow(Tree& node) {
        const bool is_map = node.kind == Node::Kind::map;
        place(node);
        text(is_map ? "{" : "[");
        for (std::size_t i = 0; i < node.children.size(); ++i) {
            const bool is_value = is_map && i % 2 == 1;
            if (i > 0) text(is_value ? ": " : ", ");
            value(node.children[i], kBlockLevels);
        }
        text(is_map ? "}" : "]");
    }

    void json_block(Tree& node, std::size_t level) {
        const bool is_map = node.kind == Node::Kind::map;
        place(node);
        text(is_map ? "{" : "[");
        for (std::size_t i = 0; i < node.children.size(); ++i) {
            const bool is_value = is_map && i % 2 == 1;
            if (is_value) {
                text(": ");
            } else {
                if (i > 0) text(",");
                new_line(level + 1);
            }
            value(node.children[i], level + 1);
        }
        new_line(level);
        text(is_map ? "}" : "]");
    }

    void yaml_block(Tree& node, std::size_t level) {
        const bool is_map = node.kind == Node::Kind::map;
        bool first = level == 0;
        for (std::size_t i = 0; i < node.children.size(); i += is_map ? 2 : 1) {
            if (!first) new_line(level);
            if (i == 0) place(node);
            first = false;
            if (!is_map) {
                text("- ");
                in_line(node.children[i]);
                continue;
            }
            scalar(node.children[i]);
            text(":");
            Tree& member = node.children[i + 1];
            const bool is_short = member.kind == Node::Kind::map && !holds_collections(member);
            const bool on_own_lines =
                &member == rules_ || (level + 1 < kBlockLevels && !member.children.empty() && !is_short);
            if (!on_own_lines) text(" ");
            if (on_own_lines) {
                value(member, level + 1);
            } else {
                in_line(member);
            }
        }
    }

    void in_line(Tree& node) { value(node, kBlockLevels); }

    static bool holds_collections(const Node& node) {
        return std::ranges::any_of(node.children, [](const Node& child) {
            return child.kind == Node::Kind::map || child.kind == Node::Kind::list;
        });
    }

    bool json_;
    std::string out_;
    std::uint32_t line_{1}, column_{1};
    const Node* rules_{};  ///< their list, where they are left out
    std::size_t rule_count_{};
    TextFrame frame_;
};

}  // namespace

std::string emit(Node& root, PolicyFormat format) {
    if (format == PolicyFormat::json) mark_numbers(root, document_schema());
    return Emitter<Node>{format == PolicyFormat::json}.write(root);
}

TextFrame emit_frame(Node& root, PolicyFormat format, std::size_t rule_count) {
    if (format == PolicyFormat::json) mark_numbers(root, document_schema());
    return Emitter<Node>{format == PolicyFormat::json}.write_frame(root, rule_count);
}

std::string emit_rule(const Node& rule, PolicyFormat format) {
    return Emitter<const Node>{format == PolicyFormat::json}.write_rule(rule);
}

void append_json_string(std::string& out, std::string_view text) {
    constexpr std::string_view kHex = "0123456789abcdef";
    out += '"';
    for (const char c : text) {
        const auto u = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (u < 0x20 || u == 0x7f) {
            out += "\\u00";
            out += kHex[u >> 4];
            out += kHex[u & 15];
        } else {
            out += c;
        }
    }
    out += '"';
}

}  // namespace sluice::cp
