#include "controlplane/api/client_address.hpp"

namespace sluice::cp::api {
namespace asio = boost::asio;
namespace {

using boost::system::error_code;

abi::IpAddr address_of(const asio::ip::address& from) {
    if (from.is_v4()) return abi::IpAddr::of_v4(abi::Ipv4Addr::of_host(from.to_v4().to_uint()));
    return {from.to_v6().to_bytes()};
}

/// A socket of IPv6 that takes IPv4 too shows its clients as mapped addresses (RFC 4291 section 2.5.5.2).
asio::ip::address unmapped(const asio::ip::address& from) {
    if (!from.is_v6() || !from.to_v6().is_v4_mapped()) return from;
    return asio::ip::make_address_v4(asio::ip::v4_mapped, from.to_v6());
}

}  // namespace

std::string remote_address(const asio::ip::tcp::socket& socket) {
    error_code error;
    const auto remote = socket.remote_endpoint(error);
    return error ? std::string{"unknown"} : remote.address().to_string();
}

std::optional<ClientPath> path_through(const asio::ip::tcp::socket& socket) {
    error_code error;
    const auto remote = socket.remote_endpoint(error);
    if (error) return std::nullopt;
    const auto local = socket.local_endpoint(error);
    if (error) return std::nullopt;
    const auto client = unmapped(remote.address()), api = unmapped(local.address());
    return ClientPath{.family = client.is_v4() ? abi::IpFamily::v4 : abi::IpFamily::v6,
                      .client = address_of(client),
                      .api = address_of(api),
                      .client_port = remote.port(),
                      .api_port = local.port()};
}

}  // namespace sluice::cp::api
