/// Quiescent-state based reclamation: how workers read the current tables without a lock and the manager knows when the
/// old ones may go. One writer (the manager), a fixed set of readers (workers). Plain std::atomic, so that the harness,
/// TSan and the protocol model test the very code that ships.
///
/// Theory of operation. The writer numbers every node, publishes its pointer (seq_cst) and then looks at the slots; a
/// reader comes online (seq_cst) and then loads the pointer. Release and acquire would let both loads miss the other's
/// store, and what a reader has just taken would be freed (the model's BUG_ONLINE_IS_RELEASE). After a burst's last use
/// a reader stores the node's sequence n, release: it has let go of all below n and may take n or newer. Slot 0 =
/// offline: `online` comes first. A reader that stalls holds its slot where it is; nobody assumes that it moved on.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include <sluice/abi/telemetry.hpp>

namespace sluice::dp {

/// `Node` has a member `std::uint64_t sequence`, set before it is published and constant afterwards.
template <typename Node>
class Qsbr {
public:
    // --- writer ---
    void publish(const Node* node) noexcept { current_.store(node, std::memory_order_seq_cst); }

    /// Bit set of online readers that may still use a node older than `sequence`.
    std::uint64_t readers_before(std::uint64_t sequence) const noexcept {
        std::uint64_t late = 0;
        for (std::size_t r = 0; r < abi::kWorkersMax; ++r) {
            // acquire: pairs with the release in quiesce(), so that a reader's last use happens before what we free.
            // seq_cst: ordered after our publish() against a reader's online(), see there.
            const std::uint64_t seen = slots_[r].seen.load(std::memory_order_seq_cst);
            if (seen != 0 && seen < sequence) late |= std::uint64_t{1} << r;
        }
        return late;
    }

    // --- reader r, on its own thread ---
    /// Must precede the first `current` and follow every `offline`.
    void online(std::uint32_t r) noexcept {
        // A value that is older than any node keeps everything alive until the first quiesce(). seq_cst: either the
        // writer's scan sees this store, or our next load of current_ sees what the writer published before the scan.
        slots_[r].seen.store(1, std::memory_order_seq_cst);
    }
    /// The node of this burst, or nullptr before the first publish.
    const Node* current() const noexcept { return current_.load(std::memory_order_seq_cst); }
    /// No reference to `node` or any older one is used after this line.
    void quiesce(std::uint32_t r, const Node* node) noexcept {
        if (node != nullptr) slots_[r].seen.store(node->sequence, std::memory_order_release);
    }
    void offline(std::uint32_t r) noexcept { slots_[r].seen.store(0, std::memory_order_release); }

private:
    struct alignas(abi::kCacheLine) Slot {
        std::atomic<std::uint64_t> seen{0};
    };
    alignas(abi::kCacheLine) std::atomic<const Node*> current_{nullptr};
    std::array<Slot, abi::kWorkersMax> slots_;
};

}  // namespace sluice::dp
