/// What tables may take, part by part; and why they may not be.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <sluice/abi/tables.hpp>
#include <sluice/expected.hpp>

namespace sluice::cp {

struct CompileRefusal {
    std::string code;  ///< too-many-terms, tables-too-big, too-many-services, too-many-periods,
                       ///< too-many-transitions, too-many-sets, too-many-combinations, too-many-layers, slot-missing,
                       ///< too-many-zones
    std::string detail;
    std::uint64_t needed{}, allowed{};
};

inline Unexpected<CompileRefusal> refuse(std::string code, std::string detail, std::uint64_t needed,
                                         std::uint64_t allowed) {
    return Unexpected<CompileRefusal>{
        {.code = std::move(code), .detail = std::move(detail), .needed = needed, .allowed = allowed}};
}

/// 1234567 -> 1,234,567
inline std::string figure(std::uint64_t n) {
    std::string s = std::to_string(n);
    for (std::size_t i = s.size(); i > 3; i -= 3) s.insert(i - 3, ",");
    return s;
}

/// The first part that does not fit is told.
class Budget {
public:
    Budget(std::uint64_t bytes_max, std::size_t term_count)
        : allowed_{bytes_max}, left_{bytes_max}, terms_{term_count} {}

    std::uint64_t left() const noexcept { return std::min(left_, abi::kSectionBytesMax); }
    bool take(std::string_view part, std::uint64_t bytes) {
        if (bytes > left()) {
            refusal_ = refuse("tables-too-big",
                              "the tables need more than " + figure(allowed_ - left_ + bytes) + " bytes (" +
                                  figure(bytes) + " of them for " + std::string{part} + ") with " + figure(terms_) +
                                  " terms, at most " + figure(std::min(allowed_, allowed_ - left_ + left())) +
                                  "; use fewer rules or put prefixes into sets",
                              allowed_ - left_ + bytes, allowed_);
            return false;
        }
        left_ -= bytes;
        return true;
    }
    const std::optional<Unexpected<CompileRefusal>>& refusal() const noexcept { return refusal_; }

private:
    std::uint64_t allowed_, left_;
    std::size_t terms_;
    std::optional<Unexpected<CompileRefusal>> refusal_;
};

}  // namespace sluice::cp
