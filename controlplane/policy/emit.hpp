/// Writes a tree out as text again, in YAML or JSON, so that it reads back as the same tree. Comments and layout of the
/// source are not part of the tree and are lost: a rule stands on one line, whatever it was before.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "controlplane/policy/document.hpp"

namespace sluice::cp {

/// Sets every node's position to where it stands in the result.
std::string emit(Node& root, PolicyFormat format);

/// The same in pieces, of which edits of rules change few: `before`, the rules' own lines with `between` between them,
/// `after`. The first rule stands at `first_rule`, each other one a line further down.
struct TextFrame {
    std::string before, between, after;
    SourcePos first_rule;
};
/// `root`: a whole policy but for its rules, whose key holds an empty list; `rule_count` of them are to come, at least
/// one. Positions as `emit` sets them.
TextFrame emit_frame(Node& root, PolicyFormat format, std::size_t rule_count);
/// `rule` stays as it is; for JSON it must be of a tree that was read from JSON, whose numbers are known as such.
std::string emit_rule(const Node& rule, PolicyFormat format);

/// With quotes, escaped as RFC 8259 wants. YAML reads it too.
void append_json_string(std::string& out, std::string_view text);

}  // namespace sluice::cp
