/// What servers were seen to say in their SYN-ACKs, by address and port: so that a SYN cookie promises in a server's
/// name what it will keep. Fixed memory, one place for each hash, the newest wins: who is not there is promised what
/// the policy says, so being forgotten costs little, and being aimed at too.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <type_traits>

#include <sluice/abi/net_order.hpp>
#include <sluice/abi/tables.hpp>

#include "dataplane/flow/flow_hash.hpp"
#include "dataplane/flow/prefaulted.hpp"

namespace sluice::dp {

enum class Habit : std::uint8_t { unknown = 0, does = 1, does_not = 2 };

struct ServerHabits {
    std::uint16_t mss{};  ///< 0 = not known
    Habit sack{}, timestamps{};
};

/// Whether to promise what the client would like.
constexpr bool promises(abi::SynPromise wanted, Habit seen) noexcept {
    return wanted == abi::SynPromise::on ? seen != Habit::does_not
                                         : wanted == abi::SynPromise::learn && seen == Habit::does;
}

struct ServerName {
    std::array<std::uint8_t, 16> address;
    std::uint16_t port;  ///< wire order
    FlowDomain domain;
    std::uint32_t family;
};
static_assert(std::has_unique_object_representations_v<ServerName>, "hashed as bytes: no padding");

class HabitTable {
public:
    explicit HabitTable(const HashSecret& secret) noexcept : secret_{secret}, places_{kPlaces} {}

    ServerHabits find(const ServerName& name) const noexcept {
        const std::uint64_t hash = hash_of(name);
        const Place& p = places_[hash & (kPlaces - 1)];
        return p.hash == hash ? p.habits : ServerHabits{};
    }
    /// What `seen` does not know stays as it was known.
    void learn(const ServerName& name, const ServerHabits& seen) noexcept {
        const std::uint64_t hash = hash_of(name);
        Place& p = places_[hash & (kPlaces - 1)];
        if (p.hash != hash) p = {hash, {}, 0};
        if (seen.mss != 0) p.habits.mss = seen.mss;
        if (seen.sack != Habit::unknown) p.habits.sack = seen.sack;
        if (seen.timestamps != Habit::unknown) p.habits.timestamps = seen.timestamps;
    }

private:
    static constexpr std::size_t kPlaces = 4096;  ///< a power of two; 64 KiB
    struct Place {
        std::uint64_t hash;  ///< 0 = none; a server of that hash has to be learned anew each time
        ServerHabits habits;
        std::uint32_t must_be_zero;
    };
    static_assert(sizeof(Place) == 16);
    std::uint64_t hash_of(const ServerName& name) const noexcept {
        return siphash13(secret_, std::as_bytes(std::span{&name, 1}));
    }

    HashSecret secret_;
    PrefaultedArray<Place> places_;
};

}  // namespace sluice::dp
