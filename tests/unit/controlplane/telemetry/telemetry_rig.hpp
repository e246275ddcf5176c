/// Telemetry of a dataplane that tests fill themselves, and events for it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>

#include <sluice/abi/clock.hpp>

#include "controlplane/telemetry/segments.hpp"
#include "tests/unit/controlplane/publish/test_dataplane.hpp"

namespace sluice::cp {

inline TelemetryFds fds_of(const test::TestTelemetry& t) {
    return {UniqueFd{::dup(t.fd(0))}, UniqueFd{::dup(t.fd(1))}, UniqueFd{::dup(t.fd(2))}};
}
inline std::shared_ptr<const TelemetrySegments> segments_of(const test::TestTelemetry& t) {
    auto mapped = TelemetrySegments::map(fds_of(t));
    EXPECT_TRUE(mapped.has_value()) << mapped.error();
    return *mapped;
}
inline abi::FlowEvent event_of(std::uint16_t n) {
    abi::FlowEvent e;
    e.time = abi::MonoTime::now();
    e.kind = abi::EventKind::flow_start;
    e.family = abi::IpFamily::v4;
    e.proto = abi::L4Proto::tcp;
    e.verdict = abi::Verdict::allow;
    e.sport = abi::L4Port::of_host(n);
    return e;
}

}  // namespace sluice::cp
