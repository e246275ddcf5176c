#include "controlplane/lifecycle/config.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "controlplane/policy/document.hpp"
#include "controlplane/store/durable_file.hpp"

namespace sluice::cp {
namespace {

constexpr std::size_t kConfigBytesMax = 1U << 20;

class Reader {
public:
    explicit Reader(std::string_view file_name) : file_{file_name} {}

    ConfigErrors errors;

    void error(const SourcePos& pos, const std::string& what) {
        errors.push_back(file_ + ":" + std::to_string(pos.line) + ":" + std::to_string(pos.column) + ": " + what);
    }

    /// Calls `take(key, value)` for each member; it says whether it knows the key.
    template <typename Take>
    void members(const Node& map, const std::string& what, const std::string& known, Take&& take) {
        if (map.kind != Node::Kind::map) return error(map.pos, what + " must be a map of keys; known: " + known);
        for (std::size_t i = 0; i < map.member_count(); ++i) {
            const auto& key = map.key(i);
            if (!take(key.text, map.value(i))) {
                error(key.pos, "unknown key \"" + std::string{key.text} + "\" in " + what + "; known: " + known);
            }
        }
    }

    void text(const Node& node, std::string_view key, std::string& into, bool may_be_empty = false) {
        const bool good = node.kind == Node::Kind::scalar && (may_be_empty || !node.text.empty());
        if (good) {
            into = node.text;
        } else {
            error(node.pos, std::string{key} + " must be a text; write it as " + std::string{key} + ": " + into);
        }
    }

    void flag(const Node& node, std::string_view key, bool& into) {
        if (node.kind == Node::Kind::scalar && (node.text == "true" || node.text == "false")) {
            into = node.text == "true";
        } else {
            error(node.pos, std::string{key} + " must be true or false");
        }
    }

    template <typename Number>
    void number(const Node& node, std::string_view key, std::uint64_t least, std::uint64_t most, bool size,
                Number& into) {
        const auto value = node.kind == Node::Kind::scalar ? parse(node.text, size) : std::nullopt;
        if (value && *value >= least && *value <= most) {
            into = static_cast<Number>(*value);
        } else {
            error(node.pos, std::string{key} + " must be a " + (size ? "size" : "number") + " from " +
                                std::to_string(least) + " to " + std::to_string(most) +
                                (size ? "; write 64MiB, 512KiB or bytes" : ""));
        }
    }

    void roles(const Node& node, Roles& into) {
        if (node.kind != Node::Kind::list) return error(node.pos, "roles must be a list: [viewer]");
        for (const auto& item : node.children) {
            const auto role = role_from(item.text);
            if (item.kind != Node::Kind::scalar || !role) {
                error(item.pos, "a role is viewer, operator, editor, approver, auditor or admin");
            } else {
                into.add(*role);
            }
        }
    }

    /// One number and one unit; the value is in seconds.
    void age(const Node& node, std::string_view key, std::uint64_t most_days, std::uint64_t& into) {
        constexpr std::uint64_t kDay = 86'400;
        std::uint64_t value{};
        const auto text = node.kind == Node::Kind::scalar ? node.text : std::string_view{};
        const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
        const std::string_view unit{end, static_cast<std::size_t>(text.data() + text.size() - end)};
        const std::uint64_t unit_s = unit == "m" ? 60 : unit == "h" ? 3600 : unit == "d" ? kDay : 0;
        if (failed == std::errc{} && unit_s != 0 && value != 0 && value <= most_days * kDay / unit_s) {
            into = value * unit_s;
        } else {
            error(node.pos, std::string{key} + " must be from 1m to " + std::to_string(most_days) +
                                "d; write a number and one of m, h, d, such as 7d");
        }
    }

private:
    static std::optional<std::uint64_t> parse(std::string_view text, bool size) {
        std::uint64_t value{};
        const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (failed != std::errc{}) return std::nullopt;
        const std::string_view unit{end, static_cast<std::size_t>(text.data() + text.size() - end)};
        if (unit.empty()) return value;
        if (!size || value > (1ULL << 24)) return std::nullopt;
        if (unit == "KiB") return value << 10U;
        if (unit == "MiB") return value << 20U;
        if (unit == "GiB") return value << 30U;
        return std::nullopt;
    }

    std::string file_;
};

/// `ADDRESS:PORT` or `[ADDRESS]:PORT`; the API server resolves it, here only its shape is looked at.
bool is_listen_address(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0) return false;
    const auto port = text.substr(colon + 1);
    unsigned value{};
    const auto [end, failed] = std::from_chars(port.data(), port.data() + port.size(), value);
    return failed == std::errc{} && end == port.data() + port.size() && value <= 65535;
}

/// `{subject: "CN=deploy,O=Example", roles: [editor]}` or `{san: "dns:scraper.example", roles: [viewer]}`
void read_client(Reader& reader, const Node& node, ControlConfig& config) {
    ClientName client;
    bool named = false;
    reader.members(node, "a client", "subject, san, roles", [&](std::string_view key, const Node& value) {
        if (key == "subject" || key == "san") {
            if (named) reader.error(value.pos, "a client has one name: subject or san; make two clients of it");
            named = true;
            client.kind = key == "san" ? ClientName::Kind::san : ClientName::Kind::subject;
            reader.text(value, key, client.text);
            const auto& t = client.text;
            if (key == "san" && !t.starts_with("dns:") && !t.starts_with("email:") && !t.starts_with("uri:"))
                reader.error(value.pos, "san must be dns:NAME, email:NAME or uri:TEXT");
            if (key == "san" && t.starts_with("dns:") &&
                std::ranges::any_of(t, [](char c) { return c >= 'A' && c <= 'Z'; }))
                reader.error(value.pos, "write dns names in lower case");
        } else if (key == "roles") {
            reader.roles(value, client.roles);
        } else {
            return false;
        }
        return true;
    });
    if (node.kind != Node::Kind::map) return;
    if (!named) reader.error(node.pos, "a client needs a subject or a san");
    if (client.roles.empty()) reader.error(node.pos, "a client needs roles: [viewer]");
    config.clients.push_back(std::move(client));
}

void read_tls(Reader& reader, const Node& node, ControlConfig& config) {
    reader.members(node, "tls", "client_ca, crl, required, clients", [&](std::string_view key, const Node& value) {
        if (key == "client_ca") {
            reader.text(value, key, config.client_ca);
        } else if (key == "crl") {
            reader.text(value, key, config.client_crl);
        } else if (key == "required") {
            reader.flag(value, key, config.client_required);
        } else if (key == "clients") {
            if (value.kind != Node::Kind::list) reader.error(value.pos, "clients must be a list");
            for (const auto& item : value.children) read_client(reader, item, config);
        } else {
            return false;
        }
        return true;
    });
    if (config.client_ca.empty() && node.kind == Node::Kind::map)
        reader.error(node.pos, "tls needs client_ca: the file with the authorities of clients");
}

bool is_issuer_name(std::string_view text) {
    return text.find("://") != std::string_view::npos && text.find('@') == std::string_view::npos &&
           std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

bool is_key_source(std::string_view text) {
    return text.starts_with('/') || text.starts_with("https://") || text.starts_with("http://127.") ||
           text.starts_with("http://[::1]");
}

/// `{value: fw-editors, roles: [editor]}`
void read_issuer_role(Reader& reader, const Node& node, IssuerConfig& issuer) {
    IssuerRole role;
    reader.members(node, "a role of the issuer", "value, roles", [&](std::string_view key, const Node& value) {
        if (key == "value") return reader.text(value, key, role.value), true;
        if (key == "roles") return reader.roles(value, role.roles), true;
        return false;
    });
    if (node.kind != Node::Kind::map) return;
    if (role.value.empty()) reader.error(node.pos, "a role of the issuer needs a value: what its claim says");
    if (role.roles.empty()) reader.error(node.pos, "a role of the issuer needs roles: [viewer]");
    issuer.roles.push_back(std::move(role));
}

/// A key, or a list of keys that leads into the token: [realm_access, roles].
void read_roles_claim(Reader& reader, const Node& node, std::vector<std::string>& path) {
    path.clear();
    if (node.kind == Node::Kind::scalar) {
        reader.text(node, "roles_claim", path.emplace_back());
    } else if (node.kind == Node::Kind::list && !node.children.empty()) {
        for (const auto& item : node.children) reader.text(item, "a key of roles_claim", path.emplace_back());
    } else {
        reader.error(node.pos, "roles_claim must be the name of a claim, or a list of keys that leads to it");
    }
}

void read_oidc(Reader& reader, const Node& node, IssuerConfig& issuer) {
    reader.members(
        node, "oidc", "issuer, audience, jwks, ca, roles_claim, roles, clock_skew_s, refresh, keys_age_max",
        [&](std::string_view key, const Node& value) {
            if (key == "issuer") {
                reader.text(value, key, issuer.issuer);
                if (!is_issuer_name(issuer.issuer))
                    reader.error(value.pos,
                                 "issuer must be what tokens have in iss, such as https://login.example/ops");
            } else if (key == "audience") {
                reader.text(value, key, issuer.audience);
            } else if (key == "jwks") {
                reader.text(value, key, issuer.jwks);
                if (!is_key_source(issuer.jwks))
                    reader.error(value.pos,
                                 "jwks must be /PATH, https://HOST/PATH, or http:// on a literal loopback address");
            } else if (key == "ca") {
                reader.text(value, key, issuer.ca);
            } else if (key == "roles_claim") {
                read_roles_claim(reader, value, issuer.roles_claim);
            } else if (key == "roles") {
                if (value.kind != Node::Kind::list) reader.error(value.pos, "roles must be a list of {value, roles}");
                for (const auto& item : value.children) read_issuer_role(reader, item, issuer);
            } else if (key == "clock_skew_s") {
                reader.number(value, key, 0, kClockSkewMax_s, false, issuer.clock_skew_s);
            } else if (key == "refresh") {
                reader.age(value, key, 1, issuer.refresh_s);
            } else if (key == "keys_age_max") {
                reader.age(value, key, 30, issuer.keys_age_max_s);
            } else {
                return false;
            }
            return true;
        });
    if (node.kind != Node::Kind::map) return;
    if (issuer.issuer.empty()) reader.error(node.pos, "oidc needs issuer: whose tokens are taken");
    if (issuer.audience.empty())
        reader.error(node.pos, "oidc needs audience: what tokens for this firewall have in aud");
    if (issuer.jwks.empty()) reader.error(node.pos, "oidc needs jwks: where the public keys of the issuer are");
    if (issuer.roles.empty()) reader.error(node.pos, "oidc needs roles: [{value: GROUP, roles: [viewer]}]");
}

void read_limits(Reader& reader, const Node& node, ClientLimits& limits) {
    reader.members(node, "limits",
                   "connections, connections_per_address, requests_per_second, header_bytes, body_bytes, "
                   "header_timeout_s, body_timeout_s",
                   [&](std::string_view key, const Node& value) {
                       if (key == "connections") {
                           reader.number(value, key, 1, 10'000, false, limits.connections);
                       } else if (key == "connections_per_address") {
                           reader.number(value, key, 1, 10'000, false, limits.connections_per_address);
                       } else if (key == "requests_per_second") {
                           reader.number(value, key, 0, 1'000'000, false, limits.requests_per_second);
                       } else if (key == "header_bytes") {
                           reader.number(value, key, 4096, 1 << 20, true, limits.header_bytes);
                       } else if (key == "body_bytes") {
                           reader.number(value, key, 64 << 10, 1 << 30, true, limits.body_bytes);
                       } else if (key == "header_timeout_s") {
                           reader.number(value, key, 1, 600, false, limits.header_timeout_s);
                       } else if (key == "body_timeout_s") {
                           reader.number(value, key, 1, 3600, false, limits.body_timeout_s);
                       } else {
                           return false;
                       }
                       return true;
                   });
}

}  // namespace

Expected<ControlConfig, ConfigErrors> parse_control_config(std::string_view text, std::string_view file_name) {
    ControlConfig config;
    Reader reader{file_name};
    const auto parsed = parse_document(text, PolicyFormat::yaml);
    for (const auto& e : parsed.errors) reader.error(e.pos, e.detail);
    const auto& root = parsed.document.root;
    if (!parsed.whole || root.kind == Node::Kind::null) {
        if (!reader.errors.empty()) return Unexpected(std::move(reader.errors));
        return config;  // an empty file: all defaults
    }
    reader.members(
        root, "controlplane.yaml",
        "listen, state_dir, tables_socket, flow_log, flow_records, last_good, metrics_open, tls, oidc, limits",
        [&](std::string_view key, const Node& value) {
            if (key == "listen") {
                reader.text(value, key, config.listen);
                if (!is_listen_address(config.listen)) {
                    reader.error(value.pos, "listen must be ADDRESS:PORT, such as 127.0.0.1:8443");
                }
            } else if (key == "state_dir") {
                reader.text(value, key, config.state_dir);
            } else if (key == "tables_socket") {
                reader.text(value, key, config.tables_socket);
            } else if (key == "last_good") {
                reader.text(value, key, config.last_good, true);
            } else if (key == "metrics_open") {
                reader.flag(value, key, config.metrics_open);
            } else if (key == "tls") {
                read_tls(reader, value, config);
            } else if (key == "oidc") {
                read_oidc(reader, value, config.issuer);
            } else if (key == "limits") {
                read_limits(reader, value, config.limits);
            } else if (key == "flow_log") {
                reader.members(value, "flow_log", "path, rotate_bytes, keep",
                               [&](std::string_view sub, const Node& node) {
                                   if (sub == "path") {
                                       reader.text(node, "path", config.flow_log_path, true);
                                   } else if (sub == "rotate_bytes") {
                                       reader.number(node, sub, 4096, 1ULL << 40, true, config.flow_log_rotate_bytes);
                                   } else if (sub == "keep") {
                                       reader.number(node, sub, 0, 1000, false, config.flow_log_keep);
                                   } else {
                                       return false;
                                   }
                                   return true;
                               });
            } else if (key == "flow_records") {
                reader.members(
                    value, "flow_records", "path, bytes_max, age_max", [&](std::string_view sub, const Node& node) {
                        if (sub == "path") {
                            reader.text(node, "path", config.flow_records_path, true);
                        } else if (sub == "bytes_max") {
                            reader.number(node, sub, 16ULL << 20, 1ULL << 50, true, config.flow_records_bytes_max);
                        } else if (sub == "age_max") {
                            reader.age(node, sub, 3650, config.flow_records_age_max_s);
                        } else {
                            return false;
                        }
                        return true;
                    });
            } else {
                return false;
            }
            return true;
        });
    if (!reader.errors.empty()) return Unexpected(std::move(reader.errors));
    return config;
}

Expected<ControlConfig, ConfigErrors> read_control_config(const std::string& path) {
    const auto text = posix_file_ops().read(path, kConfigBytesMax);
    if (!text) return Unexpected(ConfigErrors{file_error(text.error(), "read", path).what});
    return parse_control_config(*text, path);
}

}  // namespace sluice::cp
