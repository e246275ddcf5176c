/// Sets whose members come and go without a generation: the writer's side of set_view.hpp. The dataplane's manager has
/// one, whose records outlive the process (manager/set_memory.hpp); the control plane has one to ask.
///
/// Theory of operation. A record is a member of one set. Records stand in memory that the owner gives, each told to be
/// one by its last byte, which is written last; everything else is made anew from them: the index that readers have,
/// chains of the records of one prefix, the heap of those that run out. A set has a *slot*, a bit of every entry of the
/// index; a replacement is staged in a slot of its own, and becomes the set when the owner publishes a view that says
/// so. What the old slot held is removed afterwards, step by step, when no reader can ask for it any more.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <span>
#include <vector>

#include <sluice/abi/clock.hpp>
#include <sluice/abi/set_messages.hpp>
#include <sluice/expected.hpp>

#include "dataplane/acl/set_view.hpp"
#include "dataplane/acl/table_view.hpp"
#include "dataplane/acl/validator.hpp"

namespace sluice::dp {

enum class SlotState : std::uint8_t {
    free = 0,
    live = 1,     ///< a set
    staged = 2,   ///< a replacement that is not whole
    leaving = 3,  ///< no set any more; readers may still ask, or its members are being removed
};

struct MemberRecord {
    std::uint64_t high{}, low{};
    std::uint64_t expires_ns{};  ///< MonoTime; 0 = never
    std::uint32_t next{};        ///< of the same prefix; made anew by who takes the memory over
    std::uint16_t kind{};
    std::uint8_t slot{};
    std::uint8_t used{};  ///< 1 = a member. Written last when it is made, first when it goes
};
static_assert(sizeof(MemberRecord) == 32);

/// First bytes of the memory.
struct SetMemoryHeader {
    struct Slot {
        abi::SetId id{};
        SlotState state{};
        std::uint8_t synced{};  ///< committed since `begin_sync`
        std::array<std::uint8_t, 6> must_be_zero{};
    };
    std::uint64_t epoch{}, number{};   ///< of the last batch applied
    std::uint32_t records_used_max{};  ///< none behind it was ever used
    std::uint32_t must_be_zero{};
    std::array<Slot, abi::kSetSlotsMax> slots{};
};

class SetTable {
public:
    /// What the table lives in: a header, `records` and as many counters of hits.
    struct Memory {
        SetMemoryHeader* header{};
        std::span<MemberRecord> records;
        std::span<std::atomic<std::uint32_t>> hits;
    };
    /// Stands for clocks of both kinds: times to live come as UTC, and are kept by the clock that does not jump.
    struct Now {
        abi::MonoTime mono{};
        std::uint64_t unix_ns{};
    };
    struct Counts {
        std::uint64_t members{}, changes{}, expired{};
    };
    /// What a batch has done that concerns readers.
    struct Effect {
        bool anything{};   ///< a live set has changed
        bool everybody{};  ///< so much that no stamps say whom it concerns
        bool views{};      ///< views must be made anew: another index, or another slot for a set
    };

    /// Takes over what stands in `memory`; zeros are an empty table. What is not whole is dropped.
    SetTable(Memory memory, SetHash hash);
    SetTable(const SetTable&) = delete;
    SetTable& operator=(const SetTable&) = delete;

    /// All of it or a refusal. Changes of live sets are stamped with `policy_seq`, unless `stamps` is null.
    Expected<Effect, Refusal> apply(const abi::ChangeSets& batch, const Now& now, SetStamps* stamps,
                                    std::uint32_t policy_seq);
    /// Removes members whose time is over, at most `count_max`.
    Effect expire(abi::MonoTime now, SetStamps* stamps, std::uint32_t policy_seq, std::size_t count_max);
    /// When the next one is over; 0 = none.
    abi::MonoTime next_expiry() const noexcept { return {expiries_.empty() ? 0 : expiries_.top().ns}; }
    /// No reader has a view from before the last Effect that said `views`: slots that are leaving can be emptied.
    void readers_have_moved() noexcept;
    /// Looks at up to `count_max` records for members of slots that are being emptied. False: there is nothing to do.
    bool clean(std::size_t count_max);

    /// For tables that ask for these sets. The caller holds what `index()` returned at the time for as long as a reader
    /// has the view.
    SetView view(const TableView& tables, const SetStamps* stamps, std::uint32_t since) const noexcept;
    std::shared_ptr<const SetIndex> index() const noexcept { return index_; }

    abi::MemberState member(abi::SetId set, const abi::SetMember& member) const noexcept;
    std::uint64_t epoch() const noexcept { return memory_.header->epoch; }
    std::uint64_t number() const noexcept { return memory_.header->number; }
    const Counts& counts() const noexcept { return counts_; }

private:
    using Slots = std::array<SetMemoryHeader::Slot, abi::kSetSlotsMax>;
    struct OwnedIndex;
    struct Expiry {
        std::uint64_t ns{};
        std::uint32_t record{};
        bool operator>(const Expiry& other) const noexcept { return ns > other.ns; }
    };
    struct Stamping {
        SetStamps* stamps{};
        std::uint32_t policy_seq{};
        Effect effect{};
    };

    std::optional<Refusal> check(const abi::ChangeSets& batch) const;
    void carry_out(const abi::SetChange& change, const Now& now, Stamping& stamping);
    void add(std::uint8_t slot, const SetKey& key, std::uint64_t expires_ns, Stamping& stamping);
    void remove(std::uint32_t record, Stamping& stamping);
    void leave(std::uint8_t slot, Stamping& stamping);
    void touch(const SetKey& key, Stamping& stamping) const;
    void link(std::uint32_t record);
    void unlink(std::uint32_t record);
    SetEntry* find_entry(const SetKey& key) const noexcept;
    SetEntry& place_for(const SetKey& key);
    void make_index(std::uint64_t entries);
    std::uint32_t find_record(std::uint8_t slot, const SetKey& key) const noexcept;
    static SetKey key_of(const MemberRecord& record) noexcept { return {record.high, record.low, record.kind}; }

    Memory memory_;
    SetHash hash_;
    std::shared_ptr<OwnedIndex> owned_;
    std::shared_ptr<const SetIndex> index_;
    std::uint64_t places_used_{};  ///< entries that were ever used
    std::vector<std::uint32_t> free_;
    std::priority_queue<Expiry, std::vector<Expiry>, std::greater<>> expiries_;
    std::uint64_t emptying_{};  ///< bit per slot that no reader asks for
    std::uint32_t clean_at_{};
    bool index_is_new_{};
    Counts counts_;
};

/// A table in its own memory, for who has no memory to keep.
class OwnSetTable {
public:
    explicit OwnSetTable(std::uint32_t members_max, SetHash hash = {0x243f6a8885a308d3, 0x13198a2e03707344});
    OwnSetTable(const OwnSetTable&) = delete;
    OwnSetTable& operator=(const OwnSetTable&) = delete;
    SetTable& operator*() noexcept { return *table_; }
    SetTable* operator->() noexcept { return table_.get(); }
    const SetTable* operator->() const noexcept { return table_.get(); }

private:
    SetMemoryHeader header_;
    std::vector<MemberRecord> records_;
    std::unique_ptr<std::atomic<std::uint32_t>[]> hits_;
    std::unique_ptr<SetTable> table_;
};

}  // namespace sluice::dp
