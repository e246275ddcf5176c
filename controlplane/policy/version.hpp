/// A policy's version: a digest of its canonical form, and so the same for two policies if and only if they say the
/// same. It is made of digests, so that an edit of one rule among 100,000 costs the digest of that rule and of the list
/// of all:
///
///     version = SHA-256( SHA-256(head) | SHA-256(rule 1) | SHA-256(rule 2) | ... )
///
/// where the head is the canonical text of all but the rules, and `|` puts 32 bytes behind 32 bytes.
#pragma once

#include <span>

#include <sluice/abi/tables.hpp>

#include "controlplane/policy/document.hpp"

namespace sluice::cp {

abi::Digest256 version_of(const abi::Digest256& head, std::span<const abi::Digest256> rules);

/// `document` has been read without errors.
abi::Digest256 version_of(const Document& document);

/// What versions were before they were made of digests: SHA-256 of the canonical text. Stored policies may have one.
abi::Digest256 flat_version_of(const Document& document);

}  // namespace sluice::cp
