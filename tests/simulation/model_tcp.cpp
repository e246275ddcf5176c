/// The model's TCP and SCTP: what tcp_model.hpp and sctp_model.hpp say about a packet, and what becomes of the flow.
#include <algorithm>

#include "tests/simulation/model.hpp"

namespace sluice::sim {

using abi::DropReason;
using abi::FlowState;
using test::ModelSegment;
using test::TcpModel;

namespace {

FlowState state_of(TcpModel::State state) {
    switch (state) {
        case TcpModel::State::syn_sent:
        case TcpModel::State::syn_crossed: return FlowState::syn_sent;
        case TcpModel::State::syn_acked_ahead:
        case TcpModel::State::syn_received: return FlowState::syn_received;
        case TcpModel::State::established: return FlowState::established;
        case TcpModel::State::fin_wait_original:
        case TcpModel::State::fin_wait_reply: return FlowState::fin_wait;
        case TcpModel::State::closing: return FlowState::closing;
        case TcpModel::State::time_wait: return FlowState::time_wait;
        case TcpModel::State::closed: break;
    }
    return FlowState::closed;
}

DropReason reason_named(const std::string& name) {
    const auto found = std::find_if(abi::kDropReasons.begin(), abi::kDropReasons.end(),
                                    [&](const auto& reason) { return reason.name == name; });
    return static_cast<DropReason>(found - abi::kDropReasons.begin());
}

/// It acknowledges this SYN, or some of the data that came with it.
bool acknowledges(const ModelSegment& s, const ModelSegment& syn) {
    return s.ack && s.ack_number - (syn.seq + 1) <= syn.payload;
}

}  // namespace

/// RFC 5927 section 4.1, from the middle: between what the other side had acknowledged a window ago and what was sent.
bool WorkerModel::may_be_in_flight(const ModelFlow& flow, std::size_t way, const Letter& letter) {
    if (flow.sctp) return flow.sctp->may_have_sent(letter.quoted_seq, static_cast<int>(way));
    if (!flow.tcp || flow.state == FlowState::closed || flow.tcp->windows_unknown()) return true;
    if (way == 0 && flow.late_syn && flow.late_syn->seq == letter.quoted_seq) return true;
    if (way == 1 && flow.other_start && flow.tcp->opening() && flow.other_start->first_number() == letter.quoted_seq) {
        return true;
    }
    const TcpModel::Side& side = flow.tcp->side(static_cast<int>(way));
    const auto window = static_cast<std::uint32_t>(flow.tcp->window_for(static_cast<int>(way)));
    const std::uint32_t oldest = static_cast<std::uint32_t>(side.unacked) - window;
    return letter.quoted_seq - oldest <= static_cast<std::uint32_t>(side.next) - oldest;
}

/// In mid-stream, while what an earlier process knew is taken up.
bool WorkerModel::picks_up(const Letter& letter) const {
    const bool data = letter.role == Role::association && letter.sctp.kind == SctpSegment::Kind::data;
    return (data || letter.role == Role::ack) && picking_up();
}

WorkerModel::Decision WorkerModel::follow_sctp(const Letter& letter, ModelFlow& flow, std::size_t way) {
    const SctpModel::Answer answer = flow.sctp->judge(letter.sctp, static_cast<int>(way));
    if (answer.what == "reopen") return {};
    if (answer.what != "pass") return {End::drop, reason_named(answer.what), false};
    FlowState next = FlowState::opening;
    switch (flow.sctp->state()) {
        case SctpModel::State::established: next = FlowState::established; break;
        case SctpModel::State::shutdown: next = FlowState::closing; break;
        case SctpModel::State::closed: next = FlowState::closed; break;
        default: break;
    }
    return go_on(letter, flow, way, next, answer.sign_of_life);
}

/// The peer has agreed to a SYN that came while the flow lived: its conversation is over, the next one stands here.
void WorkerModel::renew(ModelFlow& flow) {
    ++reopened;
    ++closed;
    ++created;
    if (abi::logs_end(flow.log)) {
        abi::FlowEvent e = flow_event(flow, abi::EventKind::flow_end);
        e.end = abi::FlowEnd::reused;
        events.push_back(e);
    }
    flow.tcp.emplace(TcpModel::Mode::strict);
    flow.tcp->open(*flow.late_syn);
    flow.late_syn.reset();
    flow.other_start.reset();
    flow.packets = flow.bytes = {};
    flow.started_tick = flow.seen_tick = at_.tick();
    flow.state = FlowState::syn_sent;
    flow.queued = ++queue_clock_;
    if (abi::logs_start(flow.log)) events.push_back(flow_event(flow, abi::EventKind::flow_start));
    Ruling same{};
    same.slot = flow.slot;
    same.verdict = abi::Verdict::allow;
    write_new_flow(flow_event(flow, abi::EventKind::new_flow), same);
    hit(flow.slot);
}

/// A server that has answered two SYNs with two numbers means one of them: the one of which the opener goes on. Until
/// that is acknowledged, a segment that does not fit the number named last may fit the other.
test::ModelAnswer WorkerModel::judge_tcp(ModelFlow& flow, const ModelSegment& s, int way) {
    TcpModel& last = *flow.tcp;
    const bool opening = last.opening();
    const TcpModel::Start start = last.reply_start();
    const bool named_another =
        way == 1 && s.syn && s.ack && !s.rst && opening && start.side.known && s.seq != start.first_number();
    const test::ModelAnswer answer = last.judge(s, way);
    if (!opening || answer.what == "reopen") return answer;
    if (answer.what != "pass") {
        if (!flow.other_start) return answer;
        TcpModel other = last;
        other.restart_reply(*flow.other_start);
        const test::ModelAnswer second = other.judge(s, way);
        if (second.what != "pass") return answer;
        last = other;
        flow.other_start = start;
        return second;
    }
    const bool came_again = flow.other_start && flow.other_start->first_number() == s.seq;
    if (named_another && (came_again || !flow.other_start)) flow.other_start = start;
    return answer;
}

WorkerModel::Decision WorkerModel::follow_tcp(const Letter& letter, ModelFlow& flow, std::size_t way) {
    const ModelSegment& s = letter.segment;
    const bool about_late_syn = way == 1 && flow.late_syn && acknowledges(s, *flow.late_syn);
    if (about_late_syn && s.syn && !s.rst && !flow.tcp->of_this_handshake(*flow.late_syn, s)) renew(flow);
    const test::ModelAnswer answer = judge_tcp(flow, s, static_cast<int>(way));
    if (answer.what == "reopen") return {};
    const bool refused = about_late_syn && s.rst && (answer.what == "pass" || answer.what == "tcp_bad_rst");
    if (refused) flow.late_syn.reset();
    if (answer.what != "pass") {
        // Who sent the late SYN must hear that nobody wants it; the flow goes on.
        if (refused) return go_on(letter, flow, way, flow.state, false);
        return {End::drop, reason_named(answer.what), false};
    }
    if (answer.notes == "overshoot") ++overshoots;
    if (answer.notes == "inexact") ++inexact_resets;
    if (answer.notes == "unknown") ++unchecked;
    if (answer.notes == "live" && !flow.kept) flow.late_syn = s;
    return go_on(letter, flow, way, state_of(flow.tcp->state()), answer.sign_of_life);
}

}  // namespace sluice::sim
