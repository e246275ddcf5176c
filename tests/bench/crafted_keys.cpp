/// Flow keys that somebody has chosen, against random ones in the same run (CASES Q11).
///
///     rss       who knows how devices spread packets over queues: all keys have one and the same Toeplitz hash
///     secret    who knows our hash and its secret: flows by eights with both buckets and the tag in common, so that a
///               look-up compares as many keys as it ever does; a ninth is offered for each eight, and refused.
///               Measured up to 8,192 flows, since for more such keys take hours to find
///
/// The second is no attack that anybody could mount; it says what a look-up costs at the worst.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/steering/toeplitz.hpp"
#include "tests/bench/options.hpp"
#include "tests/bench/rig/flow_index_rig.hpp"
#include "tests/bench/rig/measure.hpp"

namespace sluice::bench {

namespace {

using Keys = std::vector<dp::FlowKeyV4>;

constexpr std::uint32_t kAlike = 8;  ///< so many flows with two buckets and a tag in common the index takes
constexpr std::uint32_t kSecretFlowsMax = 8192;

std::uint32_t toeplitz_of(const dp::Toeplitz& rss, const dp::FlowKeyV4& key) {
    std::array<std::uint8_t, 12> input;
    key.low_addr.write(&input[0]);
    key.high_addr.write(&input[4]);
    key.low_port.write(&input[8]);
    key.high_port.write(&input[10]);
    return rss.hash(input);
}

Keys random_keys(std::uint32_t flows) {
    Keys keys(flows);
    for (std::uint32_t f = 0; f < flows; ++f) keys[f] = index_key(f);
    return keys;
}

/// Our RSS key repeats every 16 bits, so a hash follows from the sum (XOR) of the input's words alone: the port makes
/// up for what the addresses add.
Keys keys_of_one_queue(std::uint32_t flows) {
    Keys keys = random_keys(flows);
    for (dp::FlowKeyV4& key : keys) {
        const std::uint32_t both = key.low_addr.to_host() ^ key.high_addr.to_host();
        key.low_port = abi::L4Port::of_host(static_cast<std::uint16_t>((both >> 16) ^ both ^ 0x5a5a));
    }
    return keys;
}

/// Who has two buckets and a tag in common has their number in common, in a table for `flows`.
class Crowds {
public:
    explicit Crowds(std::uint32_t flows) : buckets_{flows / 6 + 1} {}
    std::size_t count() const noexcept { return std::size_t{buckets_} << 16; }
    std::size_t of(std::uint64_t hash) const noexcept {
        const std::uint64_t first = ((hash & 0xffffffff) * buckets_) >> 32;
        return static_cast<std::size_t>(first << 16 | hash >> 48);
    }

private:
    std::uint32_t buckets_;
};

/// Keys are tried until so many crowds of nine have been found that their first eights fill three quarters of the
/// table. Behind these stand the ninths, one for each.
Keys keys_of_the_initiated(std::uint32_t flows) {
    const dp::FlowHasher hasher{kIndexSecret};
    const Crowds crowds{flows};
    const std::uint32_t wanted = flows * 3 / 4 / kAlike, tried_max = static_cast<std::uint32_t>(crowds.count() * 2);
    const auto crowd_of = [&](std::uint32_t n) { return crowds.of(hasher.hash(index_key(n))); };
    std::vector<std::uint8_t> size(crowds.count());
    std::uint32_t tried = 0, full = 0;
    for (; tried < tried_max && full < wanted; ++tried) full += ++size[crowd_of(tried)] == kAlike + 1 ? 1 : 0;
    std::vector<std::pair<std::size_t, std::uint32_t>> found;
    for (std::uint32_t n = 0; n < tried; ++n) {
        if (const std::size_t crowd = crowd_of(n); size[crowd] == kAlike + 1) found.emplace_back(crowd, n);
    }
    std::sort(found.begin(), found.end());
    Keys keys, ninths;
    for (std::size_t i = 0; i < found.size(); ++i) {
        (i % (kAlike + 1) == kAlike ? ninths : keys).push_back(index_key(found[i].second));
    }
    keys.insert(keys.end(), ninths.begin(), ninths.end());
    return keys;
}

/// A table of its own, and the keys that it has taken.
class Side {
public:
    Side(Keys keys, std::uint32_t entries, std::uint64_t seed) : index_{entries} {
        for (const dp::FlowKeyV4& key : keys) {
            if (index_.add(key, index_.table.hasher().hash(key))) keys_.push_back(key);
        }
        refused_ = keys.size() - keys_.size();
        walk_ = IndexWalk{static_cast<std::uint32_t>(keys_.size()), seed};
    }
    template <typename Piece>
    Run walk(std::uint64_t count, const Piece& piece) {
        std::array<std::uint32_t, kIndexBatch> numbers;
        std::array<dp::FlowKeyV4, kIndexBatch> keys;
        std::uint64_t done = 0;
        const Stopwatch watch;
        while (done < count) {
            const std::size_t n = walk_.next(numbers);
            for (std::size_t i = 0; i < n; ++i) keys[i] = keys_[numbers[i]];
            piece(std::span<const dp::FlowKeyV4>{keys.data(), n});
            done += n;
        }
        return watch.stop(done);
    }
    Run look_up(std::uint64_t count) {
        return walk(count, [this](std::span<const dp::FlowKeyV4> keys) { index_.batch(keys); });
    }
    std::uint64_t missed() const noexcept { return index_.missed; }
    std::size_t refused() const noexcept { return refused_; }
    std::uint32_t flows() const noexcept { return index_.table.count(); }

private:
    Keys keys_;
    OurIndex index_;
    IndexWalk walk_{1, 0};
    std::size_t refused_{};
};

/// `chosen` against as many random keys in a table of the same size.
bool compare(const char* variant, Keys chosen, const Options& o, const Machine& machine) {
    Side ours{std::move(chosen), o.flows, o.seed}, random{random_keys(ours.flows()), o.flows, o.seed};
    std::uint32_t seen = 0;
    const auto runs = take_turns(o.runs,
                                 {[&] { return ours.look_up(o.count); }, [&] { return random.look_up(o.count); },
                                  [&] {
                                      return ours.walk(o.count, [&](std::span<const dp::FlowKeyV4> keys) {
                                          for (const auto& k : keys) seen ^= k.low_addr.wire();
                                      });
                                  }},
                                 [&] { return ours.missed() == 0 && random.missed() == 0; });
    if (const std::uint64_t missed = ours.missed() + random.missed(); missed != 0) {
        failed(std::to_string(missed) + " keys were not found");
        return false;
    }
    Result result{"crafted-keys", variant, static_cast<double>(machine.tsc.hz)};
    result.param("flows", o.flows).param("lookups", o.count).param("burst", kIndexBatch).param("seed", o.seed);
    result.ours(runs[0]).against("random keys", runs[1]).net_of(runs[2]);
    result.count("flows_read_back", ours.flows()).count("refused", ours.refused());
    std::printf("%s\n", result.json().c_str());
    return true;
}

}  // namespace

int bench_crafted_keys(const Options& o, const Machine& machine) {
    Keys one_queue = keys_of_one_queue(o.flows);
    const dp::Toeplitz rss{dp::symmetric_rss_key()};
    for (const dp::FlowKeyV4& key : one_queue) {
        if (toeplitz_of(rss, key) != toeplitz_of(rss, one_queue[0])) return failed("the keys have two Toeplitz hashes");
    }
    if (!compare("rss", std::move(one_queue), o, machine)) return 1;
    if (o.flows > kSecretFlowsMax) return 0;
    return compare("secret", keys_of_the_initiated(o.flows), o, machine) ? 0 : 1;
}

}  // namespace sluice::bench
