/// Who is at the other end of a socket.
#pragma once

#include <optional>
#include <string>

#include <boost/asio/ip/tcp.hpp>

#include "controlplane/lifecycle/client_path.hpp"

namespace sluice::cp::api {

/// Its address, or `unknown`.
std::string remote_address(const boost::asio::ip::tcp::socket& socket);
/// The connection, from the client's side; nothing if it is closed. IPv4 by a socket of IPv6 is IPv4.
std::optional<ClientPath> path_through(const boost::asio::ip::tcp::socket& socket);

}  // namespace sluice::cp::api
