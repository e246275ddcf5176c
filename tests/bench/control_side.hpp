/// All of the product that is no worker, in this process: the policy service with its store and telemetry, the tables
/// socket, the manager, the REST server if asked for; and somebody who scrapes the metrics. Its threads may run where
/// the thread that made it may.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include <sluice/expected.hpp>

#include "controlplane/api/api_server.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"
#include "controlplane/telemetry/collector.hpp"
#include "dataplane/manager/manager.hpp"
#include "tests/unit/dataplane/manager/rig.hpp"
#include "tools/sluicectl/http_client.hpp"

namespace sluice::bench {

/// What a worker and a manager share.
struct DataplaneMemory {
    explicit DataplaneMemory(std::uint32_t rule_slots);

    std::uint32_t rule_slots;
    dp::TablesQsbr tables;
    std::unique_ptr<dp::TelemetrySegments> telemetry;  ///< never null: one worker, two ports
};

class ControlSide {
public:
    /// Both outlive it. Error: a sentence. It comes back when the two sides have found each other.
    static Expected<std::unique_ptr<ControlSide>, std::string> start(DataplaneMemory& memory,
                                                                     dp::FlowDumpMailbox& mailbox);
    ~ControlSide();
    ControlSide(const ControlSide&) = delete;
    ControlSide& operator=(const ControlSide&) = delete;

    /// Blocks until the worker has adopted it, if it is online: then it has to be run meanwhile. Error: the answer.
    Expected<void, std::string> put(std::string_view policy_json);
    Expected<void, std::string> patch(std::string_view edits);
    /// Blocks until it is enforced, live flows included. Error: why it is not.
    Expected<void, std::string> change_set(const cp::SetChangeQuery& query);

    /// Reads every counter that a worker writes, and makes the text that Prometheus gets. The product reads the
    /// counters once a second, and scrapes get the copy: this is the dearer way. From one thread.
    std::string scrape();
    /// What a client of /metrics gets: from the copy. From any thread.
    std::string metrics() { return service_->metrics(false); }

    /// Starts the REST server. Error: a sentence.
    Expected<ctl::ClientConfig, std::string> serve();

private:
    explicit ControlSide(DataplaneMemory& memory) : memory_{memory} {}
    Expected<void, std::string> start_manager(dp::FlowDumpMailbox& mailbox);
    Expected<void, std::string> start_service();

    DataplaneMemory& memory_;
    test::TempDir dir_;
    dp::UniqueFd stop_fd_;
    std::unique_ptr<dp::Manager> manager_;
    std::thread manager_thread_;
    std::unique_ptr<cp::PolicyServiceImpl> service_;
    cp::Collector collector_;
    std::unique_ptr<cp::api::ApiServer> server_;  ///< may be null
    std::thread server_thread_;
};

}  // namespace sluice::bench
