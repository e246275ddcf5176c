/// In which zones of two policies a flow stands: of the one that decided it, and of the one that would. What is kept of
/// a flow are names, and policies may name zones otherwise, so the ports are what joins the two.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <sluice/abi/net_order.hpp>
#include <sluice/abi/tables.hpp>

#include "controlplane/policy/model.hpp"
#include "controlplane/policy/reader.hpp"

namespace sluice::cp {

/// The number of the zone that has the port.
std::optional<std::uint16_t> zone_of_port(const Policy& policy, std::string_view port);

class FlowPlaces {
public:
    struct Place {
        abi::ZoneId from_before{}, to_before{}, from_after{}, to_after{};
        std::string in_port;  ///< one by which such a flow arrives
        bool same_zones(const Place& other) const noexcept {
            return std::tie(from_before, to_before, from_after, to_after) ==
                   std::tie(other.from_before, other.to_before, other.from_after, other.to_after);
        }
    };

    /// Without known wires a packet may go from every port to every port of another zone.
    FlowPlaces(const Policy& before, const Policy& after, const WireHint& wires);

    /// Of a flow that came in by `in_port` (empty = unknown) from the zone `from` to the zone `to`, as they were called
    /// when that was written down. Null where the names fit nothing any more, or fit more than one place.
    const Place* of(std::string_view in_port, std::string_view from, std::string_view to);

private:
    struct Candidate {
        Place place;
        std::string_view from, to;  ///< names of `before`
    };
    std::optional<Place> search(std::string_view in_port, std::string_view from, std::string_view to) const;
    template <typename Fits>
    std::optional<Place> only(Fits fits) const;

    std::vector<Candidate> candidates_;
    std::map<std::string, std::optional<Place>, std::less<>> known_;  ///< by the three names
    std::string key_;
};

}  // namespace sluice::cp
