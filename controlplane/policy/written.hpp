/// A policy as it is written, in pieces that edits of its rules leave alone: each rule's own line and digest, and what
/// stands around them. Text and version of an edited policy are put together from pieces; only those of the edited
/// rules are made anew.
#pragma once

#include <atomic>
#include <cstdint>
#include <future>
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
    std::span<const std::size_t> text_at;  ///< its WrittenPolicy's; empty: nothing is copied
    std::span<const SharedRun> rules;      ///< that both have
};

struct WrittenText {
    std::string text;
    std::vector<SharedRun> kept{};  ///< bytes that are those of the text before; not all that are
};

/// Lines and digests of a document's rules, begun while somebody else still reads it: rules are looked at and not
/// changed. A document that has the right shape is enough; who helps is waited for where this is given up.
class WrittenRules {
public:
    WrittenRules(const Document& document, PolicyFormat format);
    ~WrittenRules();
    WrittenRules(const WrittenRules&) = delete;
    WrittenRules& operator=(const WrittenRules&) = delete;

    /// Helps with what is left, and takes all.
    void take(WrittenPolicy& written);

private:
    struct Piece;
    void write_pieces();

    std::span<const Node> rules_;
    PolicyFormat format_;
    std::vector<Piece> pieces_;
    std::atomic<std::size_t> next_{};
    std::future<void> helper_;
};

/// `document` has been read without errors; `rules` are its.
WrittenPolicy written_policy(Document document, PolicyFormat format, WrittenRules& rules);

/// A rule of the right shape. `rule` was read from the same format, or from JSON.
WrittenRule written_rule(const Node& rule, PolicyFormat format);
/// Below so many rules a thread is not worth its while.
inline constexpr std::size_t kRulesWorthAThread = 2000;
/// Whoever waits for the result does it himself where no thread can be had.
inline constexpr std::launch kAThreadIfThereIsOne = std::launch::async | std::launch::deferred;
std::uint64_t hash_of_id(std::string_view id) noexcept;

/// Writes the policy out. Its head gets new positions, and so do `policy`'s zones, sets, rules and tests.
WrittenText write_out(WrittenPolicy& written, Policy& policy, const TextBefore& before = {});

}  // namespace sluice::cp
