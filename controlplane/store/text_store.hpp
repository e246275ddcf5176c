/// The texts of policies, by their digest: whole, or as an edit of another one (text_edit.hpp).
///
///     texts       digest -> the text, or what makes it of its base
///     text_bases  of the latter: digest -> the base's digest, and how many edits away the whole text is
///
/// The digest is SHA-256 of the whole text; of an edit, that of its base's digest and the edit, so that the edit of a
/// big text costs no look at all of it. (Edits of an older store have that of the text that they make.)
///
/// A text is kept as an edit where that is small beside it; behind so many edits a whole one stands again. Both rows
/// are never changed, and a base stays for as long as a text needs it. Whatever way a text was kept, it is given out
/// only if each row is what its digest says, so one that was damaged or put in another's place is noticed, and named.
///
/// Whoever changes something holds the database's lock and has begun the transaction that it belongs to; `read` takes
/// the lock itself, and lets go of it before it puts the text together.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "controlplane/store/database.hpp"
#include "controlplane/store/text_edit.hpp"

namespace sluice::cp {

/// Texts of older adoptions are dropped beyond either; the history itself is kept.
inline constexpr std::size_t kPolicyTextsKept = 200;
inline constexpr std::size_t kPolicyTextsBytesKept = 512U << 20;
/// Smaller ones stand whole: an edit would save nothing that anybody waits for.
inline constexpr std::size_t kEditedTextBytesMin = 16U << 10;
/// Edits in a row. Each whole text of a big policy costs as much time as some hundred edits, so they are few.
inline constexpr std::size_t kTextEditsMax = 128;

/// A text that is at hand, with the digest under which it was kept; empty: it was not, or nobody knows.
struct KnownText {
    std::string_view digest, text;
};

class TextStore {
public:
    using Outcome = Expected<void, FileError>;

    explicit TextStore(Database& database) : database_{database} {}

    /// The digest under which it is kept; nothing happens if it is there already. `before`: a text that it may have
    /// much in common with, and what of it is known (text_edit.hpp); either may be empty.
    Expected<std::string, FileError> insert(const KnownText& text, const KnownText& before,
                                            std::span<const KeptText> kept = {});
    /// EUCLEAN: it is there, but not what the digest says; `what` names the row.
    Expected<std::string, FileError> read(const std::string& digest);
    /// Drops texts that neither the newest adoptions name nor those are edits of.
    Outcome prune();
    /// How many edits away its whole text is; nothing: it is not there. The caller holds the database's lock.
    Expected<std::optional<std::uint64_t>, FileError> depth(std::string_view digest);

private:
    Database& database_;
};

std::span<const std::string_view> text_base_schema() noexcept;

}  // namespace sluice::cp
