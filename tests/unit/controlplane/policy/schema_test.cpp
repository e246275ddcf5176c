#include "controlplane/policy/schema.hpp"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

namespace sluice::cp {
namespace {

std::string committed() {
    std::ifstream file{std::string{SLUICE_SOURCE_ROOT} + "/policies/schema/policy.schema.json"};
    return {std::istreambuf_iterator<char>{file}, {}};
}

TEST(Schema, CommittedFileIsCurrent) {
    EXPECT_EQ(committed(), policy_json_schema())
        << "run: build/controlplane/policy/policy-schema > policies/schema/policy.schema.json";
}

TEST(Schema, IsJsonAndAllowsNoOtherKeys) {
    const auto schema = boost::json::parse(policy_json_schema());
    EXPECT_EQ(schema.at("$schema").as_string(), "https://json-schema.org/draft/2020-12/schema");
    EXPECT_EQ(schema.at("additionalProperties").as_bool(), false);
    const auto& rule = schema.at("properties").at("rules").at("items");
    EXPECT_EQ(rule.at("additionalProperties").as_bool(), false);
    EXPECT_EQ(rule.at("required").as_array().size(), 4U);
    EXPECT_EQ(rule.at("properties").at("mode").at("default").as_string(), "enforce");
    EXPECT_FALSE(rule.at("properties").as_object().contains("sni"));
}

void check_table(const ObjectSchema& schema) {
    std::set<std::string_view> keys;
    for (const auto& field : schema.fields) {
        SCOPED_TRACE(field.key);
        EXPECT_TRUE(keys.insert(field.key).second) << "stands twice";
        const bool supported = field.shape != Shape::unsupported;
        EXPECT_EQ(supported, !field.about.empty());
        EXPECT_EQ(field.shape == Shape::choice, !field.choices.empty());
        const bool nested =
            field.shape == Shape::object || field.shape == Shape::object_map || field.shape == Shape::object_list;
        ASSERT_EQ(nested, field.object != nullptr);
        if (nested) check_table(*field.object);
    }
}

TEST(Schema, TableIsConsistent) {
    check_table(document_schema());
    check_table(endpoint_schema());
    check_table(edit_schema());
}

}  // namespace
}  // namespace sluice::cp
