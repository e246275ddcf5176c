/// What outlives a crash of this process: the descriptors of the generations that it runs or could return to, and a
/// small `state` memfd that says which is which. All of it lies in the supervisor's descriptor store.
///
/// Names: `state`; `m.<generation>` a manifest; `s.<kind>.<32 hex digits>` a section by its
/// digest, shared by generations; `f.<set>.<worker>` the memory of flows (flow_memory.hpp).
/// Order at a switch: descriptors first, then the tables, then the state, then the removal of what nobody needs: at
/// every instant the state names something that is in the store.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <sluice/abi/clock.hpp>
#include <sluice/abi/messages.hpp>
#include <sluice/expected.hpp>

#include "dataplane/manager/attach.hpp"
#include "dataplane/manager/memfd.hpp"
#include "dataplane/manager/notify.hpp"

namespace sluice::dp {

struct RunState {
    std::uint64_t running{};   ///< generation; 0 = none
    std::uint64_t previous{};  ///< 0 = none
    abi::MonoTime confirm_deadline{};
    abi::StateSource source{abi::StateSource::none};
    std::uint64_t highest_seen{};  ///< generation; what was left is old for every later process too
    bool operator==(const RunState&) const = default;
};

/// Two slots, each with a sequence and a checksum, written in turn: a crash in mid-write leaves the other one.
class StateFile {
public:
    static Expected<StateFile, std::string> create();
    /// Empty: not one of ours.
    static std::optional<StateFile> open(UniqueFd fd);

    void write(const RunState& state) noexcept;
    std::optional<RunState> read() const noexcept;
    int fd() const noexcept { return fd_.get(); }

private:
    StateFile(UniqueFd fd, Mapping mapping) : fd_{std::move(fd)}, mapping_{std::move(mapping)} {}
    UniqueFd fd_;
    Mapping mapping_;
    std::uint64_t sequence_{};
};

class DescriptorStore {
public:
    /// Takes over what an earlier process stored; makes and stores a new state where there is none.
    static Expected<DescriptorStore, std::string> open(Notifier notifier, StoredFds inherited);

    /// What the earlier process ran; `running` 0 = nothing.
    RunState restored() const noexcept { return restored_; }
    /// Descriptors of a stored generation; sections that are not there are left empty. Empty: no such manifest.
    std::optional<GenerationFds> stored_generation(std::uint64_t generation) const;

    /// Sends what is not there yet. A supervisor that was too busy to take it gets it at the next call.
    void keep(const Generation& generation);
    /// Memory of flows, by name; kept from now on, and sent again as `keep` is called. The caller owns the descriptors.
    void keep_flows(std::vector<std::pair<std::string, int>> flows);
    void record(const RunState& state) noexcept { state_.write(state); }
    /// Removes everything but what these two need, and the flows. Either may be null. Flows of an earlier process go
    /// when the store has all that keep_flows was told of.
    void keep_only(const Generation* running, const Generation* previous);
    const Notifier& notifier() const noexcept { return notifier_; }

private:
    DescriptorStore(Notifier notifier, StateFile state) : notifier_{std::move(notifier)}, state_{std::move(state)} {}
    void put(const std::string& name, int fd);
    void put_flows();

    Notifier notifier_;
    StateFile state_;
    StoredFds inherited_;
    RunState restored_;
    bool state_stored_{};
    std::vector<std::pair<std::string, int>> flows_;
    std::set<std::string> names_;  // what the supervisor holds, `state` left out
};

}  // namespace sluice::dp
