#include "dataplane/flow/flow_table.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace sluice::dp {

namespace {

constexpr std::uint32_t kBucketsMin = 16;

std::uint32_t chain_next(const void* item) noexcept {
    std::uint32_t next;
    std::memcpy(&next, item, sizeof next);
    return next;
}
void chain_set(void* item, std::uint32_t next) noexcept { std::memcpy(item, &next, sizeof next); }

}  // namespace

std::uint32_t FlowTable::bucket_count_for(std::uint32_t entries) noexcept {
    // Load at most 0.6 when every entry is in use. Fewer buckets would be a byte or two less for each flow, and every
    // twenty-fifth flow away from its first bucket.
    constexpr std::uint32_t kFlowsPerBucket = kBucketSlots * 6 / 10;
    return std::max(kBucketsMin, entries / kFlowsPerBucket + 1);
}

FlowTable::FlowTable(const FlowTableConfig& config) noexcept
    : hasher_{config.hash_secret, config.hash_kind},
      buckets_{bucket_count_for(config.entries_max)},
      bucket_count_{static_cast<std::uint32_t>(buckets_.size())},
      hot_{config.entries_max, config.slab.hot},
      v6_{std::min(config.v6_entries_max, config.entries_max), config.slab.v6},
      proxies_{config.proxies_max != 0 ? config.proxies_max : FlowSlab::proxy_count(config.entries_max),
               config.slab.proxies},
      cold_{config.entries_max, config.slab.cold},
      expiry_{config.entries_max},
      eviction_{config.entries_max},
      proxy_eviction_{static_cast<std::uint32_t>(proxies_.size())},
      half_open_max_{std::max(
          1U, static_cast<std::uint32_t>(std::uint64_t{config.entries_max} * config.half_open_percent / 100))} {
    rebuild(config.limits);
}

/// First of all when an entry goes. This process may end behind any instruction, and who finds the memory then reads
/// the phase: so the compiler must not move what makes the entry something else in front of this store. The CPU needs
/// no fence, its stores are all done when the next process starts.
void FlowTable::mark_free(FlowHot& e) noexcept {
    std::atomic_ref<FlowPhase>{e.phase}.store(FlowPhase::free, std::memory_order_release);
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

/// Last in, first out: what was used last is in the cache.
void FlowTable::push_free_entry(std::uint32_t i) noexcept {
    if (spare_count_ == kSparesMax) {
        const std::uint32_t last = spare_[(spare_top_ - spare_count_--) % kSparesMax];
        chain_set(&hot_[last], free_entry_);
        free_entry_ = last;
    }
    spare_[spare_top_++ % kSparesMax] = i;
    ++spare_count_;
}

/// The chain's next entry becomes the spare one that is used last. False: there are enough, or none is left.
bool FlowTable::add_spare() noexcept {
    if (spare_count_ == kSparesMax) return false;
    std::uint32_t i = free_entry_;
    if (i != kEndOfChain) {
        free_entry_ = chain_next(&hot_[i]);
        if (free_entry_ != kEndOfChain) __builtin_prefetch(&hot_[free_entry_], 1);
    } else if (fresh_entry_ != hot_.size()) {
        i = fresh_entry_++;
    } else {
        return false;
    }
    spare_[(spare_top_ - ++spare_count_) % kSparesMax] = i;
    __builtin_prefetch(&hot_[i], 1);
    __builtin_prefetch(&cold_[i], 1);
    prefetch_deadline(FlowHandle{i});
    prefetch_queue(FlowHandle{i});
    return true;
}

void FlowTable::push_free_line(std::uint32_t i) noexcept {
    chain_set(&v6_[i], free_line_);
    free_line_ = i;
}

void FlowTable::push_free_proxy(std::uint32_t i) noexcept {
    proxies_[i].flow = free_proxy_;
    free_proxy_ = i;
}

std::size_t FlowTable::memory_bytes() const noexcept {
    return buckets_.bytes() + hot_.bytes() + v6_.bytes() + proxies_.bytes() + cold_.bytes() + expiry_.bytes() +
           eviction_.bytes() + proxy_eviction_.bytes();
}

void FlowTable::top_up() noexcept {
    while (add_spare()) {
    }
    if (free_line_ == kEndOfChain && fresh_line_ != v6_.size()) push_free_line(fresh_line_++);
    if (free_proxy_ == kEndOfChain && fresh_proxy_ != proxies_.size()) push_free_proxy(fresh_proxy_++);
}

/// Among the slots of `mask`.
template <typename Key>
FlowHandle FlowTable::find_in(const Bucket& bucket, std::uint32_t mask, const Key& key) const noexcept {
    for (; mask != 0; mask &= mask - 1) {
        const std::uint32_t handle = bucket.handle[static_cast<std::size_t>(std::countr_zero(mask))];
        if (equal(hot_[handle], key)) return FlowHandle{handle};
    }
    return kNoFlow;
}

/// The entries of the first bucket whose tag fits, but for the first of them; then the second bucket, if there is
/// anything of this one's.
template <typename Key>
FlowHandle FlowTable::find_further(const Place& p, std::uint32_t mask, const Key& key) const noexcept {
    const Bucket& first = buckets_[p.first];
    const FlowHandle h = find_in(first, mask & (mask - 1), key);
    if (h != kNoFlow || first.away == 0) return h;
    const Bucket& second = buckets_[p.second];
    return find_in(second, match(second, p.tag), key);
}
template FlowHandle FlowTable::find_further(const Place&, std::uint32_t, const FlowKeyV4&) const noexcept;
template FlowHandle FlowTable::find_further(const Place&, std::uint32_t, const FlowKeyV6&) const noexcept;

/// Of the entry that `handle` names. Slow: the hash is made again from the key.
bool FlowTable::is_first_bucket(std::uint32_t bucket, std::uint32_t handle) const noexcept {
    const FlowHot& e = hot_[handle];
    const std::uint64_t hash = e.has(flow_flag::v6) ? hasher_.hash(v6_[e.v6.line].key) : hasher_.hash(e.v4);
    return place_of(hash).first == bucket;
}

/// Moves one entry of a full bucket to its other bucket. False: those looked at are full too, or no try is left.
bool FlowTable::make_room(std::uint32_t bucket, int& tries) noexcept {
    Bucket& from = buckets_[bucket];
    for (std::size_t i = 0; i < kBucketSlots && tries != 0; ++i) {
        const std::uint32_t other = other_bucket(bucket, from.tag[i]);
        if (other == bucket) continue;
        --tries;
        Bucket& to = buckets_[other];
        const std::uint32_t free_slots = match(to, 0);
        if (free_slots == 0) continue;
        const auto slot = static_cast<std::size_t>(std::countr_zero(free_slots));
        to.tag[slot] = from.tag[i];
        to.handle[slot] = from.handle[i];
        from.tag[i] = 0;
        if (is_first_bucket(bucket, to.handle[slot])) {
            ++from.away;
        } else {
            --to.away;
        }
        return true;
    }
    return false;
}

bool FlowTable::index_insert(std::uint64_t hash, std::uint32_t handle) noexcept {
    const Place p = place_of(hash);
    const int same_tag = std::popcount(match(buckets_[p.first], p.tag)) +
                         (p.second != p.first ? std::popcount(match(buckets_[p.second], p.tag)) : 0);
    if (same_tag >= kSameTagMax) return false;
    std::uint32_t chosen = p.first;
    std::uint32_t free_slots = match(buckets_[p.first], 0);
    if (free_slots == 0) {
        chosen = p.second;
        free_slots = match(buckets_[p.second], 0);
    }
    if (free_slots == 0) {
        int tries = kMovesTried;
        if (make_room(p.first, tries)) {
            chosen = p.first;
        } else if (make_room(p.second, tries)) {
            chosen = p.second;
        } else {
            return false;
        }
        free_slots = match(buckets_[chosen], 0);
    }
    const auto slot = static_cast<std::size_t>(std::countr_zero(free_slots));
    buckets_[chosen].tag[slot] = p.tag;
    buckets_[chosen].handle[slot] = handle;
    if (chosen != p.first) ++buckets_[p.first].away;
    return true;
}

void FlowTable::index_erase(std::uint64_t hash, std::uint32_t handle) noexcept {
    const Place p = place_of(hash);
    for (const std::uint32_t b : {p.first, p.second}) {
        for (std::uint32_t mask = match(buckets_[b], p.tag); mask != 0; mask &= mask - 1) {
            const auto slot = static_cast<std::size_t>(std::countr_zero(mask));
            if (buckets_[b].handle[slot] != handle) continue;
            buckets_[b].tag[slot] = 0;
            if (b != p.first) --buckets_[p.first].away;
            return;
        }
    }
}

FlowHandle FlowTable::take_entry(std::uint64_t hash, std::uint32_t now_tick) noexcept {
    if (spare_count_ == 0) return kNoFlow;
    const std::uint32_t i = spare_[(spare_top_ - 1) % kSparesMax];
    if (!index_insert(hash, i)) return kNoFlow;
    --spare_top_;
    --spare_count_;
    top_up();
    hot_[i] = FlowHot{};
    cold_[i] = FlowCold{};
    cold_[i].started_tick = now_tick;
    hot_[i].last_seen_tick = now_tick;
    ++count_;
    return FlowHandle{i};
}

FlowHandle FlowTable::insert(const FlowKeyV4& key, std::uint64_t hash, std::uint32_t now_tick) noexcept {
    const FlowHandle h = take_entry(hash, now_tick);
    if (h != kNoFlow) hot_[at(h)].v4 = key;
    return h;
}

FlowHandle FlowTable::insert(const FlowKeyV6& key, std::uint64_t hash, std::uint32_t now_tick) noexcept {
    const std::uint32_t line = free_line_;
    if (line == kEndOfChain) return kNoFlow;
    const FlowHandle h = take_entry(hash, now_tick);
    if (h == kNoFlow) return kNoFlow;
    free_line_ = chain_next(&v6_[line]);
    top_up();
    v6_[line] = FlowV6Line{.key = key, .must_be_zero = {}};
    hot_[at(h)].v6 = V6KeyRef{.line = line, .must_be_zero = {}};
    hot_[at(h)].flags = flow_flag::v6;
    return h;
}

FlowProxy* FlowTable::extend(FlowHandle h) noexcept {
    const std::uint32_t n = free_proxy_;
    if (n == kEndOfChain) return nullptr;
    FlowProxy& x = proxies_[n];
    free_proxy_ = x.flow;
    top_up();
    ++proxies_used_;
    x = FlowProxy{};
    x.flow = static_cast<std::uint32_t>(h);
    hot_[at(h)].set_extension(n);
    return &x;
}

/// Of an entry that is marked free: until then a successor would miss it.
void FlowTable::drop_extension(FlowHot& e) noexcept {
    if (!e.extended()) return;
    push_free_proxy(e.extension_number());
    e.extension = {};
    --proxies_used_;
}

void FlowTable::erase(FlowHandle handle) noexcept {
    FlowHot& e = hot_[at(handle)];
    const auto i = static_cast<std::uint32_t>(handle);
    stand(i, standing(e), Standing::assured);
    mark_free(e);
    expiry_[i] = kNever;
    drop_extension(e);
    if (e.has(flow_flag::v6)) {
        const std::uint32_t line = e.v6.line;
        index_erase(hasher_.hash(v6_[line].key), i);
        push_free_line(line);
    } else {
        index_erase(hasher_.hash(e.v4), i);
    }
    push_free_entry(i);
    --count_;
}

void FlowTable::mark(FlowHandle handle) noexcept {
    FlowHot& e = hot_[at(handle)];
    const Standing before = standing(e);
    e.set_marked();
    stand(static_cast<std::uint32_t>(handle), before, standing(e));
}

void FlowTable::restart(FlowHandle handle, std::uint32_t now_tick) noexcept {
    FlowHot& e = hot_[at(handle)];
    stand(static_cast<std::uint32_t>(handle), standing(e), Standing::assured);
    mark_free(e);  // as long as its numbers are nobody's
    drop_extension(e);
    e.seq_end = e.seq_acked = {};
    e.window_max = {};
    e.window_scales = 0;
    e.counters = {};
    e.clear(flow_flag::fin_original | flow_flag::fin_reply | flow_flag::fin_acked_original |
            flow_flag::fin_acked_reply);
    e.last_seen_tick = now_tick;
    cold_[at(handle)] = FlowCold{.started_tick = now_tick, .packets = {}, .bytes = {}};
}

FlowTuple FlowTable::original_tuple(FlowHandle h) const noexcept {
    const FlowHot& e = hot(h);
    const bool low = e.has(flow_flag::original_is_low);
    const auto fill = [low](const auto& key, auto to_addr) {
        FlowTuple t;
        t.src = to_addr(low ? key.low_addr : key.high_addr);
        t.dst = to_addr(low ? key.high_addr : key.low_addr);
        // ICMP's identifier and type do not change places with the endpoints.
        const bool straight = low || key.asker != Asker::ports_tell;
        t.sport = straight ? key.low_port : key.high_port;
        t.dport = straight ? key.high_port : key.low_port;
        t.proto = key.proto;
        return t;
    };
    return e.has(flow_flag::v6) ? fill(key_v6(h), [](const abi::Ipv6Addr& a) { return abi::IpAddr::of_v6(a); })
                                : fill(e.v4, [](abi::Ipv4Addr a) { return abi::IpAddr::of_v4(a); });
}

void FlowTable::spill(FlowHandle h, Direction d, SmallCounters::Carry carry) noexcept {
    FlowCold& cold = cold_[at(h)];
    cold.packets[index(d)] += carry.packets;
    cold.bytes[index(d)] += carry.bytes;
}

}  // namespace sluice::dp
