/// A frame in our hands and the border between the stages and whatever moves frames (DPDK in the product, memory in the
/// harness). Stages see bytes and lengths, never an rte_mbuf, so parse to tx build and run without DPDK.
#pragma once

#include <cstdint>
#include <span>

namespace sluice::dp {

enum class PortIndex : std::uint8_t {};
inline constexpr PortIndex kNoPort{0xff};

enum class L4Checksum : std::uint8_t { unknown, good, bad };  ///< what the device says; unknown = check in software

struct Packet {
    std::uint8_t* data{};              ///< first byte of the Ethernet header
    std::uint32_t contiguous_bytes{};  ///< readable and writable at `data`; the headers must lie in here
    std::uint32_t total_bytes{};       ///< whole frame, later segments included
    void* handle{};                    ///< belongs to the PacketIo that made it
    PortIndex in_port{kNoPort};
    L4Checksum l4_checksum{L4Checksum::unknown};
    std::uint32_t received{};  ///< when, for the worker that it is handed to (time_sampler.hpp); 0 = not measured
};
static_assert(sizeof(Packet) == 32, "a burst is copied often");

inline constexpr std::size_t kBurstMax = 32;

/// Moves frames. One object per worker, called by that worker only. A packet is owned by exactly one side: `receive`
/// and `allocate` give it to the caller; `send` takes back those it accepted; `release` takes all.
class PacketIo {
public:
    PacketIo() = default;
    PacketIo(const PacketIo&) = delete;
    PacketIo& operator=(const PacketIo&) = delete;
    virtual ~PacketIo() = default;

    /// Fills up to `out.size()` packets that arrived on `port`; returns how many.
    virtual std::size_t receive(PortIndex port, std::span<Packet> out) noexcept = 0;
    /// Returns how many, from the front, the device took. The rest still belongs to the caller.
    virtual std::size_t send(PortIndex port, std::span<const Packet> packets) noexcept = 0;
    virtual void release(std::span<const Packet> packets) noexcept = 0;
    /// A buffer of `bytes` contiguous bytes for a packet of our own (total_bytes set, content undefined). False: none
    /// left.
    virtual bool allocate(std::uint32_t bytes, Packet& out) noexcept = 0;
    virtual bool link_up(PortIndex port) const noexcept = 0;
};

}  // namespace sluice::dp
