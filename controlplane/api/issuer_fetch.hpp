/// Where the public keys of an issuer of tokens are read from. Behind it stands Beast, and so in this header none.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <sluice/expected.hpp>

#include "controlplane/api/issuer_keys.hpp"

namespace sluice::cp::api {

struct Url {
    bool tls{};
    std::string host, port;  ///< a literal IPv6 address without brackets
    std::string authority;   ///< for the Host header
    std::string target;      ///< with its query
};

/// `https://HOST[:PORT]/PATH`, or `http://` where HOST is a literal loopback address: keys that came over a line in the
/// clear are anybody's keys.
std::optional<Url> parse_issuer_url(std::string_view text);

/// Of `config.jwks`: a file, or a document over HTTP (the body of a 200; redirects are not followed). Error: a
/// sentence.
Expected<std::unique_ptr<KeySource>, std::string> key_source(const IssuerConfig& config);

}  // namespace sluice::cp::api
