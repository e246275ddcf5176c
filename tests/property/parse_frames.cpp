/// What `parse` reads off frames, for a comparison with another reader: one frame a line in hex on standard input, one
/// line of `key=value` words on standard output, or `drop=REASON`. See scapy_test.py.
#include <arpa/inet.h>

#include <cstdio>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/pipeline/parse.hpp"

namespace {

using namespace sluice;

std::optional<std::vector<std::uint8_t>> from_hex(const std::string& text) {
    const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
    if (text.size() % 2 != 0) return std::nullopt;
    std::vector<std::uint8_t> bytes;
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const int high = digit(text[i]), low = digit(text[i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        bytes.push_back(static_cast<std::uint8_t>(high << 4 | low));
    }
    return bytes;
}

std::string address(abi::IpFamily family, const abi::IpAddr& addr) {
    char text[INET6_ADDRSTRLEN]{};
    inet_ntop(family == abi::IpFamily::v4 ? AF_INET : AF_INET6, addr.bytes.data(), text, sizeof text);
    return text;
}

std::string reading(std::vector<std::uint8_t> frame) {
    const auto bytes = static_cast<std::uint32_t>(frame.size());
    frame.reserve(1);  // data() of an empty frame is an address too
    dp::ParsedPacket p;
    const dp::Packet packet{.data = frame.data(), .contiguous_bytes = bytes, .total_bytes = bytes};
    if (const auto reason = dp::parse(packet, p)) return "drop=" + std::string{abi::to_string(*reason)};
    static constexpr std::array<const char*, 4> kClasses{"ip", "arp", "nd", "other"};
    std::string text = "class=" + std::string{kClasses[static_cast<std::size_t>(p.packet_class)]};
    const auto add = [&text](const char* key, std::uint64_t value) {
        text.append(" ").append(key).append("=").append(std::to_string(value));
    };
    add("vlan", p.vlan);
    if (p.family == abi::IpFamily::none) return text;
    text += " src=" + address(p.family, p.src) + " dst=" + address(p.family, p.dst);
    add("proto", static_cast<std::uint64_t>(p.proto));
    add("sport", p.sport.to_host());
    add("dport", p.dport.to_host());
    add("l4_bytes", p.l4_bytes);
    add("payload_bytes", p.payload_bytes);
    if (p.is_fragment) {
        add("fragment_id", p.fragment.id);
        add("fragment_offset", p.fragment.offset_bytes);
        add("fragment_bytes", p.fragment.data_bytes);
        add("more", p.fragment.more ? 1 : 0);
        return text;
    }
    if (p.proto == abi::L4Proto::tcp) {
        add("flags", p.tcp.flags);
        add("seq", p.tcp.seq);
        add("ack", p.tcp.ack);
        add("window", p.tcp.window);
        if ((p.tcp.flags & dp::tcp_flag::syn) != 0) {
            add("mss", p.tcp.mss);
            add("wscale", p.tcp.wscale);
            add("sack", p.tcp.sack_permitted ? 1 : 0);
        }
    }
    if (p.proto == abi::L4Proto::icmp || p.proto == abi::L4Proto::icmp6) {
        add("type", p.icmp.type);
        add("code", p.icmp.code);
        add("id", p.icmp.id);
    }
    return text;
}

}  // namespace

int main() {
    for (std::string line; std::getline(std::cin, line);) {
        const auto frame = from_hex(line);
        std::cout << (frame ? reading(*frame) : "no hex") << std::endl;
    }
    return 0;
}
