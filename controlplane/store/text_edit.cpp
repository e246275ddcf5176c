#include "controlplane/store/text_edit.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <utility>

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

/// An edit while it is written.
class EditWriter {
public:
    EditWriter(std::string_view before, std::string_view after, std::size_t bytes_max)
        : before_{before}, after_{after}, bytes_max_{bytes_max} {
        put_number(edit_, after.size());
    }

    /// Up to here nothing is known: what both have is looked for. False: the edit gets too long.
    bool search_until(std::size_t before_end, std::size_t after_end) {
        if (b_ == before_end && a_ == after_end) return true;
        const auto left = [&](std::size_t b, std::size_t a) {
            return std::pair{before_.substr(b, before_end - b), after_.substr(a, after_end - a)};
        };
        std::size_t kept = std::apply(common_head, left(b_, a_));
        const std::size_t tail = std::apply(common_tail, left(b_ + kept, a_ + kept));
        before_end -= tail;
        after_end -= tail;
        while (true) {
            const std::size_t from = b_;
            b_ += kept;
            a_ += kept;
            const auto next = meeting(before_.substr(0, before_end), b_, after_.substr(0, after_end), a_);
            const std::size_t until = next ? next->after : after_end;
            if (until - a_ > bytes_max_) return false;
            piece(from, kept, after_.substr(a_, until - a_));
            if (edit_.size() > bytes_max_) return false;
            a_ = until;
            if (!next) break;
            b_ = next->before;
            kept = std::apply(common_head, left(b_, a_));
        }
        b_ = before_end;
        if (tail != 0) keep(tail);
        return edit_.size() <= bytes_max_;
    }
    /// From here on both have so many.
    void keep(std::size_t bytes) {
        piece(b_, bytes, {});
        b_ += bytes;
        a_ += bytes;
    }
    std::string take() { return std::move(edit_); }

private:
    void piece(std::size_t from, std::size_t kept, std::string_view own) {
        put_number(edit_, from);
        put_number(edit_, kept);
        put_number(edit_, own.size());
        edit_.append(own);
    }

    std::string_view before_, after_;
    std::size_t bytes_max_;
    std::string edit_;
    std::size_t b_{}, a_{};
};

/// It fits both texts, and both have it at either end.
bool can_be(std::span<const KeptText> kept, std::string_view before, std::string_view after) {
    constexpr std::size_t kLookedAt = 64;
    std::size_t b = 0, a = 0;
    for (const KeptText& k : kept) {
        if (k.before < b || k.before > before.size() || k.bytes > before.size() - k.before) return false;
        if (k.after < a || k.after > after.size() || k.bytes > after.size() - k.after) return false;
        const std::string_view was = before.substr(k.before, k.bytes), is = after.substr(k.after, k.bytes);
        if (was.substr(0, kLookedAt) != is.substr(0, kLookedAt)) return false;
        const std::size_t end = k.bytes - std::min(k.bytes, kLookedAt);
        if (was.substr(end) != is.substr(end)) return false;
        b = k.before + k.bytes;
        a = k.after + k.bytes;
    }
    return true;
}

}  // namespace

std::optional<std::string> text_edit(std::string_view before, std::string_view after, std::size_t bytes_max,
                                     std::span<const KeptText> kept) {
    if (!can_be(kept, before, after)) kept = {};
    EditWriter edit{before, after, bytes_max};
    for (const KeptText& k : kept) {
        if (!edit.search_until(k.before, k.after)) return std::nullopt;
        edit.keep(k.bytes);
    }
    if (!edit.search_until(before.size(), after.size())) return std::nullopt;
    return edit.take();
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
