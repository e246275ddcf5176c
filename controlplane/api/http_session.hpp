/// One connection of the REST server. This header has no Beast; http_session.cpp does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/thread_pool.hpp>

#include "controlplane/api/api_server.hpp"
#include "controlplane/api/client_door.hpp"
#include "controlplane/api/client_trust.hpp"
#include "controlplane/api/event_hub.hpp"
#include "controlplane/api/gateway.hpp"

namespace sluice::cp::api {

/// What all sessions share. Everything but the counters, the pools and the hub belongs to the I/O thread.
struct SessionShared {
    const ApiLimits& limits;
    const Gateway& gateway;
    PolicyService& service;
    EventHub& hub;
    ClientTrust* trust{};  ///< null: certificates of clients are not asked for
    ClientDoor& door;
    ApiCounters& counters;
    boost::asio::ssl::context& tls;
    boost::asio::thread_pool& reads;
    boost::asio::thread_pool& walks;
    boost::asio::thread_pool& plans;
    boost::asio::thread_pool& commits;
    boost::asio::thread_pool&
        checks;  ///< of tokens that are new here: one thread, so that guessing costs one core at most
    boost::asio::thread_pool& issuer_checks;  ///< the same, of those that may wait for the keys of their issuer
    std::uint64_t bodies_bytes{};             ///< reserved by requests in flight
    std::size_t requests_in_flight{};
    bool stopping{};
};

boost::asio::awaitable<void> serve_connection(boost::asio::ip::tcp::socket socket, ClientDoor::Place place,
                                              SessionShared& shared);

}  // namespace sluice::cp::api
