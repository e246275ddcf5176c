/// What the firewall remembers of a TCP flow whose two handshakes it has made itself: with the client by a SYN cookie,
/// with the server in the client's name (pipeline/syn_proxy.hpp). It is the 64-byte extension of the flow's entry.
///
/// The client was told numbers that the firewall made up, the server has others; everything else is left to the ends.
/// So of each segment are translated
///     the server's sequence numbers and what acknowledges them (ACK, SACK blocks of the client): by one difference
///     the server's timestamps and their echoes: by another, chosen so that the server's first is what the client has
///     windows: each side counts in the unit that it believes to be agreed on
/// The client's own numbers and timestamps go through as they are: the SYN that the server got carried them.
///
/// The flow's entry (seq_end, seq_acked, windows) speaks as the server does: tracking sees what the server sees.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>

#include "dataplane/flow/tcp_state.hpp"
#include "dataplane/flow/tcp_window.hpp"

namespace sluice::dp {

using MacAddr = std::array<std::uint8_t, 6>;

struct alignas(64) FlowProxy {
    std::uint32_t flow{};         ///< number of the entry that it belongs to; of a free one: the next that is free
    std::uint32_t client_isn{};   ///< the client's first number, and of our SYN to the server
    std::uint32_t cookie{};       ///< our first number to the client
    std::uint32_t server_isn{};   ///< 0 until the server has answered
    std::uint32_t ts_promised{};  ///< TSval of our SYN-ACK, which the client has echoed
    std::uint32_t ts_shift{};     ///< what the client sees, minus what the server says
    std::uint32_t client_ts{};    ///< TSval of the client when it came, and of our SYN to the server
    std::uint16_t client_mss{};
    std::uint16_t syn_window{};  ///< of our SYN to the server
    std::uint8_t client_wscale{kNoScale};
    std::uint8_t promised_wscale{kNoScale};  ///< in the server's name; kNoScale if the client offered none
    std::uint8_t server_wscale{kNoScale};
    std::uint8_t flags{};  ///< proxy_flag
    MacAddr client_mac{}, server_mac{};
    std::array<std::uint8_t, 16> must_be_zero{};

    bool has(std::uint8_t flag) const noexcept { return (flags & flag) != 0; }
    void set(std::uint8_t flag) noexcept { flags = static_cast<std::uint8_t>(flags | flag); }

    std::uint32_t shift() const noexcept { return cookie - server_isn; }
    bool server_scales() const noexcept { return client_wscale < kNoScale && server_wscale < kNoScale; }
    bool client_scales() const noexcept { return promised_wscale < kNoScale; }

    /// Rounded down: the client must never believe in more room than there is.
    std::uint16_t window_to_client(std::uint16_t window, bool is_syn) const noexcept {
        const std::uint32_t bytes = std::uint32_t{window} << (server_scales() && !is_syn ? server_wscale : 0);
        return static_cast<std::uint16_t>(std::min(bytes >> (client_scales() ? promised_wscale : 0), 0xffffU));
    }
    std::uint16_t window_to_server(std::uint16_t window) const noexcept {
        if (!client_scales() || server_scales()) return window;
        return static_cast<std::uint16_t>(std::min(std::uint32_t{window} << client_wscale, 0xffffU));
    }
};
static_assert(sizeof(FlowProxy) == 64 && std::is_trivially_copyable_v<FlowProxy>);

namespace proxy_flag {
inline constexpr std::uint8_t sack = 0x01;         ///< promised to the client, and offered to the server
inline constexpr std::uint8_t timestamps = 0x02;   ///< the same
inline constexpr std::uint8_t server_sack = 0x04;  ///< and the server has agreed
inline constexpr std::uint8_t answered = 0x08;     ///< the server has sent its SYN-ACK
inline constexpr std::uint8_t refused = 0x10;      ///< it is unreachable; its client is still to be told
inline constexpr std::uint8_t all = 0x1f;
}  // namespace proxy_flag

/// The segment as the server sends or sees it. A SYN's window is never scaled and acknowledges nothing.
inline TcpSegment at_server(const FlowProxy& x, Direction from, TcpSegment s) noexcept {
    constexpr std::uint8_t syn = 0x02, ack = 0x10;
    if (from == Direction::reply) return s;
    if ((s.flags & ack) != 0) s.ack -= x.shift();
    if ((s.flags & syn) == 0) s.window = x.window_to_server(s.window);
    return s;
}

/// What a process may have written: everything in range. Who found it asks for more (flow_recovery.cpp).
inline bool is_plausible(const FlowProxy& x) noexcept {
    const auto scale_fits = [](std::uint8_t scale) { return scale <= kNoScale; };
    return scale_fits(x.client_wscale) && scale_fits(x.promised_wscale) && scale_fits(x.server_wscale) &&
           (x.flags & ~proxy_flag::all) == 0 && x.must_be_zero == decltype(x.must_be_zero){} &&
           (x.client_wscale < kNoScale) == x.client_scales();
}

}  // namespace sluice::dp
