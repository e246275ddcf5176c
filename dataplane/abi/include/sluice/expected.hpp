/// A value or an error: the one alias, until std::expected is ours.
#pragma once

#include <tl/expected.hpp>

namespace sluice {

template <typename T, typename E>
using Expected = tl::expected<T, E>;

template <typename E>
using Unexpected = tl::unexpected<E>;

}  // namespace sluice
