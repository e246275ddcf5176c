/// The manager's answers to what clients of the tables socket say and ask about sets.
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "dataplane/manager/log.hpp"
#include "dataplane/manager/manager.hpp"

namespace sluice::dp {

namespace {

constexpr std::uint64_t kEnforceWithinMsDefault = 1'000, kEnforceWithinMsMax = 60'000;

}  // namespace

bool Manager::on_change_sets(ClientId client, const abi::ChangeSets& batch) {
    const abi::MonoTime started = options_.clock();
    if (client != publisher_) {
        send_sets_refused(client, batch.header.sequence,
                          {abi::RefuseReason::not_publisher, "the sender has not claimed to publish"});
        return true;
    }
    const auto applied = sets_.apply(batch, started);
    if (!applied) {
        if (applied.error().reason == abi::RefuseReason::malformed_message) return false;
        log_warning("refused set changes {}: {}; reason={}", batch.number, applied.error().where,
                    to_string(applied.error().reason));
        send_sets_refused(client, batch.header.sequence, applied.error());
        return true;
    }
    const std::uint64_t patience_ms = batch.adopt_within_ms == 0
                                          ? kEnforceWithinMsDefault
                                          : std::min<std::uint64_t>(batch.adopt_within_ms, kEnforceWithinMsMax);
    pending_sets_.push_back({.client = client,
                             .request = batch.header.sequence,
                             .number = batch.number,
                             .started = started,
                             .deadline = {started.ns + patience_ms * 1'000'000}});
    return true;
}

/// In the order in which batches came: what is in force at a sequence is everything before it.
void Manager::turn_sets(abi::MonoTime now) {
    sets_.turn(now);
    const std::uint64_t in_force_at = sets_.in_force_at();
    std::erase_if(pending_sets_, [&](PendingSets& p) {
        if (p.sequence == 0) p.sequence = in_force_at;
        const std::uint64_t late = p.sequence == 0 ? generations_.late_workers(generations_.sequence())
                                                   : generations_.late_workers(p.sequence);
        const bool done = p.sequence != 0 && late == 0;
        if (!done && now < p.deadline) return false;
        abi::SetsChanged reply;
        reply.header.sequence = p.request;
        reply.kind = done ? abi::AnswerKind::adopted : abi::AnswerKind::stalled;
        reply.epoch = sets_.table().epoch();
        reply.number = p.number;
        reply.members = sets_.table().counts().members;
        reply.stalled_workers = late;
        reply.enforced_ns = now.ns - p.started.ns;
        if (socket_) socket_->send(p.client, reply);
        return true;
    });
    auto& counters = telemetry_.manager();
    const SetTable::Counts& counts = sets_.table().counts();
    counters.set_members.set(counts.members);
    counters.set_changes.set(counts.changes);
    counters.set_expired.set(counts.expired);
}

void Manager::send_sets_refused(ClientId client, std::uint32_t request, const Refusal& refusal) {
    abi::SetsChanged reply;
    reply.header.sequence = request;
    reply.kind = abi::AnswerKind::refused;
    reply.reason = refusal.reason;
    reply.epoch = sets_.table().epoch();
    reply.number = sets_.table().number();
    reply.members = sets_.table().counts().members;
    std::memcpy(reply.where.data(), refusal.where.data(), std::min(refusal.where.size(), reply.where.size() - 1));
    socket_->send(client, reply);
}

bool Manager::on_get_members(ClientId client, const abi::GetMembers& request) {
    if (request.count > abi::kSetChangesMax || request.must_be_zero != 0) return false;
    abi::Members reply;
    reply.header.sequence = request.header.sequence;
    reply.count = request.count;
    for (std::uint32_t i = 0; i < request.count; ++i)
        reply.states[i] = sets_.table().member(request.set, request.members[i]);
    reply.header.bytes =
        static_cast<std::uint32_t>(offsetof(abi::Members, states) + request.count * sizeof(abi::MemberState));
    socket_->send(client, reply);
    return true;
}

}  // namespace sluice::dp
