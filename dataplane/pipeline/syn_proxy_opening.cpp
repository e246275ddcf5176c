#include "dataplane/pipeline/syn_proxy.hpp"

#include <algorithm>

#include "dataplane/pipeline/answer.hpp"
#include "dataplane/pipeline/flow_book.hpp"
#include "dataplane/pipeline/tx.hpp"

namespace sluice::dp {

namespace {

using abi::DropReason;

constexpr std::uint8_t kKindOf = tcp_flag::syn | tcp_flag::ack | tcp_flag::rst | tcp_flag::fin;

/// To the server, for whom it is the client's.
OwnSegment syn_of(const FlowProxy& x) noexcept {
    return {.seq = x.client_isn,
            .tsval = x.client_ts,
            .window = x.syn_window,
            .mss = x.client_mss,
            .flags = tcp_flag::syn,
            .wscale = x.client_wscale,
            .sack = x.has(proxy_flag::sack),
            .timestamps = x.has(proxy_flag::timestamps)};
}

/// To the client. With exactly the number that it waits for: it has got nothing but our SYN-ACK.
OwnSegment reset_to_client(const FlowProxy& x) noexcept { return {.seq = x.cookie + 1, .flags = tcp_flag::rst}; }

/// The same to the server, that has got nothing but our SYN.
OwnSegment reset_to_server(const FlowProxy& x) noexcept { return {.seq = x.client_isn + 1, .flags = tcp_flag::rst}; }

OwnSegment onward(OwnSegment s) noexcept {
    s.onward = true;
    return s;
}

ServerHabits habits_of(const ParsedPacket& syn_ack, bool has_timestamps, const FlowProxy& x) noexcept {
    const auto seen = [](bool offered, bool does) {
        return does ? Habit::does : offered ? Habit::does_not : Habit::unknown;
    };
    return {.mss = syn_ack.tcp.mss,
            .sack = seen(x.has(proxy_flag::sack), syn_ack.tcp.sack_permitted),
            .timestamps = seen(x.has(proxy_flag::timestamps), has_timestamps)};
}

struct Desk {
    Burst& burst;
    std::size_t i;
    FlowHandle h;
    FlowBook& flows;
    abi::WorkerCounters& counters;

    FlowHot& entry() const noexcept { return flows.table.hot(h); }
    FlowProxy& proxy() const noexcept { return flows.table.proxy(h); }
    const ParsedPacket& parsed() const noexcept { return burst.parsed[i]; }
    void stop_timer() const noexcept { flows.syn_proxy.timers.stop(entry().extension_number()); }
    void close() const noexcept {
        stop_timer();
        entry().last_seen_tick = burst.moment.tick;
        flows.set_phase(h, FlowPhase::closed, burst.moment.tick);
    }
};

/// Nobody is there for the client.
void refused(const Desk& d, bool client_is_sender) noexcept {
    const OwnSegment reset = reset_to_client(d.proxy());
    d.burst.send_own(d.i, client_is_sender ? reset : onward(reset));
    d.counters.syn_proxy_refused.add(1);
    d.burst.consume(d.i);
    d.close();
}

/// The client gives up: the server may have heard of it by now.
void follow_client(const Desk& d) noexcept {
    const ParsedPacket& p = d.parsed();
    if ((p.tcp.flags & tcp_flag::rst) == 0) return d.burst.drop(d.i, DropReason::syn_proxy_wait);
    if (p.tcp.seq != d.proxy().client_isn + 1) return d.burst.drop(d.i, DropReason::tcp_bad_rst);
    d.burst.send_own(d.i, onward(reset_to_server(d.proxy())));
    d.burst.consume(d.i);
    d.close();
}

/// Timestamps were promised, and a receiver of RFC 7323 drops what comes without: better no connection than one that
/// hangs. The next SYN is promised none.
void mismatch(const Desk& d) noexcept {
    d.burst.send_own(d.i, reset_to_server(d.proxy()));
    d.burst.send_own(d.i, onward(reset_to_client(d.proxy())));
    d.burst.drop(d.i, DropReason::syn_proxy_mismatch);
    d.close();
}

/// The server agrees: the flow is open on both sides, and each is told.
void open_both(const Desk& d, const std::optional<TcpTimestamps>& stamps) noexcept {
    const ParsedPacket& p = d.parsed();
    FlowProxy& x = d.proxy();
    x.server_isn = p.tcp.seq;
    x.server_wscale = p.tcp.wscale < kNoScale ? p.tcp.wscale : kNoScale;
    if (p.tcp.sack_permitted && x.has(proxy_flag::sack)) x.set(proxy_flag::server_sack);
    if (stamps) x.ts_shift = x.ts_promised - stamps->value;
    x.set(proxy_flag::answered);
    d.stop_timer();
    const auto window = static_cast<std::uint16_t>(x.syn_window >> (x.server_scales() ? x.client_wscale : 0));
    const OwnSegment to_server{.seq = x.client_isn + 1,
                               .ack = p.tcp.seq + 1,
                               .tsval = x.client_ts,
                               .tsecr = stamps ? stamps->value : 0,
                               .window = window,
                               .flags = tcp_flag::ack,
                               .timestamps = stamps.has_value()};
    const OwnSegment to_client{.seq = x.cookie + 1,
                               .ack = x.client_isn + 1,
                               .tsval = x.ts_promised,
                               .tsecr = x.client_ts,
                               .window = x.window_to_client(p.tcp.window, true),
                               .flags = tcp_flag::ack,
                               .timestamps = stamps.has_value(),
                               .onward = true};
    d.burst.send_own(d.i, to_server);
    d.burst.send_own(d.i, to_client);
    d.burst.consume(d.i);
    const TcpSegment acknowledges{.flags = tcp_flag::ack, .seq = to_server.seq, .ack = to_server.ack, .window = window};
    const TcpResult done = tcp_advance(d.entry(), Direction::original, acknowledges, d.flows.seq_check());
    d.entry().last_seen_tick = d.burst.moment.tick;
    if (done.outcome == TcpOutcome::pass) d.flows.set_phase(d.h, done.next, d.burst.moment.tick);
}

void follow_server(const Desk& d) noexcept {
    const ParsedPacket& p = d.parsed();
    const FlowProxy& x = d.proxy();
    const bool acks_syn = p.tcp.ack == x.client_isn + 1;
    switch (p.tcp.flags & kKindOf) {
        case tcp_flag::rst | tcp_flag::ack:
            if (!acks_syn) return d.burst.drop(d.i, DropReason::tcp_bad_rst);
            return refused(d, false);
        case tcp_flag::ack:
            // It knows an older connection of that name, and asks (RFC 5961 section 4): that one is over (RFC 9293
            // section 3.10.7.3), and the repeated SYN finds it gone.
            if (p.payload_bytes != 0 || acks_syn) return d.burst.drop(d.i, DropReason::tcp_bad_ack);
            d.burst.send_own(d.i, {.seq = p.tcp.ack, .flags = tcp_flag::rst, .limited = true});
            return d.burst.consume(d.i);
        case tcp_flag::syn | tcp_flag::ack: break;
        default: return d.burst.drop(d.i, DropReason::tcp_bad_flags);
    }
    if (!acks_syn) return d.burst.drop(d.i, DropReason::tcp_bad_ack);
    const auto stamps = timestamps_of(d.burst.packet[d.i], p);
    const ServerName name{p.src.bytes, p.sport.wire(), d.burst.passage.domain, static_cast<std::uint32_t>(p.family)};
    d.flows.syn_proxy.habits.learn(name, habits_of(p, stamps.has_value(), x));
    if (x.has(proxy_flag::timestamps) && !stamps) return mismatch(d);
    const TcpSegment syn_ack{p.tcp.flags, p.tcp.seq, p.tcp.ack, 0, p.tcp.window, p.tcp.wscale};
    const TcpResult r = tcp_advance(d.entry(), Direction::reply, syn_ack, d.flows.seq_check());
    if (r.outcome != TcpOutcome::pass) return d.burst.drop(d.i, r.reason);
    d.flows.set_phase(d.h, r.next, d.burst.moment.tick);
    open_both(d, x.has(proxy_flag::timestamps) ? stamps : std::nullopt);
}

}  // namespace

void ask_server(Burst& burst, std::size_t i, FlowHandle h, FlowBook& flows, abi::WorkerCounters& counters) noexcept {
    counters.syn_cookies_accepted.add(1);
    if (burst.parsed[i].payload_bytes != 0) counters.syn_proxy_data.add(1);
    burst.send_own(i, onward(syn_of(flows.table.proxy(h))));
    burst.consume(i);
}

void follow_opening(Burst& burst, std::size_t i, FlowHandle h, Direction from, FlowBook& flows, RuleMeter& rules,
                    abi::WorkerCounters& counters) noexcept {
    // Nobody is answered by what may not be answered; its sender will say it again.
    if (burst.is_datagram(i) || !burst.parsed[i].checksum_known_good) {
        return burst.drop(i, DropReason::syn_proxy_wait);
    }
    const Desk d{burst, i, h, flows, counters};
    if (from == Direction::original) {
        follow_client(d);
    } else {
        follow_server(d);
    }
    if (burst.fate[i] != Fate::consumed) return;
    flows.table.count_packet(h, from, burst.packet[i].total_bytes);
    rules.packet(flows.table.hot(h).slot(), burst.packet[i].total_bytes);
}

void follow_opening_error(Burst& burst, std::size_t i, FlowHandle h, FlowBook& flows) noexcept {
    const ParsedPacket& p = burst.parsed[i];
    constexpr std::uint8_t kUnreachable4 = 3, kFragmentationNeeded = 4, kUnreachable6 = 1;
    const bool unreachable = p.proto == abi::L4Proto::icmp
                                 ? p.icmp.type == kUnreachable4 && p.icmp.code != kFragmentationNeeded
                                 : p.icmp.type == kUnreachable6;
    // The client has no SYN that an error could be about; another SYN follows by itself.
    const bool waits = is_waiting_for_server(flows.table.hot(h));
    if (!waits || !unreachable || !p.checksum_known_good || burst.is_datagram(i)) {
        return burst.drop(i, DropReason::syn_proxy_wait);
    }
    // The error's source may be a router: what the client hears comes from the server, so no packet at hand shows the
    // way.
    flows.table.proxy(h).set(proxy_flag::refused);
    flows.syn_proxy.timers.give_up(flows.table.hot(h).extension_number(), burst.moment.tick);
    burst.consume(i);
}

bool answer_repeated_syn_ack(Burst& burst, std::size_t i, FlowHandle h, Direction from, FlowBook& flows) noexcept {
    const ParsedPacket& p = burst.parsed[i];
    const FlowHot& e = flows.table.hot(h);
    const FlowProxy& x = flows.table.proxy(h);
    if (from != Direction::reply || (p.tcp.flags & kKindOf) != (tcp_flag::syn | tcp_flag::ack)) return false;
    if (p.tcp.seq != x.server_isn || p.tcp.ack != x.client_isn + 1 || !may_answer(burst.packet[i], p)) return false;
    // What the client has acknowledged, and nothing that it may not have.
    const auto stamps = x.has(proxy_flag::timestamps) ? timestamps_of(burst.packet[i], p) : std::nullopt;
    burst.send_own(i, {.seq = e.seq_end[index(Direction::original)],
                       .ack = std::max(e.seq_acked[index(Direction::reply)], x.server_isn + 1),
                       .tsval = x.client_ts,
                       .tsecr = stamps ? stamps->value : 0,
                       .window = e.window_max[index(Direction::original)],
                       .flags = tcp_flag::ack,
                       .timestamps = stamps.has_value()});
    burst.consume(i);
    return true;
}

void reset_both(Burst& burst, std::size_t i, const FlowProxy& x, Direction from) noexcept {
    const ParsedPacket& p = burst.parsed[i];
    if (!may_answer(burst.packet[i], p)) return;
    const bool to_client_onward = from == Direction::reply;
    // The sender waits for what it acknowledges; the receiver, in order, for what was sent.
    OwnSegment back{.seq = p.tcp.ack, .flags = tcp_flag::rst, .limited = true};
    OwnSegment there = onward({.seq = p.tcp.seq, .flags = tcp_flag::rst, .limited = true});
    if (to_client_onward) there.seq = x.has(proxy_flag::answered) ? p.tcp.seq + x.shift() : x.cookie + 1;
    burst.send_own(i, back);
    burst.send_own(i, there);
}

namespace {

/// In the name of one end of the flow, to the other; `to_server`: in the client's.
void send_alone(const OwnSegment& s, FlowHandle h, bool to_server, FlowBook& flows, PacketIo& io,
                abi::WorkerCounters& counters) noexcept {
    const FlowProxy& x = flows.table.proxy(h);
    const FlowTuple t = flows.table.original_tuple(h);
    const abi::IpFamily family = flows.table.hot(h).family();
    const OwnEnds ends = to_server
                             ? OwnEnds{x.client_mac, x.server_mac, family, t}
                             : OwnEnds{x.server_mac, x.client_mac, family, {t.dst, t.src, t.dport, t.sport, t.proto}};
    constexpr std::uint32_t kEthernetBytes = 14;
    Packet out;
    if (!io.allocate(own_frame_bytes(s, family, kEthernetBytes), out)) return;  // the next try comes by itself
    build_own_segment(s, ends, out);
    const PortIndex arrival = flows.arrival_port(h);
    out.in_port = arrival;
    transmit_own(out, to_server ? flows.partner_of(arrival) : arrival, arrival, io, counters.ports);
}

}  // namespace

void run_proxy_timers(FlowBook& flows, PacketIo& io, const Moment& moment, abi::WorkerCounters& counters) noexcept {
    constexpr int kPerCall = 32;
    for (int n = 0; n < kPerCall; ++n) {
        const auto due = flows.syn_proxy.timers.take_due(moment.tick);
        if (!due) return;
        const FlowHandle h = flows.table.owner_of_proxy(due->number);
        const FlowProxy& x = flows.table.proxy(h);
        if (!due->last) {
            counters.syn_proxy_repeats.add(1);
            send_alone(syn_of(x), h, true, flows, io, counters);
            continue;
        }
        const bool refused = x.has(proxy_flag::refused);
        (refused ? counters.syn_proxy_refused : counters.syn_proxy_unanswered).add(1);
        send_alone(reset_to_client(x), h, false, flows, io, counters);
        flows.end(h, refused ? abi::FlowEnd::reset : abi::FlowEnd::unanswered, moment);
    }
}

}  // namespace sluice::dp
