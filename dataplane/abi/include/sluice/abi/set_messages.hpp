/// Changes of sets on the tables socket: addresses come and go without a generation.
///
/// The publisher sends batches of changes in order. Each has a number, one above that of the batch before, in the
/// *epoch* of whoever keeps the members (a random number, drawn when its store was made). A batch is applied whole or
/// refused whole; the answer comes when every worker decides by it, live flows included. Applying a batch twice does
/// what applying it once does. `hello` and `status` tell epoch and number of the last one.
///
/// A publisher whose epoch or numbers do not continue what the dataplane has sends everything anew: a batch with
/// `is_first`, which may have any number, then every set as a replacement, then `end_sync`. What the dataplane had goes
/// on deciding until then.
///
/// A replacement: `begin`, then members by `stage`, in as many batches as it takes, then `commit`: from one burst to
/// the next the set has the new members and none of the old.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <sluice/abi/messages.hpp>

namespace sluice::abi {

enum class SetOp : std::uint8_t {
    add = 1,     ///< the member, or its new time to live; makes the set
    remove = 2,  ///< nothing, if it is not there
    begin = 3,   ///< a replacement; what was staged for the set before is forgotten
    stage = 4,   ///< a member of the replacement
    commit = 5,  ///< the replacement is the set
    drop = 6,    ///< the set and its members
    begin_sync = 7,
    end_sync = 8,  ///< drops every set that was not committed since `begin_sync`
};
inline constexpr std::uint8_t kSetOpLast = 8;

/// An address or prefix; bits behind the prefix are zero. Hosts have 32 or 128 bits.
struct SetMember {
    IpAddr addr{};
    IpFamily family{};
    std::uint8_t bits{};
    std::array<std::uint8_t, 6> must_be_zero{};
    bool operator==(const SetMember&) const = default;
};
static_assert(sizeof(SetMember) == 24 && std::has_unique_object_representations_v<SetMember>);

struct SetChange {
    SetId set{};                      ///< kNoSet for begin_sync and end_sync
    std::uint64_t expires_unix_ns{};  ///< add, stage: it is no member from then on; 0 = it stays
    SetMember member{};               ///< add, remove, stage; else zero
    SetOp op{};
    std::array<std::uint8_t, 7> must_be_zero{};
};
static_assert(sizeof(SetChange) == 48 && std::has_unique_object_representations_v<SetChange>);
inline constexpr std::uint32_t kSetChangesMax = 1024;
/// Distinct sets with members, replacements that are being staged included.
inline constexpr std::uint32_t kSetSlotsMax = 64;
inline constexpr std::uint32_t kSetMembersMax = 4U << 20;  ///< of all sets together, staged ones included

struct ChangeSets {
    MessageHeader header{.type = MessageType::change_sets};
    std::uint64_t epoch{};  ///< not 0
    std::uint64_t number{};
    std::uint32_t adopt_within_ms{};  ///< how long to wait for workers before `stalled`; 0 = a second
    std::uint16_t count{};
    std::uint8_t is_first{};
    std::uint8_t must_be_zero{};
    std::array<SetChange, kSetChangesMax> changes{};  ///< `header.bytes` ends behind the last one
};
static_assert(sizeof(ChangeSets) <= kMessageBytesMax);

struct SetsChanged {
    MessageHeader header{.type = MessageType::sets_changed};
    AnswerKind kind{};  ///< adopted, refused or stalled
    RefuseReason reason{};
    std::uint64_t epoch{}, number{};  ///< of the last batch applied
    std::uint64_t members{};
    std::uint64_t stalled_workers{};  ///< bit per worker
    std::uint64_t enforced_ns{};      ///< received -> every worker decides by it
    std::array<char, 128> where{};    ///< sentence for people, zero-terminated
};

/// Asks about members of one set; answers stand in the order of the questions.
struct GetMembers {
    MessageHeader header{.type = MessageType::get_members};
    SetId set{};
    std::uint32_t count{};
    std::uint32_t must_be_zero{};
    std::array<SetMember, kSetChangesMax> members{};  ///< `header.bytes` ends behind the last one
};
struct MemberState {
    std::uint32_t hits{};   ///< decisions about packets from or to it, by tables that ask for a set that it is in
    std::uint32_t found{};  ///< 1 = it is a member
};
struct Members {
    MessageHeader header{.type = MessageType::members};
    std::uint32_t count{};
    std::uint32_t must_be_zero{};
    std::array<MemberState, kSetChangesMax> states{};  ///< `header.bytes` ends behind the last one
};
static_assert(sizeof(GetMembers) <= kMessageBytesMax && sizeof(Members) <= kMessageBytesMax);
static_assert(std::is_trivially_copyable_v<ChangeSets> && std::is_trivially_copyable_v<SetsChanged>);

}  // namespace sluice::abi
