/// Sets with changing members, as the manager keeps them: the table, what live flows ask (stamps), and what of it
/// workers have not been told yet.
///
/// Theory of operation. A batch changes the table in place: workers see a member from then on. That its live flows are
/// judged again takes a publication: the running tables once more, with the next number and the views of sets as they
/// are now (`Generations::refresh_sets`). Batches that come fast share one. A batch is answered when every worker has
/// passed the publication behind it.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include <sluice/abi/set_messages.hpp>

#include "dataplane/acl/set_table.hpp"
#include "dataplane/manager/generations.hpp"
#include "dataplane/manager/set_memory.hpp"

namespace sluice::dp {

class SetKeeper {
public:
    SetKeeper(std::shared_ptr<SetMemory> memory, Generations& generations);
    SetKeeper(const SetKeeper&) = delete;
    SetKeeper& operator=(const SetKeeper&) = delete;

    Expected<void, Refusal> apply(const abi::ChangeSets& batch, abi::MonoTime now);
    /// What time does: members whose time is over, publications that had to wait, slots to be emptied.
    void turn(abi::MonoTime now);

    /// The sequence by which everything applied so far is in force; 0 = it has yet to be published.
    std::uint64_t in_force_at() const noexcept;
    /// Something is to be done soon, or at `next_expiry`.
    bool busy() const noexcept { return dirty_at_ != 0 || leaving_at_ != 0 || cleaning_; }
    abi::MonoTime next_expiry() const noexcept { return table_.next_expiry(); }

    const SetTable& table() const noexcept { return table_; }
    const SetMemory& memory() const noexcept { return *memory_; }

private:
    static constexpr std::uint64_t kPublishNs = 2'000'000;  ///< two publications are at least so far apart
    static constexpr std::size_t kExpiredPerTurn = 4096;
    static constexpr std::size_t kCleanedPerTurn = 16'384;

    void note(const SetTable::Effect& effect);
    void publish(abi::MonoTime now);

    std::shared_ptr<SetMemory> memory_;
    SetTable table_;
    std::unique_ptr<SetStamps> stamps_;
    Generations& generations_;
    std::uint32_t since_{};
    std::uint64_t dirty_at_{};    ///< sequence at which something was changed that no publication tells; 0 = nothing
    std::uint64_t leaving_at_{};  ///< slots that readers at this sequence may ask are to be emptied; 0 = none
    bool cleaning_{};
    bool views_changed_{};
    abi::MonoTime next_publish_{};
};

}  // namespace sluice::dp
