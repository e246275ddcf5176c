/// The grammar of filters, whatever they are about: conditions joined by `and`, of a FIELD, an operator and values.
/// What fields there are and what words stand for says a vocabulary; live flows (flow_filter.hpp) and recorded ones
/// (record_filter.hpp) have one each.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/abi/flow_filter.hpp>
#include <sluice/expected.hpp>

namespace sluice::cp {

struct FilterError {
    std::size_t column{};  ///< from 1
    std::string detail;    ///< what is wrong and what to write instead
};

enum class FilterKind : std::uint8_t { address, number, seconds, word };

struct FilterField {
    std::string_view word;
    abi::FlowField field;
    FilterKind kind;
    std::uint64_t max{std::numeric_limits<std::uint64_t>::max()};  ///< of a number
    std::string_view example{"1 or 0-3"};                          ///< of a number
};

/// What tells one flow from another, live or recorded.
inline constexpr std::string_view kPortExample = "443 or 8000-8100";
inline constexpr std::array<FilterField, 8> kFlowNameFields{{
    {"src", abi::FlowField::src, FilterKind::address},
    {"dst", abi::FlowField::dst, FilterKind::address},
    {"sport", abi::FlowField::sport, FilterKind::number, 65'535, kPortExample},
    {"dport", abi::FlowField::dport, FilterKind::number, 65'535, kPortExample},
    {"proto", abi::FlowField::proto, FilterKind::word},
    {"rule", abi::FlowField::rule, FilterKind::word},
    {"from_zone", abi::FlowField::from_zone, FilterKind::word},
    {"to_zone", abi::FlowField::to_zone, FilterKind::word},
}};
/// Those, and a vocabulary's own behind them.
template <std::size_t kCount>
constexpr std::array<FilterField, kFlowNameFields.size() + kCount> with_flow_names(
    const FilterField (&own)[kCount]) noexcept {
    std::array<FilterField, kFlowNameFields.size() + kCount> all{};
    std::copy(std::begin(own), std::end(own), std::copy(kFlowNameFields.begin(), kFlowNameFields.end(), all.begin()));
    return all;
}

struct FilterVocabulary {
    std::span<const FilterField> fields;
    /// What a word of this field stands for. Error: the sentence that says so, with what could be meant.
    std::function<Expected<std::uint64_t, std::string>(const FilterField&, std::string_view)> number_of;
};

/// Blank text is the filter that everything fits.
Expected<abi::FlowFilter, FilterError> parse_filter(std::string_view text, const FilterVocabulary& vocabulary);

struct NamedNumber {
    std::string_view word;
    std::uint64_t number;
};
std::optional<std::uint64_t> number_named(std::span<const NamedNumber> names, std::string_view word);
/// Numbers by name or in digits.
Expected<std::uint64_t, std::string> protocol_named(std::string_view word);
/// `there is no KIND "word"; did you mean ...`
std::string no_such(std::string_view kind, std::string_view word, const std::vector<std::string_view>& known);
std::vector<std::string_view> words_of(std::span<const NamedNumber> names);

}  // namespace sluice::cp
