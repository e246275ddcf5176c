/// How often somebody may be wrong: a bucket of attempts for each key, refilled at a steady rate. An attempt is taken
/// before it is judged, so that many at once can't be more than the bucket holds, and given back if it was right.
/// Not thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <unordered_map>

namespace sluice::cp {

class AttemptLimit {
public:
    using Time = std::chrono::steady_clock::time_point;
    struct Rate {
        double burst{};       ///< attempts at once
        double per_second{};  ///< refill
    };
    /// Beyond `keys_max` keys with attempts to their account, new ones share a bucket.
    AttemptLimit(Rate rate, std::size_t keys_max) : rate_{rate}, keys_max_{keys_max} {}

    /// False: none is left.
    bool take(const std::string& key, Time now);
    void give_back(const std::string& key, Time now);
    /// Until there is one again; at least a second.
    std::chrono::seconds wait(const std::string& key, Time now) const;

private:
    struct Bucket {
        double level{};
        Time at{};
    };
    double level_at(const Bucket& bucket, Time now) const;
    void forget_full(Time now);

    const Rate rate_;
    const std::size_t keys_max_;
    std::unordered_map<std::string, Bucket> buckets_;  ///< a key without one has a full one
};

}  // namespace sluice::cp
