/// The lines that rules cut into classes: addresses of either side, services, pairs of zones in each period. From terms
/// to class numbers, and from terms to what the tree builder takes.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <sluice/abi/tables.hpp>

#include "controlplane/compiler/classes.hpp"
#include "controlplane/compiler/entries.hpp"
#include "controlplane/compiler/periods.hpp"
#include "controlplane/compiler/terms.hpp"
#include "controlplane/compiler/tree_terms.hpp"

namespace sluice::cp {

/// Both families of a side: a set of IPv4 and IPv6 members may be one class.
struct AddressClasses {
    std::uint32_t count{};
    Intervals<std::uint32_t> v4;
    Intervals<V6Number> v6;
    std::vector<ClassRanges> of_list;      ///< lists that this side uses, by their local number
    std::vector<ListIndex> local_of_list;  ///< kAnyList = not used on this side
};

struct TransportClasses {
    std::uint32_t count{};
    Intervals<std::uint32_t> tcp, udp, icmp, icmp6, proto;
    std::vector<ClassRanges> of_list;
};

struct ZoneClasses {
    std::uint32_t count{};
    SetQuestions asked;
    std::uint64_t places{};  ///< periods times entries times pairs times answers; `pairs` is empty if they are too many
    std::vector<std::uint16_t> pairs;  ///< as TreesSection::zone_pairs, each period's table in all entries
    std::vector<ClassRanges> of_scope;
    std::vector<std::uint32_t> scope_of_term;
};

AddressClasses address_classes(const std::vector<Term>& terms, Side Term::*side, const SharedList<AddressList>& lists);
TransportClasses transport_classes(const SharedList<ServiceList>& lists);
/// What all terms together ask sets.
SetQuestions set_questions(const std::vector<Term>& terms);
/// `activities`: what Term::activity means, the first one being "in all periods and from all entries"; bit period *
/// entries + entry.
/// `asked`: uses of sets, at least those of the terms.
ZoneClasses zone_classes(const std::vector<Term>& terms, std::size_t zone_count,
                         const std::vector<PeriodBits>& activities, SetQuestions asked);
inline ZoneClasses zone_classes(const std::vector<Term>& terms, std::size_t zone_count,
                                const std::vector<PeriodBits>& activities = {{true}}) {
    return zone_classes(terms, zone_count, activities, set_questions(terms));
}

/// A class for every number below `count` of a line.
std::vector<std::uint16_t> direct_table(const Intervals<std::uint32_t>& intervals, std::uint32_t count);
/// By protocol number.
std::vector<std::uint16_t> proto_table(const Intervals<std::uint32_t>& intervals);

/// All of a policy's classes, and its terms in them.
struct ClassifiedTerms {
    AddressClasses src, dst;
    TransportClasses transport;
    ZoneClasses zones;
    std::array<ClassRanges, abi::kDimensionCount> any;
    std::vector<TreeTerm> terms;  ///< without those that nothing matches; they point into the members above

    /// `asked`: as zone_classes has it; null: what the terms ask.
    ClassifiedTerms(const TermBuilder& builder, const Policy& policy, const Periods& periods, const Entries& entries,
                    const SetQuestions* asked = nullptr);
    ClassifiedTerms(const TermBuilder& builder, const Policy& policy)
        : ClassifiedTerms{builder, policy, Periods{}, Entries{policy}} {}
    ClassifiedTerms(const ClassifiedTerms&) = delete;
    ClassifiedTerms& operator=(const ClassifiedTerms&) = delete;

    abi::ClassPoint class_count() const noexcept { return {src.count, dst.count, transport.count, zones.count}; }
};

}  // namespace sluice::cp
