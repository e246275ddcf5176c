#include "dataplane/pipeline/flow_match.hpp"

#include "dataplane/pipeline/parse.hpp"

namespace sluice::dp {

namespace {

struct Value {
    std::array<std::uint64_t, 2> number{};  ///< high, low
    std::uint8_t family{};
};

Value number(std::uint64_t n) noexcept { return {{0, n}, 0}; }

Value address(abi::IpFamily family, const abi::IpAddr& a) noexcept {
    std::array<std::uint64_t, 2> n{};
    const std::size_t bytes = family == abi::IpFamily::v6 ? 16 : 4;
    for (std::size_t i = 0; i < bytes; ++i) {
        n[0] = n[0] << 8 | n[1] >> 56;
        n[1] = n[1] << 8 | a.bytes[i];
    }
    return {n, static_cast<std::uint8_t>(family)};
}

Value value_of(abi::FlowField field, const abi::FlowRecord& f) noexcept {
    using abi::FlowField;
    switch (field) {
        case FlowField::src: return address(f.family, f.src);
        case FlowField::dst: return address(f.family, f.dst);
        // ICMP keeps its identifier and its type where others have ports.
        case FlowField::sport: return number(has_ports(f.proto) ? f.sport.to_host() : 0);
        case FlowField::dport: return number(has_ports(f.proto) ? f.dport.to_host() : 0);
        case FlowField::proto: return number(static_cast<std::uint64_t>(f.proto));
        case FlowField::rule: return number(static_cast<std::uint64_t>(f.slot));
        case FlowField::from_zone: return number(static_cast<std::uint64_t>(f.from_zone));
        case FlowField::to_zone: return number(static_cast<std::uint64_t>(f.to_zone));
        case FlowField::state: return number(static_cast<std::uint64_t>(f.state));
        case FlowField::idle_ms: return number(f.idle_ms);
        case FlowField::age_ms: return number(f.age_ms);
        case FlowField::generation: return number(f.generation);
        case FlowField::worker: return number(f.worker);
    }
    return {};
}

bool holds(const abi::FlowFilter& filter, const abi::FlowTerm& term, const abi::FlowRecord& flow) noexcept {
    const Value v = value_of(term.field, flow);
    for (std::uint32_t r = term.first_range; r < std::uint32_t{term.first_range} + term.range_count; ++r) {
        const abi::FlowRange& range = filter.ranges[r];
        if (range.family == v.family && range.first <= v.number && v.number <= range.last) return term.negated == 0;
    }
    return term.negated != 0;
}

}  // namespace

bool fits(const abi::FlowFilter& filter, const abi::FlowRecord& flow) noexcept {
    for (std::uint32_t t = 0; t < filter.term_count; ++t) {
        if (!holds(filter, filter.terms[t], flow)) return false;
    }
    return true;
}

}  // namespace sluice::dp
