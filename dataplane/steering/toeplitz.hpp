/// The hash by which devices spread packets over their queues (Toeplitz, as in Microsoft's "RSS hashing types" and
/// every data sheet since): the sum, without carry, of those 32-bit windows of the key that begin at the set bits of
/// the input. Input: source address, destination address, source port, destination port, as on the wire; a device
/// leaves the ports away where it does not look at them, and zeroes in their place give the same sum.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace sluice::dp {

inline constexpr std::size_t kToeplitzInputMax = 36;  ///< two IPv6 addresses and two ports
inline constexpr std::size_t kToeplitzKeyMin = kToeplitzInputMax + 4;
inline constexpr std::size_t kRssKeyMax = 64;  ///< of any device that we know: 40, 52 or 64 bytes

/// A key whose 16 bits repeat: the hash of (a, b) equals that of (b, a), for addresses and for ports, so both
/// directions of a flow meet the same worker (Woo and Park, "Scalable TCP session monitoring with symmetric
/// receive-side scaling", 2012).
std::array<std::uint8_t, kRssKeyMax> symmetric_rss_key() noexcept;

class Toeplitz {
public:
    /// `key`: at least kToeplitzKeyMin bytes; those behind do nothing for inputs as long as ours.
    explicit Toeplitz(std::span<const std::uint8_t> key);

    /// At most kToeplitzInputMax bytes.
    std::uint32_t hash(std::span<const std::uint8_t> input) const noexcept {
        std::uint32_t h = 0;
        for (std::size_t i = 0; i < input.size(); ++i) h ^= (*windows_)[i][input[i]];
        return h;
    }

private:
    /// By place and value of an input byte: its windows' sum.
    using Windows = std::array<std::array<std::uint32_t, 256>, kToeplitzInputMax>;
    std::shared_ptr<const Windows> windows_;
};

}  // namespace sluice::dp
