/// State directories from before the database: what they hold, so that it can be taken over.
///
///     <state>/policy/<sha256>.yaml|.json   text of each version kept
///     <state>/policy/current               "<sha256>.<ext> <generation>\n": what ought to be in force
///     <state>/policy/pending               same form: an intent, written before it is published
///     <state>/policy/history               same form, one line per adoption, oldest first
///     <state>/generation                   last generation number given out
///     <state>/slots                        rule id -> counter slot
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/store/file_ops.hpp"
#include "controlplane/store/policy_ref.hpp"

namespace sluice::cp {

struct FileState {
    struct Policy {
        PolicyRef ref;
        std::string text;
    };
    std::vector<Policy> history;  ///< oldest first; the last one is current, if there is a current one
    std::optional<Policy> pending;
    bool has_current{};
    std::uint64_t generation{};  ///< highest that is named anywhere
    std::string slots;
    std::vector<std::string> damage;  ///< what could not be read, as sentences
};

/// Nothing where there is no such state.
std::optional<FileState> read_file_state(FileOps& ops, const std::string& dir);

/// Puts the files out of the way, into `policy.imported`, once the database has what they hold. What fails is tried at
/// the next start again: with a database nobody reads them.
void retire_file_state(FileOps& ops, const std::string& dir);

}  // namespace sluice::cp
