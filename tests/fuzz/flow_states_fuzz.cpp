/// libFuzzer target for the trackers' state machines: flow_states_fuzz [-max_total_time=60] CORPUS_DIR. The first byte
/// of an input says which. TCP: segments relative to where the model stands, each judged by the product and by the
/// model of the unit tests (tcp_model.hpp), which must agree. SCTP: packets with tags out of a few, and what must hold
/// of any association.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>

#include "dataplane/flow/sctp_state.hpp"
#include "dataplane/flow/tcp_flags.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/unit/dataplane/flow/tcp_pair.hpp"

namespace sluice::test {
namespace {

constexpr std::size_t kStepsMax = 64;

void tcp(std::uint8_t how, Input in) {
    const auto check = static_cast<abi::SeqCheck>((how >> 1U) % abi::kSeqCheckCount);
    const bool pickup = (how & 0x08U) != 0;
    constexpr std::uint8_t syn = 0x02, ack = 0x10;
    const auto scale = [&in] { return std::min<std::uint8_t>(in.byte() % 17, 15) % 15; };
    dp::TcpSegment first{
        pickup ? ack : syn, in.take<std::uint32_t>(), pickup ? in.take<std::uint32_t>() : 0,
        in.byte(),          in.take<std::uint16_t>(), static_cast<std::uint8_t>(pickup ? 0xff : scale())};
    TcpPair pair{check, pickup, first};
    for (std::size_t step = 0; step < kStepsMax && !in.empty(); ++step) {
        const std::uint8_t what = in.byte();
        Sent sent;
        sent.from = what & 1U;
        dp::TcpSegment& s = sent.segment;
        s.flags = in.byte();
        if (!dp::tcp_flags_legal(s.flags)) continue;
        const auto& mine = pair.model().side(pair.role(sent.from));
        const auto& theirs = pair.model().side(1 - pair.role(sent.from));
        // From one of the numbers that checks compare, a little off, or far.
        const auto seq = static_cast<std::uint32_t>((what & 2U) != 0 ? mine.next : mine.unacked);
        const auto acked = static_cast<std::uint32_t>((what & 4U) != 0 ? theirs.next : theirs.unacked);
        const auto off = [&in](bool far) {
            return far ? in.take<std::uint32_t>() : static_cast<std::uint32_t>(in.take<std::int8_t>());
        };
        s.seq = seq + off((what & 8U) != 0);
        s.ack = acked + off((what & 16U) != 0);
        s.payload_bytes = in.take<std::uint16_t>() % 9000;
        s.window = in.take<std::uint16_t>();
        s.wscale = (what & 32U) != 0 ? static_cast<std::uint8_t>(scale()) : std::uint8_t{0xff};
        const std::string differs = pair.step(sent);
        if (!differs.empty()) std::fprintf(stderr, "step %zu: %s\n", step, differs.c_str());
        must(differs.empty(), "product and model agree");
    }
}

void sctp(Input in) {
    using P = dp::FlowPhase;
    dp::FlowHot flow{};
    const std::uint32_t first = 1 + in.byte() % 4U;
    dp::sctp_open(flow, {0, first, dp::sctp_chunk::init, false});
    flow.phase = P::sctp_init;
    for (std::size_t step = 0; step < kStepsMax && !in.empty(); ++step) {
        const std::uint8_t what = in.byte(), tags = in.byte();
        const auto chunks = static_cast<std::uint16_t>(1U << what % 9U);
        const bool init = chunks == dp::sctp_chunk::init;
        const auto from = (what & 0x80U) != 0 ? dp::Direction::reply : dp::Direction::original;
        const bool reflects = (chunks & (dp::sctp_chunk::abort | dp::sctp_chunk::shutdown_complete)) != 0;
        const dp::SctpPacket packet{init ? 0U : 1U + (tags & 3U), 1U + (tags >> 2U & 3U), chunks,
                                    reflects && (tags & 0x80U) != 0};
        const dp::FlowHot before = flow;
        const dp::SctpResult r = dp::sctp_advance(flow, from, packet);
        if (r.outcome != dp::TcpOutcome::pass) {
            must(flow.seq_end == before.seq_end && flow.seq_acked == before.seq_acked,
                 "what does not pass changes nothing");
            if (r.outcome == dp::TcpOutcome::reopen) {
                must(init && before.phase == P::sctp_closed, "only an INIT on a closed association opens it anew");
            }
            continue;
        }
        flow.phase = r.next;
        must(r.next >= P::sctp_init && r.next <= P::sctp_closed, "it stays one of SCTP");
        must(r.next >= before.phase || (chunks == dp::sctp_chunk::cookie_ack && r.next == P::sctp_established),
             "it goes back only by a restart");
        must(r.next == before.phase || r.refreshes, "what changes the phase is a sign of life");
        const auto& own = before.seq_end;
        const std::size_t named_by = index(packet.reflected ? opposite(from) : from);
        const bool known = packet.tag == own[named_by];
        must(init || known || packet.tag == before.seq_acked[named_by], "a wrong tag never passes");
        if (r.next == P::sctp_closed && before.phase != P::sctp_closed) must(known, "only its own tag closes it");
        const bool live = before.phase == P::sctp_established || before.phase == P::sctp_shutdown;
        if (live && chunks != dp::sctp_chunk::cookie_ack)
            must(flow.seq_end == own, "tags of a live one change by a restart");
    }
}

}  // namespace
}  // namespace sluice::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    sluice::test::Input in{data, size};
    const std::uint8_t how = in.byte();
    if ((how & 1U) != 0) {
        sluice::test::sctp(in);
    } else {
        sluice::test::tcp(how, in);
    }
    return 0;
}
