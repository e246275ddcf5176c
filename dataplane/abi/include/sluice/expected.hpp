/// A value or an error: the one name for it, until std::expected is ours.
#pragma once

#include <type_traits>
#include <utility>

#include <tl/expected.hpp>

namespace sluice {

template <typename T, typename E>
using Expected = tl::expected<T, E>;

/// A type and no alias: clang 14, which tidies and fuzzes the tree, deduces no arguments of an alias template.
template <typename E>
struct Unexpected : tl::unexpected<E> {
    explicit Unexpected(E error) : tl::unexpected<E>{std::move(error)} {}
};

template <typename E>
Unexpected(E) -> Unexpected<std::decay_t<E>>;

}  // namespace sluice
