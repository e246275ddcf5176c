/// Lays out one section: the struct first, then arrays in the order in which they are put, each 8-byte aligned, then
/// the header's size and digest. The order is the validator's order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include <sluice/abi/layout.hpp>
#include <sluice/abi/tables.hpp>

#include "dataplane/acl/digest.hpp"

namespace sluice::cp {

template <typename Section>
class SectionWriter {
    static_assert(std::is_trivially_copyable_v<Section> && sizeof(Section) % 8 == 0);

public:
    explicit SectionWriter(abi::SectionKind kind) : bytes_(sizeof(Section)) {
        section.header.kind = kind;
        section.header.layout_hash = abi::kLayoutHash;
    }

    template <typename T>
    abi::ArrayRef put(std::span<const T> items) {
        const abi::ArrayRef ref{.offset = bytes_.size(), .count = items.size()};
        bytes_.resize(bytes_.size() + (items.size_bytes() + 7) / 8 * 8);
        if (!items.empty()) std::memcpy(bytes_.data() + ref.offset, items.data(), items.size_bytes());
        return ref;
    }
    template <typename T>
    abi::ArrayRef put(const std::vector<T>& items) {
        return put(std::span<const T>{items});
    }

    /// As `put`, on a cache line's edge: what one lookup reads together stands in one line.
    template <typename T>
    abi::ArrayRef put_lines(const std::vector<T>& items) {
        bytes_.resize((bytes_.size() + 63) / 64 * 64);
        return put(items);
    }

    /// Text is collected while records are made and put last.
    abi::TextRef add_text(std::string_view s) {
        const abi::TextRef ref{.offset = static_cast<std::uint32_t>(text_.size()),
                               .bytes = static_cast<std::uint32_t>(s.size())};
        text_.insert(text_.end(), s.begin(), s.end());
        return ref;
    }
    abi::ArrayRef put_text() { return put(text_); }

    std::vector<std::byte> finish() {
        section.header.bytes = bytes_.size();
        std::memcpy(bytes_.data(), &section, sizeof section);
        section.header.digest = dp::section_digest(bytes_);
        std::memcpy(bytes_.data(), &section.header, sizeof section.header);
        return std::move(bytes_);
    }

    Section section{};

private:
    std::vector<std::byte> bytes_;
    std::vector<char> text_;
};

}  // namespace sluice::cp
