/// A batch goes through four short passes, each of which asks for the memory of the next one: root and class tables,
/// intervals, rows, AND. A key costs one binary search per address and one walk over the rows, whatever its bits are.
#include "dataplane/acl/lookup.hpp"

#include <array>
#include <cassert>
#include <cstring>

#include "dataplane/acl/row_and.hpp"

namespace sluice::dp {

namespace {

struct V6Position {
    std::uint64_t high{}, low{};
};

inline void prefetch(const void* p) noexcept { __builtin_prefetch(p, 0, 3); }

inline std::uint32_t position_v4(const abi::IpAddr& a) noexcept { return a.v4().to_host(); }

inline V6Position position_v6(const abi::IpAddr& a) noexcept {
    return {.high = abi::NetOrder<std::uint64_t>::read(a.bytes.data()).to_host(),
            .low = abi::NetOrder<std::uint64_t>::read(a.bytes.data() + 8).to_host()};
}

inline bool starts_by(const abi::IntervalV4& i, std::uint32_t at) noexcept { return i.first <= at; }
inline bool starts_by(const abi::IntervalV6& i, const V6Position& at) noexcept {
    return i.first_high < at.high || (i.first_high == at.high && i.first_low <= at.low);
}

/// Candidates for an address: intervals [low, low + more].
struct Range {
    std::uint32_t low, more;
};

/// First two bytes in host order: the index into the root.
inline std::size_t top_bits(const abi::IpAddr& a) noexcept {
    return abi::NetOrder<std::uint16_t>::read(a.bytes.data()).to_host();
}

template <typename Interval>
Range candidates(const AddrClassView<Interval>& side, std::size_t top) noexcept {
    const std::uint32_t low = side.root[top];
    return {.low = low, .more = side.root[top + 1] - low};
}

/// Row of the interval that holds `at`: the last of the candidates that starts by it. Halves without branching; 16
/// steps at most for IPv4, as a root entry spans 2^16 addresses.
template <typename Interval, typename At>
const std::uint64_t* row_of(const AddrClassView<Interval>& side, Range range, const At& at,
                            std::uint32_t word_count) noexcept {
    while (range.more > 0) {
        const std::uint32_t half = (range.more + 1) / 2;
        range.low += starts_by(side.intervals[range.low + half], at) ? half : 0;
        range.more -= half;
    }
    return side.rows + std::size_t{side.intervals[range.low].class_index} * word_count;
}

/// The class table entry for a key. ICMP in IPv6 and ICMPv6 in IPv4 are neither: they go by protocol number, whose
/// class holds the rules for any service only.
const std::uint16_t* transport_entry(const TransportView& t, const LookupKey& key) noexcept {
    const bool v4 = key.family == abi::IpFamily::v4;
    switch (key.proto) {
        case abi::L4Proto::tcp: return t.tcp_dport + key.dport_or_icmp;
        case abi::L4Proto::udp: return t.udp_dport + key.dport_or_icmp;
        case abi::L4Proto::icmp:
            if (v4) return t.icmp + key.dport_or_icmp;
            break;
        case abi::L4Proto::icmp6:
            if (!v4) return t.icmp6 + key.dport_or_icmp;
            break;
        default: break;
    }
    return t.proto_class + static_cast<std::size_t>(key.proto);
}

/// Left uninitialised: each pass writes what the next one reads, and a batch may be one key.
struct Probe {
    RowSet rows;
    const std::uint16_t* transport;
    Range src, dst;
};
using Probes = std::array<Probe, kLookupBatchMax>;

void ask_roots(const TableView& t, std::span<const LookupKey> keys, Probes& probes) noexcept {
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const LookupKey& key = keys[i];
        assert(static_cast<std::size_t>(key.from) < t.zones.size());
        assert(static_cast<std::size_t>(key.to) < t.zones.size());
        Probe& p = probes[i];
        p.rows[0] = t.from_zone_rows + static_cast<std::size_t>(key.from) * t.word_count;
        p.rows[1] = t.to_zone_rows + static_cast<std::size_t>(key.to) * t.word_count;
        p.transport = transport_entry(t.transport, key);
        const bool v4 = key.family == abi::IpFamily::v4;
        prefetch(p.transport);
        prefetch((v4 ? t.src_v4.root : t.src_v6.root) + top_bits(key.src));
        prefetch((v4 ? t.dst_v4.root : t.dst_v6.root) + top_bits(key.dst));
    }
}

void ask_intervals(const TableView& t, std::span<const LookupKey> keys, Probes& probes) noexcept {
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const LookupKey& key = keys[i];
        Probe& p = probes[i];
        p.rows[4] = t.transport.rows + std::size_t{*p.transport} * t.word_count;
        prefetch(p.rows[4]);
        if (key.family == abi::IpFamily::v4) {
            p.src = candidates(t.src_v4, top_bits(key.src));
            p.dst = candidates(t.dst_v4, top_bits(key.dst));
            prefetch(t.src_v4.intervals + p.src.low + (p.src.more + 1) / 2);
            prefetch(t.dst_v4.intervals + p.dst.low + (p.dst.more + 1) / 2);
        } else {
            p.src = candidates(t.src_v6, top_bits(key.src));
            p.dst = candidates(t.dst_v6, top_bits(key.dst));
            prefetch(t.src_v6.intervals + p.src.low + (p.src.more + 1) / 2);
            prefetch(t.dst_v6.intervals + p.dst.low + (p.dst.more + 1) / 2);
        }
    }
}

void ask_rows(const TableView& t, std::span<const LookupKey> keys, Probes& probes) noexcept {
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const LookupKey& key = keys[i];
        Probe& p = probes[i];
        if (key.family == abi::IpFamily::v4) {
            p.rows[2] = row_of(t.src_v4, p.src, position_v4(key.src), t.word_count);
            p.rows[3] = row_of(t.dst_v4, p.dst, position_v4(key.dst), t.word_count);
        } else {
            p.rows[2] = row_of(t.src_v6, p.src, position_v6(key.src), t.word_count);
            p.rows[3] = row_of(t.dst_v6, p.dst, position_v6(key.dst), t.word_count);
        }
        prefetch(p.rows[2]);
        prefetch(p.rows[3]);
    }
}

void run(RowAndFn row_and, const TableView& t, std::span<const LookupKey> keys,
         std::span<LookupResult> results) noexcept {
    assert(keys.size() <= kLookupBatchMax && results.size() == keys.size());
    Probes probes;
    ask_roots(t, keys, probes);
    ask_intervals(t, keys, probes);
    ask_rows(t, keys, probes);
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const TermHit hit = row_and(probes[i].rows, t.observe_mask, t.word_count);
        results[i] = {.rule = hit.enforced == kNoTerm ? t.default_rule() : t.term_rule[hit.enforced],
                      .observe = hit.observed == kNoTerm ? abi::kNoRule : t.term_rule[hit.observed]};
    }
}

// Chosen before main(): a lookup loads one pointer, and no guard variable.
const RowAndFn kChosen = row_and_body(chosen_row_and());

}  // namespace

void lookup(const TableView& table, std::span<const LookupKey> keys, std::span<LookupResult> results) noexcept {
    run(kChosen, table, keys, results);
}

void lookup_using(RowAnd variant, const TableView& table, std::span<const LookupKey> keys,
                  std::span<LookupResult> results) noexcept {
    run(row_and_body(variant), table, keys, results);
}

}  // namespace sluice::dp
