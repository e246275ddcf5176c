#include "controlplane/policy/version.hpp"

#include <string_view>
#include <vector>

#include "controlplane/policy/canonical.hpp"
#include "controlplane/policy/sha256.hpp"

namespace sluice::cp {
namespace {

std::string_view as_bytes(std::span<const abi::Digest256> digests) {
    static_assert(sizeof(abi::Digest256) == 32, "a list of digests is their bytes");
    return {reinterpret_cast<const char*>(digests.data()), digests.size_bytes()};
}

}  // namespace

abi::Digest256 version_of(const abi::Digest256& head, std::span<const abi::Digest256> rules) {
    return sha256({as_bytes({&head, 1}), as_bytes(rules)});
}

abi::Digest256 version_of(const Document& document) {
    std::vector<abi::Digest256> rules;
    if (const auto* list = document.root.find("rules")) {
        rules.reserve(list->children.size());
        for (const Node& rule : list->children) rules.push_back(sha256(canonical_rule(rule)));
    }
    return version_of(sha256(canonical_head(document.root)), rules);
}

abi::Digest256 flat_version_of(const Document& document) { return sha256(canonical_text(document)); }

}  // namespace sluice::cp
