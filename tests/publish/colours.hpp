/// Policies made so that a mixture of two of them cannot pass for one. Each colour decides 31 tagged flows in its own
/// pattern and differs from its neighbours in everything a generation has: which rule decides and in which counter
/// slot, whether ports or address sets tell (so that sections of two colours do not fit together), the order of the
/// zones, timeouts, and the `wire` keys. Generation g has colour g % kColours.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <vector>

#include "tests/harness/policies.hpp"

namespace sluice::test {

inline constexpr std::uint32_t kColours = 6;
inline constexpr std::uint32_t kTags = 31;  ///< with the wire frame behind them: one burst

/// Bit t: tag t passes; bit kTags: the frame of another ethertype passes.
using Verdicts = std::uint32_t;
inline constexpr Verdicts kWireBit = Verdicts{1} << kTags;

struct Colour {
    std::unique_ptr<CompiledTables> tables;
    Verdicts verdicts{};
    abi::RuleSlot pass{};           ///< decides what passes
    std::set<abi::RuleSlot> slots;  ///< of all its rules
    abi::ZoneId outside{}, inside{};
};

class Colours {
public:
    Colours();

    const Colour& of(std::uint64_t generation) const { return colours_[generation % kColours]; }
    const std::array<Colour, kColours>& all() const { return colours_; }
    static constexpr std::uint32_t kRuleSlots = 256;
    /// The generation's tables, until the next call; one publishing thread.
    const CompiledTables& tables(std::uint64_t generation);
    /// Does a record or event fit together: is `slot` one of the rules of that generation?
    bool owns(std::uint64_t generation, abi::RuleSlot slot) const;

private:
    std::array<Colour, kColours> colours_;
};

/// Frame of a tag from port 0, its answer from port 1, and the way back from a frame to its tag.
std::vector<std::uint8_t> tagged_frame(std::uint32_t tag, bool reply);
std::vector<std::uint8_t> wire_frame(bool reply);
/// The bit of a frame that was sent.
Verdicts bit_of(const std::vector<std::uint8_t>& frame);

}  // namespace sluice::test
