/// Checks a tree against the field table: unknown and unsupported keys, missing ones, values of the wrong kind. What it
/// lets pass has the right kinds everywhere; names, addresses and services are still just words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "controlplane/policy/document.hpp"
#include "controlplane/policy/schema.hpp"

namespace sluice::cp {

/// Where in a tree the reader is: a chain on the stack, made to text only when there is something to report.
class Path {
public:
    Path() = default;
    Path(const Path& parent, std::string_view key) : parent_{&parent}, key_{key} {}
    Path(const Path& parent, std::size_t index) : parent_{&parent}, index_{index}, is_index_{true} {}
    std::string pointer() const;  ///< RFC 6901

private:
    const Path* parent_{};
    std::string_view key_;
    std::size_t index_{};
    bool is_index_{};
};

class Report {
public:
    explicit Report(std::size_t errors_max = DocumentLimits{}.errors_max) : errors_max_{errors_max} {}

    void add(const Path& path, SourcePos pos, std::string code, std::string detail);
    void add(const Path& path, SourcePos pos, ValueError error);
    bool full() const noexcept { return errors_.size() >= errors_max_; }
    bool empty() const noexcept { return errors_.empty(); }
    /// In the order of the text.
    PolicyErrors take(PolicyErrors earlier = {});

private:
    std::size_t errors_max_;
    PolicyErrors errors_;
};

void check_object(const Node& node, const ObjectSchema& schema, const Path& path, Report& report);
void check_object_list(const Node& node, const ObjectSchema& schema, const Path& path, Report& report);

/// A number of Shape::count: digits, no leading zero, from 1 to `most`; else 0.
std::uint32_t count_of(std::string_view text, std::uint32_t most) noexcept;

/// A scalar that may be read as text; reports otherwise.
bool check_text(const Node& node, const Path& path, Report& report);

/// Calls `visit(item, path of the item)` for a single value or each of a list.
template <typename Visit>
void for_each_of(const Node& node, const Path& path, Visit&& visit) {
    if (node.kind != Node::Kind::list) {
        visit(node, path);
        return;
    }
    for (std::size_t i = 0; i < node.children.size(); ++i) visit(node.children[i], Path{path, i});
}

}  // namespace sluice::cp
