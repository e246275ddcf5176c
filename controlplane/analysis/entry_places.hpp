/// Where packets come from and where they go: classes of ports that neither policy tells apart. A policy speaks of
/// zones, but two policies may put a port in different ones; a place has one zone in each. Only pairs of places that a
/// wire joins are looked at, where the wires are known: nothing goes elsewhere.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/analysis/box.hpp"
#include "controlplane/policy/model.hpp"
#include "controlplane/policy/reader.hpp"

namespace sluice::cp {

class EntryPlaces {
public:
    struct Place {
        std::uint16_t zone_before{}, zone_after{};  ///< indexes; equal if there is one policy only
        std::string port;                           ///< one of its ports
    };
    /// From any of `from` to any of `to`.
    struct Reach {
        PlaceBits from, to;
    };

    /// `before` may be null, `wires` too (then from every place to every place). Ports that only one policy knows are
    /// left out: the dataplane takes no policy that does not bind all of its ports.
    EntryPlaces(const Policy* before, const Policy& after, const WireHint* wires);

    /// False: more places than bits; nothing can be said.
    bool representable() const noexcept { return representable_; }
    const std::vector<Place>& places() const noexcept { return places_; }
    /// Without a pair in common.
    const std::vector<Reach>& reaches() const noexcept { return reaches_; }

    PlaceBits of_zones_before(const ZoneBits& zones) const;
    PlaceBits of_zones_after(const ZoneBits& zones) const;
    /// A pair of places that `box` has and a packet can take; false if there is none.
    bool pick(const Box& box, std::size_t& from, std::size_t& to) const;
    /// A port of `from` behind which `to` lies.
    const std::string& port_between(std::size_t from, std::size_t to) const;

private:
    void join_by_wires(const WireHint* wires, const std::map<std::string, std::size_t>& place_of_port);

    std::vector<Place> places_;
    std::vector<Reach> reaches_;
    std::map<std::pair<std::size_t, std::size_t>, std::string> ports_;  ///< where wires are known
    bool representable_{true};
};

}  // namespace sluice::cp
