#include "tests/bench/policy_text.hpp"

namespace sluice::bench {

namespace {

std::string net_text(const Net& net) {
    if (net.bits == 0) return "0.0.0.0/0";
    const std::uint32_t a = net.addr;
    const std::string address = std::to_string(a >> 24) + "." + std::to_string(a >> 16 & 255) + "." +
                                std::to_string(a >> 8 & 255) + "." + std::to_string(a & 255);
    return net.bits == 32 ? address : address + "/" + std::to_string(net.bits);
}

std::string service_text(const Service& service) {
    const std::string proto = service.proto == 6    ? "tcp/"
                              : service.proto == 17 ? "udp/"
                                                    : "proto/" + std::to_string(service.proto);
    if (service.proto != 6 && service.proto != 17) return proto;
    const std::string first = std::to_string(service.first);
    return proto + (service.last == service.first ? first : first + "-" + std::to_string(service.last));
}

}  // namespace

std::string rule_json(const FilterRule& rule, std::size_t index, std::string_view more) {
    std::string services;
    for (const Service& s : rule.services) {
        if (!s.any_proto) services += (services.empty() ? "\"" : ", \"") + service_text(s) + "\"";
    }
    std::string text = R"({"id": "r)" + std::to_string(index) + R"(", "from": ")" + net_text(rule.src) +
                       R"(", "to": ")" + net_text(rule.dst) + "\"";
    if (!services.empty()) text += R"(, "service": [)" + services + std::string{more} + "]";
    return text + R"(, "action": ")" + (rule.deny ? "deny" : "allow") + "\"}";
}

std::string policy_json(const std::vector<FilterRule>& rules) {
    std::string text = R"({"sluice": 1, "name": "bench", "default": {"action": "deny"}, "timeouts": )"
                       R"({"tcp_opening": "30d", "tcp_established": "30d", "tcp_unacknowledged": "30d"}, "zones": )"
                       R"({"outside": {"ports": ["p0"]}, "inside": {"ports": ["p1"]}}, "rules": [)";
    for (std::size_t i = 0; i < rules.size(); ++i) text += (i == 0 ? "\n" : ",\n") + rule_json(rules[i], i);
    return text + "]}";
}

std::string replace_json(const FilterRule& rule, std::size_t index, std::string_view more) {
    return R"({"op": "replace", "id": "r)" + std::to_string(index) + R"(", "rule": )" + rule_json(rule, index, more) +
           "}";
}

}  // namespace sluice::bench
