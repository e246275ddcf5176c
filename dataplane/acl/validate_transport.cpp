/// The transport section: tables whose entries are classes, and nothing else.
#include "dataplane/acl/check.hpp"

namespace sluice::dp {

namespace {

using R = abi::RefuseReason;

bool check_table(Check& check, std::string_view name, const abi::ArrayRef& ref, std::uint64_t count,
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

bool check_transport(Check& check, const abi::TransportSection& s) {
    return check.require(s.class_count >= 1, R::bounds, "no class") &&
           check.require(s.must_be_zero == 0, R::bounds, "padding is not zero") &&
           check_table(check, "proto_class", s.proto_class, 256, s.class_count) &&
           check_table(check, "tcp_dport", s.tcp_dport, 65'536, s.class_count) &&
           check_table(check, "udp_dport", s.udp_dport, 65'536, s.class_count) &&
           check_table(check, "icmp", s.icmp, 65'536, s.class_count) &&
           check_table(check, "icmp6", s.icmp6, 65'536, s.class_count);
}

}  // namespace sluice::dp
