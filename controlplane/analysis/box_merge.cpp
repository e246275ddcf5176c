#include "controlplane/analysis/box_merge.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <unordered_map>

namespace sluice::cp {
namespace {

constexpr std::size_t kSides = 5;  ///< from, to, source, destination, service
constexpr int kRoundsMax = 8;

constexpr std::size_t mixed(std::size_t hash, std::size_t with) noexcept {
    return (hash ^ with) * 0x9e3779b97f4a7c15ULL + (hash >> 29);
}

std::size_t hash_of(const AddressRanges& list) noexcept {
    std::size_t hash = list.size();
    for (const auto& range : list) {
        hash = mixed(mixed(hash, range.first.high), range.first.low);
        hash = mixed(mixed(hash, range.last.high), range.last.low);
    }
    return hash;
}

std::size_t hash_of(const ServiceRanges& list) noexcept {
    std::size_t hash = list.size();
    for (const auto& range : list) hash = mixed(mixed(hash, range.first), range.last);
    return hash;
}

/// Of all sides but one.
std::size_t hash_without(const Box& box, std::size_t side) {
    const std::array<std::size_t, kSides> sides{
        side == 0 ? 0 : std::hash<PlaceBits>{}(box.from), side == 1 ? 0 : std::hash<PlaceBits>{}(box.to),
        side == 2 ? 0 : hash_of(*box.src), side == 3 ? 0 : hash_of(*box.dst), side == 4 ? 0 : hash_of(*box.service)};
    std::size_t hash = static_cast<std::size_t>(box.family);
    for (const std::size_t one : sides) hash = mixed(hash, one);
    return hash;
}

bool same_without(const Box& a, const Box& b, std::size_t side) {
    return a.family == b.family && (side == 0 || a.from == b.from) && (side == 1 || a.to == b.to) &&
           (side == 2 || *a.src == *b.src) && (side == 3 || *a.dst == *b.dst) &&
           (side == 4 || *a.service == *b.service);
}

template <typename List>
void unite(std::shared_ptr<const List> Box::*side, Box& into, const std::vector<const Box*>& others) {
    List all = *(into.*side);
    for (const Box* other : others) all.insert(all.end(), (other->*side)->begin(), (other->*side)->end());
    normalise(all);
    into.*side = std::make_shared<const List>(std::move(all));
}

void unite(std::size_t side, Box& into, const std::vector<const Box*>& others) {
    switch (side) {
        case 0:
            for (const Box* other : others) into.from |= other->from;
            break;
        case 1:
            for (const Box* other : others) into.to |= other->to;
            break;
        case 2: unite(&Box::src, into, others); break;
        case 3: unite(&Box::dst, into, others); break;
        default: unite(&Box::service, into, others); break;
    }
}

/// One pass over one side; true if boxes were joined.
bool merge_side(std::vector<Box>& boxes, std::size_t side) {
    std::unordered_map<std::size_t, std::vector<std::size_t>> alike;
    for (std::size_t b = 0; b < boxes.size(); ++b) alike[hash_without(boxes[b], side)].push_back(b);
    if (alike.size() == boxes.size()) return false;
    std::vector<bool> gone(boxes.size());
    for (const auto& [hash, members] : alike) {
        Box& into = boxes[members.front()];
        std::vector<const Box*> others;
        for (std::size_t m = 1; m < members.size(); ++m) {
            if (!same_without(into, boxes[members[m]], side)) continue;  // another with the same hash
            others.push_back(&boxes[members[m]]);
            gone[members[m]] = true;
        }
        if (!others.empty()) unite(side, into, others);
    }
    std::vector<Box> left;
    for (std::size_t b = 0; b < boxes.size(); ++b) {
        if (!gone[b]) left.push_back(std::move(boxes[b]));
    }
    const bool fewer = left.size() < boxes.size();
    boxes = std::move(left);
    return fewer;
}

}  // namespace

void merge(std::vector<Box>& boxes) {
    bool fewer = true;
    for (int round = 0; fewer && round < kRoundsMax; ++round) {
        fewer = false;
        for (std::size_t side = kSides; side-- > 0;) fewer = merge_side(boxes, side) || fewer;
    }
}

}  // namespace sluice::cp
