/// A policy on its way to the dataplane: read, compiled, checked by the validator that the dataplane uses, its own
/// tests run. Once prepared it never changes, but for the generation number before it is shared; `explain`, `rules` and
/// publishing ask the same object.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "controlplane/compiler/compiler.hpp"
#include "controlplane/compiler/slot_map.hpp"
#include "controlplane/lifecycle/policy_service.hpp"
#include "controlplane/policy/edits.hpp"
#include "controlplane/policy/model.hpp"
#include "controlplane/policy/reader.hpp"
#include "controlplane/publish/generation_memfds.hpp"
#include "controlplane/store/policy_store.hpp"
#include "dataplane/acl/large_tables.hpp"
#include "dataplane/acl/table_view.hpp"

namespace sluice::cp {

struct PreparedPolicy;

/// A policy that was read: what it means and what it says.
struct SourcePolicy {
    Policy policy;
    PolicyFormat format{};
    std::string text;
    WrittenPolicy written;      ///< `text`, in the pieces that a PATCH edits
    std::string text_digest{};  ///< under which the store has the text already; empty: it may not have it
    /// Of whose rules it is an edit, sharing what it leaves alone; null: it was read as a whole.
    std::shared_ptr<const PreparedPolicy> edit_of;
    std::vector<SharedRun> kept{};  ///< bytes of `text` that are those of `edit_of`'s text_to_edit
};

/// A policy's text once more, as its first edit would write it (spelling.cpp).
struct Spelled {
    std::string text;
    std::vector<std::size_t> text_at;  ///< WrittenPolicy's
    std::string digest;                ///< under which the store has it, if it does
};

struct PreparedPolicy {
    Policy policy;
    PolicyFormat format{};
    std::string text;
    WrittenPolicy written;
    std::string text_digest;  ///< under which the store has the text; empty before it is given to it
    std::string hash;         ///< 64 hex digits
    std::string version;      ///< name@first six of them
    SlotMap slots;            ///< as they were assigned for this policy
    RuleSlots rule_slots;
    CompiledGeneration compiled;
    dp::TableView view;  ///< into `compiled`
    std::shared_ptr<const dp::LargeTables> large;
    std::vector<TestOutcome> tests;
    std::weak_ptr<const PreparedPolicy> edit_of;
    std::vector<KeptText> kept;              ///< bytes of `text` that are those of `edit_of`'s text_to_edit
    std::shared_ptr<const Spelled> spelled;  ///< null: `text` is what is edited

    std::uint64_t generation() const noexcept { return compiled.manifest.generation; }
    GenerationBytes bytes() const noexcept;
    PolicyRef ref() const;
    KnownText known_text() const noexcept { return {text_digest, text}; }
    KnownText text_to_edit() const noexcept {
        return spelled == nullptr ? known_text() : KnownText{spelled->digest, spelled->text};
    }
    EditBase edit_base() const noexcept {
        return {policy, written, text_to_edit().text, spelled == nullptr ? written.text_at : spelled->text_at};
    }
    /// What the store gets. Most of a policy's text is that of the policy before it, if there is one.
    PolicyStore::Staged staged_behind(const PreparedPolicy* before) const;
    /// For the next generation to be compared with; it looks into this object.
    ChangeBase as_base() const noexcept;
    std::vector<std::string> zone_names() const;
    /// That stand beside the tables, or went since those were compiled.
    std::size_t rules_beside() const noexcept;
};
using PreparedPtr = std::shared_ptr<const PreparedPolicy>;

std::string_view extension_of(PolicyFormat format) noexcept;
PolicyFormat format_of(std::string_view extension) noexcept;

inline Problem problem(int status, std::string code, std::string title, std::string detail, PolicyErrors errors = {}) {
    return {status, std::move(code), std::move(title), std::move(detail), std::move(errors)};
}
Problem invalid_policy(PolicyErrors errors);
Problem failed_tests(const std::vector<TestOutcome>& tests);

Expected<SourcePolicy, PolicyErrors> read_source(std::string text, PolicyFormat format, const ReadOptions& options);

/// `slots` gets the policy's rules. `base`: what the dataplane is believed to run; an edit of it is compiled beside its
/// tables where that can be. Failing policy tests are no error here: they stand in `tests`.
Expected<std::shared_ptr<PreparedPolicy>, Problem> prepare(SourcePolicy source, SlotMap& slots,
                                                           std::uint64_t generation,
                                                           const PreparedPolicy* base = nullptr);

/// `current` once more, beside the tables of `whole`, of which it is an edit, or as those. Nothing: it does not fit.
std::shared_ptr<PreparedPolicy> moved_onto(const PreparedPolicy& whole, const PreparedPolicy& current);

/// What the dataplane would say about the ports, asked beforehand. Empty = nothing.
std::string port_trouble(const PreparedPolicy& prepared, std::span<const std::string> ports);

}  // namespace sluice::cp
