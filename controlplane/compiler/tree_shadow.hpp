/// Which of a node's terms no packet reaches: each packet of the region that they match is decided by one before them.
#pragma once

#include <cstddef>
#include <span>

#include "controlplane/compiler/tree_terms.hpp"

namespace sluice::cp {

/// Takes terms out of `of_node`, all of which touch the region. Seen are terms behind one that takes everything and, in
/// nodes of up to kShadowedTerms, terms that one before them takes whole; not those that several take together.
void drop_unreached(std::span<const TreeTerm> terms, TermIndices& of_node, const Region& region);

/// Each is held against each.
inline constexpr std::size_t kShadowedTerms = 64;

}  // namespace sluice::cp
