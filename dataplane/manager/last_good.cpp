#include "dataplane/manager/last_good.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sluice/abi/last_good.hpp>
#include <sluice/abi/layout.hpp>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::dp {

namespace {

std::optional<std::string> objection(int fd, const std::string& name, const TrustedOwners& owners) {
    struct stat st {};
    if (fstat(fd, &st) != 0) return fmt::format("{}: {}", name, std::strerror(errno));
    if (std::find(owners.begin(), owners.end(), st.st_uid) == owners.end()) {
        return fmt::format("{} belongs to uid {}, who is no publisher; chown it or name the uid in last_good_uid", name,
                           st.st_uid);
    }
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return fmt::format("{} has mode {:04o}, so others could write it; chmod go-w", name, st.st_mode & 07777);
    }
    return std::nullopt;
}

/// Cuts the next part off; empty if the file ends before.
std::span<const std::byte> next_part(std::span<const std::byte>& rest, std::uint64_t bytes) {
    if (bytes == 0 || bytes > abi::kSectionBytesMax || abi::last_good_padded(bytes) > rest.size()) return {};
    const auto part = rest.first(bytes);
    rest = rest.subspan(abi::last_good_padded(bytes));
    return part;
}

/// The parts of a file whose checksum is right. Their content is for the attacher to judge.
Expected<GenerationFds, std::string> copy_parts(std::span<const std::byte> rest) {
    const auto cut_off = [] { return Unexpected<std::string>{"it ends before its parts do"}; };
    const auto manifest_bytes = next_part(rest, sizeof(abi::Manifest));
    if (manifest_bytes.empty()) return cut_off();
    abi::Manifest manifest;
    std::memcpy(&manifest, manifest_bytes.data(), sizeof manifest);
    GenerationFds fds;
    auto copy = sealed_copy("sluice-last-good", manifest_bytes);
    if (!copy) return Unexpected<std::string>{copy.error()};
    fds.manifest = std::move(*copy);
    for (std::size_t i = 0; i < manifest.sections.size(); ++i) {
        const auto part = next_part(rest, manifest.sections[i].bytes);
        if (part.empty()) return cut_off();
        copy = sealed_copy("sluice-last-good", part);
        if (!copy) return Unexpected<std::string>{copy.error()};
        fds.sections[i] = std::move(*copy);
    }
    return fds;
}

}  // namespace

Expected<LastGood, std::string> LastGood::open(const std::string& directory, const TrustedOwners& owners) {
    LastGood last_good;
    last_good.name_ = directory + "/" + abi::kLastGoodName;
    const UniqueFd dir{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (!dir) {
        if (errno == ENOENT) return last_good;
        const bool is_link = errno == ELOOP || errno == ENOTDIR;
        return Unexpected<std::string>{
            is_link ? fmt::format("{} is a symlink or no directory; make it a directory", directory)
                    : fmt::format("{}: {}", directory, std::strerror(errno))};
    }
    if (auto why = objection(dir.get(), directory, owners)) return Unexpected<std::string>{std::move(*why)};

    UniqueFd file{openat(dir.get(), abi::kLastGoodName, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
    if (!file) {
        if (errno == ENOENT) return last_good;
        return Unexpected<std::string>{errno == ELOOP ? fmt::format("{} is a symlink; remove it", last_good.name_)
                                                      : fmt::format("{}: {}", last_good.name_, std::strerror(errno))};
    }
    struct stat st {};
    if (fstat(file.get(), &st) != 0 || !S_ISREG(st.st_mode)) {
        return Unexpected<std::string>{last_good.name_ + " is no regular file; remove it"};
    }
    if (auto why = objection(file.get(), last_good.name_, owners)) return Unexpected<std::string>{std::move(*why)};
    last_good.file_ = std::move(file);
    return last_good;
}

Expected<std::optional<GenerationFds>, std::string> LastGood::load() const {
    if (!file_) return std::optional<GenerationFds>{};
    const auto broken = [&](std::string_view why) {
        return Unexpected<std::string>{fmt::format("{} is broken: {}", name_, why)};
    };
    struct stat st {};
    if (fstat(file_.get(), &st) != 0) return broken(std::strerror(errno));
    const auto bytes = static_cast<std::uint64_t>(st.st_size);
    if (bytes < sizeof(abi::LastGoodHeader) || bytes > abi::kLastGoodBytesMax)
        return broken("its length is impossible");
    void* data = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file_.get(), 0);
    if (data == MAP_FAILED) return broken(std::strerror(errno));
    const Mapping mapping{static_cast<std::byte*>(data), bytes};

    abi::LastGoodHeader header;
    std::memcpy(&header, data, sizeof header);
    const auto rest = mapping.bytes().subspan(sizeof header);
    if (header.magic != abi::kLastGoodMagic) return broken("wrong magic");
    if (header.layout_hash != abi::kLayoutHash) return broken("it is of another version of this program");
    if (header.bytes != bytes) return broken("it is not as long as it says");
    if (header.xxh3 != XXH3_64bits(rest.data(), rest.size())) return broken("wrong checksum");
    auto parts = copy_parts(rest);
    if (!parts) return broken(parts.error());
    return std::optional<GenerationFds>{std::move(*parts)};
}

}  // namespace sluice::dp
