#include "controlplane/lifecycle/flow_filter.hpp"

#include <array>

#include <sluice/abi/messages.hpp>

namespace sluice::cp {

namespace {

using abi::FlowField;

constexpr auto kFields = with_flow_names({
    {"state", FlowField::state, FilterKind::word},
    {"idle_s", FlowField::idle_ms, FilterKind::seconds},
    {"age_s", FlowField::age_ms, FilterKind::seconds},
    {"generation", FlowField::generation, FilterKind::number},
    {"worker", FlowField::worker, FilterKind::number, abi::kWorkersMax - 1},
});

constexpr std::array<NamedNumber, 11> kStates{{{"syn_sent", 1},
                                               {"syn_received", 2},
                                               {"established", 3},
                                               {"fin_wait", 4},
                                               {"closing", 5},
                                               {"time_wait", 6},
                                               {"closed", 7},
                                               {"oneway", 8},
                                               {"stream", 9},
                                               {"opening", 10},
                                               {"killed", 11}}};

std::vector<std::string_view> views(const std::vector<std::string>& texts) { return {texts.begin(), texts.end()}; }

Expected<std::uint64_t, std::string> named(const FilterField& field, std::string_view word, const FilterNames& names) {
    const auto answer = [&](std::optional<std::uint64_t> number, std::string_view kind,
                            const std::vector<std::string_view>& known) -> Expected<std::uint64_t, std::string> {
        if (!number) return Unexpected(no_such(kind, word, known));
        return *number;
    };
    switch (field.field) {
        case FlowField::proto: return protocol_named(word);
        case FlowField::state: return answer(number_named(kStates, word), "state", words_of(kStates));
        case FlowField::rule: return answer(names.rule(word), "rule", views(names.rules));
        default: return answer(names.zone(word), "zone", views(names.zones));
    }
}

}  // namespace

Expected<abi::FlowFilter, FilterError> parse_flow_filter(std::string_view text, const FilterNames& names) {
    return parse_filter(text, {.fields = kFields,
                               .number_of = [&](const auto& field, auto word) { return named(field, word, names); }});
}

}  // namespace sluice::cp
