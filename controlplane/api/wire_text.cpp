#include "controlplane/api/wire_text.hpp"

#include <arpa/inet.h>
#include <ctime>

#include <array>

#include <fmt/format.h>

#include "controlplane/api/http_message.hpp"

namespace sluice::cp::api {

std::string time_text(std::chrono::system_clock::time_point time) {
    const auto since_epoch = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch());
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
    const std::time_t whole = seconds.count();
    std::tm parts{};
    gmtime_r(&whole, &parts);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                       parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, (since_epoch - seconds).count());
}

std::string time_text_of_ns(std::int64_t utc_ns) {
    using namespace std::chrono;
    return time_text(system_clock::time_point{duration_cast<system_clock::duration>(nanoseconds{utc_ns})});
}

std::string address_text(abi::IpFamily family, const abi::IpAddr& address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const int af = family == abi::IpFamily::v6 ? AF_INET6 : AF_INET;
    inet_ntop(af, address.bytes.data(), text.data(), static_cast<socklen_t>(text.size()));
    return text.data();
}

std::optional<std::pair<abi::IpFamily, abi::IpAddr>> parse_address(std::string_view text) {
    const std::string terminated{text};
    if (terminated.size() != text.size() || terminated.find('\0') != std::string::npos) return std::nullopt;
    abi::IpAddr address;
    if (inet_pton(AF_INET, terminated.c_str(), address.bytes.data()) == 1) return std::pair{abi::IpFamily::v4, address};
    if (inet_pton(AF_INET6, terminated.c_str(), address.bytes.data()) == 1)
        return std::pair{abi::IpFamily::v6, address};
    return std::nullopt;
}

std::string protocol_text(abi::L4Proto proto) {
    switch (proto) {
        case abi::L4Proto::tcp: return "tcp";
        case abi::L4Proto::udp: return "udp";
        case abi::L4Proto::icmp: return "icmp";
        case abi::L4Proto::icmp6: return "icmp6";
        default: return fmt::format("proto/{}", static_cast<unsigned>(proto));
    }
}

std::optional<abi::L4Proto> parse_protocol(std::string_view text) {
    if (text == "tcp") return abi::L4Proto::tcp;
    if (text == "udp") return abi::L4Proto::udp;
    if (text == "icmp") return abi::L4Proto::icmp;
    if (text == "icmp6") return abi::L4Proto::icmp6;
    if (text.starts_with("proto/")) text.remove_prefix(6);
    const auto number = parse_number(text);
    if (!number || *number > 255) return std::nullopt;
    return static_cast<abi::L4Proto>(*number);
}

std::string_view flow_state_text(abi::FlowState state) noexcept {
    switch (state) {
        case abi::FlowState::none: return "none";
        case abi::FlowState::syn_sent: return "syn_sent";
        case abi::FlowState::syn_received: return "syn_received";
        case abi::FlowState::established: return "established";
        case abi::FlowState::fin_wait: return "fin_wait";
        case abi::FlowState::closing: return "closing";
        case abi::FlowState::time_wait: return "time_wait";
        case abi::FlowState::closed: return "closed";
        case abi::FlowState::oneway: return "oneway";
        case abi::FlowState::stream: return "stream";
        case abi::FlowState::opening: return "opening";
        case abi::FlowState::killed: return "killed";
    }
    return "invalid";
}

}  // namespace sluice::cp::api
