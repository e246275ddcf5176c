#include "dataplane/flow/flow_entry.hpp"

namespace sluice::dp {

abi::FlowState public_state(FlowPhase phase) noexcept {
    switch (phase) {
        case FlowPhase::free: return abi::FlowState::none;
        case FlowPhase::syn_sent:
        case FlowPhase::syn_crossed: return abi::FlowState::syn_sent;
        case FlowPhase::syn_acked_ahead:
        case FlowPhase::syn_received: return abi::FlowState::syn_received;
        case FlowPhase::established: return abi::FlowState::established;
        case FlowPhase::fin_wait_original:
        case FlowPhase::fin_wait_reply: return abi::FlowState::fin_wait;
        case FlowPhase::closing: return abi::FlowState::closing;
        case FlowPhase::time_wait: return abi::FlowState::time_wait;
        case FlowPhase::closed: return abi::FlowState::closed;
        case FlowPhase::udp_oneway:
        case FlowPhase::icmp_oneway:
        case FlowPhase::other_oneway: return abi::FlowState::oneway;
        case FlowPhase::udp_stream:
        case FlowPhase::icmp_answered:
        case FlowPhase::other_stream: return abi::FlowState::stream;
        case FlowPhase::sctp_init:
        case FlowPhase::sctp_init_acked:
        case FlowPhase::sctp_cookie_echoed: return abi::FlowState::opening;
        case FlowPhase::sctp_established: return abi::FlowState::established;
        case FlowPhase::sctp_shutdown: return abi::FlowState::closing;
        case FlowPhase::sctp_closed: return abi::FlowState::closed;
    }
    return abi::FlowState::none;
}

}  // namespace sluice::dp
