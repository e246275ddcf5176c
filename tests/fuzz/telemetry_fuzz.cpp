/// libFuzzer target for what the control plane reads out of a dataplane's memory: telemetry_fuzz [-max_total_time=60]
/// CORPUS_DIR. Input: one byte that picks headers to patch, patches of the headers, then records: where they go and
/// what they hold. Whatever stands there, reading ends, the text is JSON and UTF-8, and no port is made up.
#include <unistd.h>

#include <boost/json/parse.hpp>

#include "controlplane/telemetry/collector.hpp"
#include "controlplane/telemetry/event_json.hpp"
#include "controlplane/telemetry/event_reader.hpp"
#include "controlplane/telemetry/metrics.hpp"
#include "controlplane/telemetry/segments.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/unit/controlplane/publish/test_dataplane.hpp"

namespace {

using namespace sluice;
using test::Input;
using test::must;

constexpr std::uint32_t kWorkers = 2, kPorts = 2, kSlots = 8, kRecords = 8;

cp::TelemetryFds fds_of(const test::TestTelemetry& t) {
    return {cp::UniqueFd{::dup(t.fd(0))}, cp::UniqueFd{::dup(t.fd(1))}, cp::UniqueFd{::dup(t.fd(2))}};
}

void write_records(test::TestTelemetry& t, Input& in) {
    while (!in.empty()) {
        const std::uint8_t where = in.byte();
        const std::uint32_t worker = where & 1U;
        switch (where >> 1U & 3U) {
            case 0: t.claim_written(worker, in.take<std::uint64_t>()); break;
            case 1: {
                abi::FlowEvent event;
                patch(event, in, 1 + (where >> 3U));
                t.emit(worker, event);
                break;
            }
            case 2: patch(t.worker(worker), in, 1); break;
            case 3: patch(t.rule(worker, where >> 3U & (kSlots - 1)), in, 1); break;
        }
    }
}

const cp::Names& names() {
    static const cp::Names n = [] {
        cp::Names made;
        auto rules = std::make_shared<cp::SharedList<std::string>>();
        while (rules->size() < 20) rules->push_back("rule");
        made.rules = std::move(rules);
        made.zones.emplace_back(0, std::vector<std::string>{"outside", "inside"});
        made.ports = {"p0", "p\"1"};
        return made;
    }();
    return n;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input in{data, size};
    test::TestTelemetry t{1, kWorkers, kPorts, kSlots, kRecords};
    const std::uint8_t headers = in.byte();
    // The records first: where they stand is said by the headers, which tell the truth until then.
    Input patches{data, 0};
    if (headers != 0) {
        const auto bytes = in.bytes(64);
        patches = Input{bytes.data(), bytes.size()};
    }
    write_records(t, in);
    for (std::size_t kind = 0; kind < 3; ++kind) {
        if ((headers >> kind & 1U) != 0) patch(t.header(kind), patches, 2);
    }

    const auto mapped = cp::TelemetrySegments::map(fds_of(t));
    if (!mapped) {
        must(!mapped.error().empty(), "what is refused has a reason");
        return 0;
    }
    cp::Collector collector;
    collector.attach(*mapped, {"p0", "p1"});
    collector.collect();
    const auto snapshot = collector.snapshot();
    must(snapshot->ports.size() == (*mapped)->port_count(), "as many ports as the header says");
    (void)cp::metrics_text(*snapshot, {}, names(), true);

    cp::EventReader reader;
    std::uint64_t lines = 0;
    const cp::UtcClock clock{1'790'000'000'000'000'000, {1'000'000'000}};
    const auto sink = [&](const abi::FlowEvent& event) {
        ++lines;
        boost::system::error_code error;
        (void)boost::json::parse(cp::event_json(event, names(), clock), error);
        must(!error, "an event's line is JSON in UTF-8");
    };
    reader.attach(*mapped, sink);
    reader.drain(sink);
    must(lines == reader.read(), "what was read was handed over");
    must(lines <= std::uint64_t{(*mapped)->worker_count()} * (*mapped)->ring_records(),
         "no more than a ring's length is read at once");
    return 0;
}
