#include "tools/sluicectl/tar_gz.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace sluice::ctl {
namespace {

constexpr std::size_t kBlock = 512;

void put(std::array<char, kBlock>& header, std::size_t at, std::string_view text) {
    std::ranges::copy(text, header.begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace

void TarGz::add(std::string_view name, std::string_view body) {
    std::array<char, kBlock> header{};
    put(header, 0, name.substr(0, 100));
    put(header, 100, "0000600");
    put(header, 108, "0000000");
    put(header, 116, "0000000");
    put(header, 124, fmt::format("{:011o}", body.size()));
    put(header, 136, fmt::format("{:011o}", time_));
    put(header, 148, "        ");  // the sum is taken over spaces in its own place
    header[156] = '0';
    put(header, 257,
        std::string_view{"ustar\0"
                         "00",
                         8});
    unsigned sum = 0;
    for (const char c : header) sum += static_cast<unsigned char>(c);
    put(header, 148, fmt::format("{:06o}", sum));
    header[154] = '\0';
    tar_.append(header.data(), header.size()).append(body);
    tar_.append((kBlock - body.size() % kBlock) % kBlock, '\0');
}

Expected<std::string, std::string> TarGz::finish() {
    tar_.append(2 * kBlock, '\0');
    z_stream stream{};
    constexpr int kWindowBitsGzip = 15 + 16, kMemory = 8;
    if (::deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kWindowBitsGzip, kMemory, Z_DEFAULT_STRATEGY) !=
        Z_OK)
        return Unexpected<std::string>("no memory for the archive");
    std::string out(::deflateBound(&stream, tar_.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(tar_.data());
    stream.avail_in = static_cast<uInt>(tar_.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const int done = ::deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    ::deflateEnd(&stream);
    if (done != Z_STREAM_END) return Unexpected<std::string>("the archive could not be packed");
    return out;
}

}  // namespace sluice::ctl
