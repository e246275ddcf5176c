/// Which policy: its content, how it was written, and the generation that runs it.
#pragma once

#include <cstdint>
#include <string>

namespace sluice::cp {

struct PolicyRef {
    std::string hash;       ///< 64 hex digits: SHA-256 of the canonical policy
    std::string extension;  ///< yaml or json
    std::uint64_t generation{};
    bool operator==(const PolicyRef&) const = default;
};

/// The policy that another was written over; no hash = there was none.
struct PolicyBase {
    std::uint64_t generation{};
    std::string hash, version;
};

}  // namespace sluice::cp
