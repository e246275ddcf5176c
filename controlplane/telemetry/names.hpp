/// Names behind the numbers that the dataplane counts and reports under: rule slots, zones, ports. Zones are numbered
/// anew by each generation, and an event may be older than the newest one, so the last few generations are kept.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/abi/verdict.hpp>

#include "controlplane/policy/shared_list.hpp"

namespace sluice::cp {

struct Names {
    /// By slot; empty = unknown. Shared: there is one per slot, and most changes leave them as they are.
    std::shared_ptr<const SharedList<std::string>> rules{std::make_shared<const SharedList<std::string>>()};
    std::deque<std::pair<std::uint64_t, std::vector<std::string>>> zones;  ///< by generation, newest last
    std::vector<std::string> ports;

    /// Empty if unknown.
    std::string_view rule(abi::RuleSlot slot) const noexcept;
    std::string_view zone(std::uint64_t generation, abi::ZoneId zone) const noexcept;
    std::string_view port(std::size_t port) const noexcept;
};

class NameBook {
public:
    std::shared_ptr<const Names> names() const;
    /// Those of some slots; an empty name makes a slot unknown.
    void set_rules(const std::vector<std::pair<abi::RuleSlot, std::string>>& names);
    void add_generation(std::uint64_t generation, std::vector<std::string> zones);
    void set_ports(std::vector<std::string> ports);

private:
    template <typename Change>
    void change(Change&& apply);

    mutable std::mutex mutex_;
    std::shared_ptr<const Names> names_{std::make_shared<Names>()};
};

}  // namespace sluice::cp
