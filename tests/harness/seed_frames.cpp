#include "tests/harness/seed_frames.hpp"

namespace sluice::test {

namespace {

/// The first `count` bytes of what an IPv4 datagram carries.
Bytes start_of(const L4& l4, std::ptrdiff_t count) {
    const Bytes whole = datagram(Ipv4{}, l4);
    return {whole.begin() + 20, whole.begin() + 20 + count};
}

}  // namespace

std::vector<Bytes> seed_frames() {
    const Bytes syn_options{2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7};
    const Bytes inner4 = datagram(Ipv4{}, Tcp{});
    const Bytes inner6 = datagram(Ipv6{.ext = {destination_options()}}, Udp{.payload = bytes_of(10)});
    return {
        frame(Ipv4{}, Tcp{.options = syn_options}),
        frame(Ipv4{}, Tcp{.flags = kAck, .payload = bytes_of(33)}, Eth{.tags = {{0x8100, 7}}}),
        frame(Ipv4{.options = {1, 1, 1, 0}}, Udp{.payload = bytes_of(12)}),
        frame(Ipv4{}, Udp{.checksum = 0}, Eth{.pad_to = 60}),
        frame(Ipv4{}, Icmp{.payload = bytes_of(56)}),
        frame(Ipv4{}, Icmp{.type = 3, .code = 4, .payload = inner4}),
        frame(Ipv4{}, Icmp{.type = 11, .payload = datagram(Ipv4{}, Icmp{})}),
        frame(Ipv4{}, Sctp{}),
        frame(Ipv4{}, Sctp{.tag = 7, .chunks = sctp_chunk(10, bytes_of(8)) + sctp_data(5)}),
        frame(Ipv4{}, Raw{47, bytes_of(30)}),
        frame(Ipv4{.more_fragments = true}, Raw{17, bytes_of(64)}),
        frame(Ipv4{.more_fragments = true}, Raw{6, start_of(Tcp{.options = syn_options}, 40)}),
        frame(Ipv4{.more_fragments = true}, Raw{132, start_of(Sctp{.tag = 7, .chunks = sctp_data(40)}, 48)}),
        frame(Ipv6{}, Tcp{.options = syn_options}),
        frame(Ipv6{.ext = {hop_by_hop(), routing(4, 0), fragment(0, false), destination_options()}},
              Tcp{.flags = kAck | kPsh, .payload = bytes_of(7)}),
        frame(Ipv6{.ext = {fragment(0, true)}}, Raw{17, bytes_of(64)}),
        frame(Ipv6{}, Udp{.payload = bytes_of(3)}, Eth{.tags = {{0x88a8, 5}, {0x8100, 6}}}),
        frame(Ipv6{}, Icmp{.type = 128, .payload = bytes_of(20)}),
        frame(Ipv6{}, Icmp{.type = 2, .payload = inner6}),
        frame(Ipv6{.ext = {destination_options()}}, Raw{59, bytes_of(4)}),
        frame(Ipv6{.ext = {hop_by_hop({5, 2, 0, 0, 1, 0})}}, Raw{50, bytes_of(40)}),
        frame(Arp{}, Eth{.pad_to = 60}),
        frame(38, bytes_of(38), Eth{.pad_to = 60}),
        frame(nd_packet("fe80::1", "ff02::1:ff00:80"), neighbour_solicitation("fe80::80", link_layer_option(1))),
        frame(nd_packet("fe80::1", "ff02::1"),
              router_advertisement(link_layer_option(1) + Bytes{5, 1, 0, 0, 0, 0, 5, 220})),
        frame(nd_packet("fe80::1", "ff02::2"), router_solicitation(link_layer_option(1))),
        frame(nd_packet("::", "ff02::1:ff00:80"), neighbour_solicitation("fe80::80")),
        frame(nd_packet("fe80::80", "fe80::1"), neighbour_advertisement("fe80::80", 0x60, link_layer_option(2))),
    };
}

}  // namespace sluice::test
