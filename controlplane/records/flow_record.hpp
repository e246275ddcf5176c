/// A flow record as it is read back: what happened, in names instead of numbers, so that it says the same when the
/// rule, its slot and the whole policy are long gone.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include <sluice/abi/telemetry.hpp>

namespace sluice::cp {

/// What many records have in common; a block holds each one once.
struct RecordContext {
    std::uint64_t generation{};
    abi::EventKind kind{};
    abi::Verdict verdict{};
    abi::FlowEnd end{};
    abi::IpFamily family{};
    abi::L4Proto proto{};
    std::string_view rule, from_zone, to_zone, in_port;  ///< empty = unknown
    std::string_view reason;                             ///< name of the drop reason; empty = none
};

struct FlowRecord {
    std::uint64_t number{};          ///< from 1, one more from record to record, over segments and restarts
    std::int64_t time_ns{};          ///< UTC; mostly, not always, later than the one before: clocks are set
    const RecordContext* context{};  ///< never null; lives as long as the record itself may be used
    abi::IpAddr src{}, dst{};        ///< of the original direction
    std::uint16_t sport{}, dport{};  ///< host order; ICMP: identifier, and type << 8 | code
    std::uint32_t suppressed{};      ///< events of this kind and reason left out since the last one
    std::int64_t started_ns{};       ///< UTC; of flow_end only, like what follows
    std::array<std::uint64_t, 2> packets{}, bytes{};  ///< original, reply
};

/// Where in the rings of one dataplane process the next event stands that no record is about yet: by worker, as
/// sequence.
struct RingPositions {
    std::uint64_t boot_id{};  ///< 0 = unknown
    std::array<std::uint64_t, abi::kWorkersMax> next{};
};

}  // namespace sluice::cp
