/// The model's loop: bursts in, frames out, and the flow table held against it at the end.
#include <algorithm>
#include <utility>

#include "tests/simulation/model.hpp"

namespace sluice::sim {

using abi::DropReason;
using abi::FlowState;

namespace {

constexpr std::size_t kBurstMax = 32;

}  // namespace

void WorkerModel::begin_loop(std::shared_ptr<const Edition> edition, std::uint64_t switch_number, const Instant& at) {
    at_ = at;
    if (!has_run_ || switch_number != switch_number_) switched_tick_ = at.tick();
    has_run_ = true;
    edition_ = std::move(edition);
    switch_number_ = switch_number;
}

std::size_t WorkerModel::burst(std::uint8_t port, Devices& devices) {
    std::vector<Letter> letters;
    while (letters.size() < kBurstMax && !queue_[port].empty()) {
        letters.push_back(std::move(queue_[port].front()));
        queue_[port].pop_front();
    }
    if (letters.empty()) return 0;
    std::vector<Decision> decisions(letters.size());
    std::set<std::string> waiting;
    for (std::size_t i = 0; i < letters.size(); ++i) {
        ++ports[port].rx_packets;
        ports[port].rx_bytes += letters[i].frame.size();
        decisions[i] = edition_ ? at_once(letters[i], waiting) : Decision{End::drop, DropReason::no_policy, false};
        if (decisions[i].end == End::undecided) waiting.insert(flow_key(letters[i]));
    }
    for (std::size_t i = 0; i < letters.size(); ++i) {
        if (decisions[i].end == End::undecided) decisions[i] = in_turn(letters[i]);
    }
    leave(letters, decisions, devices);
    return letters.size();
}

bool WorkerModel::take_answer() {
    const std::uint64_t period_ns = 1'000'000'000 / options_.answers_per_second;
    if (!answered_) {
        answered_ = true;
        answer_start_ns_ = at_.now_ns;
        answer_tokens_ = options_.answers_per_second;
    }
    const std::uint64_t refills = (at_.now_ns - answer_start_ns_) / period_ns;
    answer_tokens_ = std::min<std::uint64_t>(options_.answers_per_second, answer_tokens_ + refills - answer_refills_);
    answer_refills_ = refills;
    if (answer_tokens_ == 0) return false;
    --answer_tokens_;
    return true;
}

/// Drops are counted and answered, then everything that passes leaves in order, then the answers.
void WorkerModel::leave(std::vector<Letter>& letters, std::vector<Decision>& decisions, Devices& devices) {
    const std::uint8_t in = letters.front().port, out = partner(in);
    std::vector<std::size_t> answers;
    for (std::size_t i = 0; i < letters.size(); ++i) {
        if (decisions[i].end == End::pass) continue;
        account_drop(letters[i], decisions[i]);
        if (decisions[i].end != End::reject || !letters[i].answerable) continue;
        if (!take_answer()) {
            ++answers_limited;
        } else if (!devices.can_allocate || waiting() + letters.size() + answers.size() >= options_.buffers) {
            abi::FlowEvent e = event_about(letters[i], abi::EventKind::drop);
            e.drop = DropReason::no_mbuf;
            write_sampled(e);
        } else {
            answers.push_back(i);
            ++ports[in].originated;
        }
    }
    const auto take = [&](std::uint8_t port) {
        if (!devices.link_up[port] || devices.tx_room[port] == 0) return false;
        --devices.tx_room[port];
        ++ports[port].tx_packets;
        ++ports[in].forwarded;
        return true;
    };
    const auto why_not = [&](std::uint8_t port) {
        return devices.link_up[port] ? DropReason::tx_full : DropReason::port_down;
    };
    for (std::size_t i = 0; i < letters.size(); ++i) {
        bool way_out_only = false;
        if (decisions[i].end == End::pass) {
            if (take(out)) {
                ports[out].tx_bytes += letters[i].frame.size();
                sent.push_back({out, letters[i].frame, false});
            } else {
                way_out_only = true;
                decisions[i] = {End::drop, why_not(out), false};
                account_drop(letters[i], decisions[i]);
            }
        }
        const bool passed = decisions[i].end == End::pass;
        fates.push_back(
            {letters[i], passed ? "forward" : std::string{abi::to_string(decisions[i].reason)}, way_out_only});
    }
    for (const std::size_t i : answers) {
        if (take(in)) {
            sent.push_back({in, letters[i].frame, true});
        } else {
            ++ports[in].drops[static_cast<std::size_t>(why_not(in))];
        }
    }
}

void WorkerModel::judge_idle_flows() {
    std::vector<std::string> stale_ones;
    for (const auto& [key, flow] : flows) {
        if (stale(flow) && !over(flow)) stale_ones.push_back(key);
    }
    for (const std::string& key : stale_ones) {
        ModelFlow& flow = flows.at(key);
        const Ruling ruling = ask(flow.original, flow.port, nullptr);
        if (ruling.verdict != abi::Verdict::allow && ruling.on_change == abi::OnChange::keep) {
            keep(flow, ruling);
            continue;
        }
        if (ruling.verdict != abi::Verdict::allow || flow.slot != ruling.slot) hit(ruling.slot);
        if (ruling.verdict == abi::Verdict::allow) {
            judge(flow, ruling);
            continue;
        }
        ++ended_by_policy;
        end_flow(key, abi::FlowEnd::policy, ruling, abi::logs_end(flow.log) || ruling.log != abi::RuleLog::none);
    }
}

std::string WorkerModel::end_loop(const std::vector<abi::FlowRecord>& present) {
    if (edition_) judge_idle_flows();
    std::map<std::string, const abi::FlowRecord*> seen;
    for (const abi::FlowRecord& r : present) {
        // The record does not name the wire; zones and addresses do not tell it either, so both are tried.
        std::string key;
        for (const std::uint8_t port : {std::uint8_t{0}, std::uint8_t{2}}) {
            key = flow_key(port, told_tuple(r.family, r.src, r.dst, r.proto, r.sport.to_host(), r.dport.to_host()),
                           Role::plain);
            if (flows.contains(key)) break;
        }
        if (!flows.contains(key)) return "the table holds a flow that should not be there";
        if (!seen.emplace(key, &r).second) return "a flow stands twice in the table";
        const ModelFlow& f = flows.at(key);
        const std::uint64_t age_ms = (at_.tick() - f.started_tick) * 10, idle_ms = (at_.tick() - f.seen_tick) * 10;
        const bool long_ago = switch_number_ - f.judged_at >= 8;
        const auto differs = [](const std::string& what, std::uint64_t got, std::uint64_t expected) {
            return "a flow's " + what + " is " + std::to_string(got) + ", expected " + std::to_string(expected);
        };
        if (r.state != f.state)
            return differs("state", static_cast<std::uint64_t>(r.state), static_cast<std::uint64_t>(f.state));
        if (r.slot != f.slot)
            return differs("slot", static_cast<std::uint64_t>(r.slot), static_cast<std::uint64_t>(f.slot));
        if (r.packets != f.packets) return differs("packets", r.packets[0], f.packets[0]);
        if (r.bytes != f.bytes) return differs("bytes", r.bytes[0], f.bytes[0]);
        if (r.src != f.original.src) return "a flow's directions are swapped";
        if (r.from_zone != f.zone[0] || r.to_zone != f.zone[1])
            return differs("zone", static_cast<std::uint64_t>(r.from_zone), static_cast<std::uint64_t>(f.zone[0]));
        if ((r.kept != 0) != f.kept) return differs("being kept", r.kept, f.kept ? 1 : 0);
        if (r.worker != worker_) return differs("worker", r.worker, worker_);
        if (r.generation != f.judged_generation && !(long_ago && r.generation == 0))
            return differs("generation", r.generation, f.judged_generation);
        if (r.age_ms != std::min<std::uint64_t>(age_ms, UINT32_MAX)) return differs("age", r.age_ms, age_ms);
        if (r.idle_ms != std::min<std::uint64_t>(idle_ms, UINT32_MAX)) return differs("idle time", r.idle_ms, idle_ms);
    }
    std::vector<std::string> gone;
    for (const auto& [key, flow] : flows) {
        if (!seen.contains(key)) {
            if (!over(flow))
                return "a flow is gone before its time: idle " + std::to_string((at_.tick() - flow.seen_tick) * 10) +
                       " ms of " + std::to_string(timeout_ticks(flow) * 10);
            gone.push_back(key);
        } else if (at_.tick() >= std::max(flow.seen_tick + timeout_ticks(flow), switched_tick_) + kLapTicks) {
            return "a flow outstays its time: idle " + std::to_string((at_.tick() - flow.seen_tick) * 10) + " ms of " +
                   std::to_string(timeout_ticks(flow) * 10);
        }
    }
    for (const std::string& key : gone) end_naturally(key, abi::FlowEnd::expired);
    settle();
    return {};
}

}  // namespace sluice::sim
