/// The canonical form of a policy: JSON text that two policies share if and only if they say the same. Comments,
/// layout, key order, the order inside OR-lists, spelt-out defaults and the spelling of addresses don't matter; rule
/// order and names do. Its SHA-256 is the policy's version.
#pragma once

#include <string>

#include <sluice/abi/tables.hpp>

#include "controlplane/policy/document.hpp"

namespace sluice::cp {

/// `document` has been read without errors.
std::string canonical_text(const Document& document);

/// The same in pieces, of which edits of rules change few: `before`, the rules' own texts with commas between, `after`.
/// A policy without rules has none of the pieces: canonical_text has all of it.
struct CanonicalFrame {
    std::string before, after;
};
CanonicalFrame canonical_frame(const Node& root);
std::string canonical_rule(const Node& rule);

abi::Digest256 sha256(std::string_view bytes);

/// 64 hex digits: the hash that ETags, logs and file names show.
std::string to_hex(const abi::Digest256& digest);

}  // namespace sluice::cp
