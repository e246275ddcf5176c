#include "tests/harness/memory_io.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace sluice::test {

MemoryIo::Buffer* MemoryIo::new_buffer(std::size_t bytes) {
    if (in_use_.size() == buffers_max_) return nullptr;
    auto buffer = std::make_unique<Buffer>(Buffer{std::make_unique<std::uint8_t[]>(bytes), {}});
    Buffer* raw = buffer.get();
    in_use_.emplace(raw, std::move(buffer));
    return raw;
}

void MemoryIo::give_back(const dp::Packet& packet) {
    if (in_use_.erase(packet.handle) == 1) return;
    std::fprintf(stderr, "a buffer was given back that is not out: twice, or never given\n");
    std::abort();
}

bool MemoryIo::arrive(std::uint8_t port, const FrameBytes& frame, dp::L4Checksum checksum,
                      std::uint32_t contiguous_max) {
    const auto bytes = static_cast<std::uint32_t>(frame.size());
    const std::uint32_t contiguous = std::min(bytes, contiguous_max);
    Buffer* buffer = new_buffer(contiguous);
    if (buffer == nullptr) return false;
    std::copy_n(frame.begin(), contiguous, buffer->bytes.get());
    buffer->later_segments.assign(frame.begin() + contiguous, frame.end());
    arrived_[port].push_back({.data = buffer->bytes.get(),
                              .contiguous_bytes = contiguous,
                              .total_bytes = bytes,
                              .handle = buffer,
                              .in_port = dp::PortIndex{port},
                              .l4_checksum = checksum});
    return true;
}

std::vector<Output> MemoryIo::take_sent() { return std::exchange(sent_, {}); }

std::size_t MemoryIo::waiting() const noexcept {
    std::size_t n = 0;
    for (const auto& queue : arrived_) n += queue.size();
    return n;
}

std::size_t MemoryIo::receive(dp::PortIndex port, std::span<dp::Packet> out) noexcept {
    auto& queue = arrived_[static_cast<std::size_t>(port)];
    const std::size_t n = std::min(out.size(), queue.size());
    for (std::size_t i = 0; i < n; ++i) {
        out[i] = queue.front();
        queue.pop_front();
    }
    return n;
}

std::size_t MemoryIo::send(dp::PortIndex port, std::span<const dp::Packet> packets) noexcept {
    std::size_t& room = tx_room[static_cast<std::size_t>(port)];
    const std::size_t n = std::min(room, packets.size());
    for (const dp::Packet& p : packets.first(n)) {
        FrameBytes whole(p.data, p.data + p.contiguous_bytes);
        const FrameBytes& rest = static_cast<const Buffer*>(p.handle)->later_segments;
        whole.insert(whole.end(), rest.begin(), rest.end());
        sent_.push_back({static_cast<std::uint8_t>(port), std::move(whole)});
        give_back(p);
    }
    room -= n;
    return n;
}

void MemoryIo::release(std::span<const dp::Packet> packets) noexcept {
    for (const dp::Packet& p : packets) give_back(p);
}

bool MemoryIo::allocate(std::uint32_t bytes, dp::Packet& out) noexcept {
    Buffer* buffer = can_allocate ? new_buffer(bytes) : nullptr;
    if (buffer == nullptr) return false;
    out = {.data = buffer->bytes.get(), .contiguous_bytes = bytes, .total_bytes = bytes, .handle = buffer};
    return true;
}

bool MemoryIo::link_up(dp::PortIndex port) const noexcept { return link[static_cast<std::size_t>(port)]; }

}  // namespace sluice::test
