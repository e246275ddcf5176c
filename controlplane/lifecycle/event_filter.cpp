#include "controlplane/lifecycle/event_filter.hpp"

#include <boost/json.hpp>

#include "controlplane/policy/address.hpp"
#include "controlplane/telemetry/event_json.hpp"

namespace sluice::cp {
namespace json = boost::json;
namespace {

std::string_view text_at(const json::object& event, std::string_view key) {
    const auto* value = event.if_contains({key.data(), key.size()});
    const auto* text = value == nullptr ? nullptr : value->if_string();
    return text == nullptr ? std::string_view{} : std::string_view{text->data(), text->size()};
}

std::uint64_t number_at(const json::object& event, std::string_view key) {
    const auto* value = event.if_contains({key.data(), key.size()});
    if (value == nullptr || !value->is_number()) return 0;
    const auto number = json::value_to<std::int64_t>(*value);
    return number < 0 ? 0 : static_cast<std::uint64_t>(number);
}

template <typename Enum, typename Text>
Enum named(std::string_view word, std::uint8_t count, Text text) {
    for (std::uint8_t n = 0; n < count; ++n) {
        if (text(static_cast<Enum>(n)) == word) return static_cast<Enum>(n);
    }
    return {};
}

abi::IpAddr address_at(const json::object& event, std::string_view key, abi::IpFamily& family) {
    const auto address = parse_address(text_at(event, key));
    if (!address) return {};
    family = address->family;
    return address->addr;
}

}  // namespace

Expected<EventFilter, FilterError> EventFilter::parse(std::string_view text) {
    auto parsed = RecordFilter::parse(text);
    if (!parsed) return Unexpected(parsed.error());
    EventFilter filter;
    filter.filter_ = std::move(*parsed);
    return filter;
}

bool EventFilter::fits(std::string_view line) const {
    json::error_code error;
    const auto value = json::parse({line.data(), line.size()}, error);
    if (error || !value.is_object()) return false;
    const json::object& event = value.get_object();
    RecordContext context;
    FlowRecord record{.context = &context};
    context.generation = number_at(event, "generation");
    context.kind = named<abi::EventKind>(text_at(event, "event"), abi::kEventKindCount, event_kind_text);
    context.verdict = named<abi::Verdict>(text_at(event, "verdict"), abi::kVerdictCount,
                                          [](abi::Verdict v) { return std::string_view{abi::to_string(v)}; });
    context.end = named<abi::FlowEnd>(text_at(event, "end"), abi::kFlowEndCount, flow_end_text);
    context.rule = text_at(event, "rule");
    context.from_zone = text_at(event, "from");
    context.to_zone = text_at(event, "to");
    context.in_port = text_at(event, "in_port");
    context.reason = text_at(event, "reason");
    record.src = address_at(event, "src", context.family);
    record.dst = address_at(event, "dst", context.family);
    record.sport = static_cast<std::uint16_t>(number_at(event, "sport"));
    record.dport = static_cast<std::uint16_t>(number_at(event, "dport"));
    if (event.contains("icmp_type")) {
        record.sport = static_cast<std::uint16_t>(number_at(event, "icmp_id"));
        record.dport = static_cast<std::uint16_t>(number_at(event, "icmp_type") << 8U | number_at(event, "icmp_code"));
    }
    record.time_ns = static_cast<std::int64_t>(number_at(event, "duration_ms")) * 1'000'000;  // since it started at 0
    if (const auto proto = protocol_named(text_at(event, "proto"))) context.proto = static_cast<abi::L4Proto>(*proto);
    return filter_.fits(record);
}

}  // namespace sluice::cp
