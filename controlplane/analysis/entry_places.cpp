#include "controlplane/analysis/entry_places.hpp"

#include <algorithm>
#include <optional>

namespace sluice::cp {
namespace {

std::map<std::string, std::uint16_t> zones_by_port(const Policy& policy) {
    std::map<std::string, std::uint16_t> zones;
    for (std::size_t z = 0; z < policy.zones.size(); ++z) {
        for (const auto& port : policy.zones[z].ports) zones.emplace(port, static_cast<std::uint16_t>(z));
    }
    return zones;
}

}  // namespace

EntryPlaces::EntryPlaces(const Policy* before, const Policy& after, const WireHint* wires) {
    const auto zones_after = zones_by_port(after);
    const auto zones_before = before == nullptr ? zones_after : zones_by_port(*before);
    std::map<std::pair<std::uint16_t, std::uint16_t>, std::size_t> known;
    std::map<std::string, std::size_t> place_of_port;
    for (const auto& [port, zone] : zones_after) {
        const auto was = zones_before.find(port);
        if (was == zones_before.end()) continue;
        const auto [at, fresh] = known.try_emplace({was->second, zone}, places_.size());
        if (fresh) places_.push_back({was->second, zone, port});
        place_of_port.emplace(port, at->second);
    }
    representable_ = places_.size() <= abi::kZonesMax;
    if (representable_) join_by_wires(wires, place_of_port);
}

/// Places that lead to the same ones are one reach.
void EntryPlaces::join_by_wires(const WireHint* wires, const std::map<std::string, std::size_t>& place_of_port) {
    if (wires == nullptr || wires->wires.empty()) {
        Reach all;
        for (std::size_t p = 0; p < places_.size(); ++p) all.from.set(p);
        all.to = all.from;
        if (!places_.empty()) reaches_.push_back(all);
        return;
    }
    std::vector<PlaceBits> to(places_.size());
    for (const auto& [a, b] : wires->wires) {
        const auto at_a = place_of_port.find(a), at_b = place_of_port.find(b);
        if (at_a == place_of_port.end() || at_b == place_of_port.end()) continue;
        to[at_a->second].set(at_b->second);
        to[at_b->second].set(at_a->second);
        ports_.try_emplace({at_a->second, at_b->second}, a);
        ports_.try_emplace({at_b->second, at_a->second}, b);
    }
    for (std::size_t p = 0; p < places_.size(); ++p) {
        if (to[p].none()) continue;
        const auto same = std::ranges::find(reaches_, to[p], &Reach::to);
        if (same == reaches_.end()) {
            reaches_.push_back({PlaceBits{}.set(p), to[p]});
        } else {
            same->from.set(p);
        }
    }
}

PlaceBits EntryPlaces::of_zones_before(const ZoneBits& zones) const {
    PlaceBits bits;
    for (std::size_t p = 0; p < places_.size(); ++p) bits[p] = zones[places_[p].zone_before];
    return bits;
}

PlaceBits EntryPlaces::of_zones_after(const ZoneBits& zones) const {
    PlaceBits bits;
    for (std::size_t p = 0; p < places_.size(); ++p) bits[p] = zones[places_[p].zone_after];
    return bits;
}

bool EntryPlaces::pick(const Box& box, std::size_t& from, std::size_t& to) const {
    for (const Reach& reach : reaches_) {
        for (from = 0; from < places_.size(); ++from) {
            if (!box.from[from] || !reach.from[from]) continue;
            // Rather to another place than back, where nobody knows the wires.
            std::optional<std::size_t> found;
            for (to = 0; to < places_.size(); ++to) {
                if (box.to[to] && reach.to[to] && (!found || *found == from)) found = to;
            }
            if (!found) continue;
            to = *found;
            return true;
        }
    }
    return false;
}

const std::string& EntryPlaces::port_between(std::size_t from, std::size_t to) const {
    const auto at = ports_.find({from, to});
    return at == ports_.end() ? places_[from].port : at->second;
}

}  // namespace sluice::cp
