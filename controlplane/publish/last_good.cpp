#include "controlplane/publish/last_good.hpp"

#include <cstring>
#include <type_traits>

#include <sluice/abi/last_good.hpp>
#include <sluice/abi/layout.hpp>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::cp {
namespace {

void append_padded(std::string& file, const void* data, std::size_t bytes) {
    file.append(static_cast<const char*>(data), bytes);
    file.resize(abi::last_good_padded(file.size()), '\0');
}

}  // namespace

std::string last_good_bytes(const GenerationBytes& generation) {
    static_assert(std::has_unique_object_representations_v<abi::LastGoodHeader>);
    std::string file(sizeof(abi::LastGoodHeader), '\0');
    append_padded(file, generation.manifest, sizeof *generation.manifest);
    for (const auto section : generation.sections) append_padded(file, section.data(), section.size());

    abi::LastGoodHeader header;
    header.layout_hash = abi::kLayoutHash;
    header.bytes = file.size();
    header.xxh3 = XXH3_64bits(file.data() + sizeof header, file.size() - sizeof header);
    std::memcpy(file.data(), &header, sizeof header);
    return file;
}

Expected<void, FileError> write_last_good(FileOps& ops, const std::string& dir, const GenerationBytes& generation) {
    if (const auto made = ops.make_dir(dir, Readers::group); !made)
        return Unexpected(file_error(made.error(), "make", dir));
    // The dataplane may run as another user: it is in the directory's group then. It refuses a file that others write.
    return write_durably(ops, dir, abi::kLastGoodName, std::string_view{last_good_bytes(generation)}, DirSync::now,
                         Readers::group);
}

}  // namespace sluice::cp
