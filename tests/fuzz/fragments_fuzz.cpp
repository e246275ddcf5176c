/// libFuzzer target for the fragment store: fragments_fuzz [-max_total_time=60] CORPUS_DIR. Input: eight bytes per
/// step: which datagram, what to do, offset, length, time. Every packet must come back exactly once, what is told to be
/// whole must be without hole or overlap, and the limits must hold. Frames are heap blocks of exactly their size, so
/// that the address sanitizer sees a comparison that goes too far.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <unordered_map>

#include "dataplane/pipeline/fragment_store.hpp"

namespace {

using namespace sluice;

constexpr dp::FragmentLimits kLimits{.packets_max = 96, .memory_bytes_max = 40'000};
constexpr dp::TscRate kRate{.hz = 1'000'000};

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "must hold: %s\n", what);
    std::abort();
}

class Frames final : public dp::FragmentDrops {
public:
    dp::Packet make(std::uint32_t bytes, std::uint8_t fill) {
        auto block = std::make_unique<std::uint8_t[]>(bytes);
        std::fill_n(block.get(), bytes, fill);
        dp::Packet p{.data = block.get(), .contiguous_bytes = bytes, .total_bytes = bytes, .handle = block.get()};
        bytes_ += bytes;
        out_.emplace(p.handle, std::move(block));
        return p;
    }
    void take_back(std::span<const dp::Packet> packets) {
        for (const dp::Packet& p : packets) {
            if (out_.erase(p.handle) != 1) fail("a packet came back twice");
            bytes_ -= p.total_bytes;
        }
    }
    void dropped(const dp::FragmentKey&, std::span<const dp::Packet> packets, abi::DropReason) noexcept override {
        if (packets.empty()) fail("a drop of nothing");
        take_back(packets);
    }
    std::size_t count() const { return out_.size(); }
    std::uint64_t bytes() const { return bytes_; }

private:
    std::unordered_map<void*, std::unique_ptr<std::uint8_t[]>> out_;
    std::uint64_t bytes_{};
};

void check_whole(const dp::FragmentStore& store, std::uint32_t datagram) {
    std::array<const dp::Fragment*, dp::kFragmentsMax> sorted;
    const std::size_t count = store.by_offset(datagram, sorted);
    std::uint32_t end = 0;
    for (std::size_t i = 0; i < count; ++i) {
        if (sorted[i]->offset_bytes != end) fail("a hole or an overlap");
        if (sorted[i]->more != (i + 1 != count)) fail("the last is not last");
        end = sorted[i]->end_bytes();
    }
}

void step(dp::FragmentStore& store, Frames& frames, const std::uint8_t* in, dp::TscTime now) {
    const dp::FragmentKey key{.id = in[0] & 7U, .family = (in[0] & 8) != 0 ? abi::IpFamily::v6 : abi::IpFamily::v4};
    if (in[1] % 64 == 63) return store.condemn(key, abi::DropReason::frag_tiny, now, frames);
    const bool more = (in[1] & 1) != 0;
    std::uint16_t bytes = static_cast<std::uint16_t>(1 + in[4] % 128);
    if (more) bytes = static_cast<std::uint16_t>((bytes + 7) / 8 * 8);
    // Behind the data as little or much as Ethernet pads; before it, what copies must have in common.
    const std::uint16_t before = in[5] % 16;
    dp::Fragment f{.packet = frames.make(before + bytes + in[5] / 16U, in[6] % 4),
                   .offset_bytes = static_cast<std::uint16_t>((in[2] % 32 * 256U + in[3]) / 8 * 8),
                   .data_offset = before,
                   .data_bytes = bytes,
                   .body_offset = 0,
                   .more = more};
    if ((in[1] & 2) != 0) f.packet.contiguous_bytes /= 2;
    const auto added = store.add(key, f, now, frames);
    std::array<dp::Packet, dp::kFragmentsMax> all;
    switch (added.outcome) {
        case dp::FragmentStore::Outcome::held: break;
        case dp::FragmentStore::Outcome::whole:
            check_whole(store, added.datagram);
            frames.take_back({all.data(), store.take(added.datagram, all)});
            break;
        default: frames.take_back({&f.packet, 1}); break;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t kStepBytes = 8;
    dp::FragmentStore store{kLimits, kRate, {1, 2}};
    Frames frames;
    dp::TscTime now{};
    for (; size >= kStepBytes; data += kStepBytes, size -= kStepBytes) {
        now = now + kRate.of_ms(data[7] * std::uint64_t{data[7]});
        step(store, frames, data, now);
        if ((data[1] & 4) != 0) store.expire(now, frames);
        if (store.packets() != frames.count() || store.bytes() != frames.bytes())
            fail("what is held is not what is out");
        if (store.packets() > kLimits.packets_max || store.bytes() > kLimits.memory_bytes_max)
            fail("beyond the limits");
    }
    store.drop_all(abi::DropReason::frag_timeout, frames);
    if (frames.count() != 0 || !store.empty()) fail("a packet was never given back");
    return 0;
}
