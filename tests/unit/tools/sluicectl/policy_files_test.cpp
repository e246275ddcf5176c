// Files that are joined to one policy: what comes of them, and where each thing in it was written.
#include "tools/sluicectl/policy_files.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "controlplane/policy/reader.hpp"
#include "tools/sluicectl/command.hpp"

namespace sluice::ctl {
namespace {

namespace fs = std::filesystem;

class PolicyFiles : public testing::Test {
protected:
    PolicyFiles() {
        std::string pattern = fs::temp_directory_path() / "policy-files-XXXXXX";
        folder_ = mkdtemp(pattern.data());
    }
    ~PolicyFiles() override { fs::remove_all(folder_); }

    std::string file(const std::string& name, const std::string& text) {
        std::ofstream{folder_ / name} << text;
        return folder_ / name;
    }
    std::string folder() const { return folder_; }

    /// Why files can't be joined, with `F/` for the folder.
    std::string refusal(const std::vector<std::string>& paths) {
        try {
            read_policy_files(paths);
        } catch (const CommandError& error) {
            std::string text = error.what();
            for (std::size_t at; (at = text.find(folder())) != std::string::npos;)
                text.replace(at, folder().size(), "F");
            return text;
        }
        return "joined";
    }

    const std::string base_ =
        "sluice: 1\nname: edge  # the base\ndefault: {action: deny}\nzones:\n  lan: {ports: [p]}\n  wan: {ports: [q]}\n"
        "sets:\n  web: {nets: [10.0.0.1]}\nrules:\n  - {id: web-in, from: wan, to: web, action: allow}\n"
        "tests:\n  - {from: 192.0.2.1@wan, to: \"10.0.0.1@lan:443/tcp\", expect: deny, by: stop}\n";
    const std::string guard_ =
        "sluice: 1\nname: guard\nlayer: 10\nsets:\n  bad: {nets: [192.0.2.0/24]}\nrules:\n"
        "  - id: stop\n    from: {zone: wan, set: bad}\n    to: any\n    action: deny\n"
        "tests:\n  - {from: 198.51.100.1@wan, to: \"10.0.0.1@lan:443/tcp\", expect: allow}\n";

private:
    fs::path folder_;
};

TEST_F(PolicyFiles, OneIsSentAsItIsWritten) {
    const auto one = read_policy_files({file("a.yaml", base_)});
    EXPECT_EQ(one.text, base_);
    EXPECT_EQ(one.content_type, "application/yaml");
    EXPECT_TRUE(one.files.empty());
    EXPECT_EQ(read_policy_files({file("a", " {}")}).content_type, "application/json");
}

TEST_F(PolicyFiles, SeveralAreReadAsOnePolicy) {
    file("50-edge.yaml", base_);
    file("10-guard.yaml", guard_);
    file("notes.txt", "none of it");
    const auto joined = read_policy_files({folder()});
    EXPECT_EQ(joined.files.size(), 2U);
    const auto policy = cp::read_policy(joined.text, cp::PolicyFormat::yaml);
    ASSERT_TRUE(policy) << joined.text << policy.error().front().detail;
    ASSERT_EQ(policy->rules.size(), 2U);
    EXPECT_EQ(policy->name, "edge");
    EXPECT_EQ(policy->rules[0].id, "stop");
    EXPECT_EQ(policy->rules[0].layer, 10);
    EXPECT_EQ(policy->rules[1].layer, cp::kLayerStandard);
    EXPECT_EQ(policy->sets.size(), 2U);
    EXPECT_EQ(policy->tests.size(), 2U);
    const auto order = read_policy_files({folder() + "/50-edge.yaml", folder() + "/10-guard.yaml"});
    EXPECT_EQ(order.text, joined.text) << "layers, not the order in which files are named";
}

TEST_F(PolicyFiles, NobodyIsBlockedWhomOneOfThemProtects) {
    const auto never = [&](const std::string& in_base, const std::string& in_guard) {
        file("50-edge.yaml", base_ + in_base);
        file("10-guard.yaml", guard_ + in_guard);
        const auto joined = read_policy_files({folder()});
        const auto policy = cp::read_policy(joined.text, cp::PolicyFormat::yaml);
        if (!policy) return joined.text + policy.error().front().detail;
        std::string text;
        for (const auto set : policy->never_block.sets) text += std::as_const(policy->sets)[set].name + " ";
        return text + std::to_string(policy->never_block.nets.size());
    };
    EXPECT_EQ(never("", "never_block: [bad, 10.9.0.0/24]\n"), "bad 1");
    EXPECT_EQ(never("never_block: web\n", "never_block: [bad, 10.9.0.0/24]\n"), "web bad 1");
    EXPECT_EQ(never("never_block: [web, bad]\n", "never_block: 10.9.0.0/24\n"), "web bad 1");
    EXPECT_EQ(never("never_block: 10.8.0.0/24\n", ""), "1");
}

TEST_F(PolicyFiles, EachPlaceIsThatOfItsFile) {
    file("50-edge.yaml", base_);
    file("10-guard.yaml", guard_);
    const auto joined = read_policy_files({folder()});
    // What the server would say about either rule, and about the default.
    const auto read = cp::read_policy(joined.text, cp::PolicyFormat::yaml);
    ASSERT_TRUE(read);
    const auto told = [&](cp::SourcePos pos) {
        boost::json::value answer =
            boost::json::array{boost::json::object{{"line", pos.line}, {"column", pos.column}, {"detail", "odd"}}};
        joined.place(answer);
        const auto& object = answer.as_array()[0].as_object();
        return file_of(object, "?").substr(folder().size() + 1) + ":" + std::to_string(count_of(object, "line")) + ":" +
               std::to_string(count_of(object, "column"));
    };
    EXPECT_EQ(told(read->pos_of_rule(0)), "10-guard.yaml:7:5");
    EXPECT_EQ(told(read->pos_of_rule(1)), "50-edge.yaml:10:5");
    EXPECT_EQ(told(std::as_const(read->sets)[1].pos), "10-guard.yaml:5:3");
    EXPECT_EQ(told(read->tests[0].pos), "50-edge.yaml:12:5");
    EXPECT_EQ(told(read->tests[1].pos), "10-guard.yaml:12:5");
    boost::json::value elsewhere = boost::json::object{{"line", 999}, {"column", 1}};
    joined.place(elsewhere);
    EXPECT_FALSE(elsewhere.as_object().contains("file"));
}

TEST_F(PolicyFiles, WhatCannotBeJoinedIsToldWithItsPlace) {
    const auto base = file("50.yaml", base_), guard = file("10.yaml", guard_);
    EXPECT_EQ(refusal({guard, guard}), "none of 2 files has default; the base file needs it: default: {action: deny}");
    const auto with = [&](const std::string& text) { return refusal({base, file("20.yaml", text)}); };
    for (const auto& [text, start] : {
             std::pair{base_, "F/20.yaml:3:1: default stands at F/50.yaml:3:1 too"},
             std::pair<std::string, const char*>{"sluice: 1\nname: x\nzones: {dmz: {ports: [r]}}\n",
                                                 "F/20.yaml:3:1: \"zones\" belongs to the base file, F/50.yaml;"},
             std::pair<std::string, const char*>{"sluice: 1\nlayer: 90\n", "F/20.yaml:2:8: this is no layer; write"},
             std::pair<std::string, const char*>{"sluice: 1\nsets:\n  web: {nets: [10.0.0.2]}\n",
                                                 "F/20.yaml:3:3: \"web\" stands in sets at F/50.yaml:8:3 too"},
             std::pair<std::string, const char*>{"name: x\n", "F/20.yaml:1:1: write sluice: 1"},
             std::pair<std::string, const char*>{"a: [\n", "F/20.yaml:"},
             std::pair<std::string, const char*>{"- a\n", "F/20.yaml:1:1: this is no policy; write a map"},
             std::pair<std::string, const char*>{"sluice: 1\nrules: {a: 1}\n", "F/20.yaml:2:8: rules is a list"},
         }) {
        const std::string said = with(text);
        EXPECT_EQ(said.rfind(start, 0), 0U) << said;
    }
    const std::string nowhere = refusal({folder() + "/nowhere.yaml", base});
    EXPECT_EQ(nowhere.rfind("F/nowhere.yaml: cannot read it", 0), 0U) << nowhere;
}

}  // namespace
}  // namespace sluice::ctl
