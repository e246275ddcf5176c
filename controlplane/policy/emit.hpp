/// Writes a tree out as text again, in YAML or JSON, so that it reads back as the same tree. Comments and layout of the
/// source are not part of the tree and are lost: a rule stands on one line, whatever it was before.
#pragma once

#include <string>
#include <string_view>

#include "controlplane/policy/document.hpp"

namespace sluice::cp {

/// Sets every node's position to where it stands in the result.
std::string emit(Node& root, PolicyFormat format);

/// With quotes, escaped as RFC 8259 wants. YAML reads it too.
void append_json_string(std::string& out, std::string_view text);

}  // namespace sluice::cp
