/// Which generation runs, which one a revert returns to, and which ones must stay mapped because a worker may still
/// look at them.
///
/// Theory of operation. Every switch gets the next sequence number and a node of its own; a revert is a switch too, to
/// tables that were there before. Workers read the node through Qsbr; the manager, the only writer, frees a node when
/// no online worker can hold it. A stalled worker keeps its nodes for ever: nothing is assumed, and after kUnretiredMax
/// unretired nodes no more are published until it moves.
///
/// Which flows a switch concerns, the generation tells (SettingsSection::untouched), in relation to the one that it was
/// compared with. Is that the one that runs, the flows of untouched slots stay as they are. In every other case (a
/// revert, a publisher that lost its memory, a restart of this process) all flows are judged again.
///
/// A change of sets is no switch: the tables that run are published again with another number and other views of sets
/// (set_keeper.hpp), and nothing else changes.
///
/// Where rules depend on time, a node is for one period of its generation. A transition is the switch to a node for
/// another period; all flows are judged again.
///
/// `previous` is always the last generation that nobody has to confirm any more. While a confirmation is pending, a
/// newer publish leaves it where it is; the deadline belongs to the newest publish.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <sluice/abi/clock.hpp>
#include <sluice/abi/messages.hpp>

#include "dataplane/manager/attach.hpp"
#include "dataplane/pipeline/qsbr.hpp"
#include "dataplane/pipeline/worker.hpp"

namespace sluice::dp {

inline constexpr std::size_t kUnretiredMax = 4;  ///< the running one included

class Generations {
public:
    using Held = std::shared_ptr<const Generation>;
    static constexpr std::uint64_t kNothingSeen = 1;  ///< a worker that is online and has seen no switch

    /// `sequence`: of what went before; a test may begin just below the wrap of its low 32 bits.
    explicit Generations(TablesQsbr& tables, std::uint64_t sequence = kNothingSeen) noexcept
        : tables_{tables}, sequence_{sequence} {}
    ~Generations();
    Generations(const Generations&) = delete;
    Generations& operator=(const Generations&) = delete;

    /// False: too many nodes are still unretired. Frees what can be freed first.
    bool may_switch();
    /// Seconds of UTC, before everything that switches. True: what runs came to a transition, and was published for the
    /// period that is in force now. That is a switch like others, under the same generation; where too many nodes are
    /// unretired it waits for the next call.
    bool tell_time(std::uint64_t unix_s);
    /// Publishes. Precondition: may_switch(). `confirm_deadline` 0 = confirmed at once. Returns the sequence.
    std::uint64_t switch_to(Held generation, abi::StateSource source, abi::MonoTime confirm_deadline);
    /// The running generation, with other tables that say the same: whatever waits for it, or could be returned to,
    /// does so still. Precondition: may_switch().
    void replace_tables(Held generation);
    /// False: nothing waits for a confirmation, or another generation does.
    bool confirm(std::uint64_t generation);
    /// Back to `previous`; false: there is none, or another generation runs than the one to leave, or !may_switch().
    bool revert(std::uint64_t leave, abi::StateSource source);
    /// Who tells what sets say to which tables, and what must stay for as long as a worker has that view. Before the
    /// first switch; without it no set has members.
    using SetSource = std::function<std::pair<SetView, std::shared_ptr<const SetIndex>>(const TableView&)>;
    void take_sets_from(SetSource source) { set_source_ = std::move(source); }
    /// The tables that run ask sets.
    bool ask_sets() const noexcept { return current_ && !current_->active.view.set_uses.empty(); }
    /// Stalled workers hold so many publications that the next one has to wait.
    bool may_refresh_sets(abi::MonoTime now);
    /// Publishes what runs with views of sets as they are now. Precondition: ask_sets(), may_refresh_sets().
    std::uint64_t refresh_sets(abi::MonoTime now);
    /// That the next publication will have.
    std::uint32_t next_policy_seq() const noexcept {
        const auto next = static_cast<std::uint32_t>(sequence_ + 1);
        return next == 0 ? 1 : next;
    }

    /// After a restart: the generation that an earlier process could have returned to.
    void restore_previous(Held previous) { previous_ = std::move(previous); }
    /// After a restart: what an earlier process has seen is not new to this one.
    void restore_highest_seen(std::uint64_t generation) noexcept {
        highest_seen_ = std::max(highest_seen_, generation);
    }

    /// After a restart, before the first switch: until when workers take up flows in mid-stream.
    void open_pickup(abi::MonoTime until) noexcept { pickup_until_ = until; }

    /// Bit set of online workers that may run something older than `sequence`.
    std::uint64_t late_workers(std::uint64_t sequence) const noexcept { return tables_.readers_before(sequence); }
    /// Frees what no worker can hold any more; returns how many switches are still unretired, the running one included.
    std::size_t collect();

    const Held& running() const noexcept { return running_; }
    const Held& previous() const noexcept { return previous_; }
    abi::MonoTime confirm_deadline() const noexcept { return confirm_deadline_; }
    abi::StateSource source() const noexcept { return source_; }
    std::uint64_t sequence() const noexcept { return sequence_; }
    std::uint64_t highest_seen() const noexcept { return highest_seen_; }

private:
    struct Node {
        ActiveTables active;
        std::uint32_t period{};
        std::vector<std::uint32_t> valid_since;  ///< by rule slot; `active` shows both
        std::vector<std::uint64_t> live_slots;
        Held generation;
        std::shared_ptr<const SetIndex> index;  ///< that `active` shows
        bool is_refresh{};                      ///< of sets, and no switch
    };
    struct Retiring {
        std::unique_ptr<Node> node;
        std::uint64_t left_at{};  ///< sequence of the switch that replaced it
    };

    void take_sets(Node& node) const;
    std::vector<std::uint32_t> valid_since(const Generation& next, std::uint32_t policy_seq) const;
    /// The running node's period is the one that is in force.
    bool on_time() const noexcept;
    void publish(const Held& generation, bool compare);

    TablesQsbr& tables_;
    std::unique_ptr<Node> current_;
    std::vector<Retiring> retiring_;
    Held running_, previous_;
    abi::MonoTime confirm_deadline_{};
    abi::StateSource source_{abi::StateSource::none};
    std::uint64_t sequence_;
    std::uint64_t highest_seen_{};
    std::uint64_t unix_s_{};
    abi::MonoTime pickup_until_{};
    SetSource set_source_;
    abi::MonoTime next_slow_refresh_{};
};

}  // namespace sluice::dp
