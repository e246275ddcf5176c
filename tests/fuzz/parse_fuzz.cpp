/// libFuzzer target for the parser, the quoted packets and the answers: parse_fuzz [-max_total_time=60] CORPUS_DIR.
/// Input: one byte of circumstances, two of segment length, then the frame, which is also parsed without its padding.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "tests/fuzz/repair.hpp"
#include "tests/unit/dataplane/pipeline/parse_check.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 3) return 0;
    const std::uint8_t circumstances = data[0];
    const std::size_t segment = static_cast<std::size_t>(data[1]) << 8 | data[2];
    sluice::test::Bytes frame{data + 3, data + size};
    if ((circumstances & 1) == 0) sluice::test::repair_ipv4_checksum(frame);
    const auto device = (circumstances & 4) == 0 ? sluice::dp::L4Checksum::good : sluice::dp::L4Checksum::unknown;
    for (const sluice::test::Bytes& one : {frame, sluice::test::ends_with_datagram(frame)}) {
        const std::size_t contiguous = (circumstances & 2) == 0 ? one.size() : std::min(segment, one.size());
        if (const char* wrong = sluice::test::parse_at_the_edge(one, contiguous, device)) {
            std::fprintf(stderr, "parse: %s\n", wrong);
            std::abort();
        }
    }
    return 0;
}
