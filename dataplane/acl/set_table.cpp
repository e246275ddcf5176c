#include "dataplane/acl/set_table.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace sluice::dp {

namespace {

using abi::SetOp;

constexpr std::uint64_t kEntriesMin = 1024;

abi::IpFamily family_of(std::uint32_t kind) noexcept { return kind >= 256 ? abi::IpFamily::v6 : abi::IpFamily::v4; }
std::uint32_t bits_of(std::uint32_t kind) noexcept { return kind & 255U; }
bool is_kind(std::uint32_t kind) noexcept { return kind < 256 ? kind <= 32 : bits_of(kind) <= 128; }

bool is_member(const abi::SetMember& m) noexcept {
    const bool v4 = m.family == abi::IpFamily::v4;
    if (!v4 && m.family != abi::IpFamily::v6) return false;
    if (m.bits > (v4 ? 32 : 128) || m.must_be_zero != decltype(m.must_be_zero){}) return false;
    const SetKey whole = set_key(m.addr, abi::IpFamily::v6, 128), cut = set_key(m.addr, m.family, m.bits);
    return whole.high == cut.high && whole.low == cut.low && (!v4 || whole.low == 0);
}

bool has_member(SetOp op) noexcept { return op == SetOp::add || op == SetOp::remove || op == SetOp::stage; }
bool has_set(SetOp op) noexcept { return op != SetOp::begin_sync && op != SetOp::end_sync; }

template <typename Slots>
std::optional<std::uint8_t> find_slot(const Slots& slots, abi::SetId id, SlotState state) noexcept {
    for (std::size_t s = 0; s < slots.size(); ++s) {
        if (slots[s].state == state && slots[s].id == id) return static_cast<std::uint8_t>(s);
    }
    return std::nullopt;
}

template <typename Slots>
std::optional<std::uint8_t> take_slot(Slots& slots, abi::SetId id, SlotState state) noexcept {
    if (const auto found = find_slot(slots, id, state)) return found;
    for (std::size_t s = 0; s < slots.size(); ++s) {
        if (slots[s].state != SlotState::free) continue;
        slots[s] = {.id = id, .state = state};
        return static_cast<std::uint8_t>(s);
    }
    return std::nullopt;
}

}  // namespace

struct SetTable::OwnedIndex {
    SetIndex index;
    std::vector<SetEntry> entries;
    explicit OwnedIndex(std::uint64_t count) : entries(count) {}
};

SetTable::SetTable(Memory memory, SetHash hash) : memory_{memory}, hash_{hash} {
    SetMemoryHeader& h = *memory_.header;
    h.records_used_max =
        std::min<std::uint32_t>(h.records_used_max, static_cast<std::uint32_t>(memory_.records.size()));
    // A replacement that was not whole, and a set that was leaving, are over.
    for (auto& slot : h.slots) {
        if (slot.state != SlotState::live) slot = {};
    }
    make_index(kEntriesMin);
    for (std::uint32_t i = 0; i < h.records_used_max; ++i) {
        MemberRecord& r = memory_.records[i];
        const bool whole = r.used == 1 && is_kind(r.kind) && r.slot < h.slots.size() &&
                           h.slots[r.slot].state == SlotState::live && find_record(r.slot, key_of(r)) == kNoMember;
        if (!whole) {
            r.used = 0;
            free_.push_back(i);
            continue;
        }
        link(i);
        if (r.expires_ns != 0) expiries_.push({r.expires_ns, i});
        ++counts_.members;
    }
    index_is_new_ = false;
}

// ---------------------------------------------------------------------------------------------------------- a batch
/// The batch in order, on a copy of the slots: nothing is done before all of it can be.
std::optional<Refusal> SetTable::check(const abi::ChangeSets& batch) const {
    const auto no = [](abi::RefuseReason reason, std::string where) { return Refusal{reason, std::move(where)}; };
    const SetMemoryHeader& h = *memory_.header;
    if (batch.epoch == 0 || batch.is_first > 1 || batch.must_be_zero != 0 || batch.count > abi::kSetChangesMax)
        return no(abi::RefuseReason::malformed_message, "a batch of set changes is malformed");
    if (batch.is_first == 0 && (batch.epoch != h.epoch || batch.number != h.number + 1))
        return no(abi::RefuseReason::delta_order,
                  "set change " + std::to_string(batch.number) + " does not follow " + std::to_string(h.number));
    auto slots = h.slots;
    std::uint64_t added = 0;
    for (std::uint32_t i = 0; i < batch.count; ++i) {
        const abi::SetChange& c = batch.changes[i];
        const bool whole = c.op >= SetOp::add && static_cast<std::uint8_t>(c.op) <= abi::kSetOpLast &&
                           has_set(c.op) == (c.set != abi::kNoSet) &&
                           (has_member(c.op) ? is_member(c.member) : c.member == abi::SetMember{});
        if (!whole)
            return no(abi::RefuseReason::malformed_message, "set change " + std::to_string(i) + " is malformed");
        added += c.op == SetOp::add || c.op == SetOp::stage ? 1 : 0;
        const auto staged = find_slot(slots, c.set, SlotState::staged);
        if ((c.op == SetOp::stage || c.op == SetOp::commit) && !staged)
            return no(abi::RefuseReason::delta_order, "a replacement is staged that has not begun");
        if (c.op == SetOp::commit) {
            if (const auto live = find_slot(slots, c.set, SlotState::live)) slots[*live].state = SlotState::leaving;
            slots[*staged].state = SlotState::live;
        }
        if (c.op == SetOp::begin && staged) slots[*staged].state = SlotState::leaving;
        const bool full = (c.op == SetOp::add && !take_slot(slots, c.set, SlotState::live)) ||
                          (c.op == SetOp::begin && !take_slot(slots, c.set, SlotState::staged));
        if (full) return no(abi::RefuseReason::sets_full, "more sets than there are slots for");
    }
    const std::uint64_t room = free_.size() + memory_.records.size() - h.records_used_max;
    if (added > room)
        return no(abi::RefuseReason::sets_full,
                  "all " + std::to_string(memory_.records.size()) + " places for members of sets are taken");
    return std::nullopt;
}

Expected<SetTable::Effect, Refusal> SetTable::apply(const abi::ChangeSets& batch, const Now& now, SetStamps* stamps,
                                                    std::uint32_t policy_seq) {
    if (auto refusal = check(batch)) return Unexpected<Refusal>{std::move(*refusal)};
    Stamping stamping{.stamps = stamps, .policy_seq = policy_seq};
    for (std::uint32_t i = 0; i < batch.count; ++i) carry_out(batch.changes[i], now, stamping);
    stamping.effect.views = stamping.effect.views || std::exchange(index_is_new_, false);
    memory_.header->epoch = batch.epoch;
    memory_.header->number = batch.number;
    return stamping.effect;
}

void SetTable::carry_out(const abi::SetChange& change, const Now& now, Stamping& stamping) {
    auto& slots = memory_.header->slots;
    const SetKey key = set_key(change.member.addr, change.member.family, change.member.bits);
    std::uint64_t expires_ns = 0;
    if (change.expires_unix_ns != 0) {
        const std::uint64_t left = change.expires_unix_ns > now.unix_ns ? change.expires_unix_ns - now.unix_ns : 0;
        expires_ns = now.mono.ns + std::min(left, std::uint64_t{1} << 62);
    }
    const auto live = find_slot(slots, change.set, SlotState::live);
    const auto staged = find_slot(slots, change.set, SlotState::staged);
    switch (change.op) {
        case SetOp::add: {
            if (!live) stamping.effect.views = true;
            add(*take_slot(slots, change.set, SlotState::live), key, expires_ns, stamping);
            ++counts_.changes;
            break;
        }
        case SetOp::remove:
            if (const std::uint32_t r = live ? find_record(*live, key) : kNoMember; r != kNoMember) {
                remove(r, stamping);
                ++counts_.changes;
            }
            break;
        case SetOp::begin:
            if (staged) leave(*staged, stamping);
            take_slot(slots, change.set, SlotState::staged);
            break;
        case SetOp::stage:
            add(*staged, key, expires_ns, stamping);
            ++counts_.changes;
            break;
        case SetOp::commit:
            if (live) leave(*live, stamping);
            slots[*staged].state = SlotState::live;
            slots[*staged].synced = 1;
            stamping.effect = {.anything = true, .everybody = true, .views = true};
            break;
        case SetOp::drop:
            if (live) leave(*live, stamping);
            if (staged) leave(*staged, stamping);
            break;
        case SetOp::begin_sync:
            for (auto& slot : slots) slot.synced = 0;
            break;
        case SetOp::end_sync:
            for (std::uint8_t s = 0; s < slots.size(); ++s) {
                if (slots[s].state == SlotState::live && slots[s].synced == 0) leave(s, stamping);
            }
            break;
    }
}

void SetTable::add(std::uint8_t slot, const SetKey& key, std::uint64_t expires_ns, Stamping& stamping) {
    std::uint32_t at = find_record(slot, key);
    if (at == kNoMember) {
        SetMemoryHeader& h = *memory_.header;
        if (free_.empty()) {
            at = h.records_used_max++;
        } else {
            at = free_.back();
            free_.pop_back();
        }
        MemberRecord& r = memory_.records[at];
        r = {.high = key.high,
             .low = key.low,
             .expires_ns = expires_ns,
             .kind = static_cast<std::uint16_t>(key.kind),
             .slot = slot};
        memory_.hits[at].store(0, std::memory_order_relaxed);
        std::atomic_signal_fence(std::memory_order_seq_cst);  // the reader of our memory comes after our death
        r.used = 1;
        link(at);
        ++counts_.members;
        if (h.slots[slot].state == SlotState::live) touch(key, stamping);
    }
    memory_.records[at].expires_ns = expires_ns;
    if (expires_ns != 0) expiries_.push({expires_ns, at});
}

void SetTable::remove(std::uint32_t at, Stamping& stamping) {
    MemberRecord& r = memory_.records[at];
    unlink(at);
    r.used = 0;
    r.expires_ns = 0;
    free_.push_back(at);
    --counts_.members;
    if (memory_.header->slots[r.slot].state == SlotState::live) touch(key_of(r), stamping);
}

void SetTable::leave(std::uint8_t slot, Stamping& stamping) {
    auto& s = memory_.header->slots[slot];
    if (s.state == SlotState::live) stamping.effect = {.anything = true, .everybody = true, .views = true};
    if (s.state == SlotState::staged) emptying_ |= std::uint64_t{1} << slot;  // nobody ever asked for it
    s.state = SlotState::leaving;
    clean_at_ = 0;
}

void SetTable::readers_have_moved() noexcept {
    const auto& slots = memory_.header->slots;
    for (std::size_t s = 0; s < slots.size(); ++s) {
        if (slots[s].state != SlotState::leaving || (emptying_ >> s & 1U) != 0) continue;
        emptying_ |= std::uint64_t{1} << s;
        clean_at_ = 0;
    }
}

bool SetTable::clean(std::size_t count_max) {
    if (emptying_ == 0) return false;
    SetMemoryHeader& h = *memory_.header;
    Stamping nobody;
    const auto end = static_cast<std::uint32_t>(std::min<std::uint64_t>(clean_at_ + count_max, h.records_used_max));
    for (; clean_at_ < end; ++clean_at_) {
        const MemberRecord& r = memory_.records[clean_at_];
        if (r.used == 1 && (emptying_ >> r.slot & 1U) != 0) remove(clean_at_, nobody);
    }
    if (clean_at_ < h.records_used_max) return true;
    for (std::size_t s = 0; s < h.slots.size(); ++s) {
        if ((emptying_ >> s & 1U) != 0) h.slots[s] = {};
    }
    emptying_ = 0;
    return false;
}

SetTable::Effect SetTable::expire(abi::MonoTime now, SetStamps* stamps, std::uint32_t policy_seq,
                                  std::size_t count_max) {
    Stamping stamping{.stamps = stamps, .policy_seq = policy_seq};
    for (; count_max != 0 && !expiries_.empty() && expiries_.top().ns <= now.ns; expiries_.pop()) {
        const Expiry due = expiries_.top();
        const MemberRecord& r = memory_.records[due.record];
        if (r.used == 0 || r.expires_ns != due.ns) continue;  // it has got another time, or is gone
        remove(due.record, stamping);
        ++counts_.expired;
        --count_max;
    }
    return stamping.effect;
}

/// Hosts and what is not much wider are stamped one by one; what is wider concerns everybody.
void SetTable::touch(const SetKey& key, Stamping& stamping) const {
    stamping.effect.anything = true;
    if (stamping.stamps == nullptr) return;
    const bool v4 = family_of(key.kind) == abi::IpFamily::v4;
    const std::uint32_t bits = bits_of(key.kind);
    if (bits < (v4 ? 24U : 64U)) {
        stamping.effect.everybody = true;
        return;
    }
    const std::uint64_t count = v4 ? std::uint64_t{1} << (32 - bits) : 1;
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint64_t place = SetStamps::place(key.high + (i << 32), family_of(key.kind));
        stamping.stamps->stamp(place, stamping.policy_seq);
    }
}

// -------------------------------------------------------------------------------------------------------- the index
SetEntry* SetTable::find_entry(const SetKey& key) const noexcept {
    for (std::uint64_t at = hash_(key) & index_->mask;; at = (at + 1) & index_->mask) {
        SetEntry& e = index_->entries[at];
        const std::uint32_t meta = e.meta.load(std::memory_order_relaxed);
        if (meta == 0) return nullptr;
        if (kind_of_meta(meta) == key.kind && e.high.load(std::memory_order_relaxed) == key.high &&
            e.low.load(std::memory_order_relaxed) == key.low)
            return &e;
    }
}

/// The entry of `key`, made if there is none: in the place of a prefix that is in no set, or in a fresh one.
SetEntry& SetTable::place_for(const SetKey& key) {
    if (SetEntry* const entry = find_entry(key)) return *entry;
    if (places_used_ * 8 >= (index_->mask + 1) * 5) make_index(std::max(kEntriesMin, 4 * counts_.members + 4));
    std::uint64_t at = hash_(key) & index_->mask;
    while (index_->entries[at].meta.load(std::memory_order_relaxed) != 0 &&
           index_->entries[at].slots.load(std::memory_order_relaxed) != 0)
        at = (at + 1) & index_->mask;
    SetEntry& e = index_->entries[at];
    const std::uint32_t before = e.meta.load(std::memory_order_relaxed);
    places_used_ += before == 0 ? 1 : 0;
    const std::uint32_t rewrites = (before >> 11) + 1;
    const std::uint32_t meta = rewrites << 11 | kSetMetaUsed | key.kind << 1;
    e.meta.store(before | kSetMetaUsed | 1U, std::memory_order_relaxed);
    // release: no reader sees one of these with the meta from before twice around it.
    e.high.store(key.high, std::memory_order_release);
    e.low.store(key.low, std::memory_order_release);
    e.slots.store(0, std::memory_order_release);
    e.member.store(kNoMember, std::memory_order_release);
    e.meta.store(meta, std::memory_order_release);  // pairs with the acquire in SetIndex::slots_of
    auto& lengths = family_of(key.kind) == abi::IpFamily::v4 ? owned_->index.lengths_v4 : owned_->index.lengths_v6;
    auto& word = lengths[bits_of(key.kind) / 64];
    word.store(word.load(std::memory_order_relaxed) | std::uint64_t{1} << (bits_of(key.kind) % 64),
               std::memory_order_release);
    return e;
}

/// Another array of at least `entries` places; readers go on in the old one until they get a view of this one.
void SetTable::make_index(std::uint64_t entries) {
    std::uint64_t size = kEntriesMin;
    while (size < entries) size *= 2;
    const auto old = owned_;
    owned_ = std::make_shared<OwnedIndex>(size);
    SetIndex& index = owned_->index;
    index.entries = owned_->entries.data();
    index.mask = size - 1;
    index.hash = hash_;
    index.hits = memory_.hits.data();
    index_ = {owned_, &owned_->index};
    places_used_ = 0;
    index_is_new_ = true;
    if (!old) return;
    for (const SetEntry& e : old->entries) {
        const std::uint64_t slots = e.slots.load(std::memory_order_relaxed);
        if (slots == 0) continue;
        SetEntry& copy = place_for({e.high.load(std::memory_order_relaxed), e.low.load(std::memory_order_relaxed),
                                    kind_of_meta(e.meta.load(std::memory_order_relaxed))});
        copy.member.store(e.member.load(std::memory_order_relaxed), std::memory_order_relaxed);
        copy.slots.store(slots, std::memory_order_relaxed);
    }
}

void SetTable::link(std::uint32_t at) {
    MemberRecord& r = memory_.records[at];
    SetEntry& e = place_for(key_of(r));
    r.next = e.member.load(std::memory_order_relaxed);
    e.member.store(at, std::memory_order_relaxed);
    e.slots.store(e.slots.load(std::memory_order_relaxed) | std::uint64_t{1} << r.slot, std::memory_order_release);
}

void SetTable::unlink(std::uint32_t at) {
    const MemberRecord& r = memory_.records[at];
    SetEntry& e = *find_entry(key_of(r));
    const std::uint32_t head = e.member.load(std::memory_order_relaxed);
    if (head == at) {
        e.member.store(r.next, std::memory_order_relaxed);
    } else {
        std::uint32_t before = head;
        while (memory_.records[before].next != at) before = memory_.records[before].next;
        memory_.records[before].next = r.next;
    }
    e.slots.store(e.slots.load(std::memory_order_relaxed) & ~(std::uint64_t{1} << r.slot), std::memory_order_release);
}

std::uint32_t SetTable::find_record(std::uint8_t slot, const SetKey& key) const noexcept {
    const SetEntry* const e = find_entry(key);
    if (e == nullptr) return kNoMember;
    std::uint32_t at = e->member.load(std::memory_order_relaxed);
    while (at != kNoMember && memory_.records[at].slot != slot) at = memory_.records[at].next;
    return at;
}

// ------------------------------------------------------------------------------------------------------------- asked
SetView SetTable::view(const TableView& tables, const SetStamps* stamps, std::uint32_t since) const noexcept {
    SetView view{.index = index_.get(), .stamps = stamps, .since = since};
    for (std::size_t u = 0; u < tables.set_uses.size(); ++u) {
        const auto slot = find_slot(memory_.header->slots, tables.sets[tables.set_uses[u].set].id, SlotState::live);
        if (slot) view.slot_bit[u] = std::uint64_t{1} << *slot;
    }
    return view;
}

abi::MemberState SetTable::member(abi::SetId set, const abi::SetMember& member) const noexcept {
    const auto slot = find_slot(memory_.header->slots, set, SlotState::live);
    if (!slot || !is_member(member)) return {};
    const SetKey key = set_key(member.addr, member.family, member.bits);
    if (find_record(*slot, key) == kNoMember) return {};
    const std::uint32_t counted = find_entry(key)->member.load(std::memory_order_relaxed);
    return {.hits = memory_.hits[counted].load(std::memory_order_relaxed), .found = 1};
}

OwnSetTable::OwnSetTable(std::uint32_t members_max, SetHash hash)
    : records_(members_max), hits_{new std::atomic<std::uint32_t>[members_max] {}} {
    table_ = std::make_unique<SetTable>(
        SetTable::Memory{.header = &header_, .records = records_, .hits = {hits_.get(), members_max}}, hash);
}

}  // namespace sluice::dp
