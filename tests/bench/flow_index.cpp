/// Find a flow and write its record: our flow table, against rte_hash's bulk lookup with a 64-byte record of its own.
/// Keys are the same 16 bytes, hits only, in an order without locality.
#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_lcore.h>

#include <array>
#include <cstdio>
#include <memory>

#include "dataplane/flow/flow_table.hpp"
#include "dataplane/pipeline/packet.hpp"
#include "dataplane/port/permutation.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/rig/measure.hpp"

namespace sluice::bench {

namespace {

constexpr std::size_t kBatch = dp::kBurstMax;
constexpr std::uint32_t kFrameBytes = 64;
constexpr dp::HashSecret kSecret{0x243f6a8885a308d3, 0x13198a2e03707344};

dp::FlowKeyV4 key_of(std::uint32_t flow) noexcept {
    dp::FlowKeyV4 key{};
    key.low_addr = abi::Ipv4Addr::of_host(10U << 24 | (flow & 0xffffff));
    key.high_addr = abi::Ipv4Addr::of_host(198U << 24 | 18U << 16 | (flow * 0x9e3779b1U >> 16));
    key.low_port = abi::L4Port::of_host(static_cast<std::uint16_t>(1024 + (flow >> 24)));
    key.high_port = abi::L4Port::of_host(443);
    key.proto = abi::L4Proto::tcp;
    return key;
}

/// Flow numbers batch by batch, round after round.
class Walk {
public:
    Walk(std::uint32_t flows, std::uint64_t seed) noexcept : flows_{flows}, seed_{seed} {}
    std::size_t next(std::array<dp::FlowKeyV4, kBatch>& keys) noexcept {
        if (order_.left() == 0) order_ = dp::Permutation{flows_, seed_++ * 0x9e3779b97f4a7c15};
        std::array<std::uint32_t, kBatch> numbers;
        const std::size_t count = order_.next(numbers);
        for (std::size_t i = 0; i < count; ++i) keys[i] = key_of(numbers[i]);
        return count;
    }

private:
    std::uint32_t flows_;
    std::uint64_t seed_;
    dp::Permutation order_;
};

struct Ours {
    dp::FlowTable table;
    std::uint64_t missed{};
    std::uint32_t tick{1};

    explicit Ours(std::uint32_t flows) : table{{.entries_max = flows, .v6_entries_max = 0, .hash_secret = kSecret}} {
        dp::FlowKeyV4 key;
        for (std::uint32_t f = 0; f < flows; ++f) {
            key = key_of(f);
            const dp::FlowHandle h = table.insert(key, table.hasher().hash(key), tick);
            if (h == dp::kNoFlow) {
                ++missed;
            } else {
                table.set_phase(h, dp::FlowPhase::established, tick);
            }
        }
    }
    void batch(std::span<const dp::FlowKeyV4> keys) noexcept {
        std::array<std::uint64_t, kBatch> hashes;
        table.hasher().hash(keys, hashes.data());
        for (std::size_t i = 0; i < keys.size(); ++i) table.prefetch_bucket(hashes[i]);
        for (std::size_t i = 0; i < keys.size(); ++i) table.prefetch_entry(hashes[i]);
        ++tick;
        for (std::size_t i = 0; i < keys.size(); ++i) {
            const dp::FlowHandle h = table.find(keys[i], hashes[i]);
            if (h == dp::kNoFlow) {
                ++missed;
                continue;
            }
            table.hot(h).last_seen_tick = tick;
            table.count_packet(h, dp::Direction::original, kFrameBytes);
        }
    }
};

struct alignas(64) Record {
    std::uint64_t packets, bytes;
    std::uint32_t last_seen_tick;
};

struct Theirs {
    rte_hash* hash{};
    std::unique_ptr<dp::PrefaultedArray<Record>> records;
    std::uint64_t missed{};
    std::uint32_t tick{1};

    ~Theirs() { rte_hash_free(hash); }
    bool fill(std::uint32_t flows) {
        rte_hash_parameters parameters{};
        parameters.name = "bench";
        // Its own advice: a cuckoo table that is full refuses some keys.
        parameters.entries = flows + flows / 10 + 8;
        parameters.key_len = sizeof(dp::FlowKeyV4);
        parameters.hash_func = rte_hash_crc;
        parameters.socket_id = SOCKET_ID_ANY;
        hash = rte_hash_create(&parameters);
        if (hash == nullptr) return false;
        records =
            std::make_unique<dp::PrefaultedArray<Record>>(static_cast<std::size_t>(rte_hash_max_key_id(hash)) + 1);
        for (std::uint32_t f = 0; f < flows; ++f) {
            const dp::FlowKeyV4 key = key_of(f);
            if (rte_hash_add_key(hash, &key) < 0) ++missed;
        }
        return true;
    }
    void batch(std::span<const dp::FlowKeyV4> keys) noexcept {
        std::array<const void*, kBatch> pointers;
        std::array<std::int32_t, kBatch> positions;
        for (std::size_t i = 0; i < keys.size(); ++i) pointers[i] = &keys[i];
        rte_hash_lookup_bulk(hash, pointers.data(), static_cast<std::uint32_t>(keys.size()), positions.data());
        ++tick;
        for (std::size_t i = 0; i < keys.size(); ++i) {
            if (positions[i] >= 0) __builtin_prefetch(&(*records)[static_cast<std::size_t>(positions[i])], 1);
        }
        for (std::size_t i = 0; i < keys.size(); ++i) {
            if (positions[i] < 0) {
                ++missed;
                continue;
            }
            Record& r = (*records)[static_cast<std::size_t>(positions[i])];
            r.last_seen_tick = tick;
            ++r.packets;
            r.bytes += kFrameBytes;
        }
    }
};

}  // namespace

int bench_flow_index(const Options& o, const Machine& machine) {
    Ours ours{o.flows};
    Theirs theirs;
    if (!theirs.fill(o.flows)) return failed(std::string{"rte_hash_create: "} + rte_strerror(rte_errno));
    Walk ours_walk{o.flows, o.seed}, theirs_walk{o.flows, o.seed}, alone_walk{o.flows, o.seed};

    const auto timed = [&](Walk& walk, auto&& piece) {
        return [&walk, piece, &o] {
            std::array<dp::FlowKeyV4, kBatch> keys;
            std::uint64_t done = 0;
            const Stopwatch watch;
            while (done < o.count) {
                const std::size_t n = walk.next(keys);
                piece({keys.data(), n});
                done += n;
            }
            return watch.stop(done);
        };
    };
    using Keys = std::span<const dp::FlowKeyV4>;
    std::uint32_t seen = 0;
    const auto runs = take_turns(o.runs,
                                 {timed(ours_walk, [&](Keys keys) { ours.batch(keys); }),
                                  timed(theirs_walk, [&](Keys keys) { theirs.batch(keys); }),
                                  timed(alone_walk,
                                        [&](Keys keys) {
                                            for (const auto& k : keys) seen ^= k.low_addr.wire();
                                        })},
                                 [&] { return ours.missed == 0 && theirs.missed == 0; });
    if (ours.missed != 0) return failed(std::to_string(ours.missed) + " keys were not found in our table");
    if (theirs.missed != 0) return failed(std::to_string(theirs.missed) + " keys were not found in rte_hash");
    if (ours.table.count() != o.flows)
        return failed("the table holds " + std::to_string(ours.table.count()) + " flows");
    Result result{"flow-index", "find+write", static_cast<double>(machine.tsc.hz)};
    result.param("flows", o.flows).param("lookups", o.count).param("burst", kBatch).param("seed", o.seed);
    result.ours(runs[0]).against("rte_hash+record", runs[1]).net_of(runs[2]);
    result.count("flows_read_back", ours.table.count())
        .number("bytes_per_flow", static_cast<double>(ours.table.memory_bytes()) / o.flows)
        .number("thp_mib", huge_mib());
    std::printf("%s\n", result.json().c_str());
    return 0;
}

}  // namespace sluice::bench
