#include "controlplane/store/text_edit.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "controlplane/store/audit_entry.hpp"

namespace sluice::cp {
namespace {

constexpr std::size_t kNumberBytes = 8;
constexpr std::size_t kBlockBytes = 4096;
/// So many lines of either side are looked through for one that both have.
constexpr std::size_t kLinesAhead = 32;

/// How many bytes both begin with.
std::size_t common_head(std::string_view a, std::string_view b) {
    const std::size_t most = std::min(a.size(), b.size());
    std::size_t n = 0;
    while (n + kBlockBytes <= most && std::memcmp(a.data() + n, b.data() + n, kBlockBytes) == 0) n += kBlockBytes;
    while (n < most && a[n] == b[n]) ++n;
    return n;
}

/// And end with.
std::size_t common_tail(std::string_view a, std::string_view b) {
    const std::size_t most = std::min(a.size(), b.size());
    const char *a_end = a.data() + a.size(), *b_end = b.data() + b.size();
    std::size_t n = 0;
    while (n + kBlockBytes <= most && std::memcmp(a_end - n - kBlockBytes, b_end - n - kBlockBytes, kBlockBytes) == 0) {
        n += kBlockBytes;
    }
    while (n < most && *(a_end - n - 1) == *(b_end - n - 1)) ++n;
    return n;
}

void put_number(std::string& out, std::uint64_t n) {
    for (std::size_t i = 0; i < kNumberBytes; ++i) out += static_cast<char>(n >> (8 * i) & 0xff);
}

/// Cuts a number off; nothing if too few bytes are left.
std::optional<std::uint64_t> take_number(std::string_view& bytes) {
    if (bytes.size() < kNumberBytes) return std::nullopt;
    std::uint64_t n = 0;
    for (std::size_t i = 0; i < kNumberBytes; ++i) n |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    bytes.remove_prefix(kNumberBytes);
    return n;
}

/// Whole lines of a text from `from` on, but not the one that `from` lies in.
std::vector<std::string_view> next_lines(std::string_view text, std::size_t from) {
    std::vector<std::string_view> lines;
    std::size_t at = text.find('\n', from);
    while (at != std::string_view::npos && lines.size() < kLinesAhead) {
        const std::size_t begin = at + 1;
        at = text.find('\n', begin);
        if (at != std::string_view::npos) lines.push_back(text.substr(begin, at + 1 - begin));
    }
    return lines;
}

struct Meeting {
    std::size_t before{}, after{};  ///< places
};

/// Where both texts have the same line again, behind as few others as possible.
std::optional<Meeting> meeting(std::string_view before, std::size_t b, std::string_view after, std::size_t a) {
    const auto was = next_lines(before, b), is = next_lines(after, a);
    for (std::size_t sum = 0; sum + 1 < was.size() + is.size(); ++sum) {
        for (std::size_t i = 0; i <= sum && i < was.size(); ++i) {
            if (sum - i >= is.size() || was[i] != is[sum - i]) continue;
            return Meeting{static_cast<std::size_t>(was[i].data() - before.data()),
                           static_cast<std::size_t>(is[sum - i].data() - after.data())};
        }
    }
    return std::nullopt;
}

}  // namespace

std::optional<std::string> text_edit(std::string_view before, std::string_view after, std::size_t bytes_max) {
    const std::size_t head = common_head(before, after);
    const std::size_t tail = common_tail(before.substr(head), after.substr(head));
    const std::size_t before_end = before.size() - tail, after_end = after.size() - tail;
    std::string edit;
    put_number(edit, after.size());
    const auto piece = [&](std::size_t from, std::size_t kept, std::string_view own) {
        put_number(edit, from);
        put_number(edit, kept);
        put_number(edit, own.size());
        edit.append(own);
    };
    std::size_t b = 0, a = 0;
    while (true) {
        const std::size_t kept =
            a == 0 ? head : common_head(before.substr(b, before_end - b), after.substr(a, after_end - a));
        const std::size_t from = b;
        b += kept;
        a += kept;
        const auto next = meeting(before.substr(0, before_end), b, after.substr(0, after_end), a);
        const std::size_t until = next ? next->after : after_end;
        if (until - a > bytes_max) return std::nullopt;
        piece(from, kept, after.substr(a, until - a));
        if (edit.size() > bytes_max) return std::nullopt;
        if (!next) break;
        b = next->before;
        a = until;
    }
    piece(before_end, tail, {});
    if (edit.size() > bytes_max) return std::nullopt;
    return edit;
}

std::string digest_behind(std::string_view base, std::string_view changes) {
    std::string both{base};
    both.append("\n").append(changes);
    return sha256_hex(both);
}

EditedText::EditedText(std::string_view whole) : pieces_{{.at = 0, .bytes = whole}}, size_{whole.size()} {}

void EditedText::keep(std::vector<Piece>& pieces, std::size_t& at, std::size_t from, std::size_t count) const {
    auto it = std::ranges::upper_bound(pieces_, from, {}, &Piece::at) - 1;
    while (count != 0) {
        const std::string_view bytes = it->bytes.substr(from - it->at, count);
        if (!bytes.empty()) pieces.push_back({.at = at, .bytes = bytes});
        at += bytes.size();
        from += bytes.size();
        count -= bytes.size();
        ++it;
    }
}

bool EditedText::apply(std::string_view edit) {
    const auto size = take_number(edit);
    if (!size || *size > kEditedTextBytesMax) return false;
    std::vector<Piece> pieces;
    std::size_t at = 0;
    while (!edit.empty()) {
        const auto from = take_number(edit), kept = take_number(edit), own = take_number(edit);
        if (!from || !kept || !own || *own > edit.size()) return false;
        if (*from > size_ || *kept > size_ - *from || *kept > *size - at) return false;
        keep(pieces, at, *from, *kept);
        if (*own > *size - at) return false;
        if (*own != 0) pieces.push_back({.at = at, .bytes = edit.substr(0, *own)});
        at += *own;
        edit.remove_prefix(*own);
    }
    if (at != *size) return false;
    if (pieces.empty()) pieces.emplace_back();
    pieces_ = std::move(pieces);
    size_ = at;
    return true;
}

std::string EditedText::text() const {
    std::string text;
    text.reserve(size_);
    for (const Piece& piece : pieces_) text.append(piece.bytes);
    return text;
}

}  // namespace sluice::cp
