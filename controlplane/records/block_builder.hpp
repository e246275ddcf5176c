/// Flow events become a block of records. It grows until somebody takes it; it does no I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "controlplane/records/block_format.hpp"
#include "controlplane/records/flow_record.hpp"
#include "controlplane/telemetry/event_batch.hpp"

namespace sluice::cp {

class BlockBuilder {
public:
    /// Precondition: the batch is of the boot that the block is about, or the block is empty.
    void add(const RingEvent& event, const EventBatch& batch);

    bool empty() const noexcept { return header_.record_count == 0; }
    std::uint32_t record_count() const noexcept { return header_.record_count; }
    std::uint64_t boot_id() const noexcept { return header_.boot_id; }
    /// Payload as it would be now.
    std::size_t bytes() const noexcept { return contexts_.size() + records_.size(); }

    struct Block {
        BlockHeader header;
        std::span<const std::byte> bytes;  ///< header and payload; good until the next call
    };
    /// The block as it stands at this place of this segment. May be asked again for another place.
    Block finish(std::uint64_t segment, std::uint64_t offset, std::uint64_t first_record);
    /// The next block begins. What is known of the rings stays.
    void clear();

private:
    /// What a context is told apart by, in numbers of one set of names.
    struct Key {
        std::uint64_t generation{};
        abi::RuleSlot slot{};
        abi::ZoneId from_zone{}, to_zone{};
        abi::DropReason drop{};
        std::uint8_t kind{}, verdict{}, end{}, family{}, proto{}, in_port{}, parts{};
        bool operator==(const Key&) const = default;
    };
    struct KeyHash {
        std::size_t operator()(const Key& key) const noexcept;
    };
    std::uint32_t context_of(const RingEvent& event, const EventBatch& batch, std::uint8_t parts);
    void write_context(const Key& key, const Names& names);

    BlockHeader header_;
    std::vector<std::byte> contexts_, records_, block_;
    std::unordered_map<Key, std::uint32_t, KeyHash> places_;
    Key last_key_;
    std::uint32_t last_place_{};
    std::shared_ptr<const Names> names_;  // that places_ is good for
    RingPositions rings_;
};

}  // namespace sluice::cp
