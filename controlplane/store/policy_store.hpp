/// Where policies live between restarts: the database `<state>/state.db`, with the audit of what happened to them.
///
///     texts     digest -> what was written, byte for byte, whole or as an edit of another one (text_store.hpp); never
///               changed, and gone only when too many newer ones came
///     history   a row for each time that a policy came into force: generation, hash, text, who asked (an entry of the
///               audit). Never changed; the last row is what ought to be in force
///     pending   an intent, written before it is published, with the guard of its probation
///     numbers   the last generation given out; rule id -> counter slot, as the compiler writes it, with slot_edits:
///               what became of that text since it was last written whole
///     audit     audit_log.hpp
///     tokens    token_store.hpp
///     drafts    draft_store.hpp
///     changes   change_store.hpp; `pending` names the change that its intent comes of
///
/// Theory of operation. `stage` makes the intent durable together with its entry in the audit, then it is published,
/// then `promote` makes it current, again with an entry. Each is one transaction, so a crash anywhere leaves the old
/// current and perhaps an intent; whoever starts next compares both with what the dataplane runs and promotes or
/// discards. Reading is thread-safe; what changes current or pending is guarded by the commit lock of the lifecycle.
///
/// A directory of version 0.1.0's first builds (`policy/current` and its neighbours) is imported when there is no
/// database yet (import_files.hpp).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/store/answer_store.hpp"
#include "controlplane/store/audit_log.hpp"
#include "controlplane/store/change_store.hpp"
#include "controlplane/store/database.hpp"
#include "controlplane/store/draft_store.hpp"
#include "controlplane/store/freeze_store.hpp"
#include "controlplane/store/policy_ref.hpp"
#include "controlplane/store/set_store.hpp"
#include "controlplane/store/shadow_store.hpp"
#include "controlplane/store/text_store.hpp"
#include "controlplane/store/token_store.hpp"

namespace sluice::cp {

inline constexpr std::size_t kPolicyTextBytesMax = 64U << 20;

/// A policy that came into force.
struct Adoption {
    std::uint64_t entry{};  ///< row of the history, counts up
    PolicyRef ref;
    std::string label;     ///< name@first six of the hash
    bool text_kept{};      ///< else it can be neither shown nor restored
    AuditEntry asked;      ///< who, from where, why
    std::int64_t at_ns{};  ///< when it came into force
    std::string approval;  ///< of the entry that made it current
};

class PolicyStore {
public:
    struct Options {
        const char* vfs{nullptr};  ///< of the database; null = the kernel's files
        AuditLog::Printer print;
    };
    /// Makes what is missing. A damaged database is moved aside (nothing is deleted), named in `damage`, and a new one
    /// begun, so that a good policy can still be put.
    static Expected<std::unique_ptr<PolicyStore>, FileError> open(FileOps& ops, std::string state_dir, Options options);
    static Expected<std::unique_ptr<PolicyStore>, FileError> open(FileOps& ops, std::string state_dir) {
        return open(ops, std::move(state_dir), Options{});
    }

    const std::optional<PolicyRef>& current() const noexcept { return current_; }
    const std::optional<PolicyRef>& pending() const noexcept { return pending_; }
    const std::vector<std::string>& damage() const noexcept { return damage_; }
    /// The text of rules' slots that was written whole, and what was written of changes since.
    const std::string& slots() const noexcept { return slots_; }
    const std::vector<std::string>& slot_changes() const noexcept { return slot_changes_; }
    AuditLog& audit() noexcept { return *audit_; }
    TokenStore& tokens() noexcept { return *tokens_; }
    SetStore& sets() noexcept { return *sets_; }
    AnswerStore& answers() noexcept { return *answers_; }
    FreezeStore& freezes() noexcept { return *freezes_; }
    ShadowStore& shadows() noexcept { return *shadows_; }
    DraftStore& drafts() noexcept { return *drafts_; }
    ChangeStore& changes() noexcept { return *changes_; }
    /// The change that the pending intent comes of; 0 = of none.
    std::uint64_t pending_change() const noexcept { return pending_ ? pending_change_ : 0; }
    /// What was staged with the pending intent.
    const std::string& pending_guard() const noexcept { return pending_guard_; }

    /// What was written, if it still is what its digest says.
    Expected<std::string, FileError> text(const PolicyRef& ref);
    /// Under which the text is kept.
    Expected<std::string, FileError> text_digest(const PolicyRef& ref);
    /// Keeps a text whole, for an adoption that is an edit of it; the next one that is not lets it go again. Its
    /// digest.
    Expected<std::string, FileError> keep_text(std::string_view text);
    /// Of how many edits of a whole text that one is made; 0 if nobody knows.
    std::uint64_t text_edits(std::string_view digest);

    /// A number above all that were ever given out and above `floor` (what a dataplane says that it runs). It is
    /// durable once `stage` has returned.
    std::uint64_t next_generation(std::uint64_t floor) const noexcept;

    /// Of rules' slots: all of their text, or what changed in them since the last time; neither: nothing did.
    struct Slots {
        std::optional<std::string> whole{};
        std::string changes{};
    };
    struct Staged {
        PolicyRef ref;
        std::string_view label;
        KnownText text;
        Slots slots{};
        KnownText before{};            ///< the text that this one was edited from, or that it replaces; may be empty
        std::vector<KeptText> kept{};  ///< what is known to be the same in both
        std::uint64_t change{};        ///< that it comes of; 0 = of none
        std::string guard{};           ///< text of whoever watches it while it waits; empty = nobody does
    };
    /// The digest under which the text is kept. After an error nothing is pending and current is what it was. The
    /// change is being applied from then on.
    Expected<std::string, FileError> stage(const Staged& staged, AuditRecord begun);
    /// The pending intent becomes current, and its change is applied.
    Expected<void, FileError> promote(AuditRecord outcome);
    /// `change`: what its change becomes.
    Expected<void, FileError> discard_pending(std::optional<AuditRecord> outcome = {}, const ChangeEnd& change = {});
    /// Goes back to a row of the history, under the generation that runs it.
    Expected<void, FileError> restore(const PolicyRef& ref, AuditRecord outcome);
    /// Other text of the current version (comments, layout), and the digest under which it is kept.
    Expected<std::string, FileError> reword(const Staged& staged, AuditRecord outcome);

    /// Newest first, below row `before`.
    Expected<std::vector<Adoption>, FileError> history(std::size_t count_max, std::optional<std::uint64_t> before = {});
    /// The last time that this generation came into force.
    Expected<std::optional<Adoption>, FileError> adoption(std::uint64_t generation);

private:
    PolicyStore(FileOps& ops, std::string dir) : ops_{ops}, dir_{std::move(dir)} {}

    using Outcome = Expected<void, FileError>;
    Outcome open_database(const Options& options);
    Outcome make_tables();
    Outcome upgrade(std::int64_t from);
    Outcome load();
    void move_aside(const std::string& why);
    Outcome in_transaction(AuditRecord record, const std::function<Outcome(std::uint64_t audit_number)>& body);
    Outcome insert_slots(const Slots& slots);
    void take_slots(const Slots& slots);
    Outcome load_slots();
    Outcome put_slot_edits_together();
    Outcome insert_adoption(const PolicyRef& ref, std::string_view label, std::string_view digest, std::uint64_t asked,
                            std::uint64_t adopted);
    Expected<std::vector<Adoption>, FileError> adoptions(std::string_view where,
                                                         std::initializer_list<SqlValue> values);

    FileOps& ops_;
    std::string dir_;
    std::unique_ptr<Database> database_;
    std::unique_ptr<AuditLog> audit_;
    std::unique_ptr<TextStore> texts_;
    std::unique_ptr<TokenStore> tokens_;
    std::unique_ptr<SetStore> sets_;
    std::unique_ptr<AnswerStore> answers_;
    std::unique_ptr<FreezeStore> freezes_;
    std::unique_ptr<ShadowStore> shadows_;
    std::unique_ptr<DraftStore> drafts_;
    std::unique_ptr<ChangeStore> changes_;
    std::optional<PolicyRef> current_, pending_;
    std::uint64_t pending_change_{};
    std::string pending_guard_;
    std::uint64_t generation_last_{};
    std::string slots_;
    std::vector<std::string> slot_changes_;
    std::string slots_digest_;  ///< of the newest row of changes; of the whole text, if there is none
    std::vector<std::string> damage_;
};

}  // namespace sluice::cp
