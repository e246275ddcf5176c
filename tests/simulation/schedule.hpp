/// What happens in one run, as a list of small steps that each mean something by themselves: any subset of a schedule
/// is a schedule, so a failure can be made small by leaving steps out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "controlplane/policy/model.hpp"

namespace sluice::sim {

enum class StepKind : std::uint8_t {
    packet,           ///< a: conversation, b: choice
    noise,            ///< a: conversation, b: which
    mutation,         ///< a: conversation, b: which, c: choice
    loop,             ///< a: worker; b = 1: the worker of conversation a
    stalled_loop,     ///< a: worker, b: port at which it stands still, c: how many steps happen meanwhile
    clock,            ///< a: milliseconds
    publish,          ///< a: number of the policy, b: milliseconds to confirm within, 0 = none
    confirm,          ///< the running generation
    revert,           ///< on request
    link,             ///< a: port, b: up
    tx_room,          ///< a: port, b: packets that the device still takes
    no_answers,       ///< a: worker, b: no buffer can be allocated
    crash,            ///< of the dataplane, at this instant; a: what is lost (Loss), b: what comes after (After),
                      ///< c: milliseconds until then
    planned_restart,  ///< the same, but workers end the loops that they stand in
    restart_control,  ///< the control plane's slots go through their file
};

struct Step {
    StepKind kind{};
    std::uint32_t a{}, b{}, c{};
};

/// What the descriptor store does not give back.
enum class Loss : std::uint8_t { nothing, everything, tables, memory_of_a_worker };

/// The next process, as bits.
namespace after {
inline constexpr std::uint32_t other_entries = 1;  ///< a flow table of the other size
inline constexpr std::uint32_t more_workers = 2, fewer_workers = 4;
}  // namespace after

/// What does not change during a run.
struct Setup {
    std::uint32_t flow_entries_max{}, half_open_percent{};
    std::size_t buffers{};
    std::uint32_t rule_slots{};
    std::uint32_t answers_per_second{};
    std::uint64_t start_ns{};   ///< of the flow table's clock
    bool real_manager{};        ///< publishes over the manager's socket, which costs a run ten times as much
    std::uint32_t pickup_ms{};  ///< how long flows are picked up in mid-stream after some were lost
    std::int64_t clock_ppm{};   ///< how much faster the monotonic clock goes than the CPU's counter was measured
    std::uint64_t hash_secret{};
    std::uint32_t policy_pool{};         ///< which kPolicies policies there are
    std::uint32_t watched_per_second{};  ///< new flows that are told to somebody, all workers together; 0: nobody
};
inline constexpr std::uint32_t kPolicies = 96;
inline constexpr std::uint64_t kSeedsPerPool = 500;  ///< neighbours share a pool, because compiling it takes a while

Setup setup_of(std::uint64_t seed);
std::vector<Step> schedule_of(std::uint64_t seed);
std::string to_text(const Step& step);

/// A function of the number: few zones that change, few rules that shadow each other, ids that come and go, all kinds
/// of timeouts.
cp::Policy policy_of(std::uint32_t number);

}  // namespace sluice::sim
