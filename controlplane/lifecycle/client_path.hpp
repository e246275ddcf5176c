/// The connection that a request comes by, from the client's side.
#pragma once

#include <cstdint>

#include <sluice/abi/net_order.hpp>

namespace sluice::cp {

/// Both addresses are of one family, ports in host order.
struct ClientPath {
    abi::IpFamily family{};
    abi::IpAddr client{}, api{};
    std::uint16_t client_port{}, api_port{};
};

}  // namespace sluice::cp
