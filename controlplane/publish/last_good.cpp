#include "controlplane/publish/last_good.hpp"

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include <sluice/abi/last_good.hpp>
#include <sluice/abi/layout.hpp>

#define XXH_STATIC_LINKING_ONLY
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::cp {
namespace {

using Piece = std::span<const std::byte>;

struct FreeState {
    void operator()(XXH3_state_t* state) const noexcept { XXH3_freeState(state); }
};

constexpr std::array<std::byte, 8> kPadding{};

/// A big generation is not put together in memory: what follows the header, as it stands in the file.
std::vector<Piece> content_of(const GenerationBytes& generation) {
    std::vector<Piece> pieces;
    const auto add = [&](Piece bytes) {
        pieces.push_back(bytes);
        pieces.push_back(Piece{kPadding}.first(abi::last_good_padded(bytes.size()) - bytes.size()));
    };
    add(std::as_bytes(std::span{generation.manifest, 1}));
    for (const auto section : generation.sections) add(section);
    return pieces;
}

abi::LastGoodHeader header_of(std::span<const Piece> content) {
    static_assert(std::has_unique_object_representations_v<abi::LastGoodHeader>);
    static_assert(sizeof(abi::LastGoodHeader) == abi::last_good_padded(sizeof(abi::LastGoodHeader)));
    const std::unique_ptr<XXH3_state_t, FreeState> state{XXH3_createState()};
    XXH3_64bits_reset(state.get());
    abi::LastGoodHeader header;
    header.layout_hash = abi::kLayoutHash;
    header.bytes = sizeof header;
    for (const Piece piece : content) {
        XXH3_64bits_update(state.get(), piece.data(), piece.size());
        header.bytes += piece.size();
    }
    header.xxh3 = XXH3_64bits_digest(state.get());
    return header;
}

}  // namespace

Expected<void, FileError> write_last_good(FileOps& ops, const std::string& dir, const GenerationBytes& generation) {
    if (const auto made = ops.make_dir(dir, Readers::group); !made)
        return Unexpected(file_error(made.error(), "make", dir));
    auto pieces = content_of(generation);
    const abi::LastGoodHeader header = header_of(pieces);
    pieces.insert(pieces.begin(), std::as_bytes(std::span{&header, 1}));
    // The dataplane may run as another user: it is in the directory's group then. It refuses a file that others write.
    return write_durably(ops, dir, abi::kLastGoodName, pieces, DirSync::now, Readers::group);
}

}  // namespace sluice::cp
