/// A worker's flows: index, entries, free lists and ageing. One writer and reader (the worker), no atomics on the hit
/// path, no allocation after construction.
///
/// Theory of operation. The slab of entries is the truth; the index only finds entries. A bucket is one cache line of
/// ten 16-bit tags and ten 32-bit handles. A flow stands in its first bucket, or away from it in a second that follows
/// from the first and the tag. An insert takes the first as long as there is room; are both full, it moves one of the
/// twenty to its other bucket. At the load that the table is sized for (at most 0.6) that always finds room in
/// practice. If not, somebody has aimed: at most kMovesTried lines beside the two are looked at for room, and a flow is
/// refused too when kSameTagMax others have its two buckets and its tag. A bucket counts the flows that are away from
/// it, so that a lookup mostly touches one line, of a flow that is there and of one that is not: at a load of 0.5 one
/// flow in 200 is away, at 0.6 one in 70. It looks at two lines and at eight entries whose tag fits, never at more,
/// whatever an attacker sends, even with the secret known (CASES Q11).
///
/// Room. Flows that may have to go for new ones stand in the queues of eviction.hpp, which `set_phase` keeps; the table
/// evicts nobody by itself, its owner does (FlowBook), who tells the world. Extensions are fewer than entries, so those
/// of closing flows stand in a queue of their own: a flow with translated numbers needs them until its last packet.
///
/// Ageing. `expiry_` holds one packed deadline per entry. A clock hand walks it, a bounded number of entries per call;
/// the packet path writes `last_seen_tick` only, and the hand pushes a deadline on when it finds that the entry was
/// used since (lazy refresh), or that its phase has got a longer one. A shorter timeout (a close) is written at once by
/// `set_phase`. Data in flight shorten a
/// timeout too, and the packet path writes no deadline for them: so no deadline is further away than the phase's
/// shortest timeout, and the hand looks at an idle established flow every few minutes.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <sluice/abi/tables.hpp>

#include "dataplane/flow/eviction.hpp"
#include "dataplane/flow/flow_entry.hpp"
#include "dataplane/flow/flow_hash.hpp"
#include "dataplane/flow/flow_key.hpp"
#include "dataplane/flow/flow_recovery.hpp"
#include "dataplane/flow/flow_slab.hpp"
#include "dataplane/flow/prefaulted.hpp"

namespace sluice::dp {

enum class FlowHandle : std::uint32_t {};
inline constexpr FlowHandle kNoFlow{0xffffffff};

/// The table's clock: 10 ms per tick, wraps after 497 days; the longest timeout is 30 days, so differences are safe.
inline constexpr std::uint32_t kTickMs = 10;

/// Idle timeouts by phase, in ticks, rounded up. A TCP flow that waits for an acknowledgement may have a shorter one.
class TimeoutTable {
public:
    TimeoutTable() noexcept : TimeoutTable{abi::FlowTimeouts{}} {}
    explicit TimeoutTable(const abi::FlowTimeouts& timeouts) noexcept;
    std::uint32_t operator[](FlowPhase phase) const noexcept { return ticks_[static_cast<std::size_t>(phase)]; }
    /// The shortest that an entry in this phase can have.
    std::uint32_t shortest(FlowPhase phase) const noexcept { return in_flight_[static_cast<std::size_t>(phase)]; }
    std::uint32_t of(const FlowHot& e) const noexcept { return e.in_flight() ? shortest(e.phase) : (*this)[e.phase]; }
    bool operator==(const TimeoutTable&) const = default;

private:
    std::array<std::uint32_t, kFlowPhaseCount> ticks_{};
    std::array<std::uint32_t, kFlowPhaseCount> in_flight_{};
};

struct FlowTableConfig {
    std::uint32_t entries_max{};
    std::uint32_t v6_entries_max{};        ///< of entries_max, how many may be IPv6
    std::uint32_t proxies_max{};           ///< how many may have an extension; 0: FlowSlab::proxy_count(entries_max)
    std::uint32_t half_open_percent{100};  ///< of entries_max, how many may be half-open; one at least
    HashSecret hash_secret{};
    HashKind hash_kind{HashKind::aes};  ///< SipHash where the CPU has no AES rounds
    /// For that many entries and lines, with the flows of an earlier process or zeros; empty: memory of the table's
    /// own.
    FlowSlab slab{};
    RecoveryLimits limits{};  ///< for what the slab holds
};

class FlowTable {
public:
    explicit FlowTable(const FlowTableConfig& config) noexcept;

    const FlowHasher& hasher() const noexcept { return hasher_; }
    std::uint32_t capacity() const noexcept { return static_cast<std::uint32_t>(hot_.size()); }
    std::uint32_t count() const noexcept { return count_; }
    std::size_t memory_bytes() const noexcept;

    // --- flows of an earlier process (flow_recovery.hpp) ---
    /// What became of the flows that the slab held and that were taken over.
    const RecoveryCount& recovered() const noexcept { return recovered_; }
    /// Copies the flows of another slab, which nobody writes any more, into this table.
    void take_over(const FlowSlab& old, const FlowMove& move, const RecoveryLimits& limits) noexcept;

    // --- finding, in three steps a stage apart so that cache misses of a burst overlap ---
    // Always inlined: by itself either looks like a function without effect, and gcc leaves calls of such a one out.
    [[gnu::always_inline]] void prefetch_bucket(std::uint64_t hash) const noexcept;
    /// Gives the entry that the flow most likely has, or kNoFlow where its first bucket has none.
    [[gnu::always_inline]] FlowHandle prefetch_entry(std::uint64_t hash) const noexcept;
    /// What `set_phase` writes beside the entry when a flow comes to a queue of eviction.hpp or leaves it, ...
    [[gnu::always_inline]] void prefetch_queue(FlowHandle h) const noexcept {
        eviction_.prefetch(static_cast<std::uint32_t>(h));
    }
    /// ... when its timeout gets shorter, ...
    [[gnu::always_inline]] void prefetch_deadline(FlowHandle h) const noexcept {
        __builtin_prefetch(&expiry_[at(h)], 1);
    }
    /// ... and when it leaves the queue that it stands in; `prefetch_queue` was some packets ago.
    [[gnu::always_inline]] void prefetch_leave(FlowHandle h) const noexcept {
        if (standing(hot_[at(h)]) != Standing::assured) eviction_.prefetch_neighbours(static_cast<std::uint32_t>(h));
    }
    /// What `erase` looks for; the entry itself is read here. Then `prefetch_leave`, as above.
    [[gnu::always_inline]] void prefetch_end(FlowHandle h) const noexcept {
        const FlowHot& e = hot_[at(h)];
        eviction_.prefetch(static_cast<std::uint32_t>(h));
        if (!e.has(flow_flag::v6)) __builtin_prefetch(&buckets_[place_of(hasher_.hash(e.v4)).first], 1);
    }
    FlowHandle find(const FlowKeyV4& key, std::uint64_t hash) const noexcept { return find_key(key, hash); }
    FlowHandle find(const FlowKeyV6& key, std::uint64_t hash) const noexcept { return find_key(key, hash); }
    /// As `find`, with what `prefetch_entry` gave. If that entry was erased since, it may be the answer, as it still
    /// has its key: in phase `free`.
    [[gnu::always_inline]] FlowHandle find_at(FlowHandle likely, const FlowKeyV4& key,
                                              std::uint64_t hash) const noexcept {
        if (likely != kNoFlow && equal(hot_[at(likely)], key)) [[likely]]
            return likely;
        return find(key, hash);
    }

    /// A fresh entry, all zero but key and start; the caller fills it and then calls `set_phase`, which makes it live.
    /// kNoFlow: no room (`full`), or no place in the index. Precondition: `find` says that the key is not there.
    FlowHandle insert(const FlowKeyV4& key, std::uint64_t hash, std::uint32_t now_tick) noexcept;
    FlowHandle insert(const FlowKeyV6& key, std::uint64_t hash, std::uint32_t now_tick) noexcept;
    bool full(abi::IpFamily family) const noexcept {
        return spare_count_ == 0 || (family == abi::IpFamily::v6 && free_line_ == kEndOfChain);
    }
    void erase(FlowHandle handle) noexcept;
    /// The flow is over, and its entry stays as a mark (FlowHot::marked), for as long as nobody needs the room.
    void mark(FlowHandle handle) noexcept;
    /// The entry begins anew under the same key: numbers, counters, start and phase are as after `insert`.
    void restart(FlowHandle handle, std::uint32_t now_tick) noexcept;

    FlowHot& hot(FlowHandle h) noexcept { return hot_[at(h)]; }
    const FlowHot& hot(FlowHandle h) const noexcept { return hot_[at(h)]; }
    const FlowCold& cold(FlowHandle h) const noexcept { return cold_[at(h)]; }
    const FlowKeyV6& key_v6(FlowHandle h) const noexcept { return v6_[hot_[at(h)].v6.line].key; }

    // --- extensions: flows with translated numbers (flow_proxy.hpp) ---
    std::uint32_t proxies() const noexcept { return proxies_used_; }
    std::uint32_t proxies_max() const noexcept { return static_cast<std::uint32_t>(proxies_.size()); }
    /// A fresh extension, all zero but its owner, before `set_phase` makes the flow live. nullptr: none is left. It
    /// goes with the entry, or when that begins anew.
    FlowProxy* extend(FlowHandle h) noexcept;
    /// The extended flow that stands longest among the closing ones, or kNoFlow.
    FlowHandle oldest_closing_proxy() const noexcept {
        const std::uint32_t n = proxy_eviction_.oldest(Standing::closing);
        return n == EvictionQueues::kNobody ? kNoFlow : owner_of_proxy(n);
    }
    /// Of an extension in use.
    FlowHandle owner_of_proxy(std::uint32_t number) const noexcept { return FlowHandle{proxies_[number].flow}; }
    /// Of an extended flow.
    FlowProxy& proxy(FlowHandle h) noexcept { return proxies_[hot_[at(h)].extension_number()]; }
    const FlowProxy& proxy(FlowHandle h) const noexcept { return proxies_[hot_[at(h)].extension_number()]; }

    /// The first live entry from `index` on, or `end`: reads the packed deadlines only, 16 entries a cache line.
    std::uint32_t next_live(std::uint32_t index, std::uint32_t end) const noexcept {
        while (index < end && expiry_[index] == kNever) ++index;
        return index;
    }

    std::uint32_t half_open() const noexcept { return eviction_.count(Standing::half_open); }
    std::uint32_t half_open_max() const noexcept { return half_open_max_; }
    /// The flow that stands longest in a queue of eviction.hpp, or kNoFlow.
    FlowHandle oldest(Standing queue) const noexcept { return FlowHandle{eviction_.oldest(queue)}; }

    /// The original direction's tuple. ICMP: sport = identifier, dport = type << 8 | code of the request.
    FlowTuple original_tuple(FlowHandle h) const noexcept;

    void count_packet(FlowHandle h, Direction d, std::uint32_t frame_bytes) noexcept {
        const auto carry = hot_[at(h)].counters[index(d)].add(frame_bytes);
        if (carry.any()) [[unlikely]]
            spill(h, d, carry);
    }

    // --- time ---
    void set_timeouts(const TimeoutTable& timeouts) noexcept;
    void set_phase(FlowHandle h, FlowPhase phase, std::uint32_t now_tick) noexcept;
    bool expired(FlowHandle h, std::uint32_t now_tick) const noexcept {
        const FlowHot& e = hot_[at(h)];
        const std::uint32_t idle = now_tick - e.last_seen_tick;
        return idle >= timeouts_.shortest(e.phase) && idle >= timeouts_.of(e);
    }
    /// Moves the hand. Fills `out` with entries whose time is over; they stay until the caller erases them. Bounded by
    /// kAgeingStepMax entries and by `out`.
    std::size_t collect_expired(std::uint32_t now_tick, std::span<FlowHandle> out) noexcept;

private:
    static constexpr std::size_t kBucketSlots = 10;
    static constexpr int kMovesTried = 14;  ///< with the two of the flow itself: 16 lines
    static constexpr int kSameTagMax = 8;   ///< by chance one flow in 10^30 meets so many
    static constexpr std::uint32_t kEndOfChain = 0xffffffff;
    static constexpr std::uint32_t kSparesMax = 16;  ///< a power of two
    struct alignas(64) Bucket {
        std::array<std::uint16_t, kBucketSlots> tag;  ///< 0 = empty
        std::array<std::uint32_t, kBucketSlots> handle;
        std::uint32_t away;  ///< flows whose first bucket this is and that stand in their second
    };
    static_assert(sizeof(Bucket) == 64);
    struct Place {
        std::uint32_t first, second;
        std::uint16_t tag;
    };
    static constexpr std::uint32_t kAgeingStepMax = 16'384;  ///< about 4 us of a packed walk
    static constexpr std::uint32_t kLapTicks = 25;           ///< the hand's aim: once around in 250 ms
    static constexpr std::uint32_t kNever = 0;               ///< expiry of a free entry

    static std::size_t at(FlowHandle h) noexcept { return static_cast<std::size_t>(h); }
    static std::uint32_t bucket_count_for(std::uint32_t entries) noexcept;
    /// A bit for each slot with this tag.
    static std::uint32_t match(const Bucket& bucket, std::uint16_t tag) noexcept;
    Place place_of(std::uint64_t hash) const noexcept;
    std::uint32_t scaled(std::uint32_t value) const noexcept;
    std::uint32_t other_bucket(std::uint32_t bucket, std::uint16_t tag) const noexcept;
    bool is_first_bucket(std::uint32_t bucket, std::uint32_t handle) const noexcept;
    void spill(FlowHandle h, Direction d, SmallCounters::Carry carry) noexcept;
    bool equal(const FlowHot& e, const FlowKeyV4& key) const noexcept {
        return same_bytes(e.v4, key) && !e.has(flow_flag::v6);
    }
    bool equal(const FlowHot& e, const FlowKeyV6& key) const noexcept {
        return e.has(flow_flag::v6) && same_bytes(v6_[e.v6.line].key, key);
    }
    template <typename Key>
    [[gnu::always_inline]] FlowHandle find_key(const Key& key, std::uint64_t hash) const noexcept;
    template <typename Key>
    FlowHandle find_in(const Bucket& bucket, std::uint32_t mask, const Key& key) const noexcept;
    template <typename Key>
    FlowHandle find_further(const Place& place, std::uint32_t mask, const Key& key) const noexcept;
    bool index_insert(std::uint64_t hash, std::uint32_t handle) noexcept;
    bool make_room(std::uint32_t bucket, int& tries) noexcept;
    void index_erase(std::uint64_t hash, std::uint32_t handle) noexcept;
    std::uint32_t deadline(std::uint32_t tick) const noexcept { return tick == kNever ? 1 : tick; }
    std::size_t collect_due(std::uint32_t now_tick, std::uint32_t& left, std::span<FlowHandle> due) noexcept;
    FlowHandle take_entry(std::uint64_t hash, std::uint32_t now_tick) noexcept;
    static void mark_free(FlowHot& e) noexcept;
    /// The entry leaves one queue for another, and so does its extension.
    void stand(std::uint32_t i, Standing from, Standing to) noexcept;
    void push_free_entry(std::uint32_t i) noexcept;
    bool add_spare() noexcept;
    void push_free_line(std::uint32_t i) noexcept;
    void push_free_proxy(std::uint32_t i) noexcept;
    void drop_extension(FlowHot& e) noexcept;
    void top_up() noexcept;
    template <typename Key>
    struct Found;
    void rebuild(const RecoveryLimits& limits) noexcept;
    template <typename Key, typename Release>
    void enter(Found<Key>& found, const Release& release) noexcept;
    void give_up(std::uint32_t i, abi::FlowLoss why) noexcept;
    template <typename Key>
    void take_one(const FlowSlab& old, std::size_t i, Key key, const FlowMove& move,
                  const RecoveryLimits& limits) noexcept;

    FlowHasher hasher_;
    TimeoutTable timeouts_;
    PrefaultedArray<Bucket> buckets_;
    std::uint32_t bucket_count_;
    PrefaultedArray<FlowHot> hot_;
    PrefaultedArray<FlowV6Line> v6_;
    PrefaultedArray<FlowProxy> proxies_;
    PrefaultedArray<FlowCold> cold_;
    PrefaultedArray<std::uint32_t> expiry_;
    EvictionQueues eviction_;
    EvictionQueues proxy_eviction_;  ///< of extensions, by their numbers; only those of closing flows stand in a queue
    std::uint32_t half_open_max_;
    // Free entries and lines are chained through their first four bytes. Those from fresh_* on were never used since
    // rebuild() and join the chain one at a time, so that no start has to touch them all: a chain is empty only if
    // nothing is free. The first kSparesMax entries of their chain stand in a ring instead, the next one to be used at
    // `spare_top_` - 1: what they stand on has been asked for by the time that a new flow wants it.
    std::uint32_t free_entry_{kEndOfChain}, free_line_{kEndOfChain}, free_proxy_{kEndOfChain};
    std::uint32_t fresh_entry_{}, fresh_line_{}, fresh_proxy_{};
    std::array<std::uint32_t, kSparesMax> spare_{};
    std::uint32_t spare_top_{}, spare_count_{};
    std::uint32_t proxies_used_{};
    RecoveryCount recovered_{};
    std::uint32_t count_{};
    std::uint32_t hand_{};
    std::uint32_t hand_tick_{};
    std::uint32_t hand_owed_{};  ///< entries that the time passed asked for and that the hand has not reached yet
    bool hand_started_{};
    std::uint32_t recheck_left_{};  ///< entries that the hand still has to look at because timeouts changed
};

// What every packet runs through stands here, so that it becomes part of the stages' loops.

/// 32 bits to the number of a bucket.
inline std::uint32_t FlowTable::scaled(std::uint32_t value) const noexcept {
    return static_cast<std::uint32_t>((std::uint64_t{value} * bucket_count_) >> 32);
}

/// An involution: other_bucket(other_bucket(b, t), t) == b, as the two add up to a value of the tag alone.
inline std::uint32_t FlowTable::other_bucket(std::uint32_t bucket, std::uint16_t tag) const noexcept {
    const std::uint32_t sum = scaled(tag * 0x9e3779b1U);
    return sum >= bucket ? sum - bucket : sum + bucket_count_ - bucket;
}

inline FlowTable::Place FlowTable::place_of(std::uint64_t hash) const noexcept {
    const std::uint32_t first = scaled(static_cast<std::uint32_t>(hash));
    const auto high = static_cast<std::uint16_t>(hash >> 48);
    const std::uint16_t tag = high != 0 ? high : std::uint16_t{1};
    return {first, other_bucket(first, tag), tag};
}

inline std::uint32_t FlowTable::match(const Bucket& bucket, std::uint16_t tag) noexcept {
    constexpr std::uint32_t kAll = (1U << kBucketSlots) - 1;
#if defined(__SSE2__)
    std::uint32_t last_two;
    std::memcpy(&last_two, &bucket.tag[8], sizeof last_two);
    const __m128i wanted = _mm_set1_epi16(static_cast<short>(tag));
    const __m128i low = _mm_cmpeq_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(bucket.tag.data())), wanted);
    const __m128i high = _mm_cmpeq_epi16(_mm_cvtsi32_si128(static_cast<int>(last_two)), wanted);
    return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(low, high))) & kAll;
#else
    std::uint32_t mask = 0;
    for (std::uint32_t i = 0; i < kBucketSlots; ++i) mask |= std::uint32_t{bucket.tag[i] == tag} << i;
    return mask & kAll;
#endif
}

inline void FlowTable::stand(std::uint32_t i, Standing from, Standing to) noexcept {
    if (from == to) return;
    eviction_.move(i, from, to);
    if (!hot_[i].extended()) [[likely]]
        return;
    const auto of_proxy = [](Standing s) { return s == Standing::closing ? s : Standing::assured; };
    proxy_eviction_.move(hot_[i].extension_number(), of_proxy(from), of_proxy(to));
}

inline void FlowTable::prefetch_bucket(std::uint64_t hash) const noexcept {
    __builtin_prefetch(&buckets_[place_of(hash).first]);
}

inline FlowHandle FlowTable::prefetch_entry(std::uint64_t hash) const noexcept {
    const Place p = place_of(hash);
    const Bucket& bucket = buckets_[p.first];
    if (const std::uint32_t mask = match(bucket, p.tag); mask != 0) [[likely]] {
        const std::uint32_t handle = bucket.handle[static_cast<std::size_t>(std::countr_zero(mask))];
        __builtin_prefetch(&hot_[handle], 1);
        return FlowHandle{handle};
    }
    // An away flow's, or the other of the two lines that an insert looks at.
    __builtin_prefetch(&buckets_[p.second]);
    return kNoFlow;
}

/// Mostly the first entry whose tag fits is the flow's.
template <typename Key>
inline FlowHandle FlowTable::find_key(const Key& key, std::uint64_t hash) const noexcept {
    const Place p = place_of(hash);
    const Bucket& first = buckets_[p.first];
    const std::uint32_t mask = match(first, p.tag);
    if (mask != 0) [[likely]] {
        const std::uint32_t handle = first.handle[static_cast<std::size_t>(std::countr_zero(mask))];
        if (equal(hot_[handle], key)) [[likely]]
            return FlowHandle{handle};
    }
    return find_further(p, mask, key);
}

}  // namespace sluice::dp
