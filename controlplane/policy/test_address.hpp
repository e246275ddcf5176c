/// The two ends of a policy test, as written: `198.51.100.7@internet` and `198.51.100.80@servers:443/tcp`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "controlplane/policy/address.hpp"

namespace sluice::cp {

/// `ADDR@zone`, and `:PORT` if the source port matters.
struct TestSource {
    Address address;
    std::string_view zone;
    std::optional<std::uint16_t> port;
};
Expected<TestSource, ValueError> parse_test_source(std::string_view text);

/// `ADDR[@zone][:PORT/proto]`. Without `@zone` an IPv6 address that is followed by a port stands in brackets.
struct TestTarget {
    Address address;
    std::string_view zone;               ///< empty = not said
    std::optional<std::string> service;  ///< `443/tcp` turned round: `tcp/443`
};
Expected<TestTarget, ValueError> parse_test_target(std::string_view text);

/// What a packet of this service carries: its destination port, or its type << 8 | code (code 0 unless said), else 0.
/// Refused if the term stands for more than one.
Expected<std::uint16_t, ValueError> one_packet_of(const ServiceTerm& term);

}  // namespace sluice::cp
