/// Find a flow and write its record: our flow table, against rte_hash's bulk lookup with a 64-byte record of its own.
/// Keys are the same 16 bytes, hits only, in an order without locality.
#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_lcore.h>

#include <array>
#include <cstdio>
#include <memory>

#include "tests/bench/options.hpp"
#include "tests/bench/rig/flow_index_rig.hpp"
#include "tests/bench/rig/measure.hpp"

namespace sluice::bench {

namespace {

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
            const dp::FlowKeyV4 key = index_key(f);
            if (rte_hash_add_key(hash, &key) < 0) ++missed;
        }
        return true;
    }
    void batch(std::span<const dp::FlowKeyV4> keys) noexcept {
        std::array<const void*, kIndexBatch> pointers;
        std::array<std::int32_t, kIndexBatch> positions;
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
            r.bytes += kIndexFrameBytes;
        }
    }
};

}  // namespace

int bench_flow_index(const Options& o, const Machine& machine) {
    OurIndex ours{o.flows};
    for (std::uint32_t f = 0; f < o.flows; ++f) {
        const dp::FlowKeyV4 key = index_key(f);
        if (!ours.add(key, ours.table.hasher().hash(key))) ++ours.missed;
    }
    Theirs theirs;
    if (!theirs.fill(o.flows)) return failed(std::string{"rte_hash_create: "} + rte_strerror(rte_errno));
    IndexWalk ours_walk{o.flows, o.seed}, theirs_walk{o.flows, o.seed}, alone_walk{o.flows, o.seed};

    const auto timed = [&](IndexWalk& walk, auto&& piece) {
        return [&walk, piece, &o] {
            std::array<std::uint32_t, kIndexBatch> numbers;
            std::array<dp::FlowKeyV4, kIndexBatch> keys;
            std::uint64_t done = 0;
            const Stopwatch watch;
            while (done < o.count) {
                const std::size_t n = walk.next(numbers);
                for (std::size_t i = 0; i < n; ++i) keys[i] = index_key(numbers[i]);
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
    result.param("flows", o.flows).param("lookups", o.count).param("burst", kIndexBatch).param("seed", o.seed);
    result.ours(runs[0]).against("rte_hash+record", runs[1]).net_of(runs[2]);
    result.count("flows_read_back", ours.table.count())
        .number("bytes_per_flow", static_cast<double>(ours.table.memory_bytes()) / o.flows)
        .number("thp_mib", huge_mib());
    std::printf("%s\n", result.json().c_str());
    return 0;
}

}  // namespace sluice::bench
