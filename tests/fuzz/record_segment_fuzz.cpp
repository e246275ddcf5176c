/// libFuzzer target for segment files of flow records: record_segment_fuzz [-max_total_time=60] CORPUS_DIR. Input: one
/// byte that says whether the segment is sealed, whether checksums are made good again, and whether the bytes are the
/// whole file; then patches of a segment that the product wrote (input.hpp). Whatever stands in the file: a scan and
/// reading end, what is found has bounds, and each record can be told.
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/records/block_builder.hpp"
#include "controlplane/records/crc32c.hpp"
#include "controlplane/records/record_json.hpp"
#include "controlplane/records/record_reader.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace sluice;
using test::Input;
using test::must;

constexpr std::uint64_t kSegment = 7;
constexpr std::uint8_t kSealed = 1, kMended = 2, kRaw = 4;

cp::RingEvent event_of(std::uint64_t n) {
    cp::RingEvent e;
    e.time = {1'000 * n};
    e.kind = static_cast<abi::EventKind>(1 + n % 9);
    e.family = n % 3 == 0 ? abi::IpFamily::v6 : n % 3 == 1 ? abi::IpFamily::v4 : abi::IpFamily::none;
    e.slot = abi::RuleSlot{static_cast<std::uint32_t>(n % 2)};
    e.suppressed = n % 4 == 0 ? 3 : 0;
    e.worker = static_cast<std::uint32_t>(n % 2);
    e.sequence = n;
    return e;
}

/// Four blocks of six records.
std::vector<std::uint8_t> segment_bytes(bool sealed) {
    cp::SegmentHeader header;
    header.segment = kSegment;
    header.first_record = 1;
    header.crc = cp::crc32c(std::as_bytes(std::span{&header, 1}));
    std::vector<std::uint8_t> bytes(sizeof header);
    std::memcpy(bytes.data(), &header, sizeof header);
    cp::EventBatch batch;
    batch.boot_id = 1;
    auto names = std::make_shared<cp::Names>();
    names->rules = std::make_shared<const cp::SharedList<std::string>>(cp::SharedList<std::string>{"web-in", "web-in"});
    batch.names = names;
    batch.clock = cp::UtcClock{1'790'000'000'000'000'000, {1}};
    cp::SegmentInfo info;
    info.segment = kSegment;
    std::uint64_t next = 1;
    for (int b = 0; b < 4; ++b) {
        cp::BlockBuilder builder;
        for (int r = 0; r < 6; ++r) builder.add(event_of(next + static_cast<std::uint64_t>(r)), batch);
        const auto block = builder.finish(kSegment, bytes.size(), next);
        const auto* data = reinterpret_cast<const std::uint8_t*>(block.bytes.data());
        bytes.insert(bytes.end(), data, data + block.bytes.size());
        info.add(block.header);
        next += 6;
    }
    if (sealed) {
        const auto footer = cp::footer_of(info);
        const auto* data = reinterpret_cast<const std::uint8_t*>(footer.data());
        bytes.insert(bytes.end(), data, data + footer.size());
    }
    return bytes;
}

/// A fuzzer guesses no checksums: those of the blocks, where their heads still stand, and the footer's are made good.
void mend(std::vector<std::uint8_t>& bytes, const std::vector<std::uint8_t>& original) {
    for (std::size_t at = sizeof(cp::SegmentHeader); at + sizeof(cp::BlockHeader) <= bytes.size();) {
        cp::BlockHeader was;
        std::memcpy(&was, original.data() + at, sizeof was);
        if (was.magic != cp::kBlockMagic) break;
        cp::BlockHeader header;
        std::memcpy(&header, bytes.data() + at, sizeof header);
        const std::size_t payload_at = at + sizeof header;
        const std::size_t payload = std::min<std::size_t>(header.payload_bytes, bytes.size() - payload_at);
        header.payload_crc = cp::crc32c(std::as_bytes(std::span{bytes}).subspan(payload_at, payload));
        header.crc = 0;
        header.crc = cp::crc32c(std::as_bytes(std::span{&header, 1}));
        std::memcpy(bytes.data() + at, &header, sizeof header);
        at = payload_at + was.payload_bytes;
    }
    cp::SegmentFooter footer;
    std::memcpy(&footer, bytes.data() + bytes.size() - sizeof footer, sizeof footer);
    if (footer.magic != cp::kFooterMagic || footer.data_bytes > bytes.size() - sizeof footer) return;
    footer.crc = 0;
    const auto entries =
        std::as_bytes(std::span{bytes})
            .subspan(static_cast<std::size_t>(footer.data_bytes), bytes.size() - sizeof footer - footer.data_bytes);
    footer.crc = cp::crc32c(std::as_bytes(std::span{&footer, 1}), cp::crc32c(entries));
    std::memcpy(bytes.data() + bytes.size() - sizeof footer, &footer, sizeof footer);
}

void read(const cp::SegmentInfo& info) {
    cp::RecordReader reader{{info}, {}};
    while (const cp::FlowRecord* record = reader.next())
        must(!cp::record_json(*record).empty(), "a record can be told");
    must(reader.at_end(), "reading ends");
    must(reader.report().blocks_read <= info.file_bytes / sizeof(cp::BlockHeader), "no block is read twice");
}

/// One file for all inputs, in memory where there is such a place.
struct Scratch {
    Scratch() {
        const bool in_memory = std::filesystem::exists("/dev/shm");
        path = std::string{in_memory ? "/dev/shm" : "/tmp"} + "/sluice-segment-XXXXXX";
        fd = ::mkstemp(path.data());
    }
    ~Scratch() {
        ::close(fd);
        ::unlink(path.c_str());
    }
    void put(const std::vector<std::uint8_t>& bytes) const {
        must(::ftruncate(fd, 0) == 0 &&
                 ::pwrite(fd, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()),
             "the file is written");
    }
    std::string path;
    int fd{};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input in{data, size};
    const std::uint8_t how = in.byte();
    std::vector<std::uint8_t> bytes;
    if ((how & kRaw) != 0) {
        const auto rest = in.rest();
        bytes.assign(rest.begin(), rest.end());
    } else {
        const auto original = segment_bytes((how & kSealed) != 0);
        bytes = original;
        test::patch(std::span{bytes}, in, 8);
        if ((how & kMended) != 0) mend(bytes, original);
    }
    static const Scratch file;
    file.put(bytes);
    const auto scanned = cp::scan_segment(file.path, kSegment);
    must(scanned.has_value(), "a file can be scanned");
    const auto& info = scanned->info;
    must(info.data_bytes <= bytes.size() &&
             (info.sealed || scanned->foreign || info.data_bytes + scanned->torn_bytes == bytes.size()),
         "what is torn and what is not is the file");
    if (scanned->foreign || info.empty()) return 0;
    must(info.end_record > info.first_record && info.time_min_ns <= info.time_max_ns, "a segment has bounds");
    (void)cp::last_rings(info);
    read(info);
    return 0;
}
