/// libFuzzer target for the parser, the quoted packets and the answers: parse_fuzz [-max_total_time=60] CORPUS_DIR.
/// Input: one byte of circumstances, two of segment length, then the frame.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "tests/harness/frames.hpp"
#include "tests/unit/dataplane/pipeline/parse_check.hpp"

namespace {

using sluice::test::Bytes;

/// A fuzzer does not guess checksums; without the right one nothing behind the IPv4 header is ever reached.
void repair_ipv4_checksum(Bytes& frame) {
    std::size_t at = 12;
    while (at + 4 <= frame.size() && (frame[at] == 0x81 || frame[at] == 0x88)) at += 4;
    if (at + 22 > frame.size() || frame[at] != 0x08 || frame[at + 1] != 0x00) return;
    const std::size_t ip = at + 2;
    const std::size_t header_bytes = std::min<std::size_t>((frame[ip] & 0x0fU) * 4, frame.size() - ip);
    frame[ip + 10] = frame[ip + 11] = 0;
    const auto first = frame.begin() + static_cast<std::ptrdiff_t>(ip);
    const std::uint16_t sum =
        sluice::test::internet_checksum({first, first + static_cast<std::ptrdiff_t>(header_bytes)});
    frame[ip + 10] = static_cast<std::uint8_t>(sum >> 8);
    frame[ip + 11] = static_cast<std::uint8_t>(sum);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 3) return 0;
    const std::uint8_t circumstances = data[0];
    const std::size_t segment = static_cast<std::size_t>(data[1]) << 8 | data[2];
    Bytes frame{data + 3, data + size};
    if ((circumstances & 1) == 0) repair_ipv4_checksum(frame);
    const std::size_t contiguous = (circumstances & 2) == 0 ? frame.size() : std::min(segment, frame.size());
    const auto device = (circumstances & 4) == 0 ? sluice::dp::L4Checksum::good : sluice::dp::L4Checksum::unknown;
    if (const char* wrong = sluice::test::parse_at_the_edge(frame, contiguous, device)) {
        std::fprintf(stderr, "parse: %s\n", wrong);
        std::abort();
    }
    return 0;
}
