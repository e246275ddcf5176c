/// One line per packet in the parser's tests: frame in, drop reason (or none) out.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "dataplane/pipeline/parse.hpp"
#include "tests/harness/frames.hpp"

namespace sluice::test {

struct Parsed {
    std::optional<abi::DropReason> reason;
    dp::ParsedPacket p;
};

inline Parsed parse_frame(Bytes frame, dp::L4Checksum device = dp::L4Checksum::unknown) {
    Parsed result;
    dp::Packet packet = as_packet(frame);
    packet.l4_checksum = device;
    result.reason = dp::parse(packet, result.p);
    return result;
}

inline std::string reason_of(Bytes frame, dp::L4Checksum device = dp::L4Checksum::unknown) {
    const auto reason = parse_frame(std::move(frame), device).reason;
    return reason ? std::string{abi::to_string(*reason)} : "pass";
}

}  // namespace sluice::test
