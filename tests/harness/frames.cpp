#include "tests/harness/frames.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <span>

namespace sluice::test {

namespace {

void put16(Bytes& out, std::size_t value) {
    out.push_back(static_cast<std::uint8_t>(value >> 8));
    out.push_back(static_cast<std::uint8_t>(value));
}
void put32(Bytes& out, std::uint32_t value) {
    put16(out, value >> 16);
    put16(out, value & 0xffff);
}
void put(Bytes& out, std::span<const std::uint8_t> bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

void set16(Bytes& out, std::size_t at, std::uint16_t value) {
    out[at] = static_cast<std::uint8_t>(value >> 8);
    out[at + 1] = static_cast<std::uint8_t>(value);
}

Bytes address_bytes(std::string_view text) {
    const abi::IpAddr a = address(text);
    const std::size_t count = text.find(':') == std::string_view::npos ? 4 : 16;
    return {a.bytes.begin(), a.bytes.begin() + static_cast<std::ptrdiff_t>(count)};
}

/// `family` 4 or 6 decides which ICMP it is.
std::uint8_t proto_of(const L4& l4, int family) {
    struct Visitor {
        int family;
        std::uint8_t operator()(const Tcp&) const { return 6; }
        std::uint8_t operator()(const Udp&) const { return 17; }
        std::uint8_t operator()(const Icmp&) const { return family == 4 ? 1 : 58; }
        std::uint8_t operator()(const Sctp&) const { return 132; }
        std::uint8_t operator()(const Raw& raw) const { return raw.proto; }
    };
    return std::visit(Visitor{family}, l4);
}

/// The transport's bytes, and where its checksum stands (none: npos).
struct Segment {
    Bytes bytes;
    std::size_t checksum_at{std::string::npos};
    std::optional<std::uint16_t> checksum;
    bool pseudo_header{true};
    bool udp{};
};

Segment build(const Tcp& tcp) {
    Bytes options = tcp.options;
    while (options.size() % 4 != 0) options.push_back(0);
    Segment s{.checksum_at = 16, .checksum = tcp.checksum};
    put16(s.bytes, tcp.sport);
    put16(s.bytes, tcp.dport);
    put32(s.bytes, tcp.seq);
    put32(s.bytes, tcp.ack);
    const std::size_t words = tcp.data_offset.value_or(static_cast<std::uint8_t>(5 + options.size() / 4));
    s.bytes.push_back(static_cast<std::uint8_t>(words << 4));
    s.bytes.push_back(tcp.flags);
    put16(s.bytes, tcp.window);
    put32(s.bytes, 0);  // checksum, urgent pointer
    put(s.bytes, options);
    put(s.bytes, tcp.payload);
    return s;
}

Segment build(const Udp& udp) {
    Segment s{.checksum_at = 6, .checksum = udp.checksum, .udp = true};
    put16(s.bytes, udp.sport);
    put16(s.bytes, udp.dport);
    put16(s.bytes, udp.length.value_or(static_cast<std::uint16_t>(8 + udp.payload.size())));
    put16(s.bytes, 0);
    put(s.bytes, udp.payload);
    return s;
}

Segment build(const Icmp& icmp, int family) {
    Segment s{.checksum_at = 2, .checksum = icmp.checksum, .pseudo_header = family == 6};
    s.bytes = {icmp.type, icmp.code, 0, 0};
    put16(s.bytes, icmp.id);
    put16(s.bytes, icmp.seq);
    put(s.bytes, icmp.payload);
    return s;
}

Segment build(const Sctp& sctp) {
    Segment s;
    put16(s.bytes, sctp.sport);
    put16(s.bytes, sctp.dport);
    put32(s.bytes, sctp.tag);
    put32(s.bytes, 0);  // CRC32c: left zero, nobody on the way looks at it
    put(s.bytes, sctp.chunks);
    return s;
}

Bytes transport(const L4& l4, int family, const std::string& src, const std::string& dst, std::uint8_t proto) {
    Segment s = std::visit(
        [family](const auto& layer) -> Segment {
            using T = std::decay_t<decltype(layer)>;
            if constexpr (std::is_same_v<T, Raw>) {
                return Segment{.bytes = layer.bytes};
            } else if constexpr (std::is_same_v<T, Icmp>) {
                return build(layer, family);
            } else {
                return build(layer);
            }
        },
        l4);
    if (s.checksum_at == std::string::npos) return s.bytes;
    if (s.checksum) {
        set16(s.bytes, s.checksum_at, *s.checksum);
        return s.bytes;
    }
    Bytes summed;
    if (s.pseudo_header) {
        summed = address_bytes(src) + address_bytes(dst);
        put32(summed, static_cast<std::uint32_t>(s.bytes.size()));
        put32(summed, proto);
    }
    std::uint16_t checksum = internet_checksum(summed + s.bytes);
    if (s.udp && checksum == 0) checksum = 0xffff;  // zero means "none" in UDP
    set16(s.bytes, s.checksum_at, checksum);
    return s.bytes;
}

Icmp nd_message(std::uint8_t type, std::uint8_t flags, const Bytes& body) {
    return {.type = type, .id = static_cast<std::uint16_t>(flags << 8), .seq = 0, .payload = body};
}

Ext options_header(std::uint8_t type, const Bytes& options, std::optional<std::uint8_t> length) {
    Ext ext{type, {0, 0}};
    put(ext.bytes, options);
    while (ext.bytes.size() % 8 != 0) ext.bytes.push_back(0);  // Pad1
    ext.bytes[1] = length.value_or(static_cast<std::uint8_t>(ext.bytes.size() / 8 - 1));
    return ext;
}

}  // namespace

std::uint16_t internet_checksum(const Bytes& data) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < data.size(); ++i) {
        sum += i % 2 == 0 ? static_cast<std::uint32_t>(data[i]) << 8 : data[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return static_cast<std::uint16_t>(~sum);
}

abi::IpAddr address(std::string_view text) {
    abi::IpAddr a;
    const std::string zero_terminated{text};
    const int family = text.find(':') == std::string_view::npos ? AF_INET : AF_INET6;
    if (inet_pton(family, zero_terminated.c_str(), a.bytes.data()) != 1) {
        std::fprintf(stderr, "no address: \"%s\"\n", zero_terminated.c_str());
        std::abort();
    }
    return a;
}

Bytes bytes_of(std::size_t count, std::uint8_t value) { return Bytes(count, value); }

Bytes operator+(Bytes a, const Bytes& b) {
    put(a, b);
    return a;
}

Bytes first(const Bytes& bytes, std::size_t count) {
    return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(std::min(count, bytes.size()))};
}

dp::Packet as_packet(Bytes& frame, dp::PortIndex in_port) {
    const auto bytes = static_cast<std::uint32_t>(frame.size());
    return {.data = frame.data(), .contiguous_bytes = bytes, .total_bytes = bytes, .in_port = in_port};
}

Bytes datagram(const Ipv4& ip, const L4& l4) {
    const std::uint8_t proto = ip.proto.value_or(proto_of(l4, 4));
    const Bytes payload = transport(l4, 4, ip.src, ip.dst, proto);
    const std::size_t header_bytes = 20 + ip.options.size();
    Bytes out;
    out.push_back(static_cast<std::uint8_t>(ip.version.value_or(4) << 4 |
                                            ip.ihl.value_or(static_cast<std::uint8_t>(header_bytes / 4))));
    out.push_back(ip.tos);
    put16(out, ip.total_bytes.value_or(static_cast<std::uint16_t>(header_bytes + payload.size())));
    put16(out, ip.id);
    put16(out, (ip.dont_fragment ? 0x4000U : 0U) | (ip.more_fragments ? 0x2000U : 0U) | ip.fragment_offset / 8U);
    out.push_back(ip.ttl);
    out.push_back(proto);
    put16(out, 0);
    put(out, address_bytes(ip.src));
    put(out, address_bytes(ip.dst));
    put(out, ip.options);
    // The receiver sums as many words as the header claims to have.
    const Bytes all = out + payload;
    const std::size_t claimed = (out[0] & 0x0fU) * 4;
    set16(out, 10, ip.checksum.value_or(internet_checksum(first(all, claimed))));
    return out + payload;
}

Bytes datagram(const Ipv6& ip, const L4& l4) {
    const std::uint8_t proto = ip.proto.value_or(proto_of(l4, 6));
    const Bytes payload = transport(l4, 6, ip.src, ip.dst, proto);
    Bytes chain;
    for (std::size_t i = 0; i < ip.ext.size(); ++i) {
        Bytes header = ip.ext[i].bytes;
        header[0] = i + 1 < ip.ext.size() ? ip.ext[i + 1].type : proto;
        put(chain, header);
    }
    Bytes out;
    put32(out, static_cast<std::uint32_t>(ip.version.value_or(6)) << 28 |
                   static_cast<std::uint32_t>(ip.traffic_class) << 20 | ip.flow_label);
    put16(out, ip.payload_bytes.value_or(static_cast<std::uint16_t>(chain.size() + payload.size())));
    out.push_back(ip.ext.empty() ? proto : ip.ext.front().type);
    out.push_back(ip.hop_limit);
    put(out, address_bytes(ip.src));
    put(out, address_bytes(ip.dst));
    return out + chain + payload;
}

Bytes frame(std::uint16_t ethertype, const Bytes& content, const Eth& eth) {
    Bytes out;
    put(out, eth.dst);
    put(out, eth.src);
    for (const VlanTag& tag : eth.tags) {
        put16(out, tag.tpid);
        put16(out, tag.tci);
    }
    put16(out, eth.ethertype.value_or(ethertype));
    put(out, content);
    if (out.size() < eth.pad_to) out.resize(eth.pad_to, 0xa5);
    return out;
}

Bytes frame(const Ipv4& ip, const L4& l4, const Eth& eth) { return frame(0x0800, datagram(ip, l4), eth); }
Bytes frame(const Ipv6& ip, const L4& l4, const Eth& eth) { return frame(0x86dd, datagram(ip, l4), eth); }

Bytes frame(const Arp& arp, const Eth& eth) {
    Bytes out;
    put16(out, arp.hardware_type);
    put16(out, arp.protocol_type);
    out.push_back(arp.hardware_bytes);
    out.push_back(arp.protocol_bytes);
    put16(out, arp.operation);
    put(out, arp.sender_mac);
    put(out, address_bytes(arp.sender_ip));
    put(out, arp.target_mac);
    put(out, address_bytes(arp.target_ip));
    return frame(0x0806, out, eth);
}

Ext hop_by_hop(const Bytes& options, std::optional<std::uint8_t> length) { return options_header(0, options, length); }
Ext destination_options(const Bytes& options, std::optional<std::uint8_t> length) {
    return options_header(60, options, length);
}
Ext routing(std::uint8_t type, std::uint8_t segments_left, const Bytes& data) {
    Ext ext{43, {0, 0, type, segments_left}};
    put(ext.bytes, data);
    while (ext.bytes.size() % 8 != 0) ext.bytes.push_back(0);
    ext.bytes[1] = static_cast<std::uint8_t>(ext.bytes.size() / 8 - 1);
    return ext;
}
Ext fragment(std::uint16_t offset_bytes, bool more, std::uint32_t id) {
    Ext ext{44, {0, 0}};
    put16(ext.bytes, (offset_bytes & 0xfff8U) | (more ? 1U : 0U));
    put32(ext.bytes, id);
    return ext;
}

Ipv6 nd_packet(std::string_view src, std::string_view dst) {
    return {.src = std::string{src}, .dst = std::string{dst}, .hop_limit = 255};
}
Icmp router_solicitation(const Bytes& options) { return nd_message(133, 0, options); }
Icmp router_advertisement(const Bytes& options) {
    return {.type = 134, .id = 0x4000, .seq = 1800, .payload = bytes_of(8, 0) + options};
}
Icmp neighbour_solicitation(std::string_view target, const Bytes& options) {
    return nd_message(135, 0, address_bytes(target) + options);
}
Icmp neighbour_advertisement(std::string_view target, std::uint8_t flags, const Bytes& options) {
    return nd_message(136, flags, address_bytes(target) + options);
}
Icmp nd_redirect(std::string_view target, std::string_view destination) {
    return nd_message(137, 0, address_bytes(target) + address_bytes(destination));
}
Bytes link_layer_option(std::uint8_t type, const Mac& mac) {
    Bytes out{type, 1};
    put(out, mac);
    return out;
}

Bytes sctp_chunk(std::uint8_t type, const Bytes& body, std::uint8_t flags) {
    Bytes chunk{type, flags};
    put16(chunk, static_cast<std::uint16_t>(4 + body.size()));
    put(chunk, body);
    chunk.resize((chunk.size() + 3) / 4 * 4);
    return chunk;
}

namespace {

Bytes sctp_first(std::uint8_t type, std::uint32_t tag, const Bytes& parameters) {
    Bytes body;
    put32(body, tag);
    put32(body, 65536);   // window
    put32(body, 655370);  // ten streams each way
    put32(body, 1);       // first TSN
    put(body, parameters);
    return sctp_chunk(type, body);
}

}  // namespace

Bytes sctp_init(std::uint32_t tag) { return sctp_first(1, tag, {}); }
Bytes sctp_init_ack(std::uint32_t tag) { return sctp_first(2, tag, {0, 7, 0, 8, 1, 2, 3, 4}); }  // with a cookie
Bytes sctp_data(std::size_t payload_bytes) { return sctp_chunk(0, bytes_of(12, 1) + bytes_of(payload_bytes), 3); }

}  // namespace sluice::test
