#include "controlplane/api/event_hub.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>

#include "tests/unit/controlplane/api/memory_policy_service.hpp"

namespace sluice::cp::api {
namespace {

using namespace std::chrono_literals;

bool soon(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!condition() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(5ms);
    return condition();
}

TEST(EventHub, WakesForFlowEventsAndForEntriesOfTheAudit) {
    test::MemoryPolicyService service;
    EventHub hub{service};
    std::atomic<int> woken{0};
    const auto id = hub.subscribe([&] { ++woken; });
    service.add_events(1, 0);
    EXPECT_TRUE(soon([&] { return woken >= 1; }));
    const int before = woken;
    AuditRecord record;
    record.action = "policy.put";
    service.audit().write_or_keep(record);
    EXPECT_TRUE(soon([&] { return woken > before; }));
    hub.unsubscribe(id);
}

}  // namespace
}  // namespace sluice::cp::api
