#include "dataplane/manager/config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include <sluice/abi/telemetry.hpp>

namespace sluice::dp {

namespace {

constexpr std::size_t kPortNameMax = sizeof(abi::PortName::text) - 1;
constexpr std::uint32_t kLcoreMax = 127;  // RTE_MAX_LCORE - 1 of Debian's build
constexpr std::uint32_t kFlowEntriesMin = 1024, kFlowEntriesMax = 1U << 28;
constexpr std::uint32_t kRuleSlotsMin = 1024, kRuleSlotsMax = 1U << 20;
constexpr std::uint32_t kProxiesMin = 64, kProxiesMax = kExtensionsMax;
constexpr std::uint32_t kPickupSMax = 600;
constexpr std::uint32_t kSleepUsMax = 100'000;
// The largest datagram in the smallest usual frames must fit, overhead included.
constexpr std::uint32_t kFragmentPacketsMin = 64, kFragmentPacketsMax = 1U << 16;
constexpr std::uint32_t kFragmentBytesMin = 1U << 17, kFragmentBytesMax = 1U << 28;
constexpr std::uint32_t kFragmentTimeoutSMax = 120;

/// Options of DPDK that would say again, and differently, what other keys of this file say.
const std::map<std::string_view, std::string_view> kForbiddenEal = {
    {"-l", "name the lcores in workers:"},       {"-c", "name the lcores in workers:"},
    {"--lcores", "name the lcores in workers:"}, {"--main-lcore", "name the lcores in workers:"},
    {"-s", "name the lcores in workers:"},       {"-S", "name the lcores in workers:"},
    {"--vdev", "name the device in ports:"},     {"--proc-type", "there is one process"},
};

class Reader {
public:
    Reader(std::string_view file_name, ConfigErrors& errors) : file_name_{file_name}, errors_{errors} {}

    void error(const YAML::Node& at, std::string_view what) {
        const YAML::Mark mark = at.Mark();
        errors_.push_back(fmt::format("{}:{}:{}: {}", file_name_, mark.line + 1, mark.column + 1, what));
    }

    using Field = std::function<void(const YAML::Node&)>;
    /// Every key at most once, and only those of `fields`.
    void map(const YAML::Node& node, std::string_view what, const std::map<std::string, Field>& fields) {
        if (!node.IsMap()) return error(node, fmt::format("{} must be a map; write `key: value` lines", what));
        std::set<std::string> seen;
        for (const auto& entry : node) {
            const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : std::string{};
            const auto field = fields.find(key);
            if (field == fields.end()) {
                std::vector<std::string_view> names;
                for (const auto& [name, unused] : fields) names.push_back(name);
                error(entry.first,
                      fmt::format("unknown key \"{}\" in {}; known: {}", key, what, fmt::join(names, ", ")));
            } else if (!seen.insert(key).second) {
                error(entry.first, fmt::format("\"{}\" stands twice in {}; remove one", key, what));
            } else {
                field->second(entry.second);
            }
        }
    }

    void list(const YAML::Node& node, std::string_view what, const Field& element) {
        if (!node.IsSequence()) return error(node, fmt::format("{} must be a list; write [a, b]", what));
        for (const auto& e : node) element(e);
    }

    bool text(const YAML::Node& node, std::string_view what, std::string& out) {
        if (!node.IsScalar() || node.Scalar().empty()) {
            error(node, fmt::format("{} must be text; write one value", what));
            return false;
        }
        out = node.Scalar();
        return true;
    }

    bool number(const YAML::Node& node, std::string_view what, std::uint32_t min, std::uint32_t max,
                std::uint32_t& out) {
        const std::string scalar = node.IsScalar() ? node.Scalar() : std::string{};
        std::uint32_t value{};
        const char* const end = scalar.data() + scalar.size();
        const auto parsed = std::from_chars(scalar.data(), end, value);
        if (scalar.empty() || parsed.ec != std::errc{} || parsed.ptr != end || value < min || value > max) {
            error(node, fmt::format("{} must be a whole number; write {} to {}", what, min, max));
            return false;
        }
        out = value;
        return true;
    }

private:
    std::string_view file_name_;
    ConfigErrors& errors_;
};

struct NamedWire {
    std::string a, b;
    YAML::Node at;
};

void read_eal(Reader& r, const YAML::Node& node, Config& config) {
    config.eal.clear();
    r.list(node, "eal", [&](const YAML::Node& e) {
        std::string option;
        if (!r.text(e, "an option of eal", option)) return;
        const auto forbidden = kForbiddenEal.find(std::string_view{option}.substr(0, option.find('=')));
        if (forbidden != kForbiddenEal.end()) {
            return r.error(e, fmt::format("eal option {} is not allowed; {}", option, forbidden->second));
        }
        config.eal.push_back(std::move(option));
    });
}

void read_port(Reader& r, const YAML::Node& node, Config& config) {
    PortConfig port;
    r.map(node, "a port",
          {{"name", [&](const YAML::Node& n) { r.text(n, "name", port.name); }},
           {"device", [&](const YAML::Node& n) { r.text(n, "device", port.device); }}});
    if (port.name.empty() || port.device.empty()) {
        return r.error(node, "a port needs name and device; write {name: outside, device: \"net_af_xdp0,iface=eth0\"}");
    }
    if (port.name.size() > kPortNameMax) {
        return r.error(node,
                       fmt::format("port name \"{}\" is too long; at most {} characters", port.name, kPortNameMax));
    }
    for (const auto& other : config.ports) {
        if (other.name == port.name)
            return r.error(node, fmt::format("port \"{}\" stands twice; rename one", port.name));
        if (other.device.substr(0, other.device.find(',')) == port.device.substr(0, port.device.find(','))) {
            return r.error(node, fmt::format("ports \"{}\" and \"{}\" name the same device; a device is one port",
                                             other.name, port.name));
        }
    }
    config.ports.push_back(std::move(port));
}

void read_wire(Reader& r, const YAML::Node& node, std::vector<NamedWire>& wires) {
    NamedWire wire;
    wire.at = node;
    if (!node.IsSequence() || node.size() != 2) return r.error(node, "a wire is two ports; write [outside, inside]");
    if (r.text(node[0], "a port of a wire", wire.a) && r.text(node[1], "a port of a wire", wire.b)) {
        wires.push_back(std::move(wire));
    }
}

void resolve_wires(Reader& r, const YAML::Node& root, const std::vector<NamedWire>& named, Config& config) {
    std::vector<bool> wired(config.ports.size());
    const auto index_of = [&](const NamedWire& wire, const std::string& name) -> std::optional<std::uint32_t> {
        for (std::uint32_t i = 0; i < config.ports.size(); ++i) {
            if (config.ports[i].name != name) continue;
            if (!wired[i]) {
                wired[i] = true;
                return i;
            }
            r.error(wire.at, fmt::format("port \"{}\" is wired twice; a port has one partner", name));
            return std::nullopt;
        }
        r.error(wire.at,
                fmt::format("a wire names port \"{}\", which is not in ports:; add it or correct the name", name));
        return std::nullopt;
    };
    for (const auto& wire : named) {
        const auto a = index_of(wire, wire.a);
        const auto b = index_of(wire, wire.b);
        if (a && b) config.wires.emplace_back(*a, *b);
    }
    for (std::size_t i = 0; i < wired.size(); ++i) {
        if (!wired[i]) {
            r.error(root, fmt::format("port \"{}\" is in no wire; add a pair to wires: (this version forwards over "
                                      "wires only)",
                                      config.ports[i].name));
        }
    }
}

void read_workers(Reader& r, const YAML::Node& node, Config& config) {
    r.list(node, "workers", [&](const YAML::Node& e) {
        std::uint32_t lcore{};
        if (!r.number(e, "an lcore of workers", 0, kLcoreMax, lcore)) return;
        const auto& all = config.worker_lcores;
        if (std::find(all.begin(), all.end(), lcore) != all.end()) {
            return r.error(e, fmt::format("lcore {} stands twice in workers; name it once", lcore));
        }
        config.worker_lcores.push_back(lcore);
    });
    if (config.worker_lcores.size() > abi::kWorkersMax) {
        r.error(node, fmt::format("too many workers; at most {}", abi::kWorkersMax));
    }
}

void read_fragments(Reader& r, const YAML::Node& node, FragmentLimits& limits) {
    const auto seconds = [&r](std::string_view what, std::uint32_t& out_ms) {
        return [&r, what, &out_ms](const YAML::Node& n) {
            std::uint32_t s{};
            if (r.number(n, what, 1, kFragmentTimeoutSMax, s)) out_ms = s * 1000;
        };
    };
    r.map(node, "fragments",
          {{"packets_max",
            [&](const YAML::Node& n) {
                r.number(n, "packets_max", kFragmentPacketsMin, kFragmentPacketsMax, limits.packets_max);
            }},
           {"memory_bytes_max",
            [&](const YAML::Node& n) {
                r.number(n, "memory_bytes_max", kFragmentBytesMin, kFragmentBytesMax, limits.memory_bytes_max);
            }},
           {"timeout_v4_s", seconds("timeout_v4_s", limits.timeout_v4_ms)},
           {"timeout_v6_s", seconds("timeout_v6_s", limits.timeout_v6_ms)}});
}

void read_root(Reader& r, const YAML::Node& root, Config& config) {
    std::vector<NamedWire> wires;
    using Node = YAML::Node;
    const auto fail_mode = [&](const Node& n) {
        std::string mode;
        if (!r.text(n, "fail_mode", mode)) return;
        if (mode != "open" && mode != "closed") return r.error(n, "fail_mode must be closed or open; write closed");
        config.fail_open = mode == "open";
    };
    const auto optional_number = [&](std::string_view what, std::optional<std::uint32_t>& out) {
        return [&r, what, &out](const Node& n) {
            std::uint32_t value{};
            if (r.number(n, what, 0, UINT32_MAX - 1, value)) out = value;
        };
    };
    const std::map<std::string, Reader::Field> idle = {
        {"sleep_us", [&](const Node& n) { r.number(n, "sleep_us", 0, kSleepUsMax, config.sleep_us); }},
        {"sleep_us_max", [&](const Node& n) { r.number(n, "sleep_us_max", 0, kSleepUsMax, config.sleep_us_max); }}};
    const Reader::Field entries_max = [&](const Node& n) {
        r.number(n, "entries_max", kFlowEntriesMin, kFlowEntriesMax, config.flow_entries_max);
    };
    const Reader::Field half_open_percent = [&](const Node& n) {
        r.number(n, "half_open_percent", 1, 100, config.half_open_percent);
    };
    const Reader::Field proxies_max = [&](const Node& n) {
        r.number(n, "proxies_max", kProxiesMin, kProxiesMax, config.proxies_max);
    };
    const Reader::Field pickup_s = [&](const Node& n) { r.number(n, "pickup_s", 0, kPickupSMax, config.pickup_s); };
    const Reader::Field publisher = [&](const Node& n) {
        std::uint32_t uid{};
        if (r.number(n, "a uid of publisher_uids", 0, UINT32_MAX - 1, uid)) config.publisher_uids.push_back(uid);
    };
    r.map(root, "the configuration",
          {{"eal", [&](const Node& n) { read_eal(r, n, config); }},
           {"ports", [&](const Node& n) { r.list(n, "ports", [&](const Node& e) { read_port(r, e, config); }); }},
           {"wires", [&](const Node& n) { r.list(n, "wires", [&](const Node& e) { read_wire(r, e, wires); }); }},
           {"workers", [&](const Node& n) { read_workers(r, n, config); }},
           {"tables_socket", [&](const Node& n) { r.text(n, "tables_socket", config.tables_socket); }},
           {"tables_socket_group", optional_number("tables_socket_group", config.tables_socket_gid)},
           {"publisher_uids", [&](const Node& n) { r.list(n, "publisher_uids", publisher); }},
           {"rule_slots_max",
            [&](const Node& n) { r.number(n, "rule_slots_max", kRuleSlotsMin, kRuleSlotsMax, config.rule_slots_max); }},
           {"flow_table",
            [&](const Node& n) {
                r.map(n, "flow_table",
                      {{"entries_max", entries_max},
                       {"half_open_percent", half_open_percent},
                       {"proxies_max", proxies_max},
                       {"pickup_s", pickup_s}});
            }},
           {"fragments", [&](const Node& n) { read_fragments(r, n, config.fragments); }},
           {"idle", [&](const Node& n) { r.map(n, "idle", idle); }},
           {"fail_mode", fail_mode},
           {"last_good", [&](const Node& n) { r.text(n, "last_good", config.last_good); }},
           {"last_good_uid", optional_number("last_good_uid", config.last_good_uid)}});
    if (!root.IsMap()) return;
    if (config.ports.empty()) r.error(root, "there are no ports; add ports: with two at least");
    if (config.ports.size() > abi::kPortsMax) r.error(root, fmt::format("too many ports; at most {}", abi::kPortsMax));
    if (config.worker_lcores.empty()) r.error(root, "there are no workers; add workers: [1]");
    if (config.proxies_max > config.flow_entries_max) {
        r.error(root, "flow_table.proxies_max is above entries_max; raise entries_max");
    }
    if (config.sleep_us > config.sleep_us_max) r.error(root, "sleep_us is above sleep_us_max; raise sleep_us_max");
    resolve_wires(r, root, wires, config);
}

/// Looks over the events before a tree is built of them. yaml-cpp takes some texts, `,` is one, for documents without
/// end, and follows aliases into cycles.
class OneDocument final : public YAML::EventHandler {
public:
    void OnDocumentStart(const YAML::Mark& mark) override {
        if (++count == 2) throw YAML::ParserException{mark, "a second YAML document starts here; write one"};
    }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
        throw YAML::ParserException{mark, "aliases are not taken; write the value out"};
    }
    void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
    void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
    void OnSequenceEnd() override {}
    void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
    void OnMapEnd() override {}

    std::size_t count{};
};

std::size_t count_documents(const std::string& text) {
    std::istringstream stream{text};
    YAML::Parser parser{stream};
    OneDocument handler;
    while (parser.HandleNextDocument(handler)) {
    }
    return handler.count;
}

}  // namespace

Expected<Config, ConfigErrors> parse_config(const std::string& text, std::string_view file_name) {
    Config config;
    ConfigErrors errors;
    Reader reader{file_name, errors};
    try {
        if (count_documents(text) == 0) {
            errors.push_back(fmt::format("{}:1:1: there is nothing in it; write the configuration", file_name));
        } else {
            read_root(reader, YAML::Load(text), config);
        }
    } catch (const YAML::Exception& e) {
        errors.push_back(
            fmt::format("{}:{}:{}: {}; correct the YAML", file_name, e.mark.line + 1, e.mark.column + 1, e.msg));
    }
    if (!errors.empty()) return Unexpected<ConfigErrors>{std::move(errors)};
    return config;
}

Expected<Config, ConfigErrors> read_config(const std::string& path) {
    std::ifstream file{path, std::ios::binary};
    if (!file)
        return Unexpected<ConfigErrors>{{fmt::format("{}: {}; name a readable file", path, std::strerror(errno))}};
    std::ostringstream text;
    text << file.rdbuf();
    return parse_config(text.str(), path);
}

}  // namespace sluice::dp
