#include "dataplane/acl/check.hpp"

namespace sluice::dp {

namespace {

/// Bytes of the UTF-8 sequence at the start of `s`, 0 if there is none (RFC 3629 section 4).
std::size_t utf8_sequence(std::string_view s) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(s[i]); };
    const auto tail = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xbf) {
        return i < s.size() && byte(i) >= low && byte(i) <= high;
    };
    const unsigned lead = byte(0);
    if (lead < 0x80) return 1;
    if (lead >= 0xc2 && lead <= 0xdf) return tail(1) ? 2 : 0;
    if (lead >= 0xe0 && lead <= 0xef) {
        const unsigned low = lead == 0xe0 ? 0xa0 : 0x80, high = lead == 0xed ? 0x9f : 0xbf;
        return tail(1, low, high) && tail(2) ? 3 : 0;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        const unsigned low = lead == 0xf0 ? 0x90 : 0x80, high = lead == 0xf4 ? 0x8f : 0xbf;
        return tail(1, low, high) && tail(2) && tail(3) ? 4 : 0;
    }
    return 0;
}

}  // namespace

bool is_clean_utf8(std::string_view s) noexcept {
    while (!s.empty()) {
        const auto lead = static_cast<std::uint8_t>(s[0]);
        if (lead < 0x20 || lead == 0x7f) return false;
        const std::size_t n = utf8_sequence(s);
        if (n == 0) return false;
        s.remove_prefix(n);
    }
    return true;
}

bool Check::name(std::string_view what, std::uint64_t index, const abi::TextRef& ref, std::span<const char> text,
                 std::size_t bytes_max) {
    using R = abi::RefuseReason;
    return require(ref.offset <= text.size() && ref.bytes <= text.size() - ref.offset, R::text, what, " ", index,
                   " has its text at ", ref.offset, " with ", ref.bytes, " bytes, the text array has ", text.size()) &&
           require(ref.bytes >= 1 && ref.bytes <= bytes_max, R::text, what, " ", index, " has a text of ", ref.bytes,
                   " bytes, expected 1 to ", bytes_max) &&
           require(is_clean_utf8(text_of(ref, text)), R::text, what, " ", index,
                   " has a text that is not UTF-8 or holds control characters");
}

}  // namespace sluice::dp
