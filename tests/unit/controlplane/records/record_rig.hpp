/// What the tests of the record store share: events made by chance, what a record of each must say, and a folder.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "controlplane/records/record_reader.hpp"
#include "controlplane/records/segment_writer.hpp"
#include "controlplane/store/file_ops.hpp"
#include "controlplane/telemetry/event_batch.hpp"

namespace sluice::cp::test {

class TempDir {
public:
    TempDir() {
        std::string name = (std::filesystem::temp_directory_path() / "sluice-records-XXXXXX").string();
        EXPECT_NE(::mkdtemp(name.data()), nullptr);
        path = name;
    }
    ~TempDir() { std::filesystem::remove_all(path); }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    std::string path;
};

inline std::string bytes_of(const std::string& path) {
    std::ifstream in{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
}
inline void put_bytes(const std::string& path, const std::string& bytes) {
    std::ofstream{path, std::ios::binary | std::ios::trunc}.write(bytes.data(),
                                                                  static_cast<std::streamsize>(bytes.size()));
}

inline std::shared_ptr<const Names> some_names() {
    auto names = std::make_shared<Names>();
    names->rules = std::make_shared<const SharedList<std::string>>(
        SharedList<std::string>{"default", "", "", "", "web-in", "ssh-no", std::string(300, 'r')});
    names->zones.emplace_back(7, std::vector<std::string>{"internet", "servers"});
    names->zones.emplace_back(8, std::vector<std::string>{"servers", "internet", "lab"});
    names->ports = {"outside", "inside"};
    return names;
}

/// Any event that the reader of the rings lets through.
inline RingEvent some_event(std::mt19937_64& random, std::uint64_t sequence) {
    RingEvent e;
    e.time = {1'000'000'000 + sequence * 1000};
    e.started = {random() % 1'000'000'000};
    e.kind = static_cast<abi::EventKind>(1 + random() % (abi::kEventKindCount - 1));
    e.verdict = static_cast<abi::Verdict>(random() % abi::kVerdictCount);
    e.end = static_cast<abi::FlowEnd>(random() % abi::kFlowEndCount);
    e.drop = static_cast<abi::DropReason>(random() % abi::kDropReasonCount);
    e.family = std::array{abi::IpFamily::none, abi::IpFamily::v4, abi::IpFamily::v6}[random() % 3];
    e.proto = static_cast<abi::L4Proto>(random() % 256);
    const std::size_t bytes = e.family == abi::IpFamily::none ? 0 : e.family == abi::IpFamily::v4 ? 4 : 16;
    for (std::size_t i = 0; i < bytes; ++i) {
        e.src.bytes[i] = static_cast<std::uint8_t>(random());
        e.dst.bytes[i] = static_cast<std::uint8_t>(random());
    }
    e.sport = abi::L4Port::of_host(static_cast<std::uint16_t>(random()));
    e.dport = abi::L4Port::of_host(static_cast<std::uint16_t>(random()));
    e.slot = abi::RuleSlot{static_cast<std::uint32_t>(random() % 9)};
    e.from_zone = abi::ZoneId{static_cast<std::uint16_t>(random() % 4)};
    e.to_zone = abi::ZoneId{static_cast<std::uint16_t>(random() % 4)};
    e.in_port = static_cast<std::uint8_t>(random() % 3);
    e.generation = 7 + random() % 3;
    e.packets = {random(), random()};
    e.bytes = {random(), random()};
    e.suppressed = random() % 4 == 0 ? static_cast<std::uint32_t>(random()) : 0;
    e.worker = static_cast<std::uint32_t>(random() % 3);
    e.sequence = sequence;
    return e;
}

inline std::shared_ptr<EventBatch> some_batch(std::mt19937_64& random, std::uint64_t first_sequence, std::size_t count,
                                              std::uint64_t boot_id = 1) {
    auto batch = std::make_shared<EventBatch>();
    batch->boot_id = boot_id;
    batch->names = some_names();
    batch->clock = UtcClock{1'795'000'000'000'000'000, {1'000'000'000}};
    for (std::size_t i = 0; i < count; ++i) batch->events.push_back(some_event(random, first_sequence + i));
    return batch;
}

/// A record's whole content as text, its number aside.
inline std::string told(const FlowRecord& r) {
    const RecordContext& c = *r.context;
    std::string text = rfc3339(r.time_ns) + "." + std::to_string(r.time_ns) + " ";
    text += std::string{event_kind_text(c.kind)} + " " + std::string{abi::to_string(c.verdict)} + " ";
    text += std::string{flow_end_text(c.end)} + " " + std::to_string(static_cast<int>(c.proto)) + " ";
    text += address_text(c.family, r.src) + ":" + std::to_string(r.sport) + ">" + address_text(c.family, r.dst) + ":";
    text += std::to_string(r.dport) + " " + std::string{c.rule} + " " + std::string{c.from_zone} + " ";
    text += std::string{c.to_zone} + " " + std::string{c.in_port} + " " + std::string{c.reason} + " ";
    text += std::to_string(c.generation) + " " + std::to_string(r.suppressed) + " " + std::to_string(r.started_ns);
    for (std::size_t d = 0; d < 2; ++d) text += " " + std::to_string(r.packets[d]) + "/" + std::to_string(r.bytes[d]);
    return text;
}

/// What a record of this event must say: from the event alone, by another way than the product's.
inline std::string expected(const RingEvent& e, const EventBatch& batch) {
    const bool ended = e.kind == abi::EventKind::flow_end;
    const bool reason =
        e.kind == abi::EventKind::drop || e.kind == abi::EventKind::limited || e.kind == abi::EventKind::seq_check;
    RecordContext c;
    c.generation = e.generation;
    c.kind = e.kind;
    c.verdict = e.verdict;
    c.end = e.end;
    c.family = e.family;
    c.proto = e.proto;
    c.rule = batch.names->rule(e.slot).substr(0, 255);
    c.from_zone = batch.names->zone(e.generation, e.from_zone);
    c.to_zone = batch.names->zone(e.generation, e.to_zone);
    c.in_port = batch.names->port(e.in_port);
    if (reason) c.reason = abi::to_string(e.drop);
    FlowRecord r;
    r.context = &c;
    r.time_ns = batch.clock.utc_ns(e.time);
    r.src = e.src;
    r.dst = e.dst;
    r.sport = e.sport.to_host();
    r.dport = e.dport.to_host();
    r.suppressed = e.suppressed;
    if (ended) {
        r.started_ns = batch.clock.utc_ns(e.started);
        r.packets = e.packets;
        r.bytes = e.bytes;
    }
    return told(r);
}

/// Blocks of records in segments of `dir`, and by number what each record must say.
struct Written {
    std::vector<std::string> expected;      ///< of record n: at n - 1
    std::vector<std::int64_t> times_ns;     ///< the same
    std::vector<std::uint64_t> block_ends;  ///< number of the last record of each block
    std::vector<SegmentInfo> segments;
};
struct Shape {
    std::size_t segments{1}, blocks{3}, records_max{20};
    bool seal{true};
};
inline Written write_segments(const std::string& dir, std::mt19937_64& random, const Shape& shape) {
    Written out;
    SegmentWriter writer{posix_file_ops(), dir};
    std::uint64_t next = 1;
    for (std::size_t s = 1; s <= shape.segments; ++s) {
        EXPECT_TRUE(writer.begin(s, next, 5));
        for (std::size_t b = 0; b < shape.blocks; ++b) {
            BlockBuilder block;
            const auto batch = some_batch(random, next, 1 + random() % shape.records_max);
            for (const auto& event : batch->events) {
                block.add(event, *batch);
                out.expected.push_back(expected(event, *batch));
                out.times_ns.push_back(batch->clock.utc_ns(event.time));
            }
            EXPECT_TRUE(writer.append(block, next));
            next += batch->events.size();
            out.block_ends.push_back(next - 1);
        }
        if (shape.seal) {
            EXPECT_TRUE(writer.seal());
        }
        out.segments.push_back(writer.info());
    }
    return out;
}

/// All that a reader gives, each with its number.
inline std::vector<std::pair<std::uint64_t, std::string>> read_all(RecordReader& reader) {
    std::vector<std::pair<std::uint64_t, std::string>> out;
    while (const FlowRecord* record = reader.next()) out.emplace_back(record->number, told(*record));
    return out;
}

}  // namespace sluice::cp::test
