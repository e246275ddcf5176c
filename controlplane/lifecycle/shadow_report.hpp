/// What a shadow policy would have said, as far as it was asked. Nothing here is a total of all flows: what was not
/// seen stands beside it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <sluice/abi/net_order.hpp>
#include <sluice/abi/verdict.hpp>

namespace sluice::cp {

struct ShadowFlow {
    std::int64_t time_ns{};  ///< UTC
    std::string in_port, from_zone, to_zone;
    abi::IpFamily family{};
    abi::L4Proto proto{};
    abi::IpAddr src{}, dst{};
    std::uint16_t sport{}, dport{};  ///< host order; ICMP: identifier, and type << 8 | code
};

/// Flows that got one verdict by one rule and would have got another.
struct ShadowPair {
    std::string live_rule;  ///< id, of the policy that was in force then; empty = its slot is not known any more
    abi::Verdict live{};
    std::string shadow_rule;
    abi::Verdict shadow{};
    std::uint64_t flows{};
    std::int64_t last_ns{};
    std::vector<ShadowFlow> examples{};  ///< newest first
};

/// Flows that the shadow was not asked about, by why.
struct ShadowUnseen {
    std::uint64_t sampled{};  ///< came faster than workers tell them
    std::uint64_t lost{};   ///< events overwritten in the rings; of which kind they were, nobody knows: at most so many
    std::uint64_t queue{};  ///< told faster than the shadow can be asked
    std::uint64_t unplaced{};  ///< came in by a port that has no zone, or no wire, in the shadow
    std::uint64_t total() const noexcept { return sampled + lost + queue + unplaced; }
};

struct ShadowReport {
    std::string name{}, version{}, hash{}, draft{};
    std::string started_by{}, reason{};
    std::int64_t started_ns{};     ///< UTC
    std::int64_t since_ns{};       ///< UTC; what is counted is from then on: a restart of the control plane counts anew
    bool watching{};               ///< the dataplane tells new flows now
    std::uint64_t unwatched_ms{};  ///< of the time since then in which it did not: nobody knows how many flows came
    std::string trouble{};  ///< why it is not asked, or asked with members of sets that are old; empty = all is well

    std::uint64_t flows{};  ///< that it was asked about
    /// By the verdict that they got, and the one that they would have got.
    std::array<std::array<std::uint64_t, abi::kVerdictCount>, abi::kVerdictCount> by_verdict{};
    std::uint64_t changed{};     ///< would have got another verdict
    std::uint64_t other_rule{};  ///< the same by another rule
    ShadowUnseen unseen{};
    std::vector<ShadowPair> pairs{};  ///< of `changed`; those with most flows first
    std::uint64_t flows_left_out{};   ///< of `changed`, by pairs that are not told
};

}  // namespace sluice::cp
