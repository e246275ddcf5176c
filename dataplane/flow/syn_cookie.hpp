/// SYN cookies: what a SYN said, in the number that answers it, so that nothing has to be remembered before the client
/// has shown that it got the answer (CASES X1; the idea is D. J. Bernstein's, 1996).
///
///     bit   31       which of two keys
///     bits  30..28   the largest of eight segment sizes that is not above the client's MSS
///     bits  27..24   its window scale, 15 = none
///     bit   23       SACK is agreed on
///     bits  22..0    MAC (SipHash) over ends, domain, the client's number, the bits above, and what was promised
///
/// Who guesses needs 2^23 ACKs for one flow, which then belongs to a source that nobody hears. The MAC's other half is
/// the timestamp of the SYN-ACK, if timestamps were promised: its echo is checked as well. It is the same each time the
/// SYN is answered, so a client that gets two answers has no clock that runs backwards.
///
/// Keys: two, each for one span of kSpanTicks, made one from the other in one direction; the first is random per
/// process. A cookie is good in its span and in the next, 32 to 64 s; a cookie of the process before is none.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include <sluice/abi/net_order.hpp>

#include "dataplane/flow/flow_hash.hpp"
#include "dataplane/flow/flow_key.hpp"
#include "dataplane/flow/rate.hpp"
#include "dataplane/flow/tcp_window.hpp"

namespace sluice::dp {

/// The client's offer, as much as a cookie keeps.
struct CookieFacts {
    std::uint16_t mss{};
    std::uint8_t wscale{kNoScale};  ///< 0 to 14, or kNoScale
    bool sack{};
    bool operator==(const CookieFacts&) const = default;
};

/// From whom to whom, and what else the answer hangs on.
struct CookieContext {
    FlowTuple ends{};  ///< of the client's segment
    abi::IpFamily family{};
    FlowDomain domain{};
    std::uint32_t client_isn{};
    std::uint8_t promised_wscale{};  ///< by the policy, whether or not this client scales
};

struct Cookie {
    std::uint32_t number{};     ///< sequence number of the SYN-ACK
    std::uint32_t timestamp{};  ///< its TSval
};

class SynCookies {
public:
    static constexpr std::uint32_t kSpanTicks = 32 * kTicksPerSecond;
    static constexpr std::array<std::uint16_t, 8> kMss{216, 536, 1220, 1360, 1400, 1440, 1460, 8960};

    explicit SynCookies(const HashSecret& secret) noexcept;

    /// Once per loop: another span, another key.
    void turn(std::uint32_t now_tick) noexcept;

    /// Nothing: an MSS below the smallest that can be told.
    std::optional<Cookie> make(const CookieContext& context, const CookieFacts& facts) const noexcept;
    /// What a good cookie tells.
    static CookieFacts facts_of(std::uint32_t number) noexcept;
    /// One that we have made. `number`: what the client acknowledges, less 1. `echo`: TSecr of a segment with
    /// timestamps.
    bool check(const CookieContext& context, std::uint32_t number, std::optional<std::uint32_t> echo) const noexcept;

private:
    std::uint64_t mac(const CookieContext& context, std::uint32_t told) const noexcept;
    void next_key(std::size_t which) noexcept;

    HashSecret chain_;
    std::array<HashSecret, 2> keys_{};
    std::uint32_t span_{};
    bool started_{};
};

}  // namespace sluice::dp
