/// The canonical form of a policy: JSON text that two policies share if and only if they say the same. Comments,
/// layout, key order, the order inside OR-lists, spelt-out defaults and the spelling of addresses don't matter; rule
/// order and names do. Its SHA-256 is the policy's version.
#pragma once

#include <string>
#include <string_view>

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

/// The same of text that comes in pieces, without putting them together.
class Sha256 {
public:
    Sha256();
    ~Sha256();
    Sha256(const Sha256&) = delete;
    Sha256& operator=(const Sha256&) = delete;
    void add(std::string_view bytes);
    /// Once, and last.
    abi::Digest256 finish();

private:
    void flush();
    void* context_;
    std::string waiting_;  ///< small pieces go on together
};

/// 64 hex digits: the hash that ETags, logs and file names show.
std::string to_hex(const abi::Digest256& digest);

}  // namespace sluice::cp
