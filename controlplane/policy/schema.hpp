/// The language as one table: every object, its keys, what they hold. It drives the shape check (`shape.hpp`), the
/// canonical form and the published JSON Schema, so that none of them can know a key that another doesn't.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sluice::cp {

enum class Shape : std::uint8_t {
    version,       ///< the number 1
    name,          ///< names.hpp: is_name
    choice,        ///< one of Field::choices
    duration,      ///< duration.hpp: parse_duration
    count,         ///< a number from 1 to Field::most
    object,        ///< Field::object
    object_map,    ///< name -> Field::object, not empty
    object_list,   ///< of Field::object, not empty
    port_names,    ///< list of port names, not empty
    prefixes,      ///< list of addresses and prefixes, not empty
    members,       ///< one or a list: names of sets, addresses, prefixes
    set_names,     ///< one or a list: names of sets
    member_map,    ///< name of a set -> one or a list: addresses, prefixes; not empty
    endpoints,     ///< one or a list: `any`, names of zones and sets, addresses, {zone, set, not}
    services,      ///< one or a list: names of services, terms
    service_map,   ///< name -> services, not empty
    test_source,   ///< ADDR@zone[:PORT]
    test_target,   ///< ADDR[@zone][:PORT/proto]
    test_service,  ///< one name or term
    time_zone,     ///< schedule.hpp: check_time_zone
    days,          ///< one or a list of schedule.hpp: kDayNames
    day_time,      ///< schedule.hpp: parse_day_time
    instant,       ///< schedule.hpp: parse_instant
    expiry,        ///< schedule.hpp: parse_expiry
    rate,          ///< rate.hpp: parse_rate
    note,          ///< a line for people
    layer,         ///< spelling.hpp: layer_of
    unsupported,   ///< part of the language, not of this version
};

struct ObjectSchema;

struct Field {
    std::string_view key;
    Shape shape{};
    bool required{};
    std::string_view about;                     ///< a sentence for the JSON Schema
    std::span<const std::string_view> choices;  ///< Shape::choice
    std::string_view standard;                  ///< what an absent choice or duration means; empty = nothing
    const ObjectSchema* object{};               ///< Shape::object, object_map, object_list
    std::uint32_t most{};                       ///< Shape::count
    std::uint32_t least{1};                     ///< Shape::count
    bool silent_standard{};                     ///< the canonical form leaves the standard out
};

struct ObjectSchema {
    std::string_view name;  ///< with its article, for messages: "a rule"
    std::span<const Field> fields;

    const Field* find(std::string_view key) const noexcept;
};

const ObjectSchema& document_schema() noexcept;
const ObjectSchema& endpoint_schema() noexcept;  ///< {zone, set, not}
const ObjectSchema& edit_schema() noexcept;      ///< one element of a PATCH body

/// JSON Schema 2020-12 of a policy, as committed in policies/schema/policy.schema.json.
std::string policy_json_schema();

}  // namespace sluice::cp
