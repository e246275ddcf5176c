#include "controlplane/policy/version.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "controlplane/policy/canonical.hpp"
#include "controlplane/policy/reader.hpp"
#include "controlplane/policy/sha256.hpp"

namespace sluice::cp {
namespace {

constexpr std::string_view kHead = "sluice: 1\nname: edge\ndefault: {action: deny}\nzones:\n  lan: {ports: [p]}\n";
constexpr std::string_view kOne = "  - {id: one, from: lan, to: any, action: allow}\n";
constexpr std::string_view kTwo = "  - {id: two, from: any, to: lan, service: tcp/22, action: deny}\n";

std::string policy_of(std::string_view rules) { return std::string{kHead} + "rules:\n" + std::string{rules}; }

std::string bytes_of(const abi::Digest256& digest) {
    return {reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()};
}

abi::Digest256 read(const std::string& text) {
    const auto policy = read_policy(text, PolicyFormat::yaml);
    EXPECT_TRUE(policy) << text;
    return policy ? policy->version : abi::Digest256{};
}

TEST(Sha256, IsThatOfFips180) {
    // Appendix B.1 and B.2 of FIPS 180-2, and the digest of nothing.
    EXPECT_EQ(to_hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(to_hex(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    EXPECT_EQ(to_hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Version, IsTheDigestOfTheHeadsAndTheRulesDigests) {
    const std::string text = policy_of(std::string{kOne} + std::string{kTwo});
    const auto parsed = parse_document(text, PolicyFormat::yaml);
    const Node* rules = parsed.document.root.find("rules");
    ASSERT_NE(rules, nullptr);
    const std::string head = canonical_head(parsed.document.root);
    EXPECT_EQ(head.find("rules"), std::string::npos);
    EXPECT_NE(head.find(R"("name":"edge")"), std::string::npos);
    const auto expected = sha256(bytes_of(sha256(head)) + bytes_of(sha256(canonical_rule(rules->children[0]))) +
                                 bytes_of(sha256(canonical_rule(rules->children[1]))));
    EXPECT_EQ(version_of(parsed.document), expected);
    EXPECT_EQ(read(text), expected);
    const auto written = read_written(parse_document(text, PolicyFormat::yaml), PolicyFormat::yaml);
    ASSERT_TRUE(written);
    EXPECT_EQ(written->policy.version, expected);
    EXPECT_EQ(written->written.version(), expected);
}

TEST(Version, IsOfTheRulesInTheirOrder) {
    const std::string one{kOne}, two{kTwo};
    const std::vector<std::string> texts{policy_of(one + two), policy_of(two + one), policy_of(one), policy_of(two),
                                         std::string{kHead}};
    for (std::size_t i = 0; i < texts.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) EXPECT_NE(read(texts[i]), read(texts[j])) << texts[i] << texts[j];
    }
}

TEST(Version, FlatOnesAreTheDigestOfTheCanonicalText) {
    const auto parsed = parse_document(policy_of(kOne), PolicyFormat::yaml);
    EXPECT_EQ(flat_version_of(parsed.document), sha256(canonical_text(parsed.document)));
    EXPECT_NE(flat_version_of(parsed.document), version_of(parsed.document));
}

}  // namespace
}  // namespace sluice::cp
