#include "tools/sluicectl/policy_files.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "controlplane/policy/document.hpp"
#include "controlplane/policy/emit.hpp"
#include "controlplane/policy/spelling.hpp"
#include "tools/sluicectl/command.hpp"

namespace sluice::ctl {
namespace json = boost::json;
namespace fs = std::filesystem;
namespace {

using cp::Node;
using cp::SourcePos;

/// By the name, else by the first character: a YAML policy starts with a key or a comment.
bool is_json(const std::string& file, std::string_view text) {
    if (file.ends_with(".json")) return true;
    if (file.ends_with(".yaml") || file.ends_with(".yml")) return false;
    const auto first = text.find_first_not_of(" \t\r\n");
    return first != std::string_view::npos && text[first] == '{';
}

std::vector<std::string> files_of(const std::vector<std::string>& paths) {
    std::vector<std::string> files;
    for (const std::string& path : paths) {
        std::error_code error;
        if (!fs::is_directory(path, error)) {
            files.push_back(path);
            continue;
        }
        std::vector<std::string> inside;
        for (const auto& entry : fs::directory_iterator{path, error}) {
            const auto extension = entry.path().extension();
            const bool hidden = entry.path().filename().string().starts_with('.');
            if (!hidden && (extension == ".yaml" || extension == ".yml" || extension == ".json"))
                inside.push_back(entry.path().string());
        }
        if (error) throw CommandError{fmt::format("{}: cannot list it: {}; check the path", path, error.message())};
        if (inside.empty())
            throw CommandError{path + ": no .yaml, .yml or .json in this folder; name the policy's files"};
        std::ranges::sort(inside);
        files.insert(files.end(), inside.begin(), inside.end());
    }
    return files;
}

/// Which file a node is of stands above its column, until it is written out.
constexpr unsigned kColumnBits = 20;

void mark(Node& node, std::uint32_t file) {
    node.pos.column = file << kColumnBits | std::min(node.pos.column, (1U << kColumnBits) - 1);
    for (Node& child : node.children) mark(child, file);
}

void collect(const Node& node, std::vector<SourcePos>& places) {
    places.push_back(node.pos);
    for (const Node& child : node.children) collect(child, places);
}

/// What a file that is not the base may bring, beside its rules.
constexpr std::array<std::string_view, 3> kMaps{"sets", "services", "schedules"};
constexpr std::string_view kNeverBlock = "never_block";

class Joiner {
public:
    explicit Joiner(const std::vector<std::string>& files) : files_{files} {
        for (std::uint32_t f = 0; f < files.size(); ++f) {
            const std::string text = read_file(files[f]);
            const auto format = is_json(files[f], text) ? cp::PolicyFormat::json : cp::PolicyFormat::yaml;
            parsed_.push_back(cp::parse_document(text, format));
            for (const auto& e : parsed_.back().errors) complain(f, e.pos, e.detail);
            Node& root = parsed_.back().document.root;
            mark(root, f);
            if (parsed_.back().whole && root.kind != Node::Kind::map) complain(root, "this is no policy; write a map");
        }
        end_if_wrong();
        find_base();
        end_if_wrong();
    }

    PolicyText join() {
        cp::Document joined;
        for (const auto& parsed : parsed_) joined.adopt(parsed.document);
        joined.root = parsed_[*base_].document.root;
        take_out(joined.root, "layer");
        take_out(joined.root, "rules");
        for (std::uint32_t f = 0; f < files_.size(); ++f) {
            Node& root = parsed_[f].document.root;
            take_rules(root, joined);
            if (f == *base_) continue;
            for (const std::string_view map : kMaps) add_members(joined, map, root);
            add_never_block(joined, root);
            add_tests(joined, root);
        }
        end_if_wrong();
        std::ranges::stable_sort(rules_, {}, &LayeredRule::layer);
        if (!rules_.empty()) {
            Node list{.kind = Node::Kind::list};
            for (LayeredRule& rule : rules_) list.children.push_back(std::move(rule.node));
            put(joined, "rules", std::move(list));
        }
        return written_out(joined.root);
    }

private:
    struct LayeredRule {
        std::uint32_t layer{};
        Node node;
    };

    void complain(std::uint32_t file, SourcePos pos, std::string_view what) {
        wrong_ += fmt::format("{}:{}:{}: {}\n", files_[file], pos.line, pos.column, what);
    }
    void complain(const Node& at, std::string_view what) { complain(file_of(at), real(at.pos), what); }
    static std::uint32_t file_of(const Node& node) { return node.pos.column >> kColumnBits; }
    static SourcePos real(SourcePos pos) { return {pos.line, pos.column & ((1U << kColumnBits) - 1)}; }
    std::string place_of(const Node& node) const {
        return fmt::format("{}:{}:{}", files_[file_of(node)], node.pos.line, real(node.pos).column);
    }
    void end_if_wrong() {
        if (wrong_.empty()) return;
        wrong_ += "the files are no policy together";
        throw CommandError{wrong_};
    }

    static const Node* key_of(const Node& map, std::string_view name) {
        for (std::size_t i = 0; i < map.member_count(); ++i) {
            if (map.key(i).text == name) return &map.key(i);
        }
        return nullptr;
    }

    void find_base() {
        for (std::uint32_t f = 0; f < files_.size(); ++f) {
            const Node* key = key_of(parsed_[f].document.root, "default");
            if (key == nullptr) continue;
            if (base_) {
                complain(*key, fmt::format("default stands at {} too; it belongs to the base file alone, take one away",
                                           place_of(*key_of(parsed_[*base_].document.root, "default"))));
            } else {
                base_ = f;
            }
        }
        if (!base_)
            throw CommandError{fmt::format(
                "none of {} files has default; the base file needs it: default: {{action: deny}}", files_.size())};
        for (std::uint32_t f = 0; f < files_.size(); ++f) {
            if (f != *base_) check_keys(parsed_[f].document.root);
        }
    }

    void check_keys(const Node& root) {
        static constexpr std::array<std::string_view, 7> kKnown{"sluice", "name",    "layer",    "rules",
                                                                "tests",  "default", kNeverBlock};
        for (std::size_t i = 0; i < root.member_count(); ++i) {
            const std::string_view key = root.key(i).text;
            if (std::ranges::find(kKnown, key) != kKnown.end() || std::ranges::find(kMaps, key) != kMaps.end())
                continue;
            complain(root.key(i),
                     fmt::format("\"{}\" belongs to the base file, {}; this one may have sluice, name, layer, "
                                 "sets, services, schedules, never_block, rules and tests",
                                 key, files_[*base_]));
        }
        const Node* version = root.find("sluice");
        if (version == nullptr || version->text != "1")
            complain(version == nullptr ? root : *version, "write sluice: 1, the version of the language");
    }

    static void take_out(Node& map, std::string_view name) {
        for (std::size_t i = 0; i < map.member_count(); ++i) {
            if (map.key(i).text != name) continue;
            const auto at = map.children.begin() + static_cast<std::ptrdiff_t>(2 * i);
            map.children.erase(at, at + 2);
            return;
        }
    }
    static void put(cp::Document& document, std::string_view key, Node value) {
        document.root.children.push_back({.kind = Node::Kind::scalar, .pos = value.pos, .text = document.keep(key)});
        document.root.children.push_back(std::move(value));
    }

    /// Every rule says its layer from now on.
    void take_rules(const Node& root, cp::Document& joined) {
        const Node* layer = root.find("layer");
        if (layer != nullptr && !cp::layer_of(layer->text)) {
            return complain(*layer,
                            "this is no layer; write 0 to 9 for emergency, 10 to 19 for protection, 20 to 49 for "
                            "the organisation or 50 to 89 for applications");
        }
        const Node* list = root.find("rules");
        if (list == nullptr) return;
        if (list->kind != Node::Kind::list) return complain(*list, "rules is a list; write each behind a dash");
        for (const Node& item : list->children) {
            LayeredRule rule{.node = item};
            const Node* own = item.find("layer");
            if (own == nullptr && layer != nullptr && item.kind == Node::Kind::map) {
                rule.node.children.push_back(
                    {.kind = Node::Kind::scalar, .pos = layer->pos, .text = joined.keep("layer")});
                rule.node.children.push_back(*layer);
                own = layer;
            }
            rule.layer = own == nullptr ? cp::kLayerStandard : cp::layer_of(own->text).value_or(cp::kLayerStandard);
            rules_.push_back(std::move(rule));
        }
    }

    void add_members(cp::Document& joined, std::string_view key, const Node& root) {
        const Node* more = root.find(key);
        if (more == nullptr) return;
        if (more->kind != Node::Kind::map) return complain(*more, fmt::format("{} is a map from names", key));
        if (joined.root.find(key) == nullptr) return put(joined, key, *more);
        Node& all = *joined.root.find(key);
        for (std::size_t i = 0; i < more->member_count(); ++i) {
            if (const Node* taken = key_of(all, more->key(i).text)) {
                complain(more->key(i), fmt::format("\"{}\" stands in {} at {} too; rename one", more->key(i).text, key,
                                                   place_of(*taken)));
                continue;
            }
            all.children.push_back(more->key(i));
            all.children.push_back(more->value(i));
        }
    }

    /// One word or a list of them in each file; in all of them together a list.
    static void add_never_block(cp::Document& joined, const Node& root) {
        const Node* more = root.find(kNeverBlock);
        if (more == nullptr) return;
        Node* all = joined.root.find(kNeverBlock);
        if (all == nullptr) return put(joined, kNeverBlock, *more);
        if (all->kind != Node::Kind::list) {
            Node one = std::move(*all);
            *all = {.kind = Node::Kind::list, .pos = one.pos};
            all->children.push_back(std::move(one));
        }
        const auto words = more->kind == Node::Kind::list ? more->children : std::vector<Node>{*more};
        all->children.insert(all->children.end(), words.begin(), words.end());
    }

    void add_tests(cp::Document& joined, const Node& root) {
        const Node* more = root.find("tests");
        if (more == nullptr) return;
        if (more->kind != Node::Kind::list) return complain(*more, "tests is a list; write each behind a dash");
        Node* all = joined.root.find("tests");
        if (all == nullptr) return put(joined, "tests", *more);
        all->children.insert(all->children.end(), more->children.begin(), more->children.end());
    }

    PolicyText written_out(Node& root) const {
        PolicyText policy{.content_type = "application/yaml", .files = files_};
        std::vector<SourcePos> before, after;
        collect(root, before);
        policy.text = cp::emit(root, cp::PolicyFormat::yaml);
        collect(root, after);
        for (std::size_t i = 0; i < after.size(); ++i) {
            const auto at = std::uint64_t{after[i].line} << 32 | after[i].column;
            // A list and its first item may begin at one place; the list is told first, and is as good.
            policy.written.try_emplace(
                at, PolicyText::Written{before[i].column >> kColumnBits, before[i].line, real(before[i]).column});
        }
        return policy;
    }

    const std::vector<std::string>& files_;
    std::vector<cp::ParsedDocument> parsed_;
    std::optional<std::uint32_t> base_;
    std::vector<LayeredRule> rules_;
    std::string wrong_;
};

}  // namespace

void PolicyText::place(json::value& answer) const {
    if (files.empty()) return;
    if (auto* list = answer.if_array()) {
        for (json::value& item : *list) place(item);
        return;
    }
    auto* object = answer.if_object();
    if (object == nullptr) return;
    for (auto& [key, member] : *object) place(member);
    auto *line = object->if_contains("line"), *column = object->if_contains("column");
    if (line == nullptr || column == nullptr || !line->is_number() || !column->is_number()) return;
    const auto at = written.find(line->to_number<std::uint64_t>() << 32 | column->to_number<std::uint64_t>());
    if (at == written.end()) return;
    *line = at->second.line;
    *column = at->second.column;
    (*object)["file"] = files[at->second.file];
}

PolicyText read_policy_files(const std::vector<std::string>& paths) {
    const auto files = files_of(paths);
    std::string name;
    for (const std::string& path : paths) name += (name.empty() ? "" : " -f ") + path;
    if (files.size() > 1) {
        auto policy = Joiner{files}.join();
        policy.name = std::move(name);
        return policy;
    }
    PolicyText policy{.name = std::move(name)};
    policy.text = read_file(files.front());
    policy.content_type = is_json(files.front(), policy.text) ? "application/json" : "application/yaml";
    return policy;
}

}  // namespace sluice::ctl
