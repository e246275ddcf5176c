#include "controlplane/lifecycle/filter_grammar.hpp"

#include <gtest/gtest.h>

#include <array>

namespace sluice::cp {
namespace {

constexpr std::array<FilterField, 3> kFields{{
    {"tall", abi::FlowField{101}, FilterKind::number, 300, "170 or 150-190"},
    {"name", abi::FlowField{102}, FilterKind::word},
    {"any", abi::FlowField{103}, FilterKind::number},
}};

std::string read(std::string_view text) {
    const auto parsed = parse_filter(
        text,
        {.fields = kFields,
         .number_of = [](const FilterField& field, std::string_view word) -> Expected<std::uint64_t, std::string> {
             if (word == "ada") return 7;
             return Unexpected(no_such(field.word, word, {"ada", "grace"}));
         }});
    if (!parsed) return std::to_string(parsed.error().column) + ": " + parsed.error().detail;
    std::string out;
    for (std::uint32_t t = 0; t < parsed->term_count; ++t) {
        const auto& term = parsed->terms[t];
        out += (out.empty() ? "" : " ") + std::string{term.negated != 0 ? "!" : ""} +
               std::to_string(static_cast<int>(term.field));
        for (std::uint32_t r = 0; r < term.range_count; ++r) {
            const auto& range = parsed->ranges[term.first_range + r];
            out += ":" + std::to_string(range.first[1]) + "-" + std::to_string(range.last[1]);
        }
    }
    return out;
}

TEST(FilterGrammar, TakesAnyVocabulary) {
    EXPECT_EQ(read(""), "");
    EXPECT_EQ(read("tall == 170 and name != ada"), "101:170-170 !102:7-7");
    EXPECT_EQ(read("tall in {150-160, 170} and name in {ada}"), "101:150-160:170-170 102:7-7");
    EXPECT_EQ(read("tall < 100"), "101:0-99");
    EXPECT_EQ(read("any > 18446744073709551614"), "103:18446744073709551615-18446744073709551615");
}

TEST(FilterGrammar, SaysWhatTheVocabularyKnows) {
    EXPECT_EQ(read("small == 1"), "1: there is no field \"small\"; there are tall, name, any");
    EXPECT_EQ(read("tal == 1"), "1: there is no field \"tal\"; did you mean \"tall\"?");
    EXPECT_EQ(read("tall == 301"),
              "9: \"301\" is no number from 0 to 300 and no range of them; write e.g. 170 or 150-190");
    EXPECT_EQ(read("any == x"), "8: \"x\" is no number and no range of them; write e.g. 1 or 0-3");
    EXPECT_EQ(read("name == grac"), "9: there is no name \"grac\"; did you mean \"grace\"?");
    EXPECT_EQ(read("name > ada"), "6: \"name\" has no order; compare it with ==, != or in");
}

}  // namespace
}  // namespace sluice::cp
