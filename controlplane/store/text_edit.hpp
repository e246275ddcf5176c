/// A text as an edit of another one: which parts of that it keeps, and what stands between them. A policy of 100,000
/// rules is written down for each change of one of them; as an edit that is some hundred bytes.
///
/// An edit is bytes: the length of the text that it makes, then pieces, each of which is a place in the text before, a
/// count of bytes that are kept from there, a count of own bytes behind them, and those. Numbers are 64 bits, the least
/// significant byte first.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::cp {

/// No text that an edit makes is longer.
inline constexpr std::size_t kEditedTextBytesMax = 256U << 20;

/// Bytes that both texts have, from here on in either.
struct KeptText {
    std::size_t before{}, after{}, bytes{};
};

/// What makes `after` of `before`; nothing if that has more than `bytes_max` bytes. Lines that both have are found
/// where not too many others stand before them.
/// `kept`: known to whoever edited the text, ascending in both; what it says is not compared again but at its ends, and
/// where it can't be true it is as if nothing were known. May be empty.
std::optional<std::string> text_edit(std::string_view before, std::string_view after, std::size_t bytes_max,
                                     std::span<const KeptText> kept = {});

/// The digest of an edit, or of other changes, of what has a digest: so a row of them hangs together.
std::string digest_behind(std::string_view base, std::string_view changes);

/// A text and what edits, one after the other, make of it. It is put together once, at the end: a row of edits of a big
/// text costs little more than the text. The text and the edits are borrowed.
class EditedText {
public:
    explicit EditedText(std::string_view whole);

    /// False, and nothing has happened: `edit` is none of this text.
    [[nodiscard]] bool apply(std::string_view edit);
    std::string text() const;

private:
    struct Piece {
        std::size_t at{};  ///< in the text
        std::string_view bytes;
    };

    void keep(std::vector<Piece>& pieces, std::size_t& at, std::size_t from, std::size_t count) const;

    std::vector<Piece> pieces_;
    std::size_t size_;
};

}  // namespace sluice::cp
