#include "tests/harness/fragments.hpp"

#include <algorithm>
#include <cstdlib>

namespace sluice::test {

namespace {

constexpr std::size_t kEth = 14;

bool is_v4(const Bytes& whole) { return whole[12] == 0x08 && whole[13] == 0x00; }

std::size_t header_bytes(const Bytes& whole) { return is_v4(whole) ? (whole[kEth] & 0x0fU) * 4U : 40U; }

void put16(Bytes& bytes, std::size_t at, std::size_t value) {
    bytes[at] = static_cast<std::uint8_t>(value >> 8);
    bytes[at + 1] = static_cast<std::uint8_t>(value);
}

void repair_v4_checksum(Bytes& frame) {
    const auto first = frame.begin() + kEth;
    put16(frame, kEth + 10, 0);
    put16(frame, kEth + 10,
          internet_checksum({first, first + static_cast<std::ptrdiff_t>((frame[kEth] & 0x0fU) * 4U)}));
}

}  // namespace

Bytes data_of(const Bytes& whole) {
    return {whole.begin() + static_cast<std::ptrdiff_t>(kEth + header_bytes(whole)), whole.end()};
}

Bytes piece_with(const Bytes& whole, std::size_t offset, const Bytes& data, bool more, std::uint32_t id) {
    if (offset % 8 != 0) std::abort();
    Bytes out = first(whole, kEth + header_bytes(whole));
    if (is_v4(whole)) {
        put16(out, kEth + 2, header_bytes(whole) + data.size());
        put16(out, kEth + 4, id);
        put16(out, kEth + 6, (more ? 0x2000U : 0U) | offset / 8);
        repair_v4_checksum(out);
        return out + data;
    }
    put16(out, kEth + 4, 8 + data.size());
    Bytes header(8);
    header[0] = whole[kEth + 6];
    put16(header, 2, offset | (more ? 1U : 0U));
    put16(header, 4, id >> 16);
    put16(header, 6, id & 0xffff);
    out[kEth + 6] = 44;
    return out + header + data;
}

Bytes piece(const Bytes& whole, std::size_t begin, std::size_t bytes, std::uint32_t id) {
    const Bytes data = data_of(whole);
    const std::size_t end = bytes > data.size() - begin ? data.size() : begin + bytes;
    return piece_with(
        whole, begin,
        {data.begin() + static_cast<std::ptrdiff_t>(begin), data.begin() + static_cast<std::ptrdiff_t>(end)},
        end != data.size(), id);
}

std::vector<Bytes> cut(const Bytes& whole, const std::vector<std::size_t>& at, std::uint32_t id) {
    std::vector<Bytes> out;
    for (std::size_t i = 0; i < at.size(); ++i) {
        out.push_back(piece(whole, at[i], i + 1 < at.size() ? at[i + 1] - at[i] : SIZE_MAX, id));
    }
    return out;
}

Bytes with_dont_fragment(Bytes fragment) {
    fragment[kEth + 6] |= 0x40;
    repair_v4_checksum(fragment);
    return fragment;
}

}  // namespace sluice::test
