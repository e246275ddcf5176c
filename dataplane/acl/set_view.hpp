/// How a lookup asks sets whose members come and go without a generation (abi/set_messages.hpp).
///
/// Theory of operation. One hash table holds the members of all sets, by prefix: an entry is a prefix and a bit per
/// *slot*, and a set is one slot. Whoever asks probes once for each prefix length that any member has, and gets the
/// slots of all sets that hold the address. The manager (or, in the control plane, whoever keeps the members) is the
/// one writer; any number of readers look without a lock while it writes. An entry is written like this: its `meta`
/// becomes odd, the rest changes, `meta` becomes even again and another number. A reader that meets an odd one, or
/// another number after reading than before, takes the entry for absent: its prefix was no member at some moment while
/// the reader looked, since the writer reuses the places of prefixes that are in no set, and no others.
///
/// Nobody waits for anybody, so a writer that is interrupted in mid-entry holds no worker up.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include <sluice/abi/net_order.hpp>
#include <sluice/abi/set_messages.hpp>

namespace sluice::dp {

/// A prefix as two numbers, most significant first; IPv4 in the upper 32 bits. `kind`: family and length.
struct SetKey {
    std::uint64_t high{}, low{};
    std::uint32_t kind{};
    bool operator==(const SetKey&) const = default;
};
inline constexpr std::uint32_t kSetLengths = 129;
constexpr std::uint32_t set_kind(abi::IpFamily family, std::uint32_t bits) noexcept {
    return (family == abi::IpFamily::v6 ? 256U : 0U) | bits;
}
/// `addr` cut to `bits`.
inline SetKey set_key(const abi::IpAddr& addr, abi::IpFamily family, std::uint32_t bits) noexcept {
    SetKey key{.kind = set_kind(family, bits)};
    for (std::size_t i = 0; i < 8; ++i) {
        key.high = key.high << 8 | addr.bytes[i];
        key.low = key.low << 8 | addr.bytes[8 + i];
    }
    if (bits < 64) key.high &= bits == 0 ? 0 : ~std::uint64_t{0} << (64 - bits);
    if (bits < 128) key.low &= bits <= 64 ? 0 : ~std::uint64_t{0} << (128 - bits);
    return key;
}

/// The prefix of that length around `addr`.
inline abi::SetMember member_around(const abi::IpAddr& addr, abi::IpFamily family, std::uint32_t bits) noexcept {
    const SetKey key = set_key(addr, family, bits);
    abi::SetMember m{.family = family, .bits = static_cast<std::uint8_t>(bits)};
    for (std::size_t i = 0; i < 8; ++i) {
        m.addr.bytes[i] = static_cast<std::uint8_t>(key.high >> (56 - 8 * i));
        m.addr.bytes[8 + i] = static_cast<std::uint8_t>(key.low >> (56 - 8 * i));
    }
    return m;
}

/// What all lookups of one index share; keyed, so that nobody who chooses addresses chooses where they fall.
struct SetHash {
    std::uint64_t key0{}, key1{};
    std::uint64_t operator()(const SetKey& k) const noexcept {
        __extension__ using Wide = unsigned __int128;
        const Wide a = Wide{k.high ^ key0} * (k.low ^ key1 ^ k.kind * 0x9e3779b97f4a7c15ULL);
        const auto mixed = static_cast<std::uint64_t>(a) ^ static_cast<std::uint64_t>(a >> 64) ^ k.low;
        const Wide b = Wide{mixed ^ key1} * (k.high ^ k.kind ^ 0xa0761d6478bd642fULL);
        return static_cast<std::uint64_t>(b) ^ static_cast<std::uint64_t>(b >> 64) ^ k.high;
    }
};

inline constexpr std::uint32_t kNoMember = 0xffffffff;

struct alignas(32) SetEntry {
    std::atomic<std::uint64_t> high{}, low{};
    std::atomic<std::uint64_t> slots{};  ///< bit per set slot; 0 = in no set, a place that may be reused
    /// Bit 0: being written. Bits 1..9: the key's kind. Bit 10 is set. Above: counts rewrites. 0: never used, a probe
    /// ends here.
    std::atomic<std::uint32_t> meta{};
    std::atomic<std::uint32_t> member{kNoMember};  ///< the writer's; where hits are counted
};
static_assert(sizeof(SetEntry) == 32);
inline constexpr std::uint32_t kSetMetaUsed = 1U << 10;  ///< tells a kind of 0 from "never used"
constexpr std::uint32_t kind_of_meta(std::uint32_t meta) noexcept { return meta >> 1 & 0x1ff; }

/// The table of entries, as readers have it. Its memory is the writer's.
struct SetIndex {
    SetEntry* entries{};
    std::uint64_t mask{};  ///< entries - 1
    SetHash hash;
    /// Bit per prefix length that some member has or had.
    std::array<std::atomic<std::uint64_t>, 3> lengths_v4{}, lengths_v6{};
    std::atomic<std::uint32_t>* hits{};  ///< by SetEntry::member; null: nobody counts

    /// Slots of the sets that have `key` itself as a member. `found`: a place whose `member` counts the hit.
    std::uint64_t slots_of(const SetKey& key, const SetEntry*& found) const noexcept {
        for (std::uint64_t at = hash(key) & mask;; at = (at + 1) & mask) {
            const SetEntry& e = entries[at];
            // acquire: the fields below are read after it; pairs with the writer's release of an even meta.
            const std::uint32_t meta = e.meta.load(std::memory_order_acquire);
            if (meta == 0) return 0;
            if ((meta & 1U) != 0 || kind_of_meta(meta) != key.kind) continue;
            // acquire: so that the second look at meta comes after all of them.
            if (e.high.load(std::memory_order_acquire) != key.high || e.low.load(std::memory_order_acquire) != key.low)
                continue;
            const std::uint64_t slots = e.slots.load(std::memory_order_acquire);
            if (e.meta.load(std::memory_order_relaxed) != meta) return 0;
            found = &e;
            return slots;
        }
    }

    /// Of all sets of which the address is a member.
    std::uint64_t slots_of(const abi::IpAddr& addr, abi::IpFamily family, std::uint64_t asked) const noexcept {
        const auto& lengths = family == abi::IpFamily::v4 ? lengths_v4 : lengths_v6;
        std::uint64_t slots = 0;
        for (std::uint32_t w = 0; w < lengths.size(); ++w) {
            for (std::uint64_t left = lengths[w].load(std::memory_order_acquire); left != 0; left &= left - 1) {
                const auto bits = w * 64 + static_cast<std::uint32_t>(__builtin_ctzll(left));
                const SetEntry* entry = nullptr;
                const std::uint64_t found = slots_of(set_key(addr, family, bits), entry) & asked;
                if (found == 0) continue;
                slots |= found;
                const std::uint32_t member = entry->member.load(std::memory_order_relaxed);
                if (hits != nullptr && member != kNoMember) hits[member].fetch_add(1, std::memory_order_relaxed);
            }
        }
        return slots;
    }
};

/// Since when nothing has changed for an address: what tells a live flow whether a set's change concerns it. Numbers
/// are ActiveTables::policy_seq; 0 = never. A region knows the last change of its places: every flow asks behind every
/// change, and all regions together stay in a core's first cache while few addresses change at a time.
struct SetStamps {
    static constexpr std::size_t kCount = 1U << 20, kRegionPlaces = 1U << 8;
    std::array<std::atomic<std::uint32_t>, kCount> since{};
    std::array<std::atomic<std::uint32_t>, kCount / kRegionPlaces> region_since{};

    void stamp(std::uint64_t place, std::uint32_t policy_seq) noexcept {
        since[place].store(policy_seq, std::memory_order_relaxed);
        region_since[place / kRegionPlaces].store(policy_seq, std::memory_order_relaxed);
    }

    static std::uint64_t place(std::uint64_t high, abi::IpFamily family) noexcept {
        const std::uint64_t key = family == abi::IpFamily::v4 ? high & 0xffffffff00000000ULL : ~high;
        return key * 0x9e3779b97f4a7c15ULL >> 44;
    }
};

/// Sets as one view of the tables asks them; never changes once published.
struct SetView {
    const SetIndex* index{};
    std::array<std::uint64_t, abi::kSetUsesMax> slot_bit{};  ///< by use; 0 = the set has no members
    const SetStamps* stamps{};
    std::uint32_t since{};  ///< policy_seq of the last change that could concern any address
};

/// True if a flow that was judged under `policy_seq` was so before the last change that concerns `address`.
inline bool changed_since(const SetView& sets, std::uint32_t policy_seq, std::uint64_t high,
                          abi::IpFamily family) noexcept {
    const auto newer = [policy_seq](const std::atomic<std::uint32_t>& stamp) {
        const std::uint32_t then = stamp.load(std::memory_order_relaxed);
        return then != 0 && static_cast<std::int32_t>(policy_seq - then) < 0;
    };
    const std::uint64_t place = SetStamps::place(high, family);
    return newer(sets.stamps->region_since[place / SetStamps::kRegionPlaces]) && newer(sets.stamps->since[place]);
}

}  // namespace sluice::dp
