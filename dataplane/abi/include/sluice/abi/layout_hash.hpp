/// How a layout becomes a number: FNV-1a over sizes, alignments and offsets at compile time. Used by layout.hpp for
/// what crosses the process boundary, and by the dataplane for memory that its next process reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace sluice::abi {

constexpr std::uint64_t fnv1a(std::initializer_list<std::uint64_t> values) noexcept {
    std::uint64_t h = 0xcbf29ce484222325ULL;
    for (std::uint64_t v : values) {
        for (int i = 0; i < 8; ++i) {
            h = (h ^ (v & 0xff)) * 0x100000001b3ULL;
            v >>= 8;
        }
    }
    return h;
}

// A struct's size, its alignment, and each field's offset and size, in one line: SLUICE_LAYOUT(ArrayRef, offset,
// count). The preprocessor walks the list by rescanning: 64 times is more than the longest struct has fields.
#define SLUICE_PARENTHESES ()
#define SLUICE_RESCAN(...) SLUICE_RESCAN_16(SLUICE_RESCAN_16(SLUICE_RESCAN_16(SLUICE_RESCAN_16(__VA_ARGS__))))
#define SLUICE_RESCAN_16(...) SLUICE_RESCAN_4(SLUICE_RESCAN_4(SLUICE_RESCAN_4(SLUICE_RESCAN_4(__VA_ARGS__))))
#define SLUICE_RESCAN_4(...) SLUICE_RESCAN_1(SLUICE_RESCAN_1(SLUICE_RESCAN_1(SLUICE_RESCAN_1(__VA_ARGS__))))
#define SLUICE_RESCAN_1(...) __VA_ARGS__
#define SLUICE_FIELDS(type, field, ...) \
    , offsetof(type, field), sizeof(type::field) __VA_OPT__(SLUICE_FIELDS_AGAIN SLUICE_PARENTHESES(type, __VA_ARGS__))
#define SLUICE_FIELDS_AGAIN() SLUICE_FIELDS
#define SLUICE_LAYOUT(type, ...) sizeof(type), alignof(type) SLUICE_RESCAN(SLUICE_FIELDS(type, __VA_ARGS__))

}  // namespace sluice::abi
