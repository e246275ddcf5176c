/// The product's TCP tracker and the model side by side. Neighbours: tcp_model_test.cpp makes conversations at random,
/// tests/fuzz/flow_states_fuzz.cpp lets coverage make them.
#pragma once

#include <string>

#include "dataplane/flow/tcp_state.hpp"
#include "tests/unit/dataplane/flow/tcp_model.hpp"

namespace sluice::test {

struct Sent {
    dp::TcpSegment segment;
    int from{};
};

inline ModelSegment model_segment(const dp::TcpSegment& s) {
    constexpr std::uint8_t fin = 0x01, syn = 0x02, rst = 0x04, ack = 0x10;
    return {(s.flags & syn) != 0,
            (s.flags & ack) != 0,
            (s.flags & fin) != 0,
            (s.flags & rst) != 0,
            s.seq,
            s.ack,
            s.payload_bytes,
            s.window,
            s.wscale == 0xff ? -1 : int{s.wscale}};
}

inline TcpModel::Mode model_mode(abi::SeqCheck check) {
    return check == abi::SeqCheck::strict ? TcpModel::Mode::strict
           : check == abi::SeqCheck::log  ? TcpModel::Mode::log
                                          : TcpModel::Mode::off;
}

inline dp::FlowPhase phase_of(TcpModel::State state) {
    constexpr dp::FlowPhase phases[] = {dp::FlowPhase::syn_sent,        dp::FlowPhase::syn_crossed,
                                        dp::FlowPhase::syn_acked_ahead, dp::FlowPhase::syn_received,
                                        dp::FlowPhase::established,     dp::FlowPhase::fin_wait_original,
                                        dp::FlowPhase::fin_wait_reply,  dp::FlowPhase::closing,
                                        dp::FlowPhase::time_wait,       dp::FlowPhase::closed};
    return phases[static_cast<std::size_t>(state)];
}

inline ModelAnswer product_answer(const dp::TcpResult& r) {
    if (r.outcome == dp::TcpOutcome::reopen) return {"reopen", false, ""};
    if (r.outcome == dp::TcpOutcome::drop) return {std::string{abi::to_string(r.reason)}, false, ""};
    std::string notes;
    if ((r.notes & dp::tcp_note::overshoot) != 0) notes += "overshoot";
    if ((r.notes & dp::tcp_note::inexact_rst) != 0) notes += "inexact";
    if ((r.notes & dp::tcp_note::window_unknown) != 0) notes += "unknown";
    if ((r.notes & dp::tcp_note::violation) != 0) notes += "violation " + std::string{abi::to_string(r.reason)};
    if ((r.notes & dp::tcp_note::syn_on_live) != 0) notes += "live";
    return {"pass", r.refreshes, notes};
}

/// Product and model side by side, through one conversation.
class TcpPair {
public:
    TcpPair(abi::SeqCheck check, bool pickup, const dp::TcpSegment& first) : check_{check}, model_{model_mode(check)} {
        if (pickup) {
            dp::tcp_pick_up(flow_, first);
            flow_.phase = dp::FlowPhase::established;
            model_.pick_up(model_segment(first));
        } else {
            begin(first);
        }
    }

    /// Empty: they agree.
    std::string step(const Sent& sent) {
        const int from = swapped_ ? 1 - sent.from : sent.from;
        const dp::TcpResult r =
            dp::tcp_advance(flow_, from == 0 ? dp::Direction::original : dp::Direction::reply, sent.segment, check_);
        const ModelAnswer is = product_answer(r), expected = model_.judge(model_segment(sent.segment), from);
        if (r.outcome == dp::TcpOutcome::pass) flow_.phase = r.next;
        if (is != expected) return text(is) + ", expected " + text(expected);
        if (r.outcome == dp::TcpOutcome::reopen) {
            swapped_ = sent.from == 1;
            begin(sent.segment);
        }
        if (flow_.phase != phase_of(model_.state())) {
            return "phase " + std::to_string(int(flow_.phase)) + ", expected " +
                   std::to_string(int(phase_of(model_.state())));
        }
        return "";
    }

    const TcpModel& model() const { return model_; }
    int role(int from) const { return swapped_ ? 1 - from : from; }

private:
    void begin(const dp::TcpSegment& syn) {
        flow_ = dp::FlowHot{};
        dp::tcp_open(flow_, syn);
        flow_.phase = dp::FlowPhase::syn_sent;
        model_ = TcpModel{model_mode(check_)};
        model_.open(model_segment(syn));
    }
    static std::string text(const ModelAnswer& a) {
        return a.what + (a.notes.empty() ? "" : " (" + a.notes + ")") + (a.sign_of_life ? ", refreshes" : "");
    }

    abi::SeqCheck check_;
    dp::FlowHot flow_{};
    TcpModel model_;
    bool swapped_{};
};

}  // namespace sluice::test
