/// Sluice's half of the differential test: the real stages, flow table and compiled tables in one process, fed from
/// stdin, answering on stdout. The other half is the kernel's conntrack (duel/linux_side.py).
///
///     sluice-side POLICY.yaml
///
/// In, all numbers little-endian: batches of {u32 frames, frames x {u32 bytes, u8 port, the frame}}. Out, per batch:
/// one line per frame, `REASON OUTPUT...` where REASON is a drop reason or `-` and an OUTPUT is `=` (the frame itself,
/// by the other port), `answer` (a packet of our own, back), or `PORT:HEX`; then a line `bursts same` or `bursts
/// CHANGE`.
///
/// Every batch begins with an empty flow table and goes through twice: frame by frame, which gives the lines, and then
/// in bursts, as a busy port delivers them. What leaves must be the same: a packet's fate may not hang on its company.
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "controlplane/policy/reader.hpp"
#include "tests/harness/harness.hpp"

namespace {

using sluice::test::FrameBytes;
using sluice::test::Harness;
using sluice::test::Output;

struct Arrival {
    std::uint8_t port{};
    FrameBytes bytes;
};

constexpr std::uint32_t kFramesMax = 65536, kFrameBytesMax = 65536;
constexpr std::size_t kBurst = 32;

template <typename T>
bool read_number(std::istream& in, T& out) {
    std::array<unsigned char, sizeof(T)> raw{};
    if (!in.read(reinterpret_cast<char*>(raw.data()), raw.size())) return false;
    out = 0;
    for (std::size_t i = raw.size(); i-- > 0;) out = static_cast<T>(out << 8 | raw[i]);
    return true;
}

bool read_batch(std::istream& in, std::vector<Arrival>& out) {
    std::uint32_t count = 0;
    if (!read_number(in, count) || count > kFramesMax) return false;
    out.assign(count, {});
    for (Arrival& a : out) {
        std::uint32_t bytes = 0;
        if (!read_number(in, bytes) || bytes > kFrameBytesMax || !read_number(in, a.port) || a.port > 1) return false;
        a.bytes.resize(bytes);
        if (!in.read(reinterpret_cast<char*>(a.bytes.data()), bytes)) return false;
    }
    return true;
}

void print(const Output& out, const Arrival& in, std::string& line) {
    if (out.port != in.port && out.bytes == in.bytes) {
        line += " =";
        return;
    }
    if (out.port == in.port) {
        line += " answer";
        return;
    }
    line += ' ' + std::to_string(out.port) + ':';
    for (const std::uint8_t byte : out.bytes) {
        constexpr const char* kDigits = "0123456789abcdef";
        line += kDigits[byte >> 4];
        line += kDigits[byte & 15];
    }
}

/// What left, by port, in order. (Between ports there is no order in a burst.)
using Left = std::array<std::vector<FrameBytes>, 2>;

constexpr sluice::test::HarnessOptions kOptions{
    .flow_entries_max = 16384, .rejects_per_second_max = 1'000'000, .ring_records = 65536};

Left one_by_one(const sluice::cp::Policy& policy, const std::vector<Arrival>& batch) {
    Harness h{kOptions};
    h.use(policy);
    Left left;
    std::string line;
    for (const Arrival& a : batch) {
        std::array<std::uint64_t, sluice::abi::kDropReasonCount> before{};
        const auto& drops = h.counters().ports[a.port].drops;
        for (std::size_t r = 0; r < before.size(); ++r) before[r] = drops[r].read();
        std::vector<Output> sent = h.send({{a.port, a.bytes}});
        line = "-";
        for (std::size_t r = 0; r < before.size(); ++r) {
            if (drops[r].read() != before[r]) line = sluice::abi::kDropReasons[r].name;
        }
        for (Output& out : sent) {
            print(out, a, line);
            left[out.port].push_back(std::move(out.bytes));
        }
        line += '\n';
        std::cout << line;
        h.skip(std::chrono::milliseconds{1});
    }
    return left;
}

Left in_bursts(const sluice::cp::Policy& policy, const std::vector<Arrival>& batch) {
    Harness h{kOptions};
    h.use(policy);
    Left left;
    // A burst comes from one port; the next one waits until the worker has it.
    for (std::size_t i = 0; i < batch.size();) {
        std::vector<std::pair<std::uint8_t, FrameBytes>> burst;
        const std::uint8_t port = batch[i].port;
        while (i < batch.size() && batch[i].port == port && burst.size() < kBurst) {
            burst.emplace_back(port, batch[i++].bytes);
        }
        const auto count = static_cast<long>(burst.size());
        for (Output& out : h.send(burst)) left[out.port].push_back(std::move(out.bytes));
        h.skip(std::chrono::milliseconds{count});
    }
    return left;
}

std::string change(const Left& single, const Left& bursts) {
    for (std::size_t port = 0; port < single.size(); ++port) {
        const auto& a = single[port];
        const auto& b = bursts[port];
        const std::size_t n = std::min(a.size(), b.size());
        std::size_t i = 0;
        while (i < n && a[i] == b[i]) ++i;
        if (i == a.size() && i == b.size()) continue;
        return "port " + std::to_string(port) + " sends " + std::to_string(a.size()) + " frames one by one and " +
               std::to_string(b.size()) + " in bursts; the first difference is at number " + std::to_string(i);
    }
    return "same";
}

}  // namespace

int main(int argc, char** argv) {
    // The harness checks the conservation law and its buffers after every loop; a broken one ends the program.
    testing::InitGoogleTest(&argc, argv);
    GTEST_FLAG_SET(throw_on_failure, true);
    if (argc != 2) {
        std::fprintf(stderr, "usage: sluice-side POLICY.yaml\n");
        return 2;
    }
    std::ifstream file{argv[1]};
    const std::string text{std::istreambuf_iterator<char>{file}, {}};
    const auto policy = sluice::cp::read_policy(text, sluice::cp::PolicyFormat::yaml);
    if (!policy) {
        for (const auto& error : policy.error()) std::fprintf(stderr, "%s: %s\n", argv[1], error.detail.c_str());
        return 2;
    }
    std::ios::sync_with_stdio(false);
    std::vector<Arrival> batch;
    while (read_batch(std::cin, batch)) {
        const Left single = one_by_one(*policy, batch);
        std::cout << "bursts " << change(single, in_bursts(*policy, batch)) << std::endl;
    }
    return 0;
}
