#include "controlplane/analysis/box_index.hpp"

#include <algorithm>

namespace sluice::cp {
namespace {

constexpr std::uint32_t kLeafEntries = 8;
constexpr std::size_t kHullsPerSide = 4;
constexpr std::size_t kSampled = 32;
constexpr unsigned kCoordinates = 6;

/// At most kHullsPerSide stretches that hold all of `list`: equal shares of it, in order.
std::vector<Range<V6Number>> stretches(const AddressRanges& list) {
    const std::size_t count = std::min(list.size(), kHullsPerSide);
    std::vector<Range<V6Number>> parts;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t first = i * list.size() / count, end = (i + 1) * list.size() / count;
        parts.push_back({list[first].first, list[end - 1].last});
    }
    return parts;
}

}  // namespace

void BoxIndex::Hull::widen(const Hull& by) noexcept {
    src_first = std::min(src_first, by.src_first);
    src_last = std::max(src_last, by.src_last);
    dst_first = std::min(dst_first, by.dst_first);
    dst_last = std::max(dst_last, by.dst_last);
    service_first = std::min(service_first, by.service_first);
    service_last = std::max(service_last, by.service_last);
}

bool BoxIndex::Hull::meets(const Hull& other) const noexcept {
    return src_first <= other.src_last && other.src_first <= src_last && dst_first <= other.dst_last &&
           other.dst_first <= dst_last && service_first <= other.service_last && other.service_first <= service_last;
}

BoxIndex::Hull BoxIndex::hull_of(const Box& box) {
    return {box.src->front().first, box.src->back().last,       box.dst->front().first,
            box.dst->back().last,   box.service->front().first, box.service->back().last};
}

bool BoxIndex::less(unsigned coordinate, const Entry& a, const Entry& b) noexcept {
    switch (coordinate) {
        case 0: return a.hull.src_first < b.hull.src_first;
        case 1: return a.hull.src_last < b.hull.src_last;
        case 2: return a.hull.dst_first < b.hull.dst_first;
        case 3: return a.hull.dst_last < b.hull.dst_last;
        case 4: return a.hull.service_first < b.hull.service_first;
        default: return a.hull.service_last < b.hull.service_last;
    }
}

BoxIndex::BoxIndex(const std::vector<Box>& boxes) {
    for (std::uint32_t b = 0; b < boxes.size(); ++b)
        add(trees_[boxes[b].family == abi::IpFamily::v4 ? 0 : 1], boxes[b], b);
    for (Tree& tree : trees_) {
        if (!tree.entries.empty()) build(tree, 0, static_cast<std::uint32_t>(tree.entries.size()));
    }
}

void BoxIndex::add(Tree& tree, const Box& box, std::uint32_t number) {
    Hull hull = hull_of(box);
    for (const auto& src : stretches(*box.src)) {
        hull.src_first = src.first;
        hull.src_last = src.last;
        for (const auto& dst : stretches(*box.dst)) {
            hull.dst_first = dst.first;
            hull.dst_last = dst.last;
            tree.entries.push_back({hull, number});
        }
    }
}

/// The coordinate in which a sample of the entries has most values: halving by it tells most of them apart.
unsigned BoxIndex::best_coordinate(const Entry* first, std::size_t count) {
    std::array<Entry, kSampled> sample;
    const std::size_t sampled = std::min(count, kSampled);
    for (std::size_t i = 0; i < sampled; ++i) sample[i] = first[i * count / sampled];
    unsigned best = 0;
    std::size_t best_values = 0;
    for (unsigned coordinate = 0; coordinate < kCoordinates; ++coordinate) {
        const auto before = [&](const Entry& a, const Entry& b) { return less(coordinate, a, b); };
        std::sort(sample.begin(), sample.begin() + static_cast<std::ptrdiff_t>(sampled), before);
        std::size_t values = 1;
        for (std::size_t i = 1; i < sampled; ++i) values += before(sample[i - 1], sample[i]) ? 1 : 0;
        if (values > best_values) {
            best = coordinate;
            best_values = values;
        }
    }
    return best;
}

void BoxIndex::build(Tree& tree, std::uint32_t first, std::uint32_t count) {
    const std::size_t at = tree.nodes.size();
    Node node{.hull = tree.entries[first].hull,
              .lowest_box = tree.entries[first].box,
              .highest_box = tree.entries[first].box,
              .first_entry = first,
              .entry_count = count};
    for (std::uint32_t i = first + 1; i < first + count; ++i) {
        node.hull.widen(tree.entries[i].hull);
        node.lowest_box = std::min(node.lowest_box, tree.entries[i].box);
        node.highest_box = std::max(node.highest_box, tree.entries[i].box);
    }
    tree.nodes.push_back(node);
    if (count <= kLeafEntries) return;
    const auto begin = tree.entries.begin() + first;
    const unsigned coordinate = best_coordinate(&*begin, count);
    std::nth_element(begin, begin + count / 2, begin + count, [&](const Entry& a, const Entry& b) {
        if (less(coordinate, a, b)) return true;
        return !less(coordinate, b, a) && a.box < b.box;  // in the order of the rules where all else is equal
    });
    build(tree, first, count / 2);
    tree.nodes[at].right = static_cast<std::uint32_t>(tree.nodes.size());
    build(tree, first + count / 2, count - count / 2);
}

std::uint64_t BoxIndex::find(const Box& box, std::uint32_t end, std::vector<std::uint32_t>& out) const {
    const Tree& in = tree(box.family);
    if (in.nodes.empty() || box.src->empty() || box.dst->empty() || box.service->empty()) return 0;
    const Hull hull = hull_of(box);
    const std::size_t found_before = out.size();
    std::uint64_t looked_at = 0;
    std::vector<std::uint32_t> open{0};
    while (!open.empty()) {
        const std::uint32_t n = open.back();
        open.pop_back();
        ++looked_at;
        const Node& node = in.nodes[n];
        if (node.lowest_box >= end || !node.hull.meets(hull)) continue;
        if (node.right != 0) {
            open.push_back(node.right);
            open.push_back(n + 1);
            continue;
        }
        for (std::uint32_t e = node.first_entry; e < node.first_entry + node.entry_count; ++e) {
            if (in.entries[e].box < end && in.entries[e].hull.meets(hull)) out.push_back(in.entries[e].box);
        }
    }
    std::sort(out.begin() + static_cast<std::ptrdiff_t>(found_before), out.end());
    out.erase(std::unique(out.begin() + static_cast<std::ptrdiff_t>(found_before), out.end()), out.end());
    return looked_at;
}

std::size_t BoxIndex::bytes() const noexcept {
    std::size_t bytes = 0;
    for (const Tree& tree : trees_)
        bytes += tree.entries.capacity() * sizeof(Entry) + tree.nodes.capacity() * sizeof(Node);
    return bytes;
}

}  // namespace sluice::cp
