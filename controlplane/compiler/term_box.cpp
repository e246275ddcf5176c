#include "controlplane/compiler/term_box.hpp"

namespace sluice::cp {

namespace {

bool asks_no_more(SetBits wide, SetBits narrow) { return wide == 0 || (narrow != 0 && (narrow & ~wide) == 0); }

bool overlaps(const ServiceList& a, const ServiceList& b) {
    return overlaps(a.tcp, b.tcp) || overlaps(a.udp, b.udp) || overlaps(a.icmp, b.icmp) || overlaps(a.icmp6, b.icmp6) ||
           overlaps(a.proto, b.proto);
}

bool covers(const ServiceList& wide, const ServiceList& narrow) {
    return covers(wide.tcp, narrow.tcp) && covers(wide.udp, narrow.udp) && covers(wide.icmp, narrow.icmp) &&
           covers(wide.icmp6, narrow.icmp6) && covers(wide.proto, narrow.proto);
}

bool covers(const AddressList& wide, const AddressList& narrow) {
    return covers(wide.v4, narrow.v4) && covers(wide.v6, narrow.v6);
}

}  // namespace

bool asks_no_more(const TermBox& wide, const TermBox& narrow) {
    return asks_no_more(wide.from_members, narrow.from_members) && asks_no_more(wide.to_members, narrow.to_members) &&
           (wide.from_except & ~narrow.from_except) == 0 && (wide.to_except & ~narrow.to_except) == 0;
}

bool overlaps(const TermBox& a, const TermBox& b) {
    if ((a.from & b.from).none() || (a.to & b.to).none() || !overlaps(*a.service, *b.service)) return false;
    return (overlaps(a.src->v4, b.src->v4) && overlaps(a.dst->v4, b.dst->v4)) ||
           (overlaps(a.src->v6, b.src->v6) && overlaps(a.dst->v6, b.dst->v6));
}

bool covers(const TermBox& wide, const TermBox& narrow) {
    return asks_no_more(wide, narrow) && (narrow.from & ~wide.from).none() && (narrow.to & ~wide.to).none() &&
           covers(*wide.service, *narrow.service) && covers(*wide.src, *narrow.src) && covers(*wide.dst, *narrow.dst);
}

}  // namespace sluice::cp
