#include "dataplane/pipeline/syn_proxy.hpp"

#include <algorithm>
#include <cstring>

#include "dataplane/flow/tcp_state.hpp"
#include "dataplane/pipeline/answer.hpp"
#include "dataplane/pipeline/flow_book.hpp"

namespace sluice::dp {

namespace {

/// RFC 9293 section 3.7.1, for a SYN that tells none.
constexpr std::uint16_t mss_without_option(abi::IpFamily family) noexcept {
    return family == abi::IpFamily::v4 ? 536 : 1220;
}

CookieContext context_of(const Burst& burst, std::size_t i, std::uint32_t client_isn, const SynProxy& proxy) noexcept {
    const ParsedPacket& p = burst.parsed[i];
    return {.ends = {p.src, p.dst, p.sport, p.dport, p.proto},
            .family = p.family,
            .domain = burst.passage.domain,
            .client_isn = client_isn,
            .promised_wscale = proxy.settings().wscale};
}

std::uint16_t promised_mss(const ServerHabits& seen, const abi::SynProxySettings& settings,
                           abi::IpFamily family) noexcept {
    constexpr std::uint16_t kLongerHeader = 20;
    if (seen.mss != 0) return seen.mss;
    return static_cast<std::uint16_t>(settings.mss - (family == abi::IpFamily::v6 ? kLongerHeader : 0));
}

ServerName server_of(const abi::IpAddr& address, abi::L4Port port, abi::IpFamily family, FlowDomain domain) noexcept {
    return {address.bytes, port.wire(), domain, static_cast<std::uint32_t>(family)};
}

}  // namespace

SynProxy::SynProxy(const HashSecret& secret, std::uint32_t flows_max) noexcept
    : cookies{secret}, habits{secret}, timers{flows_max} {}

void SynProxy::use(const TableView& view) noexcept {
    settings_ = view.settings->syn_proxy;
    wanted_ = std::any_of(view.rules.begin(), view.rules.end(),
                          [](const abi::RuleRecord& r) { return r.limits.over == abi::HalfOpenOver::syn_cookie; });
}

void SynProxy::turn(std::uint32_t now_tick) noexcept {
    if (!started_) {
        started_ = true;
        first_tick_ = now_tick;
    }
    cookies.turn(now_tick);
}

CookieIn find_cookie(const Burst& burst, std::size_t i, const SynProxy& proxy) noexcept {
    const ParsedPacket& p = burst.parsed[i];
    if (!proxy.expects_cookies(burst.moment.tick) || !tcp_picks_up(p.tcp.flags)) return CookieIn::none;
    if (burst.is_datagram(i) || !may_answer(burst.packet[i], p)) return CookieIn::none;
    const auto timestamps = timestamps_of(burst.packet[i], p);
    const auto echo = timestamps ? std::optional{timestamps->echo} : std::nullopt;
    const std::uint32_t number = p.tcp.ack - 1;
    if (proxy.cookies.check(context_of(burst, i, p.tcp.seq - 1, proxy), number, echo)) return CookieIn::behind_syn;
    if (p.payload_bytes == 0 && proxy.cookies.check(context_of(burst, i, p.tcp.seq, proxy), number, echo)) {
        return CookieIn::at_syn;
    }
    return CookieIn::none;
}

CookieAck cookie_ack(const Burst& burst, std::size_t i) noexcept {
    const ParsedPacket& p = burst.parsed[i];
    const std::uint32_t number = p.tcp.ack - 1;
    return {.facts = SynCookies::facts_of(number),
            .client_isn = p.tcp.seq - (burst.tracked[i].cookie == CookieIn::behind_syn ? 1U : 0U),
            .number = number,
            .timestamps = timestamps_of(burst.packet[i], p)};
}

bool answer_with_cookie(Burst& burst, std::size_t i, SynProxy& proxy) noexcept {
    const ParsedPacket& p = burst.parsed[i];
    if (burst.is_datagram(i) || !may_answer(burst.packet[i], p)) return false;
    const abi::SynProxySettings& settings = proxy.settings();
    const ServerHabits seen = proxy.habits.find(server_of(p.dst, p.dport, p.family, burst.passage.domain));
    const auto timestamps = timestamps_of(burst.packet[i], p);
    const CookieFacts facts{.mss = p.tcp.mss != 0 ? p.tcp.mss : mss_without_option(p.family),
                            .wscale = p.tcp.wscale < kNoScale ? p.tcp.wscale : kNoScale,
                            .sack = p.tcp.sack_permitted && promises(settings.sack, seen.sack)};
    const auto cookie = proxy.cookies.make(context_of(burst, i, p.tcp.seq, proxy), facts);
    if (!cookie) return false;
    const bool stamps = timestamps && promises(settings.timestamps, seen.timestamps);
    burst.send_own(i, {.seq = cookie->number,
                       .ack = p.tcp.seq + 1,
                       .tsval = cookie->timestamp,
                       .tsecr = stamps ? timestamps->value : 0,
                       .window = 0,
                       .mss = promised_mss(seen, settings, p.family),
                       .flags = tcp_flag::syn | tcp_flag::ack,
                       .wscale = facts.wscale < kNoScale ? settings.wscale : kNoScale,
                       .sack = facts.sack,
                       .timestamps = stamps});
    burst.consume(i);
    proxy.note_issued(burst.moment.tick);
    return true;
}

void fill_proxied(const Burst& burst, std::size_t i, const CookieAck& ack, const SynProxy& proxy, FlowHot& e,
                  FlowProxy& x) noexcept {
    const ParsedPacket& p = burst.parsed[i];
    const std::uint8_t* const frame = burst.packet[i].data;
    const bool scales = ack.facts.wscale < kNoScale;
    x.client_isn = ack.client_isn;
    x.cookie = ack.number;
    x.client_mss = ack.facts.mss;
    x.client_wscale = ack.facts.wscale;
    x.promised_wscale = scales ? proxy.settings().wscale : kNoScale;
    x.server_wscale = kNoScale;
    x.syn_window =
        static_cast<std::uint16_t>(std::min(std::uint32_t{p.tcp.window} << (scales ? ack.facts.wscale : 0), 0xffffU));
    if (ack.facts.sack) x.set(proxy_flag::sack);
    if (ack.timestamps) {
        x.set(proxy_flag::timestamps);
        x.ts_promised = ack.timestamps->echo;
        x.client_ts = ack.timestamps->value;
    }
    std::memcpy(x.server_mac.data(), frame, x.server_mac.size());
    std::memcpy(x.client_mac.data(), frame + x.server_mac.size(), x.client_mac.size());
    tcp_open(e, {.flags = tcp_flag::syn,
                 .seq = x.client_isn,
                 .ack = 0,
                 .payload_bytes = 0,
                 .window = x.syn_window,
                 .wscale = x.client_wscale});
}

void learn_habits(const Burst& burst, std::size_t i, SynProxy& proxy) noexcept {
    const ParsedPacket& p = burst.parsed[i];
    // What the server leaves out its client may not have offered.
    const auto seen = [](bool does) { return does ? Habit::does : Habit::unknown; };
    proxy.habits.learn(server_of(p.src, p.sport, p.family, burst.passage.domain),
                       {.mss = p.tcp.mss,
                        .sack = seen(p.tcp.sack_permitted),
                        .timestamps = seen(timestamps_of(burst.packet[i], p).has_value())});
}

}  // namespace sluice::dp
