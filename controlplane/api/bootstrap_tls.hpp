/// What the server needs before its first request: a certificate, its key and a token. The first start makes them; no
/// later start touches them, so an operator may put other ones in their place.
///
///     ca.pem       the authority that signed server.pem: what clients trust. Its key is thrown away after signing.
///     server.pem   EC P-256; names: 127.0.0.1, ::1, localhost, the host's name, the address it listens on
///     server.key   0600
///     token        0600; 32 random bytes, base64url; made only while nobody else can hand out tokens
///
/// The three TLS files appear together: they are written as *.new, made durable, then renamed with server.key last. A
/// start that finds a rename half done finishes it; one that finds an incomplete set otherwise says so and stops.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <sluice/expected.hpp>

namespace sluice::cp::api {

struct ServerSecrets {
    std::filesystem::path certificate, key;
    std::optional<std::string> token;  ///< what the file holds
    bool made_now{};                   ///< this call was the first start
};

/// `listen_address`: becomes a name of the certificate when it is no loopback address. `make_token`: if there is none.
/// The error is one sentence.
Expected<ServerSecrets, std::string> ensure_secrets(const std::filesystem::path& state_dir,
                                                    std::string_view listen_address, bool make_token = true);

}  // namespace sluice::cp::api
