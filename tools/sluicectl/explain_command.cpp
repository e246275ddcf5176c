/// explain: what would happen to the first packet of a flow, and why.
#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <iostream>

#include <fmt/format.h>

#include "tools/sluicectl/command.hpp"
#include "tools/sluicectl/output.hpp"

namespace sluice::ctl {
namespace json = boost::json;
namespace {

constexpr std::string_view kForms =
    "write 198.51.100.80:443/tcp, [2001:db8::80]:53/udp, 198.51.100.80/icmp, 2001:db8::80/icmp6/128 or "
    "198.51.100.80/proto/47";

/// ICMP types that people name; the default of a bare `icmp` is a ping.
constexpr std::uint64_t kEchoRequest4 = 8;
constexpr std::uint64_t kEchoRequest6 = 128;

bool is_address(const std::string& text) {
    std::array<unsigned char, 16> bytes{};
    return inet_pton(AF_INET, text.c_str(), bytes.data()) == 1 || inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1;
}

[[noreturn]] void refuse(std::string_view text, std::string_view what) {
    throw CommandError{fmt::format("\"{}\": {}; {}", text, what, kForms)};
}

std::uint64_t number_in(std::string_view text, std::uint64_t max, std::string_view whole, std::string_view what) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || number > max) refuse(whole, what);
    return number;
}

struct Place {
    std::string address;
    std::optional<std::uint64_t> port;
};

/// ADDR, ADDR:PORT or [ADDR]:PORT
Place parse_place(std::string_view text, std::string_view whole) {
    std::string_view address = text;
    std::string_view port;
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        if (end == std::string_view::npos) refuse(whole, "the bracket is not closed");
        address = text.substr(1, end - 1);
        const auto rest = text.substr(end + 1);
        if (!rest.empty() && rest.front() != ':') refuse(whole, "after the bracket comes :PORT");
        if (!rest.empty()) port = rest.substr(1);
    } else if (const auto colon = text.find(':');
               colon != std::string_view::npos && text.find(':', colon + 1) == std::string_view::npos) {
        address = text.substr(0, colon);
        port = text.substr(colon + 1);
    }
    Place place{.address = std::string{address}, .port = {}};
    if (!is_address(place.address)) refuse(whole, "this is no address");
    if (!port.empty()) place.port = number_in(port, 65'535, whole, "a port is a number from 1 to 65535");
    return place;
}

void add_protocol(json::object& question, std::string_view proto, const Place& dst, std::string_view whole) {
    const auto slash = proto.find('/');
    const auto name = proto.substr(0, slash);
    auto rest = slash == std::string_view::npos ? std::string_view{} : proto.substr(slash + 1);
    if (name == "tcp" || name == "udp") {
        if (!dst.port) {
            refuse(whole, dst.address.find(':') == std::string::npos
                              ? "tcp and udp need a port"
                              : "tcp and udp need a port, and an IPv6 address with a port needs brackets");
        }
        if (!rest.empty()) refuse(whole, "nothing follows tcp and udp");
        question["dport"] = *dst.port;
    } else if (dst.port) {
        refuse(whole, "only tcp and udp have ports");
    } else if (name == "icmp" || name == "icmp6") {
        const bool v4 = name == "icmp";
        std::uint64_t type = v4 ? kEchoRequest4 : kEchoRequest6;
        std::uint64_t code = 0;
        if (!rest.empty() && rest != "echo-request") {
            const auto next = rest.find('/');
            type = number_in(rest.substr(0, next), 255, whole, "an ICMP type is a number from 0 to 255");
            if (next != std::string_view::npos)
                code = number_in(rest.substr(next + 1), 255, whole, "an ICMP code is a number from 0 to 255");
        }
        question["icmp_type"] = type;
        question["icmp_code"] = code;
    } else if (name == "proto") {
        number_in(rest, 255, whole, "a protocol is a number from 0 to 255");
        question["proto"] = proto;
        return;
    } else {
        refuse(whole, fmt::format("the protocol \"{}\" is not known", name));
    }
    question["proto"] = name;
}

void print_decision(const json::value& answer, bool colours) {
    const auto verdict = text_of(answer, "verdict");
    std::cout << painted(verdict, verdict_colour(verdict), colours) << "  by " << text_of(answer, "rule") << "  ("
              << text_of(answer, "from_zone") << " -> " << text_of(answer, "to_zone") << ")\n";
    if (const auto observed = text_of(answer, "observed"); !observed.empty()) {
        std::cout << "observe rule " << observed << " matches before it and would decide if it were enforced\n";
    }
    for (const auto& rule : answer.at("passed").as_array()) {
        std::cout << "rule " << std::string_view{rule.as_string()} << " passed it to a later layer\n";
    }
    const auto& skipped = answer.at("skipped").as_array();
    if (skipped.empty()) return;
    Table table{{{"SKIPPED"}, {"BECAUSE OF"}}};
    for (const auto& rule : skipped) {
        std::string why = text_of(rule, "field");
        if (rule.as_object().contains("not")) why += ": not " + text_of(rule, "not");
        if (rule.as_object().contains("never_block")) why += ": never_block";
        table.add({text_of(rule, "rule"), std::move(why)});
    }
    std::cout << '\n' << table.text(colours);
}

}  // namespace

json::object explain_question(const std::string& in_port, const std::string& src, const std::string& dst) {
    const auto slash = dst.find('/');
    if (slash == std::string::npos) refuse(dst, "the protocol is missing");
    const auto from = parse_place(src, src);
    const auto to = parse_place(std::string_view{dst}.substr(0, slash), dst);
    json::object question{{"in_port", in_port}, {"src", from.address}, {"dst", to.address}};
    add_protocol(question, std::string_view{dst}.substr(slash + 1), to, dst);
    if ((from.address.find(':') == std::string::npos) != (to.address.find(':') == std::string::npos)) {
        throw CommandError{"source and destination are of different address families; write both as IPv4 or IPv6"};
    }
    if (from.port) question["sport"] = *from.port;
    return question;
}

int explain(const Context& context, std::string in_port, std::vector<std::string> arguments, const std::string& at) {
    if (in_port.empty() && arguments.size() == 3) {
        in_port = arguments.front();
        arguments.erase(arguments.begin());
    }
    if (in_port.empty() || arguments.size() != 2) {
        throw CommandError{
            "explain needs the port of arrival, a source and a destination; write: sluicectl explain outside "
            "198.51.100.7 198.51.100.80:443/tcp"};
    }
    auto question = explain_question(in_port, arguments[0], arguments[1]);
    if (!at.empty()) question["at"] = at;
    const auto reply = send(context, {.method = "POST",
                                      .target = "/v1/explain",
                                      .headers = {{"Content-Type", "application/json"}},
                                      .body = json::serialize(question)});
    if (context.machine()) {
        print_value(context, parse_json(reply.body));
    } else {
        print_decision(parse_json(reply.body), context.colours);
    }
    return 0;
}

}  // namespace sluice::ctl
