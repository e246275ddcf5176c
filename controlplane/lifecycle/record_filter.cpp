#include "controlplane/lifecycle/record_filter.hpp"

#include <algorithm>
#include <array>

#include "controlplane/telemetry/event_json.hpp"

namespace sluice::cp {
namespace {

using abi::FlowField;

/// Behind the numbers that workers know.
constexpr FlowField kInPort{101}, kEvent{102}, kVerdict{103}, kReason{104}, kEnd{105};
static_assert(abi::kFlowFieldLast < 101);

constexpr auto kFields = with_flow_names({
    {"in_port", kInPort, FilterKind::word},
    {"generation", FlowField::generation, FilterKind::number},
    {"event", kEvent, FilterKind::word},
    {"verdict", kVerdict, FilterKind::word},
    {"reason", kReason, FilterKind::word},
    {"end", kEnd, FilterKind::word},
    {"age_s", FlowField::age_ms, FilterKind::seconds},
});

template <typename Enum>
Expected<std::uint64_t, std::string> one_of(std::string_view kind, std::string_view word, std::uint8_t first,
                                            std::uint8_t count, std::string_view (*text)(Enum)) {
    std::vector<std::string_view> known;
    for (std::uint8_t n = first; n < count; ++n) {
        known.push_back(text(static_cast<Enum>(n)));
        if (known.back() == word) return n;
    }
    return Unexpected(no_such(kind, word, known));
}

Expected<std::uint64_t, std::string> drop_reason(std::string_view word, std::uint64_t place) {
    std::vector<std::string_view> known;
    for (const auto& reason : abi::kDropReasons) known.emplace_back(reason.name);
    if (std::ranges::find(known, word) == known.end()) return Unexpected(no_such("drop reason", word, known));
    return place;
}

/// A value as ranges have it; `none` fits no range.
struct Value {
    std::array<std::uint64_t, 2> number{};
    std::uint8_t family{};
    bool none{};
};

Value number_value(std::uint64_t number) { return {.number = {0, number}}; }

Value address_value(abi::IpFamily family, const abi::IpAddr& address) {
    if (family == abi::IpFamily::none) return {.none = true};
    Value value{.family = static_cast<std::uint8_t>(family)};
    const std::size_t bytes = family == abi::IpFamily::v4 ? 4 : 16;
    for (std::size_t i = 0; i < bytes; ++i) {
        value.number[0] = value.number[0] << 8U | value.number[1] >> 56U;
        value.number[1] = value.number[1] << 8U | address.bytes[i];
    }
    return value;
}

Value name_value(const std::vector<std::string>& names, std::string_view name) {
    const auto at = std::ranges::find(names, name);
    if (at == names.end()) return {.none = true};
    return number_value(static_cast<std::uint64_t>(at - names.begin()));
}

Value value_of(FlowField field, const FlowRecord& r, const std::vector<std::string>& names) {
    const RecordContext& c = *r.context;
    const auto byte = [](auto e) { return number_value(static_cast<std::uint8_t>(e)); };
    switch (field) {
        case FlowField::src: return address_value(c.family, r.src);
        case FlowField::dst: return address_value(c.family, r.dst);
        case FlowField::sport: return number_value(r.sport);
        case FlowField::dport: return number_value(r.dport);
        case FlowField::proto: return c.family == abi::IpFamily::none ? Value{.none = true} : byte(c.proto);
        case FlowField::rule: return name_value(names, c.rule);
        case FlowField::from_zone: return name_value(names, c.from_zone);
        case FlowField::to_zone: return name_value(names, c.to_zone);
        case FlowField::generation: return number_value(c.generation);
        case FlowField::age_ms:
            if (c.kind != abi::EventKind::flow_end || r.time_ns < r.started_ns) return {.none = true};
            return number_value((static_cast<std::uint64_t>(r.time_ns) - static_cast<std::uint64_t>(r.started_ns)) /
                                1'000'000);
        default: break;
    }
    if (field == kInPort) return name_value(names, c.in_port);
    if (field == kEvent) return byte(c.kind);
    // As the log has it: a drop that no rule decided has no verdict, and only a flow that is over has an end.
    if (field == kVerdict) return c.kind == abi::EventKind::drop ? Value{.none = true} : byte(c.verdict);
    if (field == kReason) return name_value(names, c.reason);
    if (field == kEnd) return c.kind == abi::EventKind::flow_end ? byte(c.end) : Value{.none = true};
    return {.none = true};
}

}  // namespace

Expected<RecordFilter, FilterError> RecordFilter::parse(std::string_view text) {
    RecordFilter filter;
    const auto place = [&](std::string_view word) -> std::uint64_t {
        const auto at = std::ranges::find(filter.names_, word);
        if (at != filter.names_.end()) return static_cast<std::uint64_t>(at - filter.names_.begin());
        filter.names_.emplace_back(word);
        return filter.names_.size() - 1;
    };
    const auto number_of = [&](const FilterField& field,
                               std::string_view word) -> Expected<std::uint64_t, std::string> {
        if (field.field == FlowField::proto) return protocol_named(word);
        if (field.field == kEvent) {
            // What a shadow is told (new_flow, the last kind) is in no record.
            return one_of<abi::EventKind>("event", word, 1, static_cast<std::uint8_t>(abi::EventKind::new_flow),
                                          [](abi::EventKind kind) { return event_kind_text(kind); });
        }
        if (field.field == kVerdict) {
            return one_of<abi::Verdict>("verdict", word, 0, abi::kVerdictCount,
                                        [](abi::Verdict verdict) { return abi::to_string(verdict); });
        }
        if (field.field == kEnd) {
            return one_of<abi::FlowEnd>("end", word, 1, abi::kFlowEndCount,
                                        [](abi::FlowEnd end) { return flow_end_text(end); });
        }
        if (field.field == kReason) return drop_reason(word, place(word));
        return place(word);
    };
    auto parsed = parse_filter(text, {.fields = kFields, .number_of = number_of});
    if (!parsed) return Unexpected(parsed.error());
    filter.filter_ = *parsed;
    return filter;
}

bool RecordFilter::fits(const abi::FlowTerm& term, const FlowRecord& record) const noexcept {
    const Value value = value_of(term.field, record, names_);
    if (value.none) return false;
    for (std::uint32_t i = 0; i < term.range_count; ++i) {
        const abi::FlowRange& range = filter_.ranges[term.first_range + i];
        if (range.family == value.family && range.first <= value.number && value.number <= range.last) return true;
    }
    return false;
}

bool RecordFilter::fits(const FlowRecord& record) const noexcept {
    for (std::uint32_t t = 0; t < filter_.term_count; ++t) {
        const abi::FlowTerm& term = filter_.terms[t];
        if (fits(term, record) == (term.negated != 0)) return false;
    }
    return true;
}

}  // namespace sluice::cp
