/// Where policies live between restarts: small text files that a person can read and a power cut cannot tear.
///
///     <state>/policy/<sha256>.yaml|.json   text of each version kept
///     <state>/policy/current               "<sha256>.<ext> <generation>\n": what ought to be in force
///     <state>/policy/pending               same form: an intent, written before it is published
///     <state>/policy/history               same form, one line per adoption, oldest first
///     <state>/generation                   last generation number given out
///     <state>/slots                        rule id -> counter slot, as the compiler writes it
///
/// Theory of operation. `stage` makes the intent durable, then it is published, then `promote` makes it current. A
/// crash between any two system calls leaves the old current and perhaps an intent; whoever starts next compares both
/// with what the dataplane runs and promotes or discards. Not thread-safe: the commit lock of the lifecycle guards it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/store/durable_file.hpp"

namespace sluice::cp {

struct PolicyRef {
    std::string hash;       ///< 64 hex digits
    std::string extension;  ///< yaml or json
    std::uint64_t generation{};
    bool operator==(const PolicyRef&) const = default;
};

std::string to_line(const PolicyRef& ref);
std::optional<PolicyRef> parse_policy_ref(std::string_view line);

inline constexpr std::size_t kPolicyVersionsKept = 50;
inline constexpr std::size_t kPolicyTextBytesMax = 64U << 20;

class PolicyStore {
public:
    /// Makes the directories if they are missing. What is damaged is named in `damage` and treated as absent, so that a
    /// good policy can still be put; nothing is deleted because of it.
    static Expected<std::unique_ptr<PolicyStore>, FileError> open(FileOps& ops, std::string state_dir);

    const std::optional<PolicyRef>& current() const noexcept { return current_; }
    const std::optional<PolicyRef>& pending() const noexcept { return pending_; }
    const std::vector<PolicyRef>& history() const noexcept { return history_; }
    const std::vector<std::string>& damage() const noexcept { return damage_; }
    const std::string& slots() const noexcept { return slots_; }
    Expected<std::string, FileError> text(const PolicyRef& ref) const;

    /// A number above all that were ever given out and above `floor` (what a dataplane says that it runs). It is
    /// durable once `stage` has returned.
    std::uint64_t next_generation(std::uint64_t floor) const noexcept;

    /// After an error nothing is pending and current is what it was.
    Expected<void, FileError> stage(const PolicyRef& ref, std::string_view text, std::string_view slots);
    /// The pending intent becomes current.
    Expected<void, FileError> promote();
    Expected<void, FileError> discard_pending();
    /// Goes back to a version in the history, under the generation that runs it.
    Expected<void, FileError> restore(const PolicyRef& ref);
    /// Other text of the same version (comments, layout).
    Expected<void, FileError> replace_text(const PolicyRef& ref, std::string_view text);

private:
    PolicyStore(FileOps& ops, std::string dir) : ops_{ops}, dir_{std::move(dir)}, policy_dir_{dir_ + "/policy"} {}

    void load();
    std::optional<PolicyRef> load_ref(const char* name);
    Expected<void, FileError> write_stage(const PolicyRef& ref, std::string_view text, std::string_view slots);
    Expected<void, FileError> make_current(const PolicyRef& ref);
    void prune();

    FileOps& ops_;
    std::string dir_, policy_dir_;
    std::optional<PolicyRef> current_, pending_;
    std::vector<PolicyRef> history_;
    std::uint64_t generation_last_{};
    std::string slots_;
    std::vector<std::string> damage_;
};

}  // namespace sluice::cp
