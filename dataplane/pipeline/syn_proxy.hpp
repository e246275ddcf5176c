/// Handshakes in the server's stead (`over: syn-cookie`), so that a flood of SYNs takes no room in the table and never
/// reaches the server (CASES X1).
///
///     client                     here                                   server
///       SYN          ->   no flow is made
///                    <-   SYN-ACK, its number a cookie, window 0
///       ACK, cookie  ->   limits, then a flow: `syn_sent`, extended   ->  SYN, the client's number
///                                                                     <-  SYN-ACK
///                    <-   ACK: the window opens     `established`     ->  ACK
///       data         ->   translated both ways from here on (translate.hpp)
///
/// A client may not send before the server has answered: its window is closed. What it sends all the same is dropped
/// and counted (`syn_proxy_wait`), data in the ACK too; it sends them again. A server that refuses (RST, ICMP
/// unreachable) or stays silent for 15 s resets the client.
///
/// syn_proxy.cpp has what happens without a flow, syn_proxy_opening.cpp what happens until the server has answered;
/// afterwards track.cpp goes its usual way with translated segments.
#pragma once

#include <cstdint>
#include <optional>

#include <sluice/abi/telemetry.hpp>

#include "dataplane/acl/table_view.hpp"
#include "dataplane/flow/flow_proxy.hpp"
#include "dataplane/flow/proxy_timers.hpp"
#include "dataplane/flow/server_habits.hpp"
#include "dataplane/flow/syn_cookie.hpp"
#include "dataplane/pipeline/burst.hpp"
#include "dataplane/pipeline/rule_meter.hpp"
#include "dataplane/pipeline/translate.hpp"

namespace sluice::dp {

class FlowBook;

/// A worker's part of it that belongs to no flow.
class SynProxy {
public:
    SynProxy(const HashSecret& secret, std::uint32_t flows_max) noexcept;

    /// Once per switch.
    void use(const TableView& view) noexcept;
    /// Once per loop, before packets.
    void turn(std::uint32_t now_tick) noexcept;

    /// Some rule answers with cookies.
    bool is_wanted() const noexcept { return wanted_; }
    const abi::SynProxySettings& settings() const noexcept { return settings_; }
    /// A cookie may be on its way that this process has made.
    bool expects_cookies(std::uint32_t now_tick) const noexcept {
        return issued_any_ && now_tick - issued_tick_ < 2 * SynCookies::kSpanTicks;
    }
    /// The same, or one that the process before this one has made.
    bool knows_of_cookies(std::uint32_t now_tick) const noexcept {
        return expects_cookies(now_tick) || (wanted_ && now_tick - first_tick_ < 2 * SynCookies::kSpanTicks);
    }
    bool is_active(std::uint32_t now_tick) const noexcept {
        return issued_any_ && now_tick - issued_tick_ < kTicksPerSecond;
    }
    void note_issued(std::uint32_t now_tick) noexcept {
        issued_any_ = true;
        issued_tick_ = now_tick;
    }

    SynCookies cookies;
    HabitTable habits;
    ProxyTimers timers;

private:
    abi::SynProxySettings settings_{};
    bool wanted_{};
    bool issued_any_{}, started_{};
    std::uint32_t issued_tick_{}, first_tick_{};
};

/// An ACK with a good cookie.
struct CookieAck {
    CookieFacts facts{};
    std::uint32_t client_isn{}, number{};
    std::optional<TcpTimestamps> timestamps;
};

/// The flow's client has been answered, its server has not.
inline bool is_waiting_for_server(const FlowHot& e) noexcept { return e.extended() && e.phase == FlowPhase::syn_sent; }

// ------------------------------------------------------------------------------------------------------- without a
// flow
/// Packet i is an ACK that brings back a cookie of ours.
CookieIn find_cookie(const Burst& burst, std::size_t i, const SynProxy& proxy) noexcept;
/// Of such a packet.
CookieAck cookie_ack(const Burst& burst, std::size_t i) noexcept;
/// False: packet i may not be answered, or tells an MSS that a cookie can't. Else it is consumed.
bool answer_with_cookie(Burst& burst, std::size_t i, SynProxy& proxy) noexcept;
/// Fills the entry of the flow that packet i makes by its cookie, but for key, rule and zones.
void fill_proxied(const Burst& burst, std::size_t i, const CookieAck& ack, const SynProxy& proxy, FlowHot& e,
                  FlowProxy& x) noexcept;
/// The server is asked in the client's name; packet i is consumed.
void ask_server(Burst& burst, std::size_t i, FlowHandle h, FlowBook& flows, abi::WorkerCounters& counters) noexcept;
/// A server has answered an ordinary SYN: what it can do.
void learn_habits(const Burst& burst, std::size_t i, SynProxy& proxy) noexcept;

// ------------------------------------------------------------------------------------- with a flow of which it is
// asked
/// Packet i belongs to a flow whose server has not answered yet: its fate.
void follow_opening(Burst& burst, std::size_t i, FlowHandle h, Direction from, FlowBook& flows, RuleMeter& rules,
                    abi::WorkerCounters& counters) noexcept;
/// Packet i is an ICMP error about the SYN that the server got from us: its fate.
void follow_opening_error(Burst& burst, std::size_t i, FlowHandle h, FlowBook& flows) noexcept;
/// Packet i is the SYN-ACK that the server has sent before, as our ACK was lost. True: answered and consumed.
bool answer_repeated_syn_ack(Burst& burst, std::size_t i, FlowHandle h, Direction from, FlowBook& flows) noexcept;
/// Both ends of a flow that is over hear of it, by packet i of one of them.
void reset_both(Burst& burst, std::size_t i, const FlowProxy& x, Direction from) noexcept;
/// SYNs that servers have not answered are sent again, or given up. A bounded number per call.
void run_proxy_timers(FlowBook& flows, PacketIo& io, const Moment& moment, abi::WorkerCounters& counters) noexcept;

}  // namespace sluice::dp
