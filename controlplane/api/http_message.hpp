/// A request and its answer as handlers see them: no Beast, no Asio. The session (http_session.cpp) makes the one and
/// writes the other; tests make both by hand.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "controlplane/lifecycle/client_path.hpp"

namespace sluice::cp::api {

struct Header {
    std::string name, value;
};

/// Header of that name (names are compared without case), or nothing. The first one wins.
std::optional<std::string_view> find_header(const std::vector<Header>& headers, std::string_view name);

struct Request {
    std::string method;  ///< as sent: GET, PUT, ... (methods are case-sensitive, RFC 9110 section 9.1)
    std::string path;    ///< raw, without the query
    std::vector<std::pair<std::string, std::string>> query;  ///< percent-decoded, in order
    std::vector<Header> headers;
    std::string body;
    std::string id;                            ///< request id, for the answer and for logs
    std::string actor{"anonymous"};            ///< who asks, once the gateway knows
    std::string peer{"unknown"};               ///< address that it came from
    std::optional<ClientPath> path_through{};  ///< the connection that it came by, if it is one of IP

    std::optional<std::string_view> header(std::string_view name) const { return find_header(headers, name); }
};

class EventFeed;  // event_feed.hpp

/// A body that is made while it is sent: the next piece, or nothing at the end. Called on the route's lane. An
/// exception ends the connection short of the body's end, so that nobody takes it for whole.
using BodySource = std::function<std::optional<std::string>()>;

struct Response {
    int status{200};
    std::string content_type;  ///< empty = no body
    std::vector<Header> headers;
    std::string body;
    BodySource pieces;                  ///< set: instead of `body`
    std::shared_ptr<EventFeed> stream;  ///< set: the session follows the events instead of writing `body`
};

Response json_response(int status, std::string body);

/// `a=b&c` with percent escapes and `+`; nothing if an escape is broken or a decoded byte is a control character.
std::optional<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view text);

/// `application/json; charset=utf-8` -> `application/json`, in lower case. Nothing when a charset other than UTF-8 is
/// named or the syntax is wrong.
std::optional<std::string> media_type(std::string_view header);

/// Quality (0..1000) that an Accept header gives to a media type; the most specific range decides (RFC 9110 12.5.1).
/// `explicitly` leaves wildcards out.
int accept_quality(std::string_view accept, std::string_view type, bool explicitly = false);

/// Entity tags of If-Match or If-None-Match.
struct EntityTags {
    bool any{};                     ///< `*`
    std::vector<std::string> tags;  ///< without quotes
    std::vector<bool> weak;         ///< same length
};
std::optional<EntityTags> parse_entity_tags(std::string_view text);

/// Whole text as a decimal number, without sign, space or leading zeros; nothing when it does not fit.
std::optional<std::uint64_t> parse_number(std::string_view text);

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept;

}  // namespace sluice::cp::api
