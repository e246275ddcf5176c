/// The product's manager with everything around it: a tables socket, a publisher on it, telemetry, the descriptor store
/// of a supervisor. One thread, and a clock that only its owner turns: every call lets the manager do one round.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/compiler/compiler.hpp"
#include "controlplane/publish/tables_wire.hpp"
#include "dataplane/manager/manager.hpp"
#include "tests/simulation/supervisor.hpp"

namespace sluice::sim {

class RealManager {
public:
    struct Options {
        std::uint32_t workers{}, rule_slots{};
        std::uint64_t pickup_ns{};
        std::vector<std::string> ports;
        dp::KeptFlows flows;
        std::function<abi::MonoTime()> clock;
    };
    /// Goes on with what the supervisor holds.
    RealManager(Options options, dp::TablesQsbr& tables, Supervisor& supervisor);
    ~RealManager();

    const dp::Generations& generations() const noexcept { return manager_->generations(); }
    abi::ManagerCounters& counters() const noexcept { return telemetry_->manager(); }
    /// A worker has ended a loop.
    void heard_from(std::uint32_t worker, abi::MonoTime when);

    /// What the publisher got in a round.
    struct Heard {
        std::vector<abi::Answer> answers;
        std::uint32_t reverts{};  ///< notices of them
    };
    Heard offer(const cp::CompiledGeneration& generation, std::uint32_t request, std::uint64_t confirm_within_ms);
    Heard confirm(std::uint64_t generation, std::uint32_t request);
    Heard revert(std::uint64_t generation, std::uint32_t request);
    Heard round();

private:
    template <typename Message>
    void send(Message message, std::uint32_t request, std::span<const int> fds = {});

    std::unique_ptr<dp::TelemetrySegments> telemetry_;
    std::unique_ptr<dp::Manager> manager_;
    dp::UniqueFd stop_, publisher_;
};

}  // namespace sluice::sim
