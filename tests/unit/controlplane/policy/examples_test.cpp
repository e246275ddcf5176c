// Every policy of policies/examples reads, passes its own tests, and answers what its verdicts.yaml says: asked of the
// compiled tables and of the reference matcher, which must agree.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "controlplane/compiler/policy_tests.hpp"
#include "controlplane/policy/emit.hpp"
#include "controlplane/policy/reader.hpp"
#include "tests/harness/policies.hpp"

namespace sluice::cp {
namespace {

namespace fs = std::filesystem;

const fs::path kExamples = fs::path{SLUICE_SOURCE_ROOT} / "policies" / "examples";

std::string text_of(const fs::path& path) {
    std::ifstream file{path};
    EXPECT_TRUE(file) << path;
    return {std::istreambuf_iterator<char>{file}, {}};
}

void print_errors(const fs::path& path, const PolicyErrors& errors) {
    for (const auto& e : errors) {
        ADD_FAILURE() << path.string() << ":" << e.pos.line << ":" << e.pos.column << ": " << e.detail;
    }
}

void run_tests(const fs::path& path, const Policy& policy) {
    const test::CompiledTables tables{policy};
    const auto outcomes = run_policy_tests(policy, tables.view());
    ASSERT_TRUE(outcomes) << path << ": " << outcomes.error();
    EXPECT_EQ(outcomes->size(), policy.tests.size());
    for (const auto& outcome : *outcomes) {
        EXPECT_TRUE(outcome.passed) << path.string() << ":" << outcome.pos.line << ": " << outcome.from << " to "
                                    << outcome.to << " should be " << outcome.expect << " by " << outcome.by << ", is "
                                    << outcome.got << " by " << outcome.got_rule;
    }
}

std::vector<std::string> examples() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator{kExamples}) {
        if (entry.is_directory()) names.push_back(entry.path().filename().string());
    }
    std::ranges::sort(names);
    return names;
}

class Examples : public testing::TestWithParam<std::string> {};

TEST_P(Examples, ReadAndPassTheirOwnTests) {
    const auto path = kExamples / GetParam() / "policy.yaml";
    const auto policy = read_policy(text_of(path), PolicyFormat::yaml);
    if (!policy) return print_errors(path, policy.error());
    EXPECT_EQ(policy->name, GetParam());
    run_tests(path, *policy);
}

TEST_P(Examples, AnswerTheirVerdicts) {
    const auto path = kExamples / GetParam() / "verdicts.yaml";
    auto document = parse_document(text_of(kExamples / GetParam() / "policy.yaml"), PolicyFormat::yaml);
    auto verdicts = parse_document(text_of(path), PolicyFormat::yaml);
    ASSERT_TRUE(document.whole);
    ASSERT_TRUE(verdicts.whole);
    Node& root = document.document.root;
    if (auto* tests = root.find("tests")) {
        *tests = verdicts.document.root;
    } else {
        root.children.push_back({.kind = Node::Kind::scalar, .form = Node::Form::text, .text = "tests"});
        root.children.push_back(verdicts.document.root);
    }
    const auto policy = read_document(document);
    if (!policy) return print_errors(path, policy.error());
    EXPECT_GE(policy->tests.size(), 4U);
    run_tests(path, *policy);
}

TEST_P(Examples, MeanTheSameWhenWrittenOutInEitherFormat) {
    const auto text = text_of(kExamples / GetParam() / "policy.yaml");
    const auto policy = read_policy(text, PolicyFormat::yaml);
    ASSERT_TRUE(policy);
    auto document = parse_document(text, PolicyFormat::yaml);
    for (const auto format : {PolicyFormat::yaml, PolicyFormat::json}) {
        const auto again = read_policy(emit(document.document.root, format), format);
        if (!again) return print_errors(GetParam(), again.error());
        EXPECT_EQ(again->version, policy->version);
    }
}

INSTANTIATE_TEST_SUITE_P(Policies, Examples, testing::ValuesIn(examples()), [](const auto& example) {
    auto name = example.param;
    std::ranges::replace(name, '-', '_');
    return name;
});

}  // namespace
}  // namespace sluice::cp
