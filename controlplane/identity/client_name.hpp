/// A name in a client's certificate that has roles: what the configuration says and the REST server looks up.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "controlplane/identity/role.hpp"

namespace sluice::cp {

struct ClientName {
    enum class Kind : std::uint8_t {
        subject,  ///< the whole subject as RFC 2253 writes it: `CN=deploy,O=Example`
        san,      ///< one of its alternative names: `dns:scraper.example`, `email:...`, `uri:spiffe://...`
    };
    Kind kind{};
    std::string text;
    Roles roles;
};

}  // namespace sluice::cp
