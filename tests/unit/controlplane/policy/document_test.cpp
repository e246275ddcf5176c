#include "controlplane/policy/document.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

namespace sluice::cp {
namespace {

using namespace std::string_literals;

bool reads(std::string_view text, PolicyFormat format) {
    const auto parsed = parse_document(text, format);
    EXPECT_EQ(parsed.whole && parsed.errors.empty(), parsed.errors.empty()) << "refused without a reason: " << text;
    for (const auto& error : parsed.errors) EXPECT_FALSE(error.detail.empty());
    return parsed.whole && parsed.errors.empty();
}

std::string codes(const ParsedDocument& parsed) {
    std::string result;
    for (const auto& error : parsed.errors) result += error.code + " ";
    return result;
}

std::size_t resident_bytes() {
    std::ifstream statm{"/proc/self/statm"};
    std::size_t size{}, resident{};
    statm >> size >> resident;
    return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

std::string repeated(std::string_view part, std::size_t count) {
    std::string text;
    text.reserve(part.size() * count);
    for (std::size_t i = 0; i < count; ++i) text += part;
    return text;
}

TEST(Document, P3_ReadsJsonAsRfc8259SaysAndNothingElse) {
    for (const auto& good : {"{}"s,
                             "[]"s,
                             "[[]]"s,
                             " [ ] "s,
                             "\t\r\n{\"a\":1}\n"s,
                             "1"s,
                             "-0"s,
                             "0.5e-7"s,
                             "1E400"s,
                             "123456789012345678901234567890"s,
                             "\"\""s,
                             "\"\\u00e9\""s,
                             "\"\\ud83d\\ude00\""s,
                             "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""s,
                             "\"\\u0000\""s,
                             "\"caf\xc3\xa9\""s,
                             "true"s,
                             "null"s,
                             "[1,\"a\",null,false]"s,
                             "{\"\":0}"s,
                             "{\"a\":{\"b\":[{}]}}"s,
                             "\xef\xbb\xbf[]"s,
                             "[1e2, -1.5]"s,
                             "\"\xf4\x8f\xbf\xbf\""s}) {
        EXPECT_TRUE(reads(good, PolicyFormat::json)) << good;
    }
    for (const auto& bad : {""s,
                            " "s,
                            "{"s,
                            "["s,
                            "]"s,
                            "}"s,
                            "[1"s,
                            "[1,]"s,
                            "[,1]"s,
                            "[1 2]"s,
                            "[1,,2]"s,
                            "{\"a\"}"s,
                            "{\"a\":}"s,
                            "{\"a\":1,}"s,
                            "{a:1}"s,
                            "{'a':1}"s,
                            "{\"a\" 1}"s,
                            "{1:1}"s,
                            "{\"a\":1 \"b\":2}"s,
                            "[] []"s,
                            "{}x"s,
                            "01"s,
                            "-"s,
                            "-01"s,
                            "+1"s,
                            "1."s,
                            ".5"s,
                            "1e"s,
                            "1e+"s,
                            "0x10"s,
                            "1_000"s,
                            "NaN"s,
                            "[NaN]"s,
                            "Infinity"s,
                            "-Infinity"s,
                            "nul"s,
                            "True"s,
                            "TRUE"s,
                            "truefalse"s,
                            "\""s,
                            "\"a"s,
                            "\"\\\""s,
                            "\"\\x41\""s,
                            "\"\\u12\""s,
                            "\"\\u12g4\""s,
                            "\"\\ud800\""s,
                            "\"\\ude00\\ud83d\""s,
                            "'a'"s,
                            "\"a\nb\""s,
                            "\"a\tb\""s,
                            "\"\x01\""s,
                            "\"\xff\""s,
                            "\"\xc0\xaf\""s,
                            "\"\xed\xa0\x80\""s,
                            "\"\xf4\x90\x80\x80\""s,
                            "\"\xe2\x82\""s,
                            "[1] // no"s,
                            "/* no */[1]"s,
                            "[\x0c]"s,
                            "\0"s,
                            "[1\0]"s,
                            "{\"a\":1,\"a\":1}"s,
                            "{\"a\":1,\"\\u0061\":2}"s,
                            "[{\"b\":{},\"b\":[]}]"s,
                            "\xfe\xff\0["s,
                            "{\"a\":[}"s,
                            "[\"a\":1]"s,
                            "{\"a\",\"b\"}"s,
                            "@"s,
                            "[1]]"s}) {
        EXPECT_FALSE(reads(bad, PolicyFormat::json)) << bad;
    }
}

TEST(Document, P3_HostileJsonCostsLittle) {
    const auto before = resident_bytes();
    EXPECT_EQ(codes(parse_document(repeated("[", 100'000), PolicyFormat::json)), "too-deep ");
    EXPECT_EQ(codes(parse_document(repeated("{\"a\":", 100'000), PolicyFormat::json)), "too-deep ");
    // A gigabyte of string is refused by its size: none of it is read, and no page of it touched.
    constexpr std::size_t kGigabyte = 1U << 30;
    void* pages = mmap(nullptr, kGigabyte, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT_NE(pages, MAP_FAILED);
    EXPECT_EQ(codes(parse_document({static_cast<const char*>(pages), kGigabyte}, PolicyFormat::json)), "too-large ");
    munmap(pages, kGigabyte);
    EXPECT_LE(resident_bytes(), before + (64U << 20));
}

// P4: two million nodes and no more, so that 32 MB of `1,1,1` cost no gigabyte.
TEST(Document, TwoMillionNodesAndNoMore) {
    EXPECT_TRUE(parse_document("[" + repeated("1,", 1'999'998) + "1]", PolicyFormat::json).whole);
    EXPECT_EQ(codes(parse_document("[" + repeated("1,", 2'000'000) + "1]", PolicyFormat::json)), "too-large ");
}

TEST(Document, LimitsHoldForBothFormats) {
    DocumentLimits small;
    small.scalars_max = 10;
    EXPECT_EQ(codes(parse_document("[1,1,1,1,1,1,1,1,1,1,1]", PolicyFormat::json, small)), "too-large ");
    EXPECT_EQ(codes(parse_document("[1,1,1,1,1,1,1,1,1,1,1]", PolicyFormat::yaml, small)), "too-large ");
    EXPECT_EQ(codes(parse_document("[[],[],[],[],[],[],[],[],[],[],[]]", PolicyFormat::json, small)), "too-large ");
    const auto levels = [](std::size_t n) { return repeated("[", n) + repeated("]", n); };
    for (const auto format : {PolicyFormat::json, PolicyFormat::yaml}) {
        EXPECT_TRUE(reads(levels(32), format));
        EXPECT_EQ(codes(parse_document(levels(33), format)), "too-deep ");
    }
    small.bytes_max = 4;
    EXPECT_EQ(codes(parse_document("[1,1]", PolicyFormat::yaml, small)), "too-large ");
    EXPECT_EQ(parse_document(repeated("{a: 1, a: 1}\n- ", 1), PolicyFormat::yaml).whole, false);
    EXPECT_EQ(parse_document("[" + repeated("*x,", 500) + "]", PolicyFormat::yaml).errors.size(), 1U);
    EXPECT_EQ(parse_document("[&x 1," + repeated("*x,", 500) + "]", PolicyFormat::yaml).errors.size(), 100U);
}

TEST(Document, P4_AliasesNeverMultiply) {
    std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n";
    for (char c = 'b'; c <= 'i'; ++c) {
        const std::string before = "*"s + static_cast<char>(c - 1);
        bomb += c + ": &"s + c + " [" + before;
        for (int i = 0; i < 8; ++i) bomb += "," + before;
        bomb += "]\n";
    }
    const auto parsed = parse_document(bomb, PolicyFormat::yaml);
    EXPECT_EQ(parsed.errors.size(), 9U + 8U * 9U);
    EXPECT_EQ(parsed.errors[0].code, "anchor");
    EXPECT_EQ(parsed.errors[0].pos.line, 1U);
    EXPECT_EQ(parsed.errors[0].pos.column, 4U);
    EXPECT_EQ(parsed.errors[2].code, "alias");
    EXPECT_EQ(parsed.errors[2].pointer, "/b/0");

    const auto cycle = parse_document("a: &x [1, *x]\n", PolicyFormat::yaml);
    EXPECT_EQ(codes(cycle), "anchor alias ");
    EXPECT_EQ(cycle.errors[1].pos.column, 11U);
    EXPECT_EQ(codes(parse_document("<<: *base\n", PolicyFormat::yaml)), "alias ");
}

TEST(Document, P4_TagsAndOtherYamlThatAPolicyNeverNeeds) {
    struct Case {
        std::string_view text, codes;
    };
    for (const auto& [text, wanted] : {
             Case{"a: !!str 1", "tag "},
             Case{"a: !!python/object:os.system ls", "tag "},
             Case{"!!map {a: 1}", "tag "},
             Case{"a: !local x", "tag "},
             Case{"a: ! x", "tag "},
             Case{"a: !<tag:yaml.org,2002:int> 1", "tag "},
             Case{"a: !!null", "tag "},
             Case{"%TAG ! tag:x,2000:\n---\na: !b 1", "tag "},
             Case{"- !!set {a}", "tag "},
             Case{"a: 1\n---\nb: 1", "several-documents "},
             Case{"a: 1\n...\n---\n", "several-documents "},
             Case{"a: 1\na: 2", "duplicate-key "},
             Case{"{a: 1, b: 2, \"a\": 3}", "duplicate-key "},
             Case{"? [a]\n: 1", "bad-key "},
             Case{"? {a: 1}\n: 1", "bad-key "},
             Case{"? \n: 1", "bad-key "},
             Case{"~: 1", "bad-key "},
             Case{"a: b: c", "bad-yaml "},
             Case{"a: [1", "bad-yaml "},
             Case{"a: \"x", "bad-yaml "},
             Case{"a: \"x\n", "bad-yaml "},
             Case{"a: \"x\\\"\n", "bad-yaml "},
             Case{"a: 'it''s\nb: c\n", "bad-yaml "},
             Case{"a:\n\t- b", "bad-yaml "},
             Case{"a: \"\\q\"", "bad-yaml "},
             Case{"\"a\": 1\n \"b\": 2", "bad-yaml "},
             Case{"a: @b", "bad-yaml "},
         }) {
        EXPECT_EQ(codes(parse_document(text, PolicyFormat::yaml)), wanted) << text;
    }
    EXPECT_TRUE(reads("a: |\n  text\nb: >\n  more\nc: 'it''s'\n", PolicyFormat::yaml));
    EXPECT_TRUE(reads("%YAML 1.2\n---\na: 1\n...\n", PolicyFormat::yaml));
    EXPECT_TRUE(reads("a: 1\r\nb: [x, y]\r\n", PolicyFormat::yaml));
}

/// What makes scanners slow: each must end at once or be refused at once. The bound is a hang limit.
TEST(Document, P4_HostileYamlEnds) {
    for (const std::string_view part :
         {"[",     "{",  "- ", "? ",      "a: ",     "[a",    "{a: ", "[a, ", "&a ",    "!a ",
          "*a ",   "\"", "'",  "# ",      "\n",      "- |\n", "a\n",  "a:\n", "a: 1\n", "%a\n",
          "---\n", ",",  ": ", "\"a\": ", "- - a\n", "[]",    "{}\n", " "}) {
        const auto text = repeated(part, (256U << 10) / part.size());
        const auto started = std::chrono::steady_clock::now();
        const auto parsed = parse_document(text, PolicyFormat::yaml);
        const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
        EXPECT_LT(seconds, 10) << "256 KiB of " << part;
        if (seconds > 0.5) std::printf("256 KiB of \"%s\": %.1f s\n", std::string{part}.c_str(), seconds);
        EXPECT_LE(parsed.errors.size(), 100U);
    }
}

TEST(Document, ColumnsCountCharacters) {
    const auto yaml = parse_document("\"caf\xc3\xa9 \xf0\x9f\x98\x80\": [x, y]\r\nb: *z\r\n", PolicyFormat::yaml);
    ASSERT_EQ(yaml.errors.size(), 1U);
    EXPECT_EQ(yaml.errors[0].pos.line, 2U);
    EXPECT_EQ(yaml.errors[0].pos.column, 4U);
    const auto json = parse_document("{\"caf\xc3\xa9 \xf0\x9f\x98\x80\": [1,\n 22, \"x\"]}", PolicyFormat::json);
    ASSERT_TRUE(json.whole);
    const auto& list = json.document.root.value(0);
    EXPECT_EQ(list.pos.column, 12U);
    EXPECT_EQ(list.children[0].pos.column, 13U);
    EXPECT_EQ(list.children[0].text, "1");
    EXPECT_EQ(list.children[1].pos.line, 2U);
    EXPECT_EQ(list.children[1].pos.column, 2U);
    EXPECT_EQ(list.children[1].text, "22");
    EXPECT_EQ(list.children[2].pos.column, 6U);
}

TEST(Document, FaultsBetweenValuesHaveTheirPlace) {
    for (const auto& [text, column] : {std::pair{"[\"a\",,2]", 6U},
                                       {"{\"a\",5}", 5U},
                                       {"{\"a\":,5}", 6U},
                                       {"[1.,2]", 2U},
                                       {"[1, ,\"a\"]", 5U},
                                       {"[\"a\" :true]", 6U}}) {
        const auto parsed = parse_document(text, PolicyFormat::json);
        ASSERT_EQ(parsed.errors.size(), 1U) << text;
        EXPECT_EQ(parsed.errors[0].pos.column, column) << text;
    }
}

TEST(Document, PointersAreEscaped) {
    const auto parsed = parse_document("{\"a/b~c\": {\"x\": 1, \"x\": 2}}", PolicyFormat::json);
    ASSERT_EQ(parsed.errors.size(), 1U);
    EXPECT_EQ(parsed.errors[0].pointer, "/a~1b~0c/x");
}

}  // namespace
}  // namespace sluice::cp
