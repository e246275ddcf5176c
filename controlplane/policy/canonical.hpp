/// The canonical form of a policy: JSON text that two policies share if and only if they say the same. Comments,
/// layout, key order, the order inside OR-lists, spelt-out defaults and the spelling of addresses don't matter; rule
/// order and names do. Its pieces make the policy's version (version.hpp).
#pragma once

#include <string>

#include "controlplane/policy/document.hpp"

namespace sluice::cp {

/// `document` has been read without errors.
std::string canonical_text(const Document& document);

/// All but the rules. A document without the key has none.
std::string canonical_head(const Node& root);
std::string canonical_rule(const Node& rule);

}  // namespace sluice::cp
