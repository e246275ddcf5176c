#pragma once

/// The one place where a random test gets its seed. Everything random in a process starts from it, so that the line
/// that a failure shows, `SEED=n`, repeats the run: `SEED=n PROGRAM --gtest_filter=...`.
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

namespace sluice::test {

/// The environment's SEED, else a fresh one; printed once. With SCOPED_TRACE(seed_line()) each failure shows it, too.
inline std::uint32_t seed_of_this_run() {
    static const std::uint32_t seed = [] {
        const char* const given = std::getenv("SEED");
        std::uint32_t chosen{};
        if (given == nullptr || *given == '\0') {
            chosen = static_cast<std::uint32_t>(std::random_device{}());
        } else {
            const std::string_view text{given};
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), chosen);
            if (error != std::errc{} || end != text.data() + text.size()) {
                std::fprintf(stderr, "SEED=%s is no number below 2^32\n", given);
                std::exit(2);
            }
        }
        std::printf("SEED=%u\n", chosen);
        return chosen;
    }();
    return seed;
}

inline std::string seed_line() { return "SEED=" + std::to_string(seed_of_this_run()); }

}  // namespace sluice::test
