/// A policy as it is written, in pieces that edits of its rules leave alone: each rule's own line and digest, and what
/// stands around them. Text and version of an edited policy are put together from pieces; only those of the edited
/// rules are made anew.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/abi/tables.hpp>

#include "controlplane/policy/document.hpp"
#include "controlplane/policy/model.hpp"
#include "controlplane/policy/shared_list.hpp"

namespace sluice::cp {

struct WrittenRule {
    std::string line;       ///< in the policy's format
    abi::Digest256 digest;  ///< of the canonical text
};

struct WrittenPolicy {
    PolicyFormat format{};
    /// All but the rules: their key, if there are any, holds an empty list. Positions are those in the text.
    std::shared_ptr<const Document> head;
    abi::Digest256 head_digest{};              ///< of its canonical text
    SharedList<std::string> lines;             ///< beside Policy::rules
    std::vector<abi::Digest256> rule_digests;  ///< beside them
    std::vector<std::uint64_t> id_hashes;      ///< of the rules' ids: a rule is found among 100,000 in a moment
    /// Where each rule's line begins in the text that `write_out` made, and where one more would. Empty: no such text.
    std::vector<std::size_t> text_at{};

    abi::Digest256 version() const;
};

/// The text of which another one is an edit, so that what is the same is copied at once. Empty: there is none.
struct TextBefore {
    std::string_view text;
    const WrittenPolicy* written{};
    std::span<const std::uint32_t> places;  ///< by rule of the edited policy: its place here, or kNotShared

    std::size_t run_from(const WrittenPolicy& after, std::size_t i) const;
    /// Lines of rules, with what stands between them, which is `between` long.
    std::string_view lines(std::size_t from, std::size_t count, std::size_t between) const;
};

/// `document` has been read without errors; its rules become `rules`.
WrittenPolicy written_policy(Document document, PolicyFormat format);

/// A rule that has been read without errors. Its positions are lost.
WrittenRule written_rule(Node& rule, PolicyFormat format);
std::uint64_t hash_of_id(std::string_view id) noexcept;

/// Writes the policy out. Its head gets new positions, and so do `policy`'s zones, sets, rules and tests.
std::string write_out(WrittenPolicy& written, Policy& policy, const TextBefore& before = {});

}  // namespace sluice::cp
