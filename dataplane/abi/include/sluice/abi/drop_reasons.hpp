/// Every reason for which a packet can end here. One list makes the enum, the metric label and the help text in both
/// processes. Log class: L0 never logged, L1 sampled (at most 100 a second and reason, with a count of what was left
/// out), L2 always. Numbers are positions and belong to one ABI layout: add at the end of the group, and raise
/// kAbiVersion.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::abi {

enum class LogClass : std::uint8_t { L0, L1, L2 };

// clang-format off
#define SLUICE_DROP_REASONS(X)                                                                                          \
    X(no_policy,           L1, "no valid policy has been seen yet and fail_mode is closed")                              \
    X(policy_deny,         L1, "a rule, a builtin or the default denied it")                                             \
    X(policy_reject,       L1, "a rule rejected it; the answer is counted as originated")                                \
    X(l2_deny,             L1, "runt frame, 802.3 length field or an ethertype that the wire policy denies")             \
    X(vlan_deny,           L1, "VLAN tag that no zone binds, VID 4095, or more than two tags")                           \
    X(nd_reject,           L1, "neighbour discovery message that RFC 4861 calls invalid")                                \
    X(nd_hoplimit,         L1, "neighbour discovery message whose hop limit is not 255 (RFC 4861)")                      \
    X(arp_reject,          L1, "ARP packet that RFC 826 calls malformed")                                                \
    X(ip_malformed,        L1, "IP header failed the checks of RFC 1812 5.2.2 or RFC 8200 3")                            \
    X(ip_options,          L1, "IPv4 options (source route always; others unless a rule allows them, RFC 7126)")         \
    X(martian,             L1, "source or destination that must not cross a firewall (RFC 6890), or LAND")               \
    X(proto_deny,          L1, "IPv4 protocol 0, ICMP in the other IP version, or no-next-header without a rule")        \
    X(frag_toolong,        L1, "fragment that ends beyond 65,535 bytes (ping of death)")                                 \
    X(frag_malformed,      L1, "fragment whose length and flags contradict each other")                                  \
    X(frag_overlap,        L1, "fragments overlap; the datagram's later fragments too (RFC 5722, RFC 1858)")             \
    X(frag_tiny,           L1, "transport header not whole in the first fragment, or overwritten by a later one (RFC 3128)") \
    X(frag_chain,          L1, "header chain not whole in the first fragment (RFC 7112)")                                \
    X(frag_timeout,        L1, "datagram not whole when the time of its fragments was over")                             \
    X(frag_nomem,          L1, "more than 64 fragments, or the oldest datagram when fragments need its room")            \
    X(v6_ext_deny,         L1, "IPv6 extension header that is forbidden or out of order (RFC 8200 4.1, RFC 5095)")       \
    X(v6_ext_limit,        L1, "more than 8 extension headers or 512 bytes before the transport header, or a bad TLV")   \
    X(headers_split,       L1, "headers not contiguous in the first segment of the buffer")                              \
    X(tcp_malformed,       L1, "TCP header truncated, data offset or option length wrong")                               \
    X(tcp_bad_flags,       L1, "flag combination that no TCP sends (RFC 9293), or not a legal first segment")            \
    X(tcp_no_flow,         L1, "TCP segment without a flow and no SYN")                                                  \
    X(tcp_bad_ack,         L1, "acknowledges what was never sent")                                                       \
    X(tcp_bad_rst,         L1, "RST that cannot belong to the flow")                                                     \
    X(tcp_closed,          L1, "segment for a flow that a RST has closed")                                               \
    X(udp_malformed,       L1, "UDP length shorter than its header or longer than the packet")                           \
    X(udp_port0,           L1, "UDP port 0")                                                                             \
    X(icmp_malformed,      L1, "ICMP message or the packet inside it truncated or contradictory")                        \
    X(icmp_no_flow,        L1, "ICMP reply without a request")                                                           \
    X(icmp_unrelated,      L1, "ICMP error about a flow that is not there")                                              \
    X(icmp_type_deny,      L1, "ICMP redirect, or a type that may only start a flow by a rule")                          \
    X(bad_l4_csum,         L1, "transport checksum wrong")                                                               \
    X(flow_zone_mismatch,  L1, "packet of a flow arrived from another zone than the flow's")                             \
    X(flow_table_full,     L2, "no free flow entry; new flows only")                                                     \
    X(no_mbuf,             L2, "no buffer left for a packet of our own")                                                 \
    X(tx_full,             L1, "the device did not take the packet")                                                     \
    X(port_down,           L1, "the way out has no link")                                                               \
    X(sctp_malformed,      L1, "SCTP header or chunk truncated, or chunks bundled that never are (RFC 9260 4, 6.10)")    \
    X(tcp_out_of_window,   L1, "TCP segment beyond the window of its flow, or long acknowledged")                        \
    X(icmp_bad_inner,      L1, "ICMP error that quotes what its flow has not sent, or an impossible MTU (RFC 5927)")     \
    X(sctp_no_flow,        L1, "SCTP packet without a flow and no INIT")                                                 \
    X(sctp_bad_vtag,       L1, "SCTP verification tag that is not the association's (RFC 9260 8.5)")                     \
    X(sctp_bad_chunk,      L1, "SCTP chunk that has no place in the state of its association, or after its end")         \
    X(flow_index_full,     L2, "no place where the flow's hash puts it; new flows only (crafted keys?)")                 \
    X(rule_limit,          L1, "its rule has as many flows as `states` allows; new flows only")                          \
    X(src_limit,           L1, "its source has as many flows by this rule as `states_per_source` allows")                \
    X(src_table_full,      L2, "no room to count another source; new flows of rules that limit by source only")          \
    X(zone_limit,          L1, "its zone has as many flows, or new ones in this second, as its `limits` allow")          \
    X(rate_limit,          L1, "new flows of the rule, or of the source by this rule, come faster than allowed")         \
    X(icmp_ratelimit,      L1, "more than 100 ICMP errors about one flow in a second (RFC 6092 REC-36)")               \
    X(flow_killed,         L1, "packet of a flow that a policy change or a request has ended; its sender is told") \
    X(half_open_limit,     L1, "its rule has as many half-open TCP flows as `half_open` allows; SYNs only")              \
    X(syn_cookie_bad,      L1, "ACK whose SYN cookie is wrong, too old, or of the process before")                       \
    X(syn_proxy_wait,      L1, "segment of a client to whom the server's window is still closed: the server has not answered") \
    X(syn_proxy_full,      L2, "no room for another flow with translated numbers (SYN cookies); new flows only")         \
    X(syn_proxy_mismatch,  L1, "the server does not do what its SYN cookie promised; both ends are reset, the next try knows") \
    X(hand_over_full,      L1, "the ring to the worker that owns the packet's flow is full")
// clang-format on

enum class DropReason : std::uint16_t {
#define SLUICE_X(name, log_class, help) name,
    SLUICE_DROP_REASONS(SLUICE_X)
#undef SLUICE_X
};

struct DropReasonInfo {
    std::string_view name;
    LogClass log_class;
    std::string_view help;
};

inline constexpr auto kDropReasons = std::to_array<DropReasonInfo>({
#define SLUICE_X(name, log_class, help) DropReasonInfo{#name, LogClass::log_class, help},
    SLUICE_DROP_REASONS(SLUICE_X)
#undef SLUICE_X
});
inline constexpr std::size_t kDropReasonCount = kDropReasons.size();

constexpr std::string_view to_string(DropReason r) noexcept {
    const auto i = static_cast<std::size_t>(r);
    return i < kDropReasonCount ? kDropReasons[i].name : std::string_view{"invalid"};
}

}  // namespace sluice::abi
