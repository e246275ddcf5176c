/// What the document reader makes of texts, for a comparison with published suites (published_suites_test.py). Standard
/// input: a line `yaml BYTES` or `json BYTES`, then as many bytes, and so on. A line of JSON per text: `codes` of what
/// was wrong, or `tree`: a list is `{"list": [...]}`, a map `{"map": [[key, value], ...]}`, a scalar `{"FORM": text}`.
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <array>
#include <iostream>
#include <string>

#include "controlplane/policy/document.hpp"

namespace {

using namespace sluice::cp;
namespace json = boost::json;

json::value tree(const Node& node) {
    constexpr std::array<const char*, 4> kForms{"plain", "text", "number", "boolean"};
    json::array children;
    switch (node.kind) {
        case Node::Kind::null: return nullptr;
        case Node::Kind::refused: return json::object{{"refused", nullptr}};
        case Node::Kind::scalar: return json::object{{kForms.at(static_cast<std::size_t>(node.form)), node.text}};
        case Node::Kind::list:
            for (const Node& child : node.children) children.push_back(tree(child));
            return json::object{{"list", std::move(children)}};
        case Node::Kind::map:
            for (std::size_t i = 0; i < node.member_count(); ++i) {
                children.push_back(json::array{tree(node.key(i)), tree(node.value(i))});
            }
            return json::object{{"map", std::move(children)}};
    }
    return nullptr;
}

json::object reading(const std::string& text, PolicyFormat format) {
    const ParsedDocument parsed = parse_document(text, format);
    if (parsed.errors.empty() && parsed.whole) return {{"tree", tree(parsed.document.root)}};
    json::array codes;
    for (const auto& error : parsed.errors) codes.emplace_back(error.code);
    return {{"codes", std::move(codes)}};
}

}  // namespace

int main() {
    std::string format;
    std::size_t bytes = 0;
    while (std::cin >> format >> bytes) {
        std::cin.ignore();  // the line's end
        std::string text(bytes, '\0');
        std::cin.read(text.data(), static_cast<std::streamsize>(bytes));
        std::cout << json::serialize(reading(text, format == "json" ? PolicyFormat::json : PolicyFormat::yaml))
                  << std::endl;
    }
}
