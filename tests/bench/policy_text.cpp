#include "tests/bench/policy_text.hpp"

#include <algorithm>

namespace sluice::bench {

namespace {

std::string net_text(const Net& net) {
    if (net.bits == 0) return "0.0.0.0/0";
    const std::uint32_t a = net.addr;
    const std::string address = std::to_string(a >> 24) + "." + std::to_string(a >> 16 & 255) + "." +
                                std::to_string(a >> 8 & 255) + "." + std::to_string(a & 255);
    return net.bits == 32 ? address : address + "/" + std::to_string(net.bits);
}

/// One net, or the list that a set is: a policy's rule may hold either.
std::string side_json(const Net& net, const NetSet& set) {
    std::string text;
    for (const Net& one : nets_of(net, set)) text += (text.empty() ? "[\"" : ", \"") + net_text(one) + "\"";
    return text + "]";
}

std::string service_text(const Service& service) {
    const bool has_ports = service.proto == 6 || service.proto == 17;
    if (!has_ports || (service.first == 0 && service.last == 0xffff)) return "proto/" + std::to_string(service.proto);
    const std::string first = std::to_string(std::max<unsigned>(1, service.first));  // no policy names port 0
    return (service.proto == 6 ? "tcp/" : "udp/") + first +
           (service.last == service.first ? "" : "-" + std::to_string(service.last));
}

}  // namespace

std::string rule_json(const FilterRule& rule, std::size_t index, std::string_view more) {
    std::string services;
    for (const Service& s : rule.services) {
        if (!s.any_proto) services += (services.empty() ? "\"" : ", \"") + service_text(s) + "\"";
    }
    std::string text = R"({"id": "r)" + std::to_string(index) + R"(", "from": )" + side_json(rule.src, rule.src_set) +
                       R"(, "to": )" + side_json(rule.dst, rule.dst_set);
    if (!services.empty()) text += R"(, "service": [)" + services + std::string{more} + "]";
    return text + R"(, "action": ")" + (rule.deny ? "deny" : "allow") + "\"}";
}

std::string policy_json(const std::vector<FilterRule>& rules, std::string_view first, std::string_view more) {
    std::string text = R"({"sluice": 1, "name": "bench", "default": {"action": "deny"}, "timeouts": )"
                       R"({"tcp_opening": "30d", "tcp_established": "30d", "tcp_unacknowledged": "30d"}, "zones": )"
                       R"({"outside": {"ports": ["p0"]}, "inside": {"ports": ["p1"]}}, )" +
                       std::string{more} + "\"rules\": [" + std::string{first};
    for (std::size_t i = 0; i < rules.size(); ++i) {
        text += (i == 0 && first.empty() ? "\n" : ",\n") + rule_json(rules[i], i);
    }
    return text + "]}";
}

std::string replace_json(const FilterRule& rule, std::size_t index, std::string_view more) {
    return R"({"op": "replace", "id": "r)" + std::to_string(index) + R"(", "rule": )" + rule_json(rule, index, more) +
           "}";
}

}  // namespace sluice::bench
