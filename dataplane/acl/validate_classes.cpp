/// The class sections: address intervals with their root, and transport tables. Every index that the lookup follows is
/// checked here, so that the lookup checks none.
#include <compare>

#include "dataplane/acl/check.hpp"

namespace sluice::dp {

namespace {

using R = abi::RefuseReason;

/// Widest row: kTermsMax terms.
inline constexpr std::uint32_t kWordsMax = abi::kTermsMax / 64;

struct Position {
    std::uint64_t high{}, low{};
    constexpr auto operator<=>(const Position&) const = default;
};

constexpr Position position_of(const abi::IntervalV4& i) noexcept { return {.high = i.first}; }
constexpr Position position_of(const abi::IntervalV6& i) noexcept { return {.high = i.first_high, .low = i.first_low}; }

constexpr bool padding_is_zero(const abi::IntervalV4&) noexcept { return true; }
constexpr bool padding_is_zero(const abi::IntervalV6& i) noexcept { return i.must_be_zero == 0; }

bool check_row_shape(Check& check, std::uint32_t class_count, std::uint32_t word_count, const abi::ArrayRef& rows) {
    return check.require(word_count >= 1 && word_count <= kWordsMax, R::bounds, "word_count is ", word_count,
                         ", expected 1 to ", kWordsMax) &&
           check.require(class_count >= 1, R::bounds, "no class") &&
           check.require(rows.count == std::uint64_t{class_count} * word_count, R::bounds, "rows has ", rows.count,
                         " words, expected ", class_count, " rows of ", word_count);
}

template <typename Interval>
bool check_intervals(Check& check, std::span<const Interval> intervals, std::uint32_t class_count) {
    if (!check.require(position_of(intervals[0]) == Position{}, R::order, "the first interval does not start at 0"))
        return false;
    for (std::size_t i = 0; i < intervals.size(); ++i) {
        if (!check.require(intervals[i].class_index < class_count, R::index, "interval ", i, " names class ",
                           intervals[i].class_index, " of ", class_count) ||
            !check.require(padding_is_zero(intervals[i]), R::bounds, "interval ", i, " has padding that is not zero") ||
            !check.require(i == 0 || position_of(intervals[i - 1]) < position_of(intervals[i]), R::order, "interval ",
                           i, " does not start behind the one before it"))
            return false;
    }
    return true;
}

/// `rest_bits`: how many bits of Position::high stand below the top 16 bits of an address.
template <typename Interval>
bool check_root(Check& check, std::span<const std::uint32_t> root, std::span<const Interval> intervals,
                unsigned rest_bits) {
    for (std::uint64_t r = 0; r + 1 < root.size(); ++r) {
        const Position at{.high = r << rest_bits};
        const std::uint64_t i = root[r];
        if (!check.require(i < intervals.size(), R::index, "root ", r, " names interval ", i, " of ",
                           intervals.size()) ||
            !check.require(
                position_of(intervals[i]) <= at && (i + 1 == intervals.size() || at < position_of(intervals[i + 1])),
                R::order, "root ", r, " names interval ", i, ", which does not hold its first address"))
            return false;
    }
    return check.require(root.back() == intervals.size() - 1, R::order, "the last root entry is ", root.back(),
                         ", expected the last of ", intervals.size(), " intervals");
}

template <typename Interval>
bool check_addresses(Check& check, const abi::AddrClassSection& s, unsigned rest_bits) {
    std::span<const std::uint32_t> root;
    std::span<const Interval> intervals;
    std::span<const std::uint64_t> rows;
    return check_row_shape(check, s.class_count, s.word_count, s.rows) &&
           check.require(s.intervals.count >= 1 && s.intervals.count <= 0xffff'ffffU, R::bounds, s.intervals.count,
                         " intervals, expected 1 to 2^32 - 1") &&
           check.array("root", s.root, abi::kAddrRootCount, root) && check.array("intervals", s.intervals, intervals) &&
           check.array("rows", s.rows, rows) && check_intervals(check, intervals, s.class_count) &&
           check_root(check, root, intervals, rest_bits);
}

bool check_class_table(Check& check, std::string_view name, const abi::ArrayRef& ref, std::uint64_t count,
                       std::uint32_t class_count) {
    std::span<const std::uint16_t> table;
    if (!check.array(name, ref, count, table)) return false;
    for (std::size_t i = 0; i < table.size(); ++i) {
        if (!check.require(table[i] < class_count, R::index, name, " ", i, " names class ", table[i], " of ",
                           class_count))
            return false;
    }
    return true;
}

}  // namespace

bool check_addresses_v4(Check& check, const abi::AddrClassSection& s) {
    return check_addresses<abi::IntervalV4>(check, s, 16);
}

bool check_addresses_v6(Check& check, const abi::AddrClassSection& s) {
    return check_addresses<abi::IntervalV6>(check, s, 48);
}

bool check_transport(Check& check, const abi::TransportSection& s) {
    std::span<const std::uint64_t> rows;
    return check_row_shape(check, s.class_count, s.word_count, s.rows) &&
           check_class_table(check, "proto_class", s.proto_class, 256, s.class_count) &&
           check_class_table(check, "tcp_dport", s.tcp_dport, 65'536, s.class_count) &&
           check_class_table(check, "udp_dport", s.udp_dport, 65'536, s.class_count) &&
           check_class_table(check, "icmp", s.icmp, 65'536, s.class_count) &&
           check_class_table(check, "icmp6", s.icmp6, 65'536, s.class_count) && check.array("rows", s.rows, rows);
}

}  // namespace sluice::dp
