/// Well-formed frames of which a byte or two are other ones, and of which not all may be at hand: what a reader that
/// takes a short way has to tell apart.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <random>
#include <utility>
#include <vector>

#include "dataplane/pipeline/packet.hpp"
#include "tests/harness/frames.hpp"
#include "tests/harness/seed_frames.hpp"

namespace sluice::test {

class ChangedFrames {
public:
    struct Frame {
        Bytes bytes;
        std::size_t contiguous;
        dp::L4Checksum device;
    };

    /// `usual`: frames beside those that the parser starts from. Only the first `reach` bytes change.
    ChangedFrames(std::vector<Bytes> usual, std::size_t reach, std::uint32_t seed)
        : frames_{std::move(usual)}, reach_{reach}, random_{seed} {
        for (Bytes& other : seed_frames()) frames_.push_back(std::move(other));
    }

    Frame next() {
        Bytes bytes = frames_[random_() % frames_.size()];
        for (auto changes = random_() % 3; changes != 0; --changes) {
            std::uint8_t& byte = bytes[random_() % std::min(bytes.size(), reach_)];
            const std::uint8_t values[] = {
                0, 1, 0x7f, 0xff, static_cast<std::uint8_t>(byte + 1), static_cast<std::uint8_t>(random_())};
            byte = values[random_() % std::size(values)];
        }
        // Mostly with a right header checksum, or no changed IPv4 header would get far.
        if (bytes.size() >= 34 && bytes[12] == 8 && bytes[13] == 0 && random_() % 8 != 0) {
            bytes[24] = bytes[25] = 0;
            const std::uint16_t sum = internet_checksum({bytes.begin() + 14, bytes.begin() + 34});
            bytes[24] = static_cast<std::uint8_t>(sum >> 8);
            bytes[25] = static_cast<std::uint8_t>(sum);
        }
        const std::size_t contiguous = random_() % 4 == 0 ? random_() % (bytes.size() + 1) : bytes.size();
        const auto device = random_() % 4 == 0 ? dp::L4Checksum::unknown : dp::L4Checksum::good;
        return {std::move(bytes), contiguous, device};
    }

private:
    std::vector<Bytes> frames_;
    std::size_t reach_;
    std::mt19937 random_;
};

}  // namespace sluice::test
