/// The body of PATCH /v1/policy: ordered edits of the rules, by id.
///
///     [{"op": "insert", "before" | "after": "web-in", "rule": {...}},   no place = at the end of its layer
///      {"op": "replace", "id": "web-in", "rule": {...}},
///      {"op": "remove", "id": "old-batch"}]
///
/// Each edit sees the result of those before it. The result is read like any policy: nothing changes unless all of it
/// is right. It is written out again in the format of the stored text (comments are not kept; see `emit.hpp`).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/policy/reader.hpp"
#include "controlplane/policy/shared_list.hpp"

namespace sluice::cp {

struct EditedPolicy {
    Policy policy;                  ///< positions are those in `text`
    std::string text;               ///< in the format of the base
    WrittenPolicy written;          ///< what `text` says: the base of the next edits
    std::vector<SharedRun> kept{};  ///< bytes of `text` that are the base's
};

struct EditBase {
    const Policy& policy;
    const WrittenPolicy& written;  ///< what it says
    std::string_view text;         ///< in what words: those that were read, or as `write_out` spells them
    /// Where rules' lines begin in it (WrittenPolicy::text_at); empty: nobody knows, and all is written out anew.
    std::span<const std::size_t> text_at{};
};

/// `base` is the stored policy; it stays as it is. What no edit names is shared with them.
/// A pointer of an error that lies in an edit starts at the edit's index, with the position in `edits`: /2/rule/from.
/// One that lies elsewhere points into the resulting policy, with the position in the base's text.
Expected<EditedPolicy, PolicyErrors> apply_edits(const EditBase& base, std::string_view edits,
                                                 const ReadOptions& options = {});
/// The same from the base's text.
Expected<EditedPolicy, PolicyErrors> apply_edits(std::string_view base, PolicyFormat format, std::string_view edits,
                                                 const ReadOptions& options = {});

}  // namespace sluice::cp
