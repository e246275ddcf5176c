#include "controlplane/compiler/address_table.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

namespace sluice::cp {

namespace {

using abi::AddressNode;

template <typename At>
inline constexpr unsigned kChunks = sizeof(At) / 2;

constexpr std::uint16_t chunk(std::uint32_t at, unsigned k) noexcept {
    return static_cast<std::uint16_t>(at >> (16 * (1 - k)));
}
constexpr std::uint16_t chunk(const V6Number& at, unsigned k) noexcept {
    return static_cast<std::uint16_t>((k < 4 ? at.high : at.low) >> (16 * (3 - k % 4)));
}

/// All chunks from `k` on cleared, or filled with ones.
constexpr std::uint32_t cut_off(std::uint32_t at, unsigned k) noexcept {
    return k == 0 ? 0 : k == 1 ? at >> 16 << 16 : at;
}
constexpr std::uint32_t fill_up(std::uint32_t at, unsigned k) noexcept {
    return k == 0 ? ~std::uint32_t{0} : k == 1 ? at | 0xffff : at;
}
constexpr std::uint64_t half_ones(unsigned chunks) noexcept {
    return chunks == 0 ? 0 : chunks >= 4 ? ~std::uint64_t{0} : (std::uint64_t{1} << (16 * chunks)) - 1;
}
constexpr V6Number fill_up(const V6Number& at, unsigned k) noexcept {
    return {.high = at.high | (k < 4 ? half_ones(4 - k) : 0), .low = at.low | half_ones(8 - std::max(k, 4U))};
}
constexpr V6Number cut_off(const V6Number& at, unsigned k) noexcept {
    return {.high = at.high & ~(k < 4 ? half_ones(4 - k) : 0), .low = at.low & ~half_ones(8 - std::max(k, 4U))};
}

struct Cell {
    std::uint32_t value{};
    std::uint32_t visits{};  ///< nodes on the longest way from here
};

template <typename At>
class TableBuilder {
public:
    using Slice = std::span<const Interval<At>>;

    explicit TableBuilder(std::size_t lines_max) : lines_max_{lines_max} {}

    AddressTable build(const Intervals<At>& intervals) {
        table_.root.resize(abi::kAddressRootCount);
        std::size_t i = 0;
        std::uint32_t before = 0;
        for (std::uint32_t value = 0; value < abi::kAddressRootCount; ++value) {
            std::size_t j = i;
            while (j < intervals.size() && chunk(intervals[j].first, 0) == value) ++j;
            const Cell cell = under(Slice{intervals}.subspan(i, j - i), 1, before);
            table_.root[value] = cell.value;
            table_.node_visits_max = std::max(table_.node_visits_max, cell.visits);
            if (j > i) before = intervals[j - 1].class_index;
            i = j;
        }
        return std::move(table_);
    }

private:
    /// Intervals that start under one value of chunk k - 1. `before` holds until the first of them starts.
    Cell under(Slice slice, unsigned k, std::uint32_t before) {
        if (!slice.empty() && slice[0].first == cut_off(slice[0].first, k)) {
            before = slice[0].class_index;
            slice = slice.subspan(1);
        }
        return node(slice, k, before);
    }

    /// `slice` starts strictly inside what chunks before `k` share.
    Cell node(Slice slice, unsigned k, std::uint32_t before) {
        if (slice.empty()) return {.value = before};
        if (table_.lines.size() > lines_max_) return {.value = 0};  // the caller sees that it is too long
        if constexpr (kChunks < At >> 2) {
            if (slice.size() <= 3) return tail(slice, before);
            unsigned shared = k;
            while (shared + 1 < kChunks<At> && chunk(slice.front().first, shared) == chunk(slice.back().first, shared))
                ++shared;
            if (shared > k) return span(slice, shared, before);
        }
        return keyed(slice, k, before);
    }

    Cell keyed(Slice slice, unsigned k, std::uint32_t before) {
        std::vector<std::uint16_t> keys;
        std::vector<std::uint32_t> cells{before};
        std::uint32_t visits = 0;
        const auto add = [&](std::uint32_t key, std::uint32_t value) {
            if (key == 0) {
                cells[0] = value;
            } else if (!keys.empty() && keys.back() == key) {
                cells.back() = value;
            } else if (cells.back() != value) {
                keys.push_back(static_cast<std::uint16_t>(key));
                cells.push_back(value);
            }
        };
        for (std::size_t i = 0; i < slice.size();) {
            const std::uint16_t value = chunk(slice[i].first, k);
            std::size_t j = i;
            while (j < slice.size() && chunk(slice[j].first, k) == value) ++j;
            const Cell cell = under(slice.subspan(i, j - i), k + 1, before);
            visits = std::max(visits, cell.visits);
            before = slice[j - 1].class_index;
            add(value, cell.value);
            if (cell.value != before && value != 0xffff) add(value + 1U, before);
            i = j;
        }
        if (keys.empty()) return {.value = cells[0], .visits = visits};
        return {.value = put(keys, cells, k), .visits = visits + 1};
    }

    Cell tail(Slice slice, std::uint32_t before) {
        abi::AddressTail node;
        node.cells.fill(slice.back().class_index);
        node.cells[0] = before;
        for (auto& key : node.keys) key = {~std::uint64_t{0}, ~std::uint64_t{0}};
        if constexpr (kChunks < At >> 2) {
            for (std::size_t i = 0; i < slice.size(); ++i) {
                node.keys[i] = {slice[i].first.high, slice[i].first.low};
                node.cells[i + 1] = slice[i].class_index;
            }
        }
        return {.value = reference(AddressNode::tail, 0, append(node)), .visits = 1};
    }

    /// All of `slice` shares the chunks before `k`: one line skips them.
    Cell span(Slice slice, unsigned k, std::uint32_t before) {
        const At first = cut_off(slice[0].first, k), last = fill_up(first, k);
        const Cell inside = under(slice, k, before);
        abi::AddressSpan node{.before = before, .behind = slice.back().class_index, .inside = inside.value};
        if constexpr (kChunks < At >> 2) {
            node.first = {first.high, first.low};
            node.last = {last.high, last.low};
        }
        return {.value = reference(AddressNode::span, 0, append(node)), .visits = inside.visits + 1};
    }
    std::uint32_t put(const std::vector<std::uint16_t>& keys, const std::vector<std::uint32_t>& cells, unsigned k) {
        const auto n = static_cast<std::uint32_t>(keys.size());
        const auto fill = [&](auto& out_keys, std::size_t from) {
            out_keys.fill(0xffff);
            for (std::size_t i = 0; i < out_keys.size() && from + i < n; ++i) out_keys[i] = keys[from + i];
        };
        if (n <= 9) {
            abi::AddressSmall node{.key_count = static_cast<std::uint16_t>(n)};
            fill(node.keys, 0);
            node.cells.fill(cells.back());
            std::copy(cells.begin(), cells.end(), node.cells.begin());
            return reference(AddressNode::small, k, append(node));
        }
        if (n <= 28) {
            abi::AddressMedium node{.key_count = n};
            fill(node.keys, 0);
            const std::uint32_t at = append(node);
            append_cells(cells, 32);
            return reference(AddressNode::medium, k, at);
        }
        const std::uint32_t groups = (n + abi::kAddressGroupKeys - 1) / abi::kAddressGroupKeys;
        if (groups <= abi::kAddressGroupsMax) return put_large(keys, cells, k, groups);
        return put_bitmap(keys, cells, k);
    }

    std::uint32_t put_large(const std::vector<std::uint16_t>& keys, const std::vector<std::uint32_t>& cells, unsigned k,
                            std::uint32_t groups) {
        abi::AddressLarge node{.group_count = groups, .key_count = static_cast<std::uint32_t>(keys.size())};
        node.separators.fill(0xffff);
        for (std::uint32_t g = 1; g < groups; ++g) node.separators[g - 1] = keys[g * abi::kAddressGroupKeys];
        const std::uint32_t at = append(node);
        std::vector<std::uint16_t> padded = keys;
        padded.resize(groups * abi::kAddressGroupKeys, 0xffff);
        append_bytes(padded.data(), padded.size() * sizeof padded[0]);
        append_cells(cells, groups * abi::kAddressGroupKeys + 1);
        return reference(AddressNode::large, k, at);
    }

    std::uint32_t put_bitmap(const std::vector<std::uint16_t>& keys, const std::vector<std::uint32_t>& cells,
                             unsigned k) {
        std::vector<abi::AddressBits> words(abi::kAddressBitmapWords);
        for (const std::uint16_t key : keys) words[key / 64].bits |= std::uint64_t{1} << (key % 64);
        std::uint32_t before = 0;
        for (abi::AddressBits& word : words) {
            word.before = before;
            before += static_cast<std::uint32_t>(std::popcount(word.bits));
        }
        const std::uint32_t at = append_bytes(words.data(), words.size() * sizeof words[0]);
        append_cells(cells, cells.size());
        return reference(AddressNode::bitmap, k, at);
    }

    static std::uint32_t reference(AddressNode kind, unsigned k, std::uint32_t line) noexcept {
        return abi::kAddressIsNode | static_cast<std::uint32_t>(kind) << 28 | k << 25 | line;
    }

    std::uint32_t append_bytes(const void* bytes, std::size_t size) {
        const std::size_t at = table_.lines.size();
        table_.lines.resize(at + (size + sizeof(abi::AddressLine) - 1) / sizeof(abi::AddressLine));
        std::memcpy(table_.lines.data() + at, bytes, size);
        return static_cast<std::uint32_t>(at) & (abi::kAddressLinesMax - 1);
    }
    template <typename Node>
    std::uint32_t append(const Node& node) {
        static_assert(sizeof node == sizeof(abi::AddressLine));
        return append_bytes(&node, sizeof node);
    }
    /// `count` cells and more, up to a whole line: the last one repeats.
    void append_cells(std::vector<std::uint32_t> cells, std::size_t count) {
        cells.resize((count + 15) / 16 * 16, cells.back());
        append_bytes(cells.data(), cells.size() * sizeof cells[0]);
    }

    std::size_t lines_max_;
    AddressTable table_;
};

}  // namespace

AddressTable address_table(const Intervals<std::uint32_t>& intervals, std::size_t lines_max) {
    return TableBuilder<std::uint32_t>{lines_max}.build(intervals);
}
AddressTable address_table(const Intervals<V6Number>& intervals, std::size_t lines_max) {
    return TableBuilder<V6Number>{lines_max}.build(intervals);
}

}  // namespace sluice::cp
