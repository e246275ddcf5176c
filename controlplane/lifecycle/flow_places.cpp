#include "controlplane/lifecycle/flow_places.hpp"

#include <algorithm>

namespace sluice::cp {
namespace {

/// A store can hold records of any number of names; beyond so many of them each is looked for again.
constexpr std::size_t kKnownMax = 10'000;

std::map<std::string_view, std::uint16_t> zones_of_ports(const Policy& policy) {
    std::map<std::string_view, std::uint16_t> zones;
    for (std::size_t z = 0; z < policy.zones.size(); ++z) {
        for (const auto& port : policy.zones[z].ports) zones[port] = static_cast<std::uint16_t>(z);
    }
    return zones;
}

}  // namespace

std::optional<std::uint16_t> zone_of_port(const Policy& policy, std::string_view port) {
    for (std::size_t z = 0; z < policy.zones.size(); ++z) {
        if (std::ranges::find(policy.zones[z].ports, port) != policy.zones[z].ports.end())
            return static_cast<std::uint16_t>(z);
    }
    return std::nullopt;
}

FlowPlaces::FlowPlaces(const Policy& before, const Policy& after, const WireHint& wires) {
    const auto was = zones_of_ports(before), is = zones_of_ports(after);
    const auto add = [&](std::string_view in, std::string_view out) {
        if (!was.contains(in) || !was.contains(out) || !is.contains(in) || !is.contains(out)) return;
        candidates_.push_back({{abi::ZoneId{was.at(in)}, abi::ZoneId{was.at(out)}, abi::ZoneId{is.at(in)},
                                abi::ZoneId{is.at(out)}, std::string{in}},
                               before.zones[was.at(in)].name,
                               before.zones[was.at(out)].name});
    };
    for (const auto& [a, b] : wires.wires) {
        add(a, b);
        add(b, a);
    }
    if (!wires.wires.empty()) return;
    for (const auto& [in, from] : was) {
        for (const auto& [out, to] : was) {
            if (from != to) add(in, out);
        }
    }
}

/// The place that fits, if all that fit are the same four zones.
template <typename Fits>
std::optional<FlowPlaces::Place> FlowPlaces::only(Fits fits) const {
    std::optional<Place> found;
    for (const Candidate& candidate : candidates_) {
        if (!fits(candidate)) continue;
        if (found && !found->same_zones(candidate.place)) return std::nullopt;
        if (!found) found = candidate.place;
    }
    return found;
}

std::optional<FlowPlaces::Place> FlowPlaces::search(std::string_view in_port, std::string_view from,
                                                    std::string_view to) const {
    const auto by_port = [&](const Candidate& c) { return c.place.in_port == in_port; };
    const auto by_zones = [&](const Candidate& c) { return c.from == from && c.to == to; };
    // The port alone is enough where zones have got other names since.
    if (auto place = only([&](const Candidate& c) { return by_port(c) && by_zones(c); })) return place;
    if (auto place = only(by_port)) return place;
    return only(by_zones);
}

const FlowPlaces::Place* FlowPlaces::of(std::string_view in_port, std::string_view from, std::string_view to) {
    key_.assign(in_port).append(1, '\0').append(from).append(1, '\0').append(to);
    auto at = known_.find(key_);
    if (at == known_.end()) {
        if (known_.size() == kKnownMax) known_.clear();
        at = known_.emplace(key_, search(in_port, from, to)).first;
    }
    return at->second ? &*at->second : nullptr;
}

}  // namespace sluice::cp
