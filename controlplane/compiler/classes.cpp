#include "controlplane/compiler/classes.hpp"

#include <array>
#include <random>

namespace sluice::cp {

namespace {

/// splitmix64 (Steele, Lea, Flood 2014): spreads small numbers over 64 bits.
constexpr std::uint64_t spread(std::uint64_t n) noexcept {
    n += 0x9e3779b97f4a7c15ULL;
    n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9ULL;
    n = (n ^ (n >> 27)) * 0x94d049bb133111ebULL;
    return n ^ (n >> 31);
}

const std::array<std::uint64_t, 2>& key() {
    static const std::array<std::uint64_t, 2> drawn = [] {
        std::random_device device;
        const auto draw = [&] { return std::uint64_t{device()} << 32 | device(); };
        return std::array{draw(), draw()};
    }();
    return drawn;
}

}  // namespace

ClassNumbers::ClassNumbers(std::size_t list_count)
    : places_(1024), lists_(list_count), open_since_(list_count, kFree) {}

void ClassNumbers::flip(ListIndex list) {
    const std::uint64_t high = spread(key()[0] ^ list);
    set_.high ^= high;
    set_.low ^= spread(high ^ key()[1]);
    if (open_since_[list] == kFree) {
        open_since_[list] = count_;
        touched_.push_back(list);
    } else {
        close(list);
    }
}

/// Classes that were new while this range was open.
void ClassNumbers::close(ListIndex list) {
    const std::uint32_t first = open_since_[list];
    open_since_[list] = kFree;
    if (first == count_) return;
    ClassRanges& ranges = lists_[list];
    if (!ranges.empty() && ranges.back().last + 1 == first) {
        ranges.back().last = count_ - 1;
    } else {
        ranges.push_back({.first = first, .last = count_ - 1});
    }
}

void ClassNumbers::end_line() {
    for (const ListIndex list : touched_) {
        if (open_since_[list] != kFree) close(list);
    }
    touched_.clear();
    set_ = {};
}

std::uint32_t ClassNumbers::intern() {
    if ((count_ + std::size_t{1}) * 2 > places_.size()) grow();
    for (std::size_t i = set_.low;; ++i) {
        Place& place = places_[i & (places_.size() - 1)];
        if (place.class_index == kFree) {
            place = {.set = set_, .class_index = count_};
            return count_++;
        }
        if (place.set == set_) return place.class_index;
    }
}

void ClassNumbers::grow() {
    std::vector<Place> old(places_.size() * 4);
    old.swap(places_);
    for (const Place& place : old) {
        if (place.class_index == kFree) continue;
        std::size_t i = place.set.low;
        while (places_[i & (places_.size() - 1)].class_index != kFree) ++i;
        places_[i & (places_.size() - 1)] = place;
    }
}

}  // namespace sluice::cp
