/// Answers for programs: JSON as it came, or the same as YAML.
#include <iostream>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "tools/sluicectl/command.hpp"

namespace sluice::ctl {
namespace json = boost::json;
namespace {

/// Texts stand in quotes, whatever they look like: nobody takes one for a number.
void emit(YAML::Emitter& out, const json::value& value) {
    if (const auto* object = value.if_object()) {
        if (object->empty()) out << YAML::Flow;
        out << YAML::BeginMap;
        for (const auto& [key, child] : *object) {
            out << YAML::Key << std::string{key} << YAML::Value;
            emit(out, child);
        }
        out << YAML::EndMap;
    } else if (const auto* array = value.if_array()) {
        if (array->empty()) out << YAML::Flow;
        out << YAML::BeginSeq;
        for (const auto& child : *array) emit(out, child);
        out << YAML::EndSeq;
    } else if (const auto* text = value.if_string()) {
        out << YAML::DoubleQuoted << std::string{text->data(), text->size()};
    } else if (value.is_null()) {
        out << YAML::Null;
    } else if (value.is_double()) {
        out << fmt::format("{}", value.get_double());
    } else {
        out << json::serialize(value);
    }
}

}  // namespace

void print_value(const Context& context, const json::value& value) {
    if (context.output != OutputForm::yaml) {
        std::cout << json::serialize(value) << '\n';
        return;
    }
    YAML::Emitter out;
    emit(out, value);
    std::cout << "---\n" << out.c_str() << '\n';
}

}  // namespace sluice::ctl
