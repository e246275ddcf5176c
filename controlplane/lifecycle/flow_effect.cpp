#include "controlplane/lifecycle/flow_effect.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace sluice::cp {
namespace {

constexpr std::size_t kGroupsTold = 50, kPeersTold = 10;
/// Of all groups together: who makes a plan of a flood with forged sources must not fill our memory with them.
constexpr std::size_t kPeersMax = 65'536;
/// Clocks are set while records are written: a start and the end that names it may differ by so much.
constexpr std::int64_t kClockSlackNs = 1'000'000'000;

std::uint64_t group_of(abi::RuleIndex was, abi::RuleIndex is) noexcept { return std::uint64_t{was} << 32U | is; }

Decision decision_of(const dp::TableView& view, abi::RuleIndex rule) {
    return {std::string{view.rule_id(rule)}, view.rule(rule).verdict};
}

}  // namespace

std::size_t FlowTally::PeerHash::operator()(const PeerKey& key) const noexcept {
    const std::string_view bytes{reinterpret_cast<const char*>(key.src.bytes.data()), key.src.bytes.size()};
    return std::hash<std::string_view>{}(bytes) ^ std::hash<std::uint64_t>{}(key.group * 0x9e37'79b9'7f4a'7c15ULL);
}

FlowTally::FlowTally(const AnalysedPolicy& before, const AnalysedPolicy& after, const WireHint& wires)
    : before_{before}, after_{after}, places_{*before.policy, *after.policy, wires} {}

bool FlowTally::counted_at_start(const FlowRecord& record) const {
    const auto at = starts_.find(record.context->rule);
    return at != starts_.end() && record.started_ns >= at->second.first_ns - kClockSlackNs &&
           record.started_ns <= at->second.last_ns + kClockSlackNs;
}

void FlowTally::add(const FlowRecord& record) {
    const RecordContext& c = *record.context;
    switch (c.kind) {
        case abi::EventKind::flow_start: {
            const auto at = starts_.find(c.rule);
            if (at == starts_.end()) {
                starts_.emplace(std::string{c.rule}, Starts{record.time_ns, record.time_ns});
            } else {
                at->second.first_ns = std::min(at->second.first_ns, record.time_ns);
                at->second.last_ns = std::max(at->second.last_ns, record.time_ns);
            }
            break;
        }
        case abi::EventKind::flow_end:
            if (counted_at_start(record)) return;
            break;
        case abi::EventKind::flow_denied:
        case abi::EventKind::flow_rejected: break;
        default: return;  // no flow that a rule decided, or one that has another record
    }
    if (c.family == abi::IpFamily::none) return;
    const dp::LookupKey key{.src = record.src,
                            .dst = record.dst,
                            .dport_or_icmp = c.proto == abi::L4Proto::sctp ? std::uint16_t{} : record.dport,
                            .family = c.family,
                            .proto = c.proto};
    ask(key, places_.of(c.in_port, c.from_zone, c.to_zone));
}

void FlowTally::add(const abi::FlowRecord& live, std::string_view from_zone, std::string_view to_zone) {
    // What has lost its rights already loses none.
    if (live.kept != 0 || live.state == abi::FlowState::killed) return;
    const dp::LookupKey key{.src = live.src,
                            .dst = live.dst,
                            .dport_or_icmp = live.proto == abi::L4Proto::sctp ? std::uint16_t{} : live.dport.to_host(),
                            .family = live.family,
                            .proto = live.proto};
    ask(key, places_.of({}, from_zone, to_zone));
}

void FlowTally::ask(dp::LookupKey key, const FlowPlaces::Place* place) {
    ++effect_.flows;
    if (place == nullptr) {
        ++effect_.unplaced;
        return;
    }
    key.from = place->from_before;
    key.to = place->to_before;
    was_[waiting_] = key;
    key.from = place->from_after;
    key.to = place->to_after;
    is_[waiting_] = key;
    in_ports_[waiting_] = place->in_port;
    if (++waiting_ == kBatch) decide();
}

void FlowTally::decide() {
    static_assert(kBatch <= dp::kLookupBatchMax);
    std::array<dp::LookupResult, kBatch> was{}, is{};
    dp::lookup(*before_.view, {was_.data(), waiting_}, {was.data(), waiting_});
    dp::lookup(*after_.view, {is_.data(), waiting_}, {is.data(), waiting_});
    for (std::size_t i = 0; i < waiting_; ++i) count(is_[i], in_ports_[i], was[i].rule, is[i].rule);
    waiting_ = 0;
}

void FlowTally::count(const dp::LookupKey& key, const std::string& in_port, abi::RuleIndex was, abi::RuleIndex is) {
    const abi::RuleRecord &rule_was = before_.view->rule(was), &rule_is = after_.view->rule(is);
    if (rule_was.verdict == rule_is.verdict) {
        if (before_.view->rule_id(was) != after_.view->rule_id(is)) ++effect_.other_rule;
        return;
    }
    ++effect_.changed;
    if (rule_was.verdict == abi::Verdict::allow) {
        switch (rule_is.on_change) {
            case abi::OnChange::keep: ++effect_.kept; break;
            case abi::OnChange::kill: ++effect_.answered; break;
            case abi::OnChange::reevaluate: ++effect_.ended; break;
        }
    }
    const auto group = group_of(was, is);
    Group& its = groups_[group];
    ++its.flows;
    const PeerKey who{group, key.family, key.src};
    auto peer = peers_.find(who);
    if (peer == peers_.end()) {
        if (peers_.size() == kPeersMax) {
            ++its.others;
            return;
        }
        peer = peers_.emplace(who, Peer{0, key, in_port}).first;
    }
    ++peer->second.flows;
}

PlanPacket FlowTally::packet_of(const Peer& peer) const {
    const auto zone = [&](abi::ZoneId id) { return after_.policy->zones[static_cast<std::size_t>(id)].name; };
    return {peer.in_port, zone(peer.key.from), zone(peer.key.to), peer.key.family,
            peer.key.src, peer.key.dst,        peer.key.proto,    peer.key.dport_or_icmp};
}

FlowGroup FlowTally::told(std::uint64_t key) const {
    const auto was = static_cast<abi::RuleIndex>(key >> 32U), is = static_cast<abi::RuleIndex>(key & 0xffff'ffffU);
    FlowGroup group{.before = decision_of(*before_.view, was),
                    .after = decision_of(*after_.view, is),
                    .on_change = after_.view->rule(is).on_change,
                    .flows = groups_.at(key).flows,
                    .flows_left_out = groups_.at(key).others};
    std::vector<std::pair<const PeerKey*, const Peer*>> all;
    for (const auto& [who, peer] : peers_) {
        if (who.group == key) all.emplace_back(&who, &peer);
    }
    const auto more = [](const auto& a, const auto& b) {
        if (a.second->flows != b.second->flows) return a.second->flows > b.second->flows;
        return std::pair{a.first->family, a.first->src.bytes} < std::pair{b.first->family, b.first->src.bytes};
    };
    const auto first = std::min(kPeersTold, all.size());
    std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(first), all.end(), more);
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto& [who, peer] = all[i];
        if (i < kPeersTold) {
            group.peers.push_back({who->family, who->src, peer->flows, packet_of(*peer)});
        } else {
            group.flows_left_out += peer->flows;
        }
    }
    return group;
}

FlowEffect FlowTally::take() {
    if (waiting_ != 0) decide();
    std::vector<std::pair<std::uint64_t, std::uint64_t>> by_flows;  // flows, key
    for (const auto& [key, group] : groups_) by_flows.emplace_back(group.flows, key);
    std::ranges::sort(by_flows, [](const auto& a, const auto& b) {
        return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    if (by_flows.size() > kGroupsTold) {
        effect_.groups_left_out = by_flows.size() - kGroupsTold;
        by_flows.resize(kGroupsTold);
    }
    for (const auto& [flows, key] : by_flows) effect_.groups.push_back(told(key));
    return std::move(effect_);
}

}  // namespace sluice::cp
