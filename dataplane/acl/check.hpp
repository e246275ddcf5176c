/// The validator's pencil: notes the first thing that is wrong and where, and hands out typed arrays only after their
/// bounds were checked. Used by validator.cpp and the validate_*.cpp files, by nobody else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include <sluice/abi/messages.hpp>
#include <sluice/abi/tables.hpp>

#include "dataplane/acl/validator.hpp"

namespace sluice::dp {

class Check {
public:
    /// `part` opens every sentence: "rules section", "manifest".
    explicit Check(std::string_view part) : part_{part} {}

    /// True if `holds`; otherwise notes the sentence (the first failure wins) and returns false, for `&&` chains.
    template <typename... Parts>
    bool require(bool holds, abi::RefuseReason reason, const Parts&... sentence) {
        if (holds) [[likely]]
            return true;
        if (refusal_.reason == abi::RefuseReason::none) {
            refusal_.reason = reason;
            refusal_.where = std::string{part_} + ": ";
            (append(sentence), ...);
        }
        return false;
    }

    /// Starts on a section whose header was accepted: arrays must stand behind the section's own struct, in the order
    /// in which they are asked for, without overlap.
    void open(std::span<const std::byte> section, std::size_t struct_bytes) {
        section_ = section;
        free_from_ = struct_bytes;
    }

    template <typename T>
    bool array(std::string_view name, const abi::ArrayRef& ref, std::span<const T>& out) {
        static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= 8);
        using R = abi::RefuseReason;
        const std::uint64_t bytes = section_.size();
        // Division, not multiplication: a count near 2^64 must not wrap.
        if (!require(ref.offset % 8 == 0, R::bounds, name, " starts at offset ", ref.offset, ", not 8-byte aligned") ||
            !require(ref.offset >= free_from_, R::bounds, name, " starts at offset ", ref.offset,
                     ", inside what ends at ", free_from_) ||
            !require(ref.offset <= bytes && ref.count <= (bytes - ref.offset) / sizeof(T), R::bounds, name, " has ",
                     ref.count, " elements at offset ", ref.offset, ", the section has ", bytes, " bytes"))
            return false;
        free_from_ = ref.offset + ref.count * sizeof(T);
        out = {reinterpret_cast<const T*>(section_.data() + ref.offset), static_cast<std::size_t>(ref.count)};
        return true;
    }

    template <typename T>
    bool array(std::string_view name, const abi::ArrayRef& ref, std::uint64_t count, std::span<const T>& out) {
        return require(ref.count == count, abi::RefuseReason::bounds, name, " has ", ref.count, " elements, expected ",
                       count) &&
               array(name, ref, out);
    }

    /// A name of 1 to `bytes_max` bytes inside `text`: UTF-8 without control characters, because people and logs see
    /// it.
    bool name(std::string_view what, std::uint64_t index, const abi::TextRef& ref, std::span<const char> text,
              std::size_t bytes_max);

    Refusal take() { return std::move(refusal_); }

private:
    void append(std::string_view s) { refusal_.where += s; }
    void append(std::uint64_t n) { refusal_.where += std::to_string(n); }

    std::string_view part_;
    Refusal refusal_{};
    std::span<const std::byte> section_{};
    std::uint64_t free_from_{};
};

/// UTF-8 (RFC 3629: shortest form, no surrogates) without C0 controls and DEL.
bool is_clean_utf8(std::string_view s) noexcept;

constexpr std::string_view text_of(const abi::TextRef& ref, std::span<const char> text) noexcept {
    return {text.data() + ref.offset, ref.bytes};
}

// One per section struct; `check` was opened on the section. validate_<name>.cpp.
bool check_settings(Check& check, const abi::SettingsSection& section);
bool check_zones(Check& check, const abi::ZonesSection& section);
bool check_rules(Check& check, const abi::RulesSection& section);
bool check_addresses_v4(Check& check, const abi::AddressSection& section);
bool check_addresses_v6(Check& check, const abi::AddressSection& section);
bool check_transport(Check& check, const abi::TransportSection& section);
bool check_trees(Check& check, const abi::TreesSection& section);
bool check_overlay(Check& check, const abi::OverlaySection& section);

/// The overlay beside the tables that `view` has already, which are `large`: bounds across sections, slots, ids.
/// validate_overlay.cpp.
bool view_overlay(Check& check, const abi::Manifest& manifest, const SectionBytes& sections, const LargeTables& large,
                  TableView& view);

/// A record by itself, but for its id's place in the text. validate_rules.cpp.
bool check_record(Check& check, const abi::RuleRecord& rule, std::uint64_t index, std::span<const char> text);
bool check_unique(Check& check, std::span<const abi::RuleRecord> rules, std::span<const char> text);

inline constexpr std::size_t kNameBytesMax = 255;
inline constexpr std::size_t kPortNameBytesMax = sizeof(abi::PortName) - 1;
/// `[a-z0-9][a-z0-9-]{0,62}` of the policy language.
inline constexpr std::size_t kRuleIdBytesMax = 63;

}  // namespace sluice::dp
