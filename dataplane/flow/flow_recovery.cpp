#include "dataplane/flow/flow_recovery.hpp"

#include <algorithm>
#include <cstring>

#include "dataplane/flow/flow_table.hpp"

namespace sluice::dp {

namespace {

using abi::FlowLoss;
using abi::L4Proto;

bool is_icmp(L4Proto proto) noexcept { return proto == L4Proto::icmp || proto == L4Proto::icmp6; }

/// False for numbers that are no phase, too.
bool phase_fits(L4Proto proto, FlowPhase phase) noexcept {
    switch (phase) {
        case FlowPhase::free: return false;
        case FlowPhase::syn_sent:
        case FlowPhase::syn_crossed:
        case FlowPhase::syn_acked_ahead:
        case FlowPhase::syn_received:
        case FlowPhase::established:
        case FlowPhase::fin_wait_original:
        case FlowPhase::fin_wait_reply:
        case FlowPhase::closing:
        case FlowPhase::time_wait:
        case FlowPhase::closed: return proto == L4Proto::tcp;
        case FlowPhase::sctp_init:
        case FlowPhase::sctp_init_acked:
        case FlowPhase::sctp_cookie_echoed:
        case FlowPhase::sctp_established:
        case FlowPhase::sctp_shutdown:
        case FlowPhase::sctp_closed: return proto == L4Proto::sctp;
        case FlowPhase::udp_oneway:
        case FlowPhase::udp_stream: return proto == L4Proto::udp;
        case FlowPhase::icmp_oneway:
        case FlowPhase::icmp_answered: return is_icmp(proto);
        case FlowPhase::other_oneway:
        case FlowPhase::other_stream:
            return proto != L4Proto::tcp && proto != L4Proto::udp && proto != L4Proto::sctp && !is_icmp(proto);
    }
    return false;
}

/// The lower endpoint stands first (flow_key.hpp): a packet looks for no other order.
template <typename Key>
bool is_canonical(const Key& key) noexcept {
    const int by_addr = std::memcmp(&key.low_addr, &key.high_addr, sizeof key.low_addr);
    if (is_icmp(key.proto)) {
        return by_addr <= 0 && key.asker >= Asker::low_asks && key.asker <= Asker::high_speaks;
    }
    if (key.asker != Asker::ports_tell) return false;
    return by_addr != 0 ? by_addr < 0 : key.low_port.to_host() <= key.high_port.to_host();
}

template <typename Key>
std::optional<FlowLoss> loss_of_key(const Key& key, const FlowHot& hot, std::uint32_t wires) noexcept {
    // A mark whose ends are being told is `closed`, whatever its protocol.
    const bool told = hot.marked() && hot.phase == FlowPhase::closed;
    if (!is_canonical(key) || !(told || phase_fits(key.proto, hot.phase))) return FlowLoss::damaged;
    const auto domain = static_cast<std::uint32_t>(key.domain);
    if (domain >= abi::kPortsMax) return FlowLoss::damaged;
    if ((wires >> domain & 1U) == 0) return FlowLoss::wire;
    return std::nullopt;
}

bool lies_ahead(std::uint32_t tick, std::uint32_t now_tick) noexcept {
    return static_cast<std::int32_t>(now_tick - tick) < 0;
}

bool all_zero(const auto& numbers) noexcept {
    return std::all_of(numbers.begin(), numbers.end(), [](auto n) { return n == 0; });
}

const FlowV6Line* line_of(const FlowSlab& slab, const FlowHot& hot) noexcept {
    return hot.has(flow_flag::v6) && hot.v6.line < slab.v6.size() ? &slab.v6[hot.v6.line] : nullptr;
}

const FlowProxy* proxy_of(const FlowSlab& slab, const FlowHot& hot) noexcept {
    return hot.extended() && hot.extension_number() < slab.proxies.size() ? &slab.proxies[hot.extension_number()]
                                                                          : nullptr;
}

/// One bit per line of IPv6 keys, or per extension: two entries can't have the same.
class InUse {
public:
    explicit InUse(std::size_t count) noexcept : words_{(count + 63) / 64} {}
    /// False: it was taken already.
    bool take(std::uint32_t line) noexcept {
        const std::uint64_t bit = std::uint64_t{1} << (line % 64);
        if ((words_[line / 64] & bit) != 0) return false;
        words_[line / 64] |= bit;
        return true;
    }
    void release(std::uint32_t line) noexcept { words_[line / 64] &= ~(std::uint64_t{1} << (line % 64)); }
    bool has(std::uint32_t line) const noexcept { return (words_[line / 64] >> (line % 64) & 1U) != 0; }

private:
    PrefaultedArray<std::uint64_t> words_;
};

/// A flow that the server has not answered is one whose SYN waits, or that was reset before; one that it has answered
/// is past that.
bool extension_fits(const FlowHot& hot, const FlowProxy* proxy) noexcept {
    if (!hot.extended()) return true;
    if (proxy == nullptr || !is_plausible(*proxy)) return false;
    if (proxy->has(proxy_flag::answered)) return hot.phase <= FlowPhase::closed;  // TCP's phases
    return hot.phase == FlowPhase::syn_sent || hot.phase == FlowPhase::closed;
}

}  // namespace

std::optional<FlowLoss> loss_of(const FlowHot& hot, const FlowV6Line* line, const FlowProxy* proxy,
                                const RecoveryLimits& limits) noexcept {
    // The time since is at most the longest timeout (30 days), far from half of the ticks' circle.
    if (lies_ahead(hot.last_seen_tick, limits.now_tick + kAheadTicksMax)) return FlowLoss::damaged;
    if (!extension_fits(hot, proxy) || static_cast<std::uint32_t>(hot.slot()) >= limits.rule_slots) {
        return FlowLoss::damaged;
    }
    if (hot.kept() && hot.marked()) return FlowLoss::damaged;  // it goes on, or it is over
    if (!hot.has(flow_flag::v6)) return loss_of_key(hot.v4, hot, limits.wires);
    if (line == nullptr || !all_zero(hot.v6.must_be_zero) || !all_zero(line->must_be_zero)) return FlowLoss::damaged;
    return loss_of_key(line->key, hot, limits.wires);
}

void settle_ticks(FlowHot& hot, FlowCold& cold, std::uint32_t now_tick) noexcept {
    if (lies_ahead(hot.last_seen_tick, now_tick)) hot.last_seen_tick = now_tick;
    // Only a little ahead: a flow may be older than half of the circle.
    if (cold.started_tick - now_tick <= kAheadTicksMax) cold.started_tick = now_tick;
}

// -------------------------------------------------------------------------------------------- FlowTable: where it
// stands

/// Entries of one family on their way into the index. Their buckets are fetched half of the ring ahead: a look at one
/// that is not in the cache costs more than all the rest.
template <typename Key>
struct FlowTable::Found {
    static constexpr std::size_t kHalf = 16;
    std::array<Key, 2 * kHalf> keys;
    std::array<std::uint64_t, 2 * kHalf> hashes;
    std::array<std::uint32_t, 2 * kHalf> entries;
    std::size_t added{}, entered{};
    bool is_last{};  ///< nothing more is added: what is left is entered

    void add(const Key& key, std::uint32_t entry) noexcept {
        keys[added % (2 * kHalf)] = key;
        entries[added++ % (2 * kHalf)] = entry;
    }
};

void FlowTable::give_up(std::uint32_t i, FlowLoss why) noexcept {
    recovered_.lose(why);
    mark_free(hot_[i]);
    expiry_[i] = kNever;
}

/// Whenever a half is full: its buckets are fetched, and the half before it goes into the index. Of two entries with
/// one key (no process writes that) the first stays.
template <typename Key, typename Release>
void FlowTable::enter(Found<Key>& found, const Release& release) noexcept {
    constexpr std::size_t kHalf = Found<Key>::kHalf;
    if (!found.is_last && found.added % kHalf != 0) return;
    const std::size_t newest = (found.added - 1) / kHalf * kHalf;
    if (found.added != 0) {
        const std::size_t at = newest % (2 * kHalf);
        hasher_.hash(std::span<const Key>{&found.keys[at], found.added - newest}, &found.hashes[at]);
        for (std::size_t k = newest; k < found.added; ++k) prefetch_bucket(found.hashes[k % (2 * kHalf)]);
    }
    for (const std::size_t end = found.is_last ? found.added : newest; found.entered < end; ++found.entered) {
        const std::size_t k = found.entered % (2 * kHalf);
        const std::uint32_t i = found.entries[k];
        const bool is_twin = find_key(found.keys[k], found.hashes[k]) != kNoFlow;
        if (!is_twin && index_insert(found.hashes[k], i)) {
            // By place and not by age, which nobody knows any more.
            stand(i, Standing::assured, standing(hot_[i]));
            ++count_;
            ++recovered_.kept;
        } else {
            release(hot_[i]);
            give_up(i, is_twin ? FlowLoss::damaged : FlowLoss::room);
        }
    }
}

void FlowTable::rebuild(const RecoveryLimits& limits) noexcept {
    InUse lines{v6_.size()}, extensions{proxies_.size()};
    const auto release = [&](const FlowHot& e) {
        if (e.has(flow_flag::v6)) lines.release(e.v6.line);
        if (e.extended()) extensions.release(e.extension_number());
    };
    const FlowSlab slab{hot_.all(), v6_.all(), proxies_.all(), cold_.all()};
    Found<FlowKeyV4> v4;
    Found<FlowKeyV6> v6;
    for (std::uint32_t i = 0; i < hot_.size(); ++i) {
        FlowHot& e = hot_[i];
        if (e.phase == FlowPhase::free) continue;
        const FlowV6Line* const line = line_of(slab, e);
        const FlowProxy* const proxy = proxy_of(slab, e);
        if (const auto loss = loss_of(e, line, proxy, limits)) {
            give_up(i, *loss);
            continue;
        }
        if (line != nullptr && !lines.take(e.v6.line)) {
            give_up(i, FlowLoss::damaged);
            continue;
        }
        if (proxy != nullptr && (proxy->flow != i || !extensions.take(e.extension_number()))) {
            if (line != nullptr) lines.release(e.v6.line);
            give_up(i, FlowLoss::damaged);
            continue;
        }
        settle_ticks(e, cold_[i], limits.now_tick);
        e.forget_process();
        expiry_[i] = deadline(e.last_seen_tick + timeouts_.shortest(e.phase));
        fresh_entry_ = i + 1;
        if (proxy != nullptr) fresh_proxy_ = std::max(fresh_proxy_, e.extension_number() + 1);
        if (line != nullptr) {
            fresh_line_ = std::max(fresh_line_, e.v6.line + 1);
            v6.add(line->key, i);
            enter(v6, release);
        } else {
            v4.add(e.v4, i);
            enter(v4, release);
        }
    }
    v4.is_last = v6.is_last = true;
    enter(v4, release);
    enter(v6, release);
    // Backwards, so that the lowest are used first. Whatever is chained here is free in the slab already.
    for (std::uint32_t i = fresh_entry_; i-- > 0;) {
        if (expiry_[i] == kNever) push_free_entry(i);
    }
    for (std::uint32_t i = fresh_line_; i-- > 0;) {
        if (!lines.has(i)) push_free_line(i);
    }
    for (std::uint32_t i = fresh_proxy_; i-- > 0;) {
        if (extensions.has(i)) {
            ++proxies_used_;
        } else {
            push_free_proxy(i);
        }
    }
    top_up();
}

// ------------------------------------------------------------------------------------------- FlowTable: from elsewhere

namespace {

bool counts_losses(const FlowMove& move) noexcept { return move.share == nullptr || move.share->counts_losses(); }

}  // namespace

template <typename Key>
void FlowTable::take_one(const FlowSlab& slab, std::size_t i, Key key, const FlowMove& move,
                         const RecoveryLimits& limits) noexcept {
    const FlowHot& old = slab.hot[i];
    const auto domain = static_cast<std::size_t>(key.domain);
    if (move.domain[domain] == FlowMove::kNoWire) {
        if (counts_losses(move)) recovered_.lose(FlowLoss::wire);
        return;
    }
    key.domain = FlowDomain{move.domain[domain]};
    if (move.share != nullptr && !move.share->has(key)) return;
    const std::uint64_t hash = hasher_.hash(key);
    if (find_key(key, hash) != kNoFlow) return recovered_.lose(FlowLoss::damaged);
    const FlowHandle h = insert(key, hash, limits.now_tick);
    if (h == kNoFlow) return recovered_.lose(FlowLoss::room);
    FlowHot entry = old;
    FlowHot& e = hot_[at(h)];
    entry.extension = {};
    if (old.extended()) {
        FlowProxy* const proxy = extend(h);
        if (proxy == nullptr) {
            erase(h);
            return recovered_.lose(FlowLoss::room);
        }
        const std::uint32_t owner = proxy->flow;
        *proxy = slab.proxies[old.extension_number()];
        proxy->flow = owner;
        entry.extension = e.extension;
    }
    if (e.has(flow_flag::v6)) {
        entry.v6 = e.v6;
    } else {
        entry.v4 = e.v4;
    }
    entry.phase = FlowPhase::free;
    entry.forget_process();
    entry.last_seen_tick += move.ticks;
    if (move.ports_swap[domain]) {
        entry.flags = static_cast<std::uint8_t>(entry.flags ^ flow_flag::original_from_high_port);
    }
    e = entry;
    cold_[at(h)] = slab.cold[i];
    cold_[at(h)].started_tick += move.ticks;
    settle_ticks(e, cold_[at(h)], limits.now_tick);
    set_phase(h, old.phase, e.last_seen_tick);
    ++recovered_.kept;
}

void FlowTable::take_over(const FlowSlab& old, const FlowMove& move, const RecoveryLimits& limits) noexcept {
    // Judged as what it was: by the clock and the wires of then.
    RecoveryLimits then = limits;
    then.now_tick = limits.now_tick - move.ticks;
    then.wires = UINT32_MAX;
    InUse lines{old.v6.size()}, extensions{old.proxies.size()};
    for (std::size_t i = 0; i < old.hot.size(); ++i) {
        const FlowHot& e = old.hot[i];
        if (e.phase == FlowPhase::free) continue;
        const FlowV6Line* const line = line_of(old, e);
        const FlowProxy* const proxy = proxy_of(old, e);
        const auto loss = loss_of(e, line, proxy, then);
        if (loss || (line != nullptr && !lines.take(e.v6.line)) ||
            (proxy != nullptr && (proxy->flow != i || !extensions.take(e.extension_number())))) {
            if (counts_losses(move)) recovered_.lose(loss.value_or(FlowLoss::damaged));
        } else if (line != nullptr) {
            take_one(old, i, line->key, move, limits);
        } else {
            take_one(old, i, e.v4, move, limits);
        }
    }
}

}  // namespace sluice::dp
