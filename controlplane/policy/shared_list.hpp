/// A list whose copies share their elements: a copy costs a pointer an element, whatever that owns, and two lists show
/// by their pointers where they are the same. That is how a policy of 100,000 rules is edited: the new one has its own
/// few rules and all others of the old one.
///
/// Reads like a vector. Whoever writes to an element through one list gets an element of that list's own first; the
/// other lists keep what they have. As with a vector, one list is not for two threads of which one writes; different
/// lists are, also where they share.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
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
        using At = std::conditional_t<kConst, const Handle*, Handle*>;

    public:
        using iterator_category = std::random_access_iterator_tag;
        using value_type = T;
        using difference_type = std::ptrdiff_t;
        using pointer = std::conditional_t<kConst, const T*, T*>;
        using reference = std::conditional_t<kConst, const T&, T&>;

        Iterator() = default;
        explicit Iterator(At at) : at_{at} {}
        /// As a template, since it must not be taken for the copy.
        template <bool kOther>
        requires(kConst && !kOther) Iterator(const Iterator<kOther>& other) : at_{other.at()} {}

        reference operator*() const { return element(*at_); }
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
        At at() const { return at_; }

    private:
        At at_{};
    };
    using iterator = Iterator<false>;
    using const_iterator = Iterator<true>;

    SharedList() = default;
    SharedList(std::initializer_list<T> items) {
        for (const T& item : items) push_back(item);
    }

    std::size_t size() const noexcept { return items_.size(); }
    bool empty() const noexcept { return items_.empty(); }
    const T& operator[](std::size_t i) const { return *items_[i]; }
    T& operator[](std::size_t i) { return element(items_[i]); }
    const T& at(std::size_t i) const { return *items_.at(i); }
    const T& front() const { return *items_.front(); }
    const T& back() const { return *items_.back(); }
    T& front() { return element(items_.front()); }
    T& back() { return element(items_.back()); }

    const_iterator begin() const { return const_iterator{items_.data()}; }
    const_iterator end() const { return const_iterator{items_.data() + items_.size()}; }
    iterator begin() { return iterator{items_.data()}; }
    iterator end() { return iterator{items_.data() + items_.size()}; }

    void reserve(std::size_t count) { items_.reserve(count); }
    void clear() noexcept { items_.clear(); }
    void resize(std::size_t count) {
        const std::size_t had = size();
        items_.resize(count);
        for (std::size_t i = had; i < count; ++i) items_[i] = std::make_shared<T>();
    }
    void push_back(T item) { items_.push_back(std::make_shared<T>(std::move(item))); }
    template <typename... Args>
    T& emplace_back(Args&&... args) {
        return *items_.emplace_back(std::make_shared<T>(T{std::forward<Args>(args)...}));
    }
    iterator insert(iterator before, T item) {
        const auto at = items_.insert(place(before), std::make_shared<T>(std::move(item)));
        return iterator{&*at};
    }
    template <typename It>
    void insert(iterator before, It first, It last) {
        std::vector<Handle> more;
        for (; first != last; ++first) more.push_back(std::make_shared<T>(*first));
        items_.insert(place(before), more.begin(), more.end());
    }
    iterator erase(iterator at) { return erase(at, at + 1); }
    iterator erase(iterator first, iterator last) {
        const auto behind = items_.erase(place(first), place(last));
        return begin() + (behind - items_.begin());
    }

    /// The element itself, for another list to share.
    const Handle& handle(std::size_t i) const { return items_[i]; }
    /// Not null.
    void push_back(Handle shared) { items_.push_back(std::move(shared)); }
    /// One element that both share, not two that are equal.
    bool same(std::size_t i, const SharedList& other, std::size_t j) const { return items_[i] == other.items_[j]; }

private:
    static const T& element(const Handle& item) { return *item; }
    static T& element(Handle& item) {
        if (item.use_count() != 1) item = std::make_shared<T>(*item);
        return *item;
    }
    typename std::vector<Handle>::iterator place(iterator it) { return items_.begin() + (it - begin()); }

    std::vector<Handle> items_;
};

inline constexpr std::uint32_t kNotShared = 0xffffffff;

/// For every element of `after`: where `before` has that very element, found by walking along both; kNotShared where it
/// has not, or has it in another order than its neighbours.
template <typename T>
std::vector<std::uint32_t> shared_places(const SharedList<T>& before, const SharedList<T>& after) {
    constexpr std::size_t kAheadMax = 64;  // as many edits side by side; more are taken for other elements
    std::vector<std::uint32_t> places(after.size(), kNotShared);
    std::size_t b = 0;
    for (std::size_t a = 0; a < after.size(); ++a) {
        const std::size_t end = std::min(before.size(), b + kAheadMax);
        std::size_t at = b;
        while (at < end && !after.same(a, before, at)) ++at;
        if (at == end) {  // a new one; what it stands for, if anything, goes when the next one is found
            continue;
        }
        places[a] = static_cast<std::uint32_t>(at);
        b = at + 1;
    }
    return places;
}

}  // namespace sluice::cp
