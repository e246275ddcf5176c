#include "controlplane/api/client_address.hpp"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "controlplane/policy/address.hpp"

namespace sluice::cp::api {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

/// Both ends of a connection over the loopback.
struct Connection {
    asio::io_context io;
    tcp::socket client{io}, server{io};

    explicit Connection(const tcp::endpoint& listen, const asio::ip::address& to) {
        tcp::acceptor acceptor{io, listen};
        client.connect({to, acceptor.local_endpoint().port()});
        server = acceptor.accept();
    }
};

void expect_path(Connection& c, const std::string& address) {
    const auto path = path_through(c.server);
    ASSERT_TRUE(path);
    const auto expected = *parse_address(address);
    EXPECT_EQ(path->family, expected.family);
    EXPECT_EQ(path->client, expected.addr);
    EXPECT_EQ(path->api, expected.addr);
    EXPECT_EQ(path->client_port, c.client.local_endpoint().port());
    EXPECT_EQ(path->api_port, c.server.local_endpoint().port());
    EXPECT_NE(path->client_port, path->api_port);
}

TEST(ClientAddress, IsThatOfTheClient) {
    Connection c{{tcp::v4(), 0}, asio::ip::make_address("127.0.0.1")};
    expect_path(c, "127.0.0.1");
    EXPECT_EQ(remote_address(c.server), "127.0.0.1");
}

TEST(ClientAddress, IPv4BySocketsOfIPv6IsIPv4) {
    Connection c{{tcp::v6(), 0}, asio::ip::make_address("127.0.0.1")};
    expect_path(c, "127.0.0.1");
}

TEST(ClientAddress, OfAClosedSocketNobodyKnows) {
    Connection c{{tcp::v4(), 0}, asio::ip::make_address("127.0.0.1")};
    c.server.close();
    EXPECT_FALSE(path_through(c.server));
    EXPECT_EQ(remote_address(c.server), "unknown");
}

}  // namespace
}  // namespace sluice::cp::api
