/// Memory of flows that outlives the process: a memfd per worker, kept in the supervisor's descriptor store beside the
/// tables (descriptor_store.hpp). How entries in it are trusted: flow/flow_recovery.hpp.
///
/// Theory of operation. The memfds of one process are a *set*, named `f.<number of the set>.<worker>`. A process that
/// finds a set of its own shape (workers, entries, ports and wires) goes on in it. If anything is different, it copies
/// what it can use into a new set with the next number, which goes into the store when it is complete; the old one
/// leaves the store after that. So the newest whole set is always the right one, whenever a process ends.
///
/// Whose a flow is, is one function for as long as the set is used where it lies: where software steers, its secret
/// stands in the set. With other owners (another number of workers, another device), every worker looks through all old
/// tables and takes what is its own.
///
/// Mode 0600, sealed against a change of size, handed to nobody but the supervisor. The tables' hash secret is not in
/// it: every process draws its own, since it makes its index anew anyway.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sluice/abi/clock.hpp>
#include <sluice/abi/telemetry.hpp>
#include <sluice/expected.hpp>

#include "dataplane/flow/flow_recovery.hpp"
#include "dataplane/manager/memfd.hpp"
#include "dataplane/manager/notify.hpp"
#include "dataplane/pipeline/worker.hpp"
#include "dataplane/steering/owner.hpp"

namespace sluice::dp {

struct FlowMemoryShape {
    std::uint32_t worker_count{};
    std::uint32_t entries{};  ///< of each worker; as many IPv6 lines
    std::uint32_t proxies{};  ///< of each worker; 0: FlowSlab::proxy_count(entries)
    std::vector<std::string> ports;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> wires;
    std::uint32_t rule_slots{};
    PageSize pages{PageSize::normal};
    std::optional<Owners> owners;  ///< nothing: there is one worker, or nobody knows
    HashSecret owner_secret{};     ///< where software steers: for the processes to come
};

/// What the manager is told about flows at start.
struct KeptFlows {
    RecoveryCount count{};
    bool had_predecessor{};                        ///< flows of an earlier process, maybe none, were found
    std::vector<std::pair<std::string, int>> fds;  ///< for the store; the FlowMemory owns them

    /// Everything that the process before knew is known here.
    bool whole() const noexcept { return had_predecessor && count.lost_total() == 0; }
};

/// What the numbers in a slab mean. Fixed when the memory is made.
struct FlowMemoryForm {
    std::array<char, 40> boot{};  ///< the kernel's boot_id, zero-padded
    std::uint32_t worker{}, worker_count{}, entries{}, v6_entries{}, proxies{}, must_be_zero{};
    std::uint64_t port_count{};
    std::array<abi::PortName, abi::kPortsMax> ports{};
    std::array<std::uint8_t, abi::kPortsMax> partner{};  ///< FlowMove::kNoWire = not wired
    std::uint64_t owners{};                              ///< Owners::identity; 0 = none
    HashSecret owner_secret{};
};

/// First bytes of each memfd; the slab stands at kSlabOffset.
struct FlowMemoryHeader {
    // In every version here, so that a process that can't read the rest can say how much it gives up.
    std::uint64_t magic{};
    std::uint64_t layout_hash{};  ///< of this header and of all that stands in the slab
    FlowAnchor anchor{};
    FlowMemoryForm form{};

    static constexpr std::uint64_t kMagic = 0x314f4c4643554c53ULL;  // "SLUCFLO1"
};
inline constexpr std::size_t kSlabOffset = 4096;
static_assert(sizeof(FlowMemoryHeader) <= kSlabOffset);

class FlowMemory {
public:
    struct Source {
        FlowSlab slab;
        FlowMove move;
    };

    /// `stored`: what the process before left; it must have ended. `now`: not before its end.
    static Expected<FlowMemory, std::string> open(const FlowMemoryShape& shape, const StoredFds& stored,
                                                  abi::MonoTime now);
    FlowMemory(FlowMemory&&) noexcept = default;

    /// By which the process before steered in software, if it did: so that its flows can stay where they are.
    static std::optional<HashSecret> kept_owner_secret(const StoredFds& stored, abi::MonoTime now);

    static std::uint32_t proxies(const FlowMemoryShape& shape) noexcept {
        return shape.proxies != 0 ? shape.proxies : static_cast<std::uint32_t>(FlowSlab::proxy_count(shape.entries));
    }
    static std::size_t bytes(const FlowMemoryShape& shape) noexcept {
        return shape.worker_count * (kSlabOffset + FlowSlab::bytes(shape.entries, shape.entries, proxies(shape)));
    }

    /// For a worker whose clock begins at `origin`.
    FlowHome home(std::uint32_t worker, abi::MonoTime origin) const noexcept;
    /// Slabs of another set whose flows that worker takes over, before its first loop.
    std::vector<Source> sources(std::uint32_t worker, abi::MonoTime origin);
    /// Every worker has what it can get: the other set's memory is let go. `workers`: what became of theirs.
    KeptFlows finish(const RecoveryCount& workers) noexcept;

private:
    struct Table {
        UniqueFd fd;
        Mapping mapping;
        FlowMemoryHeader& header() const noexcept { return *reinterpret_cast<FlowMemoryHeader*>(mapping.data()); }
        const FlowMemoryForm& form() const noexcept { return header().form; }
        FlowSlab slab() const noexcept {
            return FlowSlab::at(mapping.data() + kSlabOffset, form().entries, form().v6_entries, form().proxies);
        }
    };
    explicit FlowMemory(const FlowMemoryShape& shape);
    static std::optional<Table> open_table(const UniqueFd& fd, std::uint32_t worker, RecoveryCount& lost,
                                           abi::MonoTime now);
    Expected<Table, std::string> make_table(std::uint32_t worker) const;
    void find_before(const StoredFds& stored, abi::MonoTime now);
    bool fits(const std::vector<Table>& tables) const noexcept;
    bool same_wires(const FlowMemoryForm& form) const noexcept;
    bool has_owner(std::uint32_t old_worker_count) const noexcept;
    class Share;
    FlowMove move_from(const Table& old, abi::MonoTime origin) const noexcept;

    FlowMemoryShape shape_;
    FlowMemoryForm form_;  ///< of every table of this process, but for the worker's number
    std::uint64_t set_{};
    std::vector<Table> tables_;  ///< by worker
    std::vector<Table> before_;  ///< of another set; to be copied
    std::vector<std::shared_ptr<const FlowShare>> shares_;
    RecoveryCount lost_;  ///< with whole tables
    bool had_predecessor_{};
};

}  // namespace sluice::dp
