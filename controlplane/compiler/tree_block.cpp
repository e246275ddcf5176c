#include "controlplane/compiler/tree_block.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>
#include <unordered_map>

#include "dataplane/acl/digest.hpp"

namespace sluice::cp {

namespace {

constexpr std::size_t kRowsMax = 65'536;

std::uint64_t hash_of(const std::uint64_t* row, std::size_t words) { return XXH3_64bits(row, words * sizeof *row); }

/// Numbers rows in the order in which they are met.
class RowNumbers {
public:
    explicit RowNumbers(std::size_t words) : words_{words} {}
    std::uint32_t intern(const std::uint64_t* row) {
        const std::uint64_t hash = hash_of(row, words_);
        const auto [first, last] = by_hash_.equal_range(hash);
        for (auto it = first; it != last; ++it) {
            if (std::memcmp(rows.data() + it->second * words_, row, words_ * sizeof *row) == 0) return it->second;
        }
        const std::uint32_t number = count++;
        rows.insert(rows.end(), row, row + words_);
        by_hash_.emplace(hash, number);
        return number;
    }
    std::vector<std::uint64_t> rows;
    std::uint32_t count{};

private:
    std::size_t words_;
    std::unordered_multimap<std::uint64_t, std::uint32_t> by_hash_;
};

/// Offset in words.
template <typename T>
std::uint32_t put(std::vector<std::uint64_t>& words, const std::vector<T>& items) {
    const std::size_t at = words.size();
    words.resize(at + (items.size() * sizeof(T) + 7) / 8);
    if (!items.empty()) std::memcpy(words.data() + at, items.data(), items.size() * sizeof(T));
    return static_cast<std::uint32_t>(at);
}

}  // namespace

std::uint64_t BlockPlan::Side::map_bytes() const noexcept {
    if (!tells_apart()) return 0;
    return direct() ? width * 2 : starts.size() * 6;
}

BlockPlan::BlockPlan(std::span<const TreeTerm> terms, const TermIndices& of_node, const Region& region)
    : word_count_{static_cast<std::uint32_t>((of_node.size() + 63) / 64)} {
    observe_.resize(word_count_);
    for (std::size_t i = 0; i < of_node.size(); ++i) {
        const TreeTerm& term = terms[of_node[i]];
        rules_.push_back(term.leaf_rule());
        if (term.observe) observe_[i / 64] |= std::uint64_t{1} << (i % 64);
    }
    bits_bytes_ = sizeof(abi::Block) + rules_.size() * 4 + observe_.size() * 8;
    for (std::size_t d = 0; d < abi::kDimensionCount; ++d) {
        make_side(d, terms, of_node, region);
        bits_bytes_ += sides_[d].map_bytes() + sides_[d].rows.size() * 8;
    }
}

void BlockPlan::make_side(std::size_t d, std::span<const TreeTerm> terms, const TermIndices& of_node,
                          const Region& region) {
    struct Edge {
        std::uint32_t at, term;
    };
    std::vector<Edge> edges;
    std::vector<std::uint64_t> row(word_count_);
    const auto flip = [&](std::uint32_t i) { row[i / 64] ^= std::uint64_t{1} << (i % 64); };
    for (std::uint32_t i = 0; i < of_node.size(); ++i) {
        for (const abi::ClassRange& r : touching(*terms[of_node[i]].ranges[d], region.first[d], region.last[d])) {
            if (r.first <= region.first[d]) {
                flip(i);
            } else {
                edges.push_back({r.first, i});
            }
            if (r.last < region.last[d]) edges.push_back({r.last + 1, i});
        }
    }
    std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) { return a.at < b.at; });
    Side& side = sides_[d];
    RowNumbers numbers{word_count_};
    const auto emit = [&](std::uint32_t at) {
        const std::uint32_t number = numbers.intern(row.data());
        if (numbers.count > kRowsMax) {
            fits_ = false;
            return;
        }
        side.starts.push_back(at);
        side.row_of.push_back(static_cast<std::uint16_t>(number));
    };
    emit(region.first[d]);
    for (std::size_t e = 0; e < edges.size() && fits_;) {
        const std::uint32_t at = edges[e].at;
        for (; e < edges.size() && edges[e].at == at; ++e) flip(edges[e].term);
        emit(at);
    }
    side.rows = std::move(numbers.rows);
    side.row_count = numbers.count;
    if (!side.tells_apart()) return;
    if (side.row_of.front() != side.row_of.back()) {
        side.width = region.width(d);
    } else {
        // Most sides: some classes in the middle, and all others alike. Those in front of the first one wrap around to
        // the last entry, which stands for those behind as well.
        side.first = 1;
        side.width = side.starts.back() - side.starts[1] + std::uint64_t{1};
    }
}

abi::BlockAnswer BlockPlan::answer(const std::uint64_t* pair, std::uint32_t transport_row,
                                   std::uint32_t zones_row) const {
    const std::uint64_t* const transport = sides_[2].rows.data() + std::size_t{transport_row} * word_count_;
    const std::uint64_t* const zones = sides_[3].rows.data() + std::size_t{zones_row} * word_count_;
    abi::BlockAnswer answer;
    for (std::uint32_t w = 0; w < word_count_; ++w) {
        for (std::uint64_t match = pair[w] & transport[w] & zones[w]; match != 0; match &= match - 1) {
            const std::uint32_t rule = rules_[w * 64 + static_cast<std::uint32_t>(std::countr_zero(match))];
            if (rule < abi::kObserveBit) {
                answer.rule = rule;
                return answer;
            }
            if (answer.observe == abi::kNoRule) answer.observe = rule & ~abi::kObserveBit;
        }
    }
    return answer;
}

std::optional<std::uint64_t> BlockPlan::plan_pairs(std::uint64_t bytes_max) {
    const std::uint64_t cells = std::uint64_t{sides_[0].row_count} * sides_[1].row_count;
    const std::uint64_t per_pair = std::uint64_t{sides_[2].row_count} * sides_[3].row_count * sizeof(abi::BlockAnswer);
    std::uint64_t bytes = sizeof(abi::Block) + cells * 4;
    for (const Side& side : sides_) bytes += side.map_bytes();
    if (!fits_ || bytes + per_pair > bytes_max) return std::nullopt;

    RowNumbers numbers{word_count_};
    std::vector<std::uint64_t> both(word_count_);
    pairs_.clear();
    finals_.clear();
    for (std::uint32_t s = 0; s < sides_[0].row_count; ++s) {
        const std::uint64_t* const source = sides_[0].rows.data() + std::size_t{s} * word_count_;
        for (std::uint32_t d = 0; d < sides_[1].row_count; ++d) {
            const std::uint64_t* const destination = sides_[1].rows.data() + std::size_t{d} * word_count_;
            for (std::uint32_t w = 0; w < word_count_; ++w) both[w] = source[w] & destination[w];
            const std::uint32_t before = numbers.count, number = numbers.intern(both.data());
            pairs_.push_back(number);
            if (number < before) continue;
            bytes += per_pair;
            if (bytes > bytes_max) return std::nullopt;
            for (std::uint32_t t = 0; t < sides_[2].row_count; ++t) {
                for (std::uint32_t z = 0; z < sides_[3].row_count; ++z) finals_.push_back(answer(both.data(), t, z));
            }
        }
    }
    pair_count_ = numbers.count;
    return bytes;
}

void BlockPlan::write_common(abi::Block& block, std::vector<std::uint64_t>& words) const {
    block.rule_count = static_cast<std::uint32_t>(rules_.size());
    if (block.kind == abi::BlockKind::bits) block.observe = put(words, observe_);
    block.rules = put(words, rules_);
    for (std::size_t d = 0; d < abi::kDimensionCount; ++d) {
        const Side& side = sides_[d];
        abi::BlockSide& out = block.sides[d];
        out.row_count = side.row_count;
        if (!side.tells_apart()) continue;
        out.first = side.starts[side.direct() ? side.first : 0];
        if (!side.direct()) {
            out.start_count = static_cast<std::uint32_t>(side.starts.size());
            out.map = put(words, side.starts);
            put(words, side.row_of);
            continue;
        }
        std::vector<std::uint16_t> map;
        map.reserve(side.width);
        for (std::size_t i = side.first; i < side.starts.size(); ++i) {
            const std::uint64_t end = i + 1 < side.starts.size() ? side.starts[i + 1] - out.first : side.width;
            map.resize(end, side.row_of[i]);
        }
        out.width = static_cast<std::uint32_t>(side.width);
        out.map = put(words, map);
    }
}

abi::Block BlockPlan::write_bits(std::vector<std::uint64_t>& words) const {
    abi::Block block{.kind = abi::BlockKind::bits};
    write_common(block, words);
    block.word_count = word_count_;
    bool any = false;
    for (std::size_t d = 0; d < abi::kDimensionCount; ++d) {
        if (!sides_[d].tells_apart()) continue;
        block.sides[d].rows = put(words, sides_[d].rows);
        any = true;
    }
    if (!any) block.sides[0].rows = put(words, sides_[0].rows);
    return block;
}

abi::Block BlockPlan::write_pairs(std::vector<std::uint64_t>& words) const {
    abi::Block block{.kind = abi::BlockKind::pairs};
    write_common(block, words);
    block.pairs = put(words, pairs_);
    block.pair_count = pair_count_;
    block.finals = put(words, finals_);
    return block;
}

}  // namespace sluice::cp
