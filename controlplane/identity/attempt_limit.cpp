#include "controlplane/identity/attempt_limit.hpp"

#include <algorithm>
#include <cmath>

namespace sluice::cp {
namespace {

/// Whoever came too late for a bucket of their own.
const std::string kOthers = "others";

}  // namespace

double AttemptLimit::level_at(const Bucket& bucket, Time now) const {
    const auto passed_s = std::max(0.0, std::chrono::duration<double>(now - bucket.at).count());
    return std::min(rate_.burst, bucket.level + passed_s * rate_.per_second);
}

void AttemptLimit::forget_full(Time now) {
    std::erase_if(buckets_, [&](const auto& entry) { return level_at(entry.second, now) >= rate_.burst; });
}

bool AttemptLimit::take(const std::string& key, Time now) {
    auto found = buckets_.find(key);
    if (found == buckets_.end()) {
        if (buckets_.size() >= keys_max_) forget_full(now);
        const auto& name = buckets_.size() >= keys_max_ ? kOthers : key;
        found = buckets_.try_emplace(name, Bucket{rate_.burst, now}).first;
    }
    auto& bucket = found->second;
    bucket = {level_at(bucket, now), now};
    if (bucket.level < 1) return false;
    bucket.level -= 1;
    return true;
}

void AttemptLimit::give_back(const std::string& key, Time now) {
    auto found = buckets_.find(key);
    if (found == buckets_.end()) found = buckets_.find(kOthers);
    if (found == buckets_.end()) return;
    auto& bucket = found->second;
    bucket = {std::min(rate_.burst, level_at(bucket, now) + 1), now};
    if (bucket.level >= rate_.burst) buckets_.erase(found);
}

std::chrono::seconds AttemptLimit::wait(const std::string& key, Time now) const {
    auto found = buckets_.find(key);
    if (found == buckets_.end()) found = buckets_.find(kOthers);
    const double missing = found == buckets_.end() ? 0 : 1 - level_at(found->second, now);
    const double seconds = rate_.per_second > 0 ? std::ceil(missing / rate_.per_second) : 1;
    return std::chrono::seconds{std::max<long>(1, std::lround(seconds))};
}

}  // namespace sluice::cp
