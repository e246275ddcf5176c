#include "controlplane/lifecycle/shadow_tally.hpp"

#include <algorithm>
#include <chrono>
#include <tuple>
#include <utility>

namespace sluice::cp {
namespace {

constexpr std::size_t kExpiriesMax = 65'536;  ///< of members, between two batches of events

std::uint64_t unix_now_s() {
    using namespace std::chrono;
    return static_cast<std::uint64_t>(duration_cast<seconds>(system_clock::now().time_since_epoch()).count());
}

dp::LookupKey key_of(const abi::FlowEvent& event, abi::ZoneId from, abi::ZoneId to) {
    return {.src = event.src,
            .dst = event.dst,
            .from = from,
            .to = to,
            .dport_or_icmp = event.proto == abi::L4Proto::sctp ? std::uint16_t{} : event.dport.to_host(),
            .family = event.family,
            .proto = event.proto};
}

}  // namespace

void ShadowTally::use_wires(const WireHint& wires) {
    places_.clear();
    std::unordered_map<std::string, abi::ZoneId> zones;
    const auto& policy = candidate_->policy;
    for (std::size_t z = 0; z < policy.zones.size(); ++z) {
        for (const auto& port : policy.zones[z].ports) zones[port] = abi::ZoneId{static_cast<std::uint16_t>(z)};
    }
    const auto add = [&](const std::string& in, const std::string& out) {
        const auto from = zones.find(in), to = zones.find(out);
        if (from != zones.end() && to != zones.end()) places_[in] = {from->second, to->second};
    };
    for (const auto& [a, b] : wires.wires) {
        add(a, b);
        add(b, a);
    }
}

void ShadowTally::add(const EventBatch& batch) {
    std::array<dp::LookupKey, dp::kLookupBatchMax> keys{};
    std::array<const RingEvent*, dp::kLookupBatchMax> events{};
    std::array<Place, dp::kLookupBatchMax> places{};
    std::size_t waiting = 0;
    dp::TableView view = candidate_->view.at(unix_now_s());
    if (members_ != nullptr) {
        (*members_)->expire(abi::MonoTime::now(), nullptr, 0, kExpiriesMax);
        view.members = (*members_)->view(view, nullptr, 0);
    }
    const auto ask = [&] {
        std::array<dp::LookupResult, dp::kLookupBatchMax> results{};
        dp::lookup(view, {keys.data(), waiting}, {results.data(), waiting});
        for (std::size_t i = 0; i < waiting; ++i) count(*events[i], batch, places[i], results[i].rule);
        waiting = 0;
    };
    for (const RingEvent& event : batch.events) {
        if (event.kind != abi::EventKind::new_flow || event.time < since_) continue;
        sampled_ += event.suppressed;
        const auto place = places_.find(std::string{batch.names->port(event.in_port)});
        if (place == places_.end() || event.family == abi::IpFamily::none) {
            ++unplaced_;
            continue;
        }
        keys[waiting] = key_of(event, place->second.from, place->second.to);
        events[waiting] = &event;
        places[waiting] = place->second;
        if (++waiting == keys.size()) ask();
    }
    if (waiting != 0) ask();
}

void ShadowTally::count(const RingEvent& event, const EventBatch& batch, const Place& place, abi::RuleIndex rule) {
    const dp::TableView& view = candidate_->view;
    const abi::Verdict would = view.rule(rule).verdict;
    const std::string_view live_rule = batch.names->rule(event.slot);
    ++flows_;
    ++by_verdict_[static_cast<std::size_t>(event.verdict)][static_cast<std::size_t>(would)];
    if (event.verdict == would) {
        if (live_rule != view.rule_id(rule)) ++other_rule_;
        return;
    }
    ++changed_;
    Pair* pair = pair_of(live_rule, event.verdict, rule);
    if (pair == nullptr) {
        ++others_;
        return;
    }
    ++pair->flows;
    pair->last_ns = batch.clock.utc_ns(event.time);
    pair->examples.push_front({.time_ns = pair->last_ns,
                               .in_port = std::string{batch.names->port(event.in_port)},
                               .from_zone = std::string{view.zone_name(place.from)},
                               .to_zone = std::string{view.zone_name(place.to)},
                               .family = event.family,
                               .proto = event.proto,
                               .src = event.src,
                               .dst = event.dst,
                               .sport = event.sport.to_host(),
                               .dport = event.dport.to_host()});
    if (pair->examples.size() > kExamplesPerPair) pair->examples.pop_back();
}

/// Null: there is no room for another one.
ShadowTally::Pair* ShadowTally::pair_of(std::string_view live_rule, abi::Verdict live, abi::RuleIndex shadow) {
    key_.assign(live_rule).append(1, '\0').append(abi::to_string(live)).append(1, '\0').append(std::to_string(shadow));
    const auto found = pairs_.find(key_);
    if (found != pairs_.end()) return &found->second;
    if (pairs_.size() == kPairsMax) return nullptr;
    return &pairs_.emplace(key_, Pair{std::string{live_rule}, live, shadow}).first->second;
}

void ShadowTally::tell(ShadowReport& report) const {
    report.flows = flows_;
    report.by_verdict = by_verdict_;
    report.changed = changed_;
    report.other_rule = other_rule_;
    report.unseen.sampled = sampled_;
    report.unseen.unplaced = unplaced_;
    report.flows_left_out = others_;
    std::vector<const Pair*> all;
    for (const auto& [key, pair] : pairs_) all.push_back(&pair);
    std::ranges::sort(all, [](const Pair* a, const Pair* b) {
        return std::tie(b->flows, a->live_rule, a->live, a->shadow) <
               std::tie(a->flows, b->live_rule, b->live, b->shadow);
    });
    for (const Pair* pair : all) {
        if (report.pairs.size() == kPairsTold) {
            report.flows_left_out += pair->flows;
            continue;
        }
        report.pairs.push_back({pair->live_rule,
                                pair->live,
                                std::string{candidate_->view.rule_id(pair->shadow)},
                                candidate_->view.rule(pair->shadow).verdict,
                                pair->flows,
                                pair->last_ns,
                                {pair->examples.begin(), pair->examples.end()}});
    }
}

}  // namespace sluice::cp
