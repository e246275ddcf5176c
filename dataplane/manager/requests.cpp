/// The manager's answers to what clients of the tables socket ask.
#include <algorithm>
#include <cstring>

#include <sluice/abi/layout.hpp>

#include "dataplane/manager/log.hpp"
#include "dataplane/manager/manager.hpp"

namespace sluice::dp {

namespace {

constexpr std::uint64_t kAdoptWithinMsDefault = 1'000, kAdoptWithinMsMax = 60'000;
constexpr std::uint64_t kConfirmWithinMsMax = std::uint64_t{24} * 3600 * 1000;

template <typename Message>
Message read_as(std::span<const std::byte> bytes) {
    Message message;
    // The socket has checked the length; an array at the end may be shorter than it could be.
    std::memcpy(&message, bytes.data(), std::min(bytes.size(), sizeof message));
    return message;
}

/// Descriptors in the order of Offer::section_fd; empty: positions and descriptors do not match one to one.
std::optional<GenerationFds> sort_fds(const abi::Offer& offer, std::vector<UniqueFd> fds) {
    if (fds.empty()) return std::nullopt;
    GenerationFds sorted;
    std::size_t used = 1;
    for (std::size_t i = 0; i < offer.section_fd.size(); ++i) {
        const std::int32_t position = offer.section_fd[i];
        if (position == -1) continue;
        const auto at = static_cast<std::size_t>(position);
        if (position < 1 || at >= fds.size() || !fds[at]) return std::nullopt;
        sorted.sections[i] = std::move(fds[at]);
        ++used;
    }
    if (used != fds.size()) return std::nullopt;
    sorted.manifest = std::move(fds[0]);
    return sorted;
}

}  // namespace

void Manager::connected(ClientId client) {
    abi::Hello hello;
    hello.rule_slots_max = options_.rule_slots_max;
    hello.layout_hash = abi::kLayoutHash;
    hello.state = state();
    for (std::size_t i = 0; i < options_.port_names.size(); ++i) {
        auto& text = hello.ports[i].text;
        std::memcpy(text.data(), options_.port_names[i].data(),
                    std::min(options_.port_names[i].size(), text.size() - 1));
    }
    for (std::size_t i = 0; i < options_.wires.size(); ++i) {
        hello.wires[i] = {options_.wires[i].first, options_.wires[i].second};
    }
    hello.wire_count = static_cast<std::uint32_t>(options_.wires.size());
    socket_->send(client, hello, telemetry_.fds());
}

void Manager::disconnected(ClientId client) {
    if (publisher_ == client) {
        publisher_ = 0;
        dumps_.watch_new_flows(0);  // nobody reads for whom workers would write
    }
    dumps_.forget(client);
}

bool Manager::message(ClientId client, std::span<const std::byte> bytes, std::vector<UniqueFd> fds) {
    switch (read_as<abi::MessageHeader>(bytes).type) {
        case abi::MessageType::claim: on_claim(client, read_as<abi::Claim>(bytes)); return true;
        case abi::MessageType::offer: return on_offer(client, read_as<abi::Offer>(bytes), std::move(fds));
        case abi::MessageType::confirm: on_confirm(client, read_as<abi::Confirm>(bytes)); return true;
        case abi::MessageType::revert: on_revert(client, read_as<abi::Revert>(bytes)); return true;
        case abi::MessageType::get_running: on_get_running(client, read_as<abi::GetRunning>(bytes)); return true;
        case abi::MessageType::get_status: on_get_status(client, read_as<abi::GetStatus>(bytes)); return true;
        case abi::MessageType::dump_flows: return on_dump_flows(client, read_as<abi::DumpFlows>(bytes));
        case abi::MessageType::end_flows: return on_end_flows(client, read_as<abi::EndFlows>(bytes));
        case abi::MessageType::change_sets: return on_change_sets(client, read_as<abi::ChangeSets>(bytes));
        case abi::MessageType::get_members: return on_get_members(client, read_as<abi::GetMembers>(bytes));
        case abi::MessageType::watch_flows: return on_watch_flows(client, read_as<abi::WatchFlows>(bytes));
        default: return false;
    }
}

void Manager::on_claim(ClientId client, const abi::Claim& claim) {
    const auto uid = socket_->peer(client).uid;
    const bool may =
        std::find(options_.publishers.begin(), options_.publishers.end(), uid) != options_.publishers.end();
    if (may && publisher_ == 0) publisher_ = client;
    abi::Claimed reply;
    reply.header.sequence = claim.header.sequence;
    reply.granted = publisher_ == client ? 1 : 0;
    if (reply.granted == 0) {
        reply.holder_pid = publisher_ == 0 ? 0 : socket_->peer(publisher_).pid;
        log_warning("claim not granted; uid={} holder_pid={}", uid, reply.holder_pid);
    }
    socket_->send(client, reply);
}

bool Manager::on_offer(ClientId client, const abi::Offer& offer, std::vector<UniqueFd> fds) {
    const abi::MonoTime started = options_.clock();
    auto sorted = sort_fds(offer, std::move(fds));
    if (!sorted) return false;
    auto accepted = accept_offer(client, offer, std::move(*sorted));
    if (!accepted) {
        log_warning("refused generation {}: {}; reason={}", offer.generation, accepted.error().where,
                    to_string(accepted.error().reason));
        refuse(client, offer.header.sequence, accepted.error().reason, accepted.error().where);
        return true;
    }
    const auto& running = generations_.running();
    if (*accepted != running) {
        const bool other_tables = running && (*accepted)->manifest.generation == running->manifest.generation;
        // In the store before it runs: a crash at any instant finds the generation that the state names.
        store_.keep(**accepted);
        const abi::MonoTime deadline{offer.confirm_within_ms == 0
                                         ? 0
                                         : started.ns +
                                               std::min(offer.confirm_within_ms, kConfirmWithinMsMax) * 1'000'000};
        if (other_tables) {
            generations_.replace_tables(std::move(*accepted));
        } else {
            generations_.switch_to(std::move(*accepted), abi::StateSource::publisher, deadline);
        }
        record();
    }
    switched(client, offer.header.sequence, offer.adopt_within_ms, started);
    return true;
}

Expected<std::shared_ptr<const Generation>, Refusal> Manager::accept_offer(ClientId client, const abi::Offer& offer,
                                                                           GenerationFds fds) {
    const auto no = [](abi::RefuseReason reason, std::string where) {
        return Unexpected<Refusal>{Refusal{reason, std::move(where)}};
    };
    if (client != publisher_) return no(abi::RefuseReason::not_publisher, "the sender has not claimed to publish");
    const auto& running = generations_.running();
    // A publisher that lost the answer may offer again what runs already, and one that has compiled it otherwise, too.
    const bool again = running && running->manifest.generation == offer.generation &&
                       running->manifest.generation_digest == offer.digest;
    if (!again && offer.generation <= generations_.highest_seen()) {
        return no(abi::RefuseReason::generation_old, fmt::format("generation {} is not above {}, the highest seen here",
                                                                 offer.generation, generations_.highest_seen()));
    }
    if (offer.confirm_within_ms != 0 && !running) {
        return no(abi::RefuseReason::nothing_to_confirm,
                  "a confirmation is wanted, but no generation runs that could be returned to; publish without it");
    }
    auto attached = attacher_.attach(std::move(fds));
    if (!attached) return attached;
    const abi::Manifest& manifest = (*attached)->manifest;
    if (again && manifest.digest == running->manifest.digest) return running;
    if (!generations_.may_switch()) {
        return no(abi::RefuseReason::too_many_unretired,
                  fmt::format("{} generations are still held by stalled workers {:#x}", kUnretiredMax,
                              generations_.late_workers(generations_.sequence())));
    }
    if (manifest.generation != offer.generation || manifest.generation_digest != offer.digest) {
        return no(abi::RefuseReason::digest_wrong, "the manifest names another generation or digest than the offer");
    }
    const bool sets_are_there =
        manifest.set_epoch == sets_.table().epoch() && manifest.set_delta <= sets_.table().number();
    if (!(*attached)->view.set_uses.empty() && manifest.set_epoch != 0 && !sets_are_there) {
        return no(abi::RefuseReason::sets_behind,
                  fmt::format("it asks for sets after change {}, the last one here is {}", manifest.set_delta,
                              sets_.table().number()));
    }
    return attached;
}

void Manager::switched(ClientId client, std::uint32_t request, std::uint64_t adopt_within_ms, abi::MonoTime started) {
    const std::uint64_t patience_ms =
        adopt_within_ms == 0 ? kAdoptWithinMsDefault : std::min(adopt_within_ms, kAdoptWithinMsMax);
    pending_.push_back({client,
                        request,
                        generations_.sequence(),
                        generations_.running()->manifest.generation,
                        started,
                        {started.ns + patience_ms * 1'000'000}});
}

void Manager::on_confirm(ClientId client, const abi::Confirm& confirm) {
    const auto request = confirm.header.sequence;
    if (client != publisher_) {
        return refuse(client, request, abi::RefuseReason::not_publisher, "the sender has not claimed to publish");
    }
    if (!generations_.confirm(confirm.generation)) {
        return refuse(client, request, abi::RefuseReason::nothing_to_confirm,
                      fmt::format("generation {} does not wait for a confirmation", confirm.generation));
    }
    record();
    log_info("confirmed generation {}", confirm.generation);
    socket_->send(client, answer(abi::AnswerKind::adopted, request));
}

void Manager::on_revert(ClientId client, const abi::Revert& revert) {
    const auto request = revert.header.sequence;
    const abi::MonoTime started = options_.clock();
    if (client != publisher_) {
        return refuse(client, request, abi::RefuseReason::not_publisher, "the sender has not claimed to publish");
    }
    if (!generations_.may_switch()) {
        return refuse(client, request, abi::RefuseReason::too_many_unretired, "stalled workers hold all generations");
    }
    if (!generations_.revert(revert.generation, abi::StateSource::reverted)) {
        return refuse(client, request, abi::RefuseReason::nothing_to_confirm,
                      fmt::format("generation {} does not run, or there is none to return to", revert.generation));
    }
    telemetry_.manager().reverts.add(1);
    record();
    log_info("reverted generation {} on request; running generation {}", revert.generation,
             generations_.running()->manifest.generation);
    switched(client, request, 0, started);
}

void Manager::on_get_running(ClientId client, const abi::GetRunning& request) {
    abi::Running reply;
    reply.header.sequence = request.header.sequence;
    std::vector<int> fds;
    if (const auto& running = generations_.running()) {
        reply.generation = running->manifest.generation;
        fds.push_back(running->manifest_fd.get());
        for (const auto& section : running->sections) fds.push_back(section->fd.get());
    }
    socket_->send(client, reply, fds);
}

void Manager::on_get_status(ClientId client, const abi::GetStatus& request) {
    abi::Status reply;
    reply.header.sequence = request.header.sequence;
    reply.state = state();
    socket_->send(client, reply);
}

bool Manager::on_dump_flows(ClientId client, const abi::DumpFlows& request) {
    return request.filter.valid() && dumps_.ask({.client = client,
                                                 .sequence = request.header.sequence,
                                                 .cursor = request.cursor,
                                                 .count_max = request.count_max,
                                                 .filter = request.filter});
}

bool Manager::on_end_flows(ClientId client, const abi::EndFlows& request) {
    if (!request.filter.valid() || request.answered > 1) return false;
    if (client != publisher_) {
        abi::FlowsEnded reply;
        reply.header.sequence = request.header.sequence;
        socket_->send(client, reply);
        return true;
    }
    return dumps_.ask({.client = client,
                       .sequence = request.header.sequence,
                       .cursor = request.cursor,
                       .task = request.answered != 0 ? FlowTask::end_answered : FlowTask::end,
                       .filter = request.filter});
}

bool Manager::on_watch_flows(ClientId client, const abi::WatchFlows& request) {
    if (request.per_second > abi::kWatchedPerSecondMax || request.must_be_zero != 0) return false;
    abi::FlowsWatched reply;
    reply.header.sequence = request.header.sequence;
    reply.granted = client == publisher_ ? 1 : 0;
    if (reply.granted != 0) dumps_.watch_new_flows(request.per_second);
    socket_->send(client, reply);
    return true;
}

void Manager::refuse(ClientId client, std::uint32_t request, abi::RefuseReason reason, std::string_view where) {
    auto reply = answer(abi::AnswerKind::refused, request);
    reply.reason = reason;
    std::memcpy(reply.where.data(), where.data(), std::min(where.size(), reply.where.size() - 1));
    telemetry_.manager().publishes_refused.add(1);
    socket_->send(client, reply);
}

abi::Answer Manager::answer(abi::AnswerKind kind, std::uint32_t request) const {
    abi::Answer reply;
    reply.header.sequence = request;
    reply.kind = kind;
    if (const auto& running = generations_.running()) {
        reply.generation = running->manifest.generation;
        reply.digest = running->manifest.generation_digest;
    }
    reply.confirm_deadline = generations_.confirm_deadline();
    return reply;
}

}  // namespace sluice::dp
