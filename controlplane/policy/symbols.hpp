/// The names that a policy defines, and what the words of its rules stand for. Zones, sets, services and `any` share
/// one name space, so that a word means the same wherever it stands.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "controlplane/policy/model.hpp"
#include "controlplane/policy/shape.hpp"

namespace sluice::cp {

class Symbols {
public:
    enum class Kind : std::uint8_t { zone, set, service };
    struct Symbol {
        Kind kind{};
        std::uint16_t index{};  ///< of zones and sets
        SourcePos pos{};
    };

    explicit Symbols(Report& report) : report_{report} {}

    /// Reports a name that is reserved or taken, with both places.
    void define(const Path& path, const Node& name, Kind kind, std::uint16_t index);
    /// `terms` of a service; its name was defined before.
    void define_service(std::string_view name, std::vector<ServiceTerm> terms);

    /// Alternatives of `from` or `to`. Words without a zone are put together in one, so that they cost one term.
    std::vector<Endpoint> endpoints(const Node& node, const Path& path) const;
    /// Alternatives of `service`: names and terms.
    std::vector<ServiceTerm> services(const Node& node, const Path& path) const;
    /// Terms only: what a service is defined by.
    std::vector<ServiceTerm> service_terms(const Node& node, const Path& path) const;
    std::optional<std::uint16_t> zone(std::string_view name, SourcePos pos, const Path& path) const;
    std::optional<std::uint16_t> set(std::string_view name, SourcePos pos, const Path& path) const;
    std::vector<Prefix> prefixes(const Node& node, const Path& path) const;
    /// Sets, addresses and prefixes, each once.
    Endpoint members(const Node& node, const Path& path) const;

    static std::string_view to_string(Kind kind) noexcept;

private:
    const Symbol* find(std::string_view name) const noexcept;
    void report_undefined(std::string_view name, SourcePos pos, const Path& path, std::string_view wanted,
                          std::initializer_list<Kind> kinds) const;
    void add_member(Endpoint& endpoint, const Node& word, const Path& path) const;
    void add_except(Endpoint& endpoint, const Node& word, const Path& path) const;
    void check_leaves_some(const Endpoint& endpoint, const Node& except, const Path& path) const;
    std::optional<std::uint16_t> zone_of(const Node& word, const Path& path) const;

    Report& report_;
    std::unordered_map<std::string_view, Symbol> symbols_;
    std::unordered_map<std::string_view, std::vector<ServiceTerm>> services_;
};

}  // namespace sluice::cp
