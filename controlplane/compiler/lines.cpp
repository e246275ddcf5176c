#include "controlplane/compiler/lines.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <span>
#include <unordered_map>
#include <utility>

namespace sluice::cp {

namespace {

constexpr std::size_t kZoneCutsMax = 16'000'000;  ///< 128 MiB: thousands of rules with answers in many patterns

constexpr auto kNoNext = static_cast<std::uint32_t>(abi::L4Proto::ipv6_no_next);

/// IPv6 "no next header" stands last on the line of protocols: a rule for any service means all but that, which makes
/// it one range.
constexpr std::uint32_t place_of_proto(std::uint32_t proto) noexcept {
    return proto < kNoNext ? proto : proto == kNoNext ? 255 : proto - 1;
}

Ranges<std::uint32_t> places_of(const Ranges<std::uint32_t>& protos) {
    Ranges<std::uint32_t> places;
    for (const Range<std::uint32_t>& r : protos) {
        for (std::uint32_t p = r.first; p <= r.last; ++p)
            places.push_back({.first = place_of_proto(p), .last = place_of_proto(p)});
    }
    normalise(places);
    return places;
}

struct Scope {
    ZoneBits from, to;
    std::uint32_t activity{};
    std::uint32_t from_any_of{}, to_any_of{};    ///< bits of answers of which one must be yes; 0 = nothing is asked
    std::uint32_t from_none_of{}, to_none_of{};  ///< bits of answers that must all be no
    bool operator==(const Scope&) const = default;
};
struct ScopeHash {
    std::size_t operator()(const Scope& s) const noexcept {
        return (std::hash<ZoneBits>{}(s.from) * 0x9e3779b97f4a7c15ULL ^ std::hash<ZoneBits>{}(s.to) ^
                (std::uint64_t{s.from_any_of} << 16 | s.to_any_of) * 0xa0761d6478bd642fULL ^
                (std::uint64_t{s.from_none_of} << 16 | s.to_none_of) * 0xe7037ed1a0b428dbULL) +
               s.activity;
    }
};

void add_place(Ranges<std::uint32_t>& places, std::uint32_t first, std::uint32_t last) {
    if (!places.empty() && places.back().last + 1 == first) {
        places.back().last = last;
    } else {
        places.push_back({.first = first, .last = last});
    }
}

/// A pair of zones: the answers of sets that fit, as numbers from `base` on.
void add_answers(Ranges<std::uint32_t>& places, const Scope& scope, std::uint32_t base, std::uint32_t answers) {
    const std::uint32_t none_of = scope.from_none_of | scope.to_none_of;
    if ((scope.from_any_of | scope.to_any_of | none_of) == 0) return add_place(places, base, base + answers - 1);
    for (std::uint32_t a = 0; a < answers; ++a) {
        const bool from_is = scope.from_any_of == 0 || (a & scope.from_any_of) != 0;
        const bool to_is = scope.to_any_of == 0 || (a & scope.to_any_of) != 0;
        if (from_is && to_is && (a & none_of) == 0) add_place(places, base + a, base + a);
    }
}

/// Pairs (from, to) and answers of one period and entry.
void add_pairs(Ranges<std::uint32_t>& places, const Scope& scope, std::size_t zone_count, std::size_t moment,
               std::size_t uses) {
    for (std::size_t from = 0; from < zone_count; ++from) {
        if (!scope.from.test(from)) continue;
        for (std::size_t to = 0; to < zone_count; ++to) {
            if (!scope.to.test(to)) continue;
            const std::size_t pair = (moment * zone_count + from) * zone_count + to;
            add_answers(places, scope, static_cast<std::uint32_t>(pair << uses), 1U << uses);
        }
    }
}

/// Moments (period * entries + entry), pairs (from, to) and answers as numbers, as TreesSection::zone_pairs has them.
Ranges<std::uint32_t> places_of(const Scope& scope, std::size_t zone_count, const PeriodBits& active,
                                std::size_t uses) {
    Ranges<std::uint32_t> places;
    for (std::size_t moment = 0; moment < active.size(); ++moment) {
        if (active[moment]) add_pairs(places, scope, zone_count, moment, uses);
    }
    return places;
}

}  // namespace

/// Only lists that terms of this side use: another list's edges would cut classes for nothing.
AddressClasses address_classes(const std::vector<Term>& terms, Side Term::*side, const SharedList<AddressList>& lists) {
    AddressClasses out;
    out.local_of_list.assign(lists.size(), kAnyList);
    std::vector<Cut<std::uint32_t>> v4;
    std::vector<Cut<V6Number>> v6;
    ListIndex used = 0;
    for (const Term& term : terms) {
        const ListIndex list = (term.*side).addresses;
        if (list == kAnyList || out.local_of_list[list] != kAnyList) continue;
        out.local_of_list[list] = used;
        add_cuts(v4, used, lists[list].v4);
        add_cuts(v6, used, lists[list].v6);
        ++used;
    }
    ClassNumbers numbers{used};
    out.v4 = numbers.add_line(v4, std::numeric_limits<std::uint32_t>::max());
    out.v6 = numbers.add_line(v6, {.high = ~std::uint64_t{0}, .low = ~std::uint64_t{0}});
    out.count = numbers.count();
    out.of_list = numbers.take_lists();
    return out;
}

TransportClasses transport_classes(const SharedList<ServiceList>& lists) {
    TransportClasses out;
    ClassNumbers numbers{lists.size()};
    const auto line = [&](auto add_line, std::uint32_t last) {
        std::vector<Cut<std::uint32_t>> cuts;
        for (ListIndex l = 0; l < lists.size(); ++l) add_line(cuts, l, lists[l]);
        return numbers.add_line(cuts, last);
    };
    const auto ranges = [](Ranges<std::uint32_t> ServiceList::*of) {
        return [of](auto& cuts, ListIndex l, const ServiceList& list) { add_cuts(cuts, l, list.*of); };
    };
    out.tcp = line(ranges(&ServiceList::tcp), 65'535);
    out.udp = line(ranges(&ServiceList::udp), 65'535);
    out.icmp = line(ranges(&ServiceList::icmp), 65'535);
    out.icmp6 = line(ranges(&ServiceList::icmp6), 65'535);
    out.proto =
        line([](auto& cuts, ListIndex l, const ServiceList& list) { add_cuts(cuts, l, places_of(list.proto)); }, 255);
    out.count = numbers.count();
    out.of_list = numbers.take_lists();
    return out;
}

SetQuestions set_questions(const std::vector<Term>& terms) {
    std::array<SetBits, 2> asked{};
    for (const Term& term : terms) {
        asked[0] |= term.from.members | term.from.except;
        asked[1] |= term.to.members | term.to.except;
    }
    SetQuestions questions;
    for (std::uint16_t set = 0; set < 64; ++set) {
        for (std::uint8_t side = 0; side < 2; ++side) {
            if ((asked[side] >> set & 1U) != 0) questions.uses.push_back({.set = set, .side = side});
        }
    }
    return questions;
}

ZoneClasses zone_classes(const std::vector<Term>& terms, std::size_t zone_count,
                         const std::vector<PeriodBits>& activities, SetQuestions asked) {
    ZoneClasses out;
    out.asked = std::move(asked);
    const std::size_t uses = out.asked.uses.size();
    if (uses > abi::kSetUsesMax) return out;
    out.places = (std::uint64_t{activities[0].size()} * zone_count * zone_count) << uses;
    if (out.places > abi::kZonePlacesMax) return out;
    std::unordered_map<Scope, std::uint32_t, ScopeHash> scopes;
    std::vector<Cut<std::uint32_t>> cuts;
    const Scope* last = nullptr;  // in `scopes`
    for (const Term& term : terms) {
        const Scope scope{.from = term.from.zones,
                          .to = term.to.zones,
                          .activity = term.activity,
                          .from_any_of = out.asked.answers_about(term.from.members, 0),
                          .to_any_of = out.asked.answers_about(term.to.members, 1),
                          .from_none_of = out.asked.answers_about(term.from.except, 0),
                          .to_none_of = out.asked.answers_about(term.to.except, 1)};
        if (last != nullptr && *last == scope) {  // most are like the one before
            out.scope_of_term.push_back(out.scope_of_term.back());
            continue;
        }
        const auto [it, fresh] = scopes.try_emplace(scope, static_cast<std::uint32_t>(scopes.size()));
        if (fresh) add_cuts(cuts, it->second, places_of(scope, zone_count, activities[scope.activity], uses));
        last = &it->first;
        out.scope_of_term.push_back(it->second);
        if (cuts.size() > kZoneCutsMax) {
            out.places = std::uint64_t{abi::kZonePlacesMax} + 1;
            return out;
        }
    }
    ClassNumbers numbers{scopes.size()};
    // A policy without zones has no pairs; one class is there all the same.
    const auto place_count = static_cast<std::uint32_t>(out.places);
    const auto intervals = numbers.add_line(cuts, std::max(place_count, 1U) - 1);
    out.count = numbers.count();
    out.of_scope = numbers.take_lists();
    out.pairs = direct_table(intervals, place_count);
    return out;
}

std::vector<std::uint16_t> direct_table(const Intervals<std::uint32_t>& intervals, std::uint32_t count) {
    std::vector<std::uint16_t> table(count);
    for (std::size_t i = 0; i < intervals.size(); ++i) {
        const std::uint32_t end = i + 1 < intervals.size() ? std::min(intervals[i + 1].first, count) : count;
        for (std::uint32_t at = intervals[i].first; at < end; ++at)
            table[at] = static_cast<std::uint16_t>(intervals[i].class_index);
    }
    return table;
}

std::vector<std::uint16_t> proto_table(const Intervals<std::uint32_t>& intervals) {
    const std::vector<std::uint16_t> by_place = direct_table(intervals, 256);
    std::vector<std::uint16_t> table(256);
    for (std::uint32_t proto = 0; proto < table.size(); ++proto) table[proto] = by_place[place_of_proto(proto)];
    return table;
}

namespace {

/// Which terms are there when, from which entries on, and as what.
class Timed {
public:
    Timed(const TermBuilder& builder, const Policy& policy, const Periods& periods, const Entries& entries)
        : policy_{policy},
          periods_{periods},
          entries_{entries},
          activities{PeriodBits(std::size_t{periods.count()} * entries.count(), true)} {
        terms = builder.terms();
        if (entries.count() == 1 && periods.count() == 1 && periods.transitions().size() == 1 &&
            !depends_on_time(policy)) {
            for (Term& term : terms) term.observe = policy.rules[term.rule].mode == abi::RuleMode::observe;
            return;
        }
        std::vector<Term> always;
        always.swap(terms);
        for (const Term& term : always) add(term);
    }

private:
    void add(Term term) {
        const Rule& rule = policy_.rules[term.rule];
        if (!depends_on_time(rule)) {
            term.activity = always_from(entries_.last_above(term.rule));
            term.observe = rule.mode == abi::RuleMode::observe;
            terms.push_back(term);
            return;
        }
        for (const Standing standing : {Standing::enforced, Standing::observed}) {
            term.activity = activity_of(periods_.bits(rule, standing), entries_.last_above(term.rule));
            term.observe = standing == Standing::observed;
            if (term.activity != kNever) terms.push_back(term);
        }
    }

    /// In all periods; most rules.
    std::uint32_t always_from(std::uint32_t last_entry) {
        if (last_entry + 1 == entries_.count()) return 0;
        const auto [it, fresh] = always_.try_emplace(last_entry);
        if (fresh) it->second = activity_of(PeriodBits(periods_.count(), true), last_entry);
        return it->second;
    }

    std::uint32_t activity_of(const PeriodBits& periods, std::uint32_t last_entry) {
        if (std::find(periods.begin(), periods.end(), true) == periods.end()) return kNever;
        PeriodBits bits;
        bits.reserve(activities[0].size());
        for (const bool active : periods) {
            for (std::uint32_t entry = 0; entry < entries_.count(); ++entry)
                bits.push_back(active && entry <= last_entry);
        }
        const auto [it, fresh] = index_.try_emplace(bits, static_cast<std::uint32_t>(activities.size()));
        if (fresh) activities.push_back(bits);
        return it->second;
    }

    static constexpr std::uint32_t kNever = 0xffffffff;
    const Policy& policy_;
    const Periods& periods_;
    const Entries& entries_;
    std::map<PeriodBits, std::uint32_t> index_;
    std::map<std::uint32_t, std::uint32_t> always_;  ///< activities by the last entry

public:
    std::vector<Term> terms;
    std::vector<PeriodBits> activities;
};

}  // namespace

ClassifiedTerms::ClassifiedTerms(const TermBuilder& builder, const Policy& policy, const Periods& periods,
                                 const Entries& entries, const SetQuestions* asked) {
    const Timed timed{builder, policy, periods, entries};
    const std::vector<Term>& all = timed.terms;
    src = address_classes(all, &Term::from, builder.addresses());
    dst = address_classes(all, &Term::to, builder.addresses());
    transport = transport_classes(builder.services());
    zones = zone_classes(all, policy.zones.size(), timed.activities, asked == nullptr ? set_questions(all) : *asked);
    if (zones.count == 0) return;  // too many questions: refused by who asked
    const abi::ClassPoint count = class_count();
    for (std::size_t d = 0; d < any.size(); ++d) any[d] = {{.first = 0, .last = count[d] - 1}};

    const auto addresses = [](const AddressClasses& side, ListIndex list, const ClassRanges& all_classes) {
        return list == kAnyList ? &all_classes : &side.of_list[side.local_of_list[list]];
    };
    terms.reserve(all.size());
    for (std::size_t t = 0; t < all.size(); ++t) {
        const TreeTerm term{
            .ranges = {addresses(src, all[t].from.addresses, any[0]), addresses(dst, all[t].to.addresses, any[1]),
                       &transport.of_list[all[t].service], &zones.of_scope[zones.scope_of_term[t]]},
            .rule = all[t].rule,
            .observe = all[t].observe};
        const auto empty = [](const ClassRanges* ranges) { return ranges->empty(); };
        if (std::none_of(term.ranges.begin(), term.ranges.end(), empty)) terms.push_back(term);
    }
}

}  // namespace sluice::cp
