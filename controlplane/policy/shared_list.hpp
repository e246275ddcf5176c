/// A list whose copies share their elements, and the blocks of pointers to them: a copy costs a pointer per some
/// hundred elements, whatever those own, and two lists show by their pointers where they are the same. That is how a
/// policy of 100,000 rules is edited: the new one has its own few rules and all others of the old one.
///
/// Reads like a vector; an element is found in constant time, for blocks are about as long as each other. Whoever
/// writes to an element through one list gets an element, and a block, of that list's own first; the other lists keep
/// what they have. As with a vector, one list is not for two threads of which one writes; different lists are, also
/// where they share.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

namespace sluice::cp {

template <typename T>
class SharedList {
public:
    /// An element, kept for another list.
    using Handle = std::shared_ptr<T>;
    using value_type = T;

    template <bool kConst>
    class Iterator {
        using List = std::conditional_t<kConst, const SharedList, SharedList>;

    public:
        using iterator_category = std::random_access_iterator_tag;
        using value_type = T;
        using difference_type = std::ptrdiff_t;
        using pointer = std::conditional_t<kConst, const T*, T*>;
        using reference = std::conditional_t<kConst, const T&, T&>;

        Iterator() = default;
        Iterator(List* list, std::size_t at) : list_{list}, at_{static_cast<difference_type>(at)} {}
        /// As a template, since it must not be taken for the copy.
        template <bool kOther>
        requires(kConst && !kOther) Iterator(const Iterator<kOther>& other) : Iterator{other.list(), other.index()} {}

        reference operator*() const { return (*list_)[index()]; }
        pointer operator->() const { return &**this; }
        reference operator[](difference_type n) const { return *(*this + n); }
        Iterator& operator++() { return *this += 1; }
        Iterator& operator--() { return *this -= 1; }
        Iterator operator++(int) { return std::exchange(*this, *this + 1); }
        Iterator operator--(int) { return std::exchange(*this, *this - 1); }
        Iterator& operator+=(difference_type n) { return at_ += n, *this; }
        Iterator& operator-=(difference_type n) { return at_ -= n, *this; }
        friend Iterator operator+(Iterator it, difference_type n) { return it += n; }
        friend Iterator operator+(difference_type n, Iterator it) { return it += n; }
        friend Iterator operator-(Iterator it, difference_type n) { return it -= n; }
        friend difference_type operator-(const Iterator& a, const Iterator& b) { return a.at_ - b.at_; }
        auto operator<=>(const Iterator&) const = default;
        List* list() const { return list_; }
        std::size_t index() const { return static_cast<std::size_t>(at_); }

    private:
        List* list_{};
        difference_type at_{};
    };
    using iterator = Iterator<false>;
    using const_iterator = Iterator<true>;

    SharedList() = default;
    SharedList(std::initializer_list<T> items) {
        for (const T& item : items) push_back(item);
    }

    std::size_t size() const noexcept { return starts_.empty() ? 0 : starts_.back(); }
    bool empty() const noexcept { return size() == 0; }
    const T& operator[](std::size_t i) const { return *handle(i); }
    T& operator[](std::size_t i) {
        const std::size_t b = block_of(i);
        Handle& item = own(b)[i - starts_[b]];
        if (item.use_count() != 1) item = std::make_shared<T>(*item);
        return *item;
    }
    const T& at(std::size_t i) const {
        if (i >= size()) throw std::out_of_range{"no such element of a shared list"};
        return (*this)[i];
    }
    const T& front() const { return (*this)[0]; }
    const T& back() const { return (*this)[size() - 1]; }
    T& front() { return (*this)[0]; }
    T& back() { return (*this)[size() - 1]; }

    const_iterator begin() const { return {this, 0}; }
    const_iterator end() const { return {this, size()}; }
    iterator begin() { return {this, 0}; }
    iterator end() { return {this, size()}; }

    /// For code that fills vectors and lists alike: blocks are made as they are needed.
    void reserve(std::size_t) noexcept {}
    void clear() noexcept {
        blocks_.clear();
        starts_.clear();
    }
    void resize(std::size_t count) {
        while (size() < count) push_back(std::make_shared<T>());
        if (size() > count) erase(begin() + static_cast<std::ptrdiff_t>(count), end());
    }
    void push_back(T item) { push_back(std::make_shared<T>(std::move(item))); }
    template <typename... Args>
    T& emplace_back(Args&&... args) {
        push_back(std::make_shared<T>(T{std::forward<Args>(args)...}));
        return back();
    }
    iterator insert(iterator before, T item) {
        insert_handle(before.index(), std::make_shared<T>(std::move(item)));
        return before;
    }
    template <typename It>
    void insert(iterator before, It first, It last) {
        std::size_t at = before.index();
        for (; first != last; ++first) insert_handle(at++, std::make_shared<T>(*first));
    }
    iterator erase(iterator at) { return erase(at, at + 1); }
    iterator erase(iterator first, iterator last) {
        for (std::size_t left = last.index(); left != first.index();) {
            const std::size_t b = block_of(left - 1);
            const std::size_t from = std::max<std::size_t>(first.index(), starts_[b]);
            cut_out(b, from - starts_[b], left - starts_[b]);
            left = from;
        }
        return first;
    }

    /// The element itself, for another list to share.
    const Handle& handle(std::size_t i) const {
        const std::size_t b = block_of(i);
        return (*blocks_[b])[i - starts_[b]];
    }
    /// Not null.
    void push_back(Handle shared) {
        if (blocks_.empty() || blocks_.back()->size() >= kBlockMost) {
            add_block(std::make_shared<Block>());
            blocks_.back()->reserve(kBlockMost);
        }
        own(blocks_.size() - 1).push_back(std::move(shared));
        ++starts_.back();
    }
    /// Elements [first, last) of another list, shared with it; blocks too, where all of one is meant.
    void append(const SharedList& from, std::size_t first, std::size_t last) {
        while (first < last) {
            const std::size_t b = from.block_of(first);
            const std::size_t end = std::min<std::size_t>(last, from.starts_[b + 1]);
            if (first == from.starts_[b] && end == from.starts_[b + 1]) {
                add_block(from.blocks_[b]);
                first = end;
            } else {
                for (; first < end; ++first) push_back((*from.blocks_[b])[first - from.starts_[b]]);
            }
        }
    }
    /// One element that both share, not two that are equal.
    bool same(std::size_t i, const SharedList& other, std::size_t j) const { return handle(i) == other.handle(j); }
    /// How many elements from i on are those of the other list from j on. Blocks that both share are not looked into.
    std::size_t same_run(std::size_t i, const SharedList& other, std::size_t j) const {
        if (i >= size() || j >= other.size()) return 0;
        std::size_t b = block_of(i), c = other.block_of(j), run = 0;
        std::size_t at = i - starts_[b], its = j - other.starts_[c];
        while (b != blocks_.size() && c != other.blocks_.size()) {
            const Block &mine = *blocks_[b], &theirs = *other.blocks_[c];
            const std::size_t most = std::min(mine.size() - at, theirs.size() - its);
            std::size_t same = 0;
            if (&mine == &theirs && at == its) {
                same = most;
            } else {
                while (same != most && mine[at + same] == theirs[its + same]) ++same;
            }
            run += same;
            if (same != most) break;
            at += most;
            its += most;
            if (at == mine.size()) {
                ++b;
                at = 0;
            }
            if (its == theirs.size()) {
                ++c;
                its = 0;
            }
        }
        return run;
    }

private:
    using Block = std::vector<Handle>;
    static constexpr std::size_t kBlockMost = 512;

    std::size_t block_of(std::size_t i) const noexcept {
        std::size_t b = i * blocks_.size() / size();
        while (starts_[b] > i) --b;
        while (starts_[b + 1] <= i) ++b;
        return b;
    }
    void add_block(std::shared_ptr<Block> block) {
        if (starts_.empty()) starts_.push_back(0);
        starts_.push_back(starts_.back() + static_cast<std::uint32_t>(block->size()));
        blocks_.push_back(std::move(block));
    }
    Block& own(std::size_t b) {
        if (blocks_[b].use_count() != 1) {
            auto copy = std::make_shared<Block>();
            copy->reserve(kBlockMost);
            *copy = *blocks_[b];
            blocks_[b] = std::move(copy);
        }
        return *blocks_[b];
    }
    void insert_handle(std::size_t i, Handle item) {
        if (i == size()) return push_back(std::move(item));
        const std::size_t b = block_of(i);
        Block& block = own(b);
        block.insert(block.begin() + static_cast<std::ptrdiff_t>(i - starts_[b]), std::move(item));
        for (std::size_t k = b + 1; k < starts_.size(); ++k) ++starts_[k];
        if (block.size() <= kBlockMost) return;
        const auto middle = block.begin() + static_cast<std::ptrdiff_t>(block.size() / 2);
        auto rest = std::make_shared<Block>(middle, block.end());
        block.erase(middle, block.end());
        const auto place = static_cast<std::ptrdiff_t>(b + 1);
        starts_.insert(starts_.begin() + place, starts_[b] + static_cast<std::uint32_t>(block.size()));
        blocks_.insert(blocks_.begin() + place, std::move(rest));
    }
    /// [first, last) of one block.
    void cut_out(std::size_t b, std::size_t first, std::size_t last) {
        for (std::size_t k = b + 1; k < starts_.size(); ++k) starts_[k] -= static_cast<std::uint32_t>(last - first);
        const auto place = static_cast<std::ptrdiff_t>(b);
        if (first == 0 && last == blocks_[b]->size()) {
            blocks_.erase(blocks_.begin() + place);
            starts_.erase(starts_.begin() + place);
            if (blocks_.empty()) starts_.clear();
            return;
        }
        Block& block = own(b);
        block.erase(block.begin() + static_cast<std::ptrdiff_t>(first),
                    block.begin() + static_cast<std::ptrdiff_t>(last));
    }

    std::vector<std::shared_ptr<Block>> blocks_;  ///< none is empty
    std::vector<std::uint32_t> starts_;           ///< by block, and the end; empty where there is no block
};

/// What two lists, or two texts, have in common: so many, from here on in either.
struct SharedRun {
    std::size_t before{}, after{}, count{};
    bool operator==(const SharedRun&) const = default;
};

/// Adds a run, as part of the last one where it goes on from there.
inline void add_run(std::vector<SharedRun>& runs, const SharedRun& run) {
    if (run.count == 0) return;
    const bool goes_on = !runs.empty() && runs.back().before + runs.back().count == run.before &&
                         runs.back().after + runs.back().count == run.after;
    if (goes_on) {
        runs.back().count += run.count;
    } else {
        runs.push_back(run);
    }
}

/// The very elements that both lists have, in the same order; found by walking along both.
template <typename T>
std::vector<SharedRun> shared_runs(const SharedList<T>& before, const SharedList<T>& after) {
    constexpr std::size_t kAheadMax = 64;  // as many edits side by side; more are taken for other elements
    std::vector<SharedRun> runs;
    std::size_t b = 0;
    for (std::size_t a = 0; a < after.size();) {
        const std::size_t end = std::min(before.size(), b + kAheadMax);
        std::size_t at = b;
        while (at < end && !after.same(a, before, at)) ++at;
        if (at == end) {  // a new one; what it stands for, if anything, goes when the next one is found
            ++a;
            continue;
        }
        const std::size_t count = after.same_run(a, before, at);
        runs.push_back({.before = at, .after = a, .count = count});
        a += count;
        b = at + count;
    }
    return runs;
}

/// A place where two lists are not the same: [before_first, before_last) of one stand where [after_first, after_last)
/// of the other do. Either may be empty.
struct SharedGap {
    std::size_t before_first{}, before_last{}, after_first{}, after_last{};
};

template <typename T>
std::vector<SharedGap> shared_gaps(const SharedList<T>& before, const SharedList<T>& after) {
    std::vector<SharedGap> gaps;
    std::size_t b = 0, a = 0;
    const auto add = [&](std::size_t next_b, std::size_t next_a) {
        if (b != next_b || a != next_a) gaps.push_back({b, next_b, a, next_a});
    };
    for (const SharedRun& run : shared_runs(before, after)) {
        add(run.before, run.after);
        b = run.before + run.count;
        a = run.after + run.count;
    }
    add(before.size(), after.size());
    return gaps;
}

inline constexpr std::uint32_t kNotShared = 0xffffffff;

/// For every element of `after`: where `before` has that very element; kNotShared where it has not, or has it in
/// another order than its neighbours.
template <typename T>
std::vector<std::uint32_t> shared_places(const SharedList<T>& before, const SharedList<T>& after) {
    std::vector<std::uint32_t> places(after.size(), kNotShared);
    for (const SharedRun& run : shared_runs(before, after)) {
        for (std::size_t k = 0; k < run.count; ++k) places[run.after + k] = static_cast<std::uint32_t>(run.before + k);
    }
    return places;
}

}  // namespace sluice::cp
