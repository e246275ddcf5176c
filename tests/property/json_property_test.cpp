/// Which texts are JSON: our reader (a library's parser behind limits of our own) against a recogniser that is written
/// down from RFC 8259's grammar, on texts that are nearly JSON (CASES P3). What the reader asks for beyond the grammar
/// the recogniser asks for too: strict UTF-8 (section 8.1), no key twice in an object (section 4), whole surrogate
/// pairs (section 8.2), no DEL, which nobody sees; a byte order mark in front is passed over (section 8.1).
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "controlplane/policy/document.hpp"
#include "tests/harness/seed.hpp"

namespace sluice::cp {
namespace {

using namespace std::string_view_literals;

class Recogniser {
public:
    explicit Recogniser(std::string_view text) : rest_{text} {}

    bool accepts() {
        (void)word("\xef\xbb\xbf");
        if (!value()) return false;
        blank();
        return rest_.empty();
    }

    /// A limit that section 6 allows: such a number may be refused, or read.
    bool has_huge_exponent() const noexcept { return huge_exponent_; }

private:
    static constexpr std::size_t kExponentDigits = 9;

    bool word(std::string_view wanted) {
        if (!rest_.starts_with(wanted)) return false;
        rest_.remove_prefix(wanted.size());
        return true;
    }
    bool one_of(std::string_view any) {
        if (rest_.empty() || any.find(rest_.front()) == any.npos) return false;
        rest_.remove_prefix(1);
        return true;
    }
    void blank() {
        while (one_of(" \t\r\n")) {
        }
    }
    bool digits() {
        if (!one_of("0123456789")) return false;
        while (one_of("0123456789")) {
        }
        return true;
    }
    bool number() {
        (void)word("-");
        if (!word("0") && !digits()) return false;
        if (word(".") && !digits()) return false;
        if (!one_of("eE")) return true;
        (void)one_of("+-");
        const std::size_t before = rest_.size();
        const bool is_exponent = digits();
        huge_exponent_ = huge_exponent_ || before - rest_.size() > kExponentDigits;
        return is_exponent;
    }
    std::optional<unsigned> four_hex() {
        unsigned code = 0;
        for (int i = 0; i < 4; ++i) {
            constexpr auto kDigits = "0123456789abcdefABCDEF"sv;
            const auto at = rest_.empty() ? kDigits.npos : kDigits.find(rest_.front());
            if (at == kDigits.npos) return std::nullopt;
            code = code * 16 + static_cast<unsigned>(at < 16 ? at : at - 6);
            rest_.remove_prefix(1);
        }
        return code;
    }
    static void append(std::string& text, unsigned code) {
        // Only to tell keys apart: any one-to-one spelling does, but what stands unescaped must be spelled alike.
        if (code < 0x80) {
            text += static_cast<char>(code);
        } else if (code < 0x800) {
            text += static_cast<char>(0xc0 | code >> 6);
            text += static_cast<char>(0x80 | (code & 0x3f));
        } else if (code < 0x10000) {
            text += static_cast<char>(0xe0 | code >> 12);
            text += static_cast<char>(0x80 | (code >> 6 & 0x3f));
            text += static_cast<char>(0x80 | (code & 0x3f));
        } else {
            text += static_cast<char>(0xf0 | code >> 18);
            text += static_cast<char>(0x80 | (code >> 12 & 0x3f));
            text += static_cast<char>(0x80 | (code >> 6 & 0x3f));
            text += static_cast<char>(0x80 | (code & 0x3f));
        }
    }
    bool escape(std::string& text) {
        constexpr auto kShort = "\"\\/bfnrt"sv, kMeaning = "\"\\/\b\f\n\r\t"sv;
        if (!rest_.empty() && kShort.find(rest_.front()) != kShort.npos) {
            text += kMeaning[kShort.find(rest_.front())];
            rest_.remove_prefix(1);
            return true;
        }
        if (!word("u")) return false;
        const auto first = four_hex();
        if (!first || (*first >= 0xdc00 && *first < 0xe000)) return false;
        if (*first < 0xd800 || *first >= 0xe000) {
            append(text, *first);
            return true;
        }
        if (!word("\\u")) return false;
        const auto second = four_hex();
        if (!second || *second < 0xdc00 || *second >= 0xe000) return false;
        append(text, 0x10000 + ((*first - 0xd800) << 10) + (*second - 0xdc00));
        return true;
    }
    /// One character above ASCII (RFC 3629 section 4).
    bool utf8(std::string& text) {
        const auto byte = [&](std::size_t i) { return i < rest_.size() ? static_cast<unsigned char>(rest_[i]) : 0U; };
        const unsigned lead = byte(0);
        const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
        if (lead < 0xc2 || lead > 0xf4) return false;
        for (std::size_t i = 1; i < length; ++i) {
            if (byte(i) < 0x80 || byte(i) > 0xbf) return false;
        }
        if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f) || (lead == 0xf0 && byte(1) < 0x90) ||
            (lead == 0xf4 && byte(1) > 0x8f))
            return false;
        text += rest_.substr(0, length);
        rest_.remove_prefix(length);
        return true;
    }
    bool string(std::string& text) {
        if (!word("\"")) return false;
        while (!word("\"")) {
            if (rest_.empty() || static_cast<unsigned char>(rest_.front()) < 0x20 || rest_.front() == '\x7f')
                return false;
            if (word("\\")) {
                if (!escape(text)) return false;
            } else if (static_cast<unsigned char>(rest_.front()) >= 0x80) {
                if (!utf8(text)) return false;
            } else {
                text += rest_.front();
                rest_.remove_prefix(1);
            }
        }
        return true;
    }
    bool object() {
        std::set<std::string> keys;
        blank();
        if (word("}")) return true;
        do {
            std::string key;
            blank();
            if (!string(key) || !keys.insert(key).second) return false;
            blank();
            if (!word(":") || !value()) return false;
            blank();
        } while (word(","));
        return word("}");
    }
    bool array() {
        blank();
        if (word("]")) return true;
        do {
            if (!value()) return false;
            blank();
        } while (word(","));
        return word("]");
    }
    bool value() {
        blank();
        std::string text;
        if (word("{")) return object();
        if (word("[")) return array();
        if (rest_.starts_with('"')) return string(text);
        return word("true") || word("false") || word("null") || number();
    }

    std::string_view rest_;
    bool huge_exponent_{};
};

/// JSON, and then a few bytes that make it something else, or not.
class Texts {
public:
    explicit Texts(std::uint32_t seed) : random_{seed} {}

    std::string next() {
        std::string text = value(4);
        for (std::uint32_t changes = below(4); changes != 0; --changes) change(text);
        return text;
    }

private:
    std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
    std::string_view any_of(std::initializer_list<std::string_view> some) { return some.begin()[below(some.size())]; }

    std::string blank() { return std::string{any_of({"", "", "", " ", "\n", "\t\r", "  "})}; }
    std::string number() {
        return std::string{any_of({"0", "-0", "1", "-12", "9007199254740993", "123456789012345678901234567890"})} +
               std::string{any_of({"", "", ".0", ".25", ".000001"})} +
               std::string{any_of({"", "", "e1", "E+02", "e-3"})};
    }
    std::string string() {
        std::string text = "\"";
        for (std::uint32_t n = below(4); n != 0; --n) {
            text += any_of({"a",
                            "b",
                            "key",
                            " ",
                            "/",
                            "\x7f",
                            "\\n",
                            "\\\"",
                            "\\\\",
                            "\\/",
                            "\\u0061",
                            "\\u00E9",
                            "\\u0000",
                            "\\ud83d\\ude00",
                            "\\uFFFF",
                            "\xc3\xa9",
                            "\xe2\x82\xac",
                            "\xed\x9f\xbf",
                            "\xf0\x90\x80\x80",
                            "\xf4\x8f\xbf\xbf",
                            "'",
                            "{",
                            "]",
                            ","});
        }
        return text + "\"";
    }
    std::string value(std::uint32_t depth) {
        const std::uint32_t kind = below(depth == 0 ? 5 : 9);
        if (kind == 0) return std::string{any_of({"true", "false", "null"})};
        if (kind < 3) return number();
        if (kind < 5) return string();
        const bool is_object = kind < 7;
        std::string text{is_object ? "{" : "["};
        for (std::uint32_t n = below(4), i = 0; i < n; ++i) {
            if (i != 0) text += ',';
            if (is_object) text += blank() + string() + blank() + ':';
            text += blank() + value(depth - 1) + blank();
        }
        return blank() + text + (is_object ? "}" : "]") + blank();
    }
    void change(std::string& text) {
        const std::size_t at = below(static_cast<std::uint32_t>(text.size() + 1));
        switch (below(5)) {
            case 0: text.erase(at, 1 + below(3)); break;
            case 1: text.resize(at); break;
            case 2: text.insert(at, text.substr(at, 1 + below(8))); break;
            case 3:
                if (at < text.size()) text[at] = static_cast<char>(below(256));
                break;
            default:
                text.insert(at, any_of({"\"",
                                        "\\",
                                        "{",
                                        "}",
                                        "[",
                                        "]",
                                        ",",
                                        ":",
                                        "-",
                                        "+",
                                        ".",
                                        "e",
                                        "0",
                                        "00",
                                        "\\u",
                                        "\\ud800",
                                        "\\udc00",
                                        "\\x41",
                                        "NaN",
                                        "Infinity",
                                        "nul",
                                        "True",
                                        "//",
                                        "/**/",
                                        "'",
                                        "\x01",
                                        "\x1f",
                                        "\f",
                                        "\x7f",
                                        "\v",
                                        "\xc0\x80",
                                        "\xed\xa0\x80",
                                        "\xf4\x90\x80\x80",
                                        "\xff",
                                        "\xc3",
                                        "\xe2\x82",
                                        "\xef\xbb\xbf",
                                        "\xc2\xa0",
                                        std::string_view{"\0", 1}}));
        }
    }

    std::mt19937_64 random_;
};

/// Empty where it is read.
std::string fault_of(std::string_view text) {
    const auto parsed = parse_document(text, PolicyFormat::json);
    if (!parsed.errors.empty()) return parsed.errors.front().code + ": " + parsed.errors.front().detail;
    return parsed.whole ? "" : "not whole";
}

TEST(JsonProperty, P3_WhatIsReadIsWhatTheGrammarSays) {
    constexpr int kTexts = 200'000;
    const std::uint32_t seed = test::seed_of_this_run();
    Texts texts{seed};
    int good = 0;
    for (int i = 0; i < kTexts; ++i) {
        const std::string text = texts.next();
        Recogniser recogniser{text};
        const bool wanted = recogniser.accepts();
        if (recogniser.has_huge_exponent()) continue;
        good += wanted ? 1 : 0;
        const std::string fault = fault_of(text);
        ASSERT_EQ(fault.empty(), wanted) << fault << "; text " << i << " of seed " << seed << ": "
                                         << ::testing::PrintToString(text);
    }
    EXPECT_GT(good, kTexts / 10);
    EXPECT_LT(good, kTexts * 9 / 10);
}

}  // namespace
}  // namespace sluice::cp
