/// Answers that were given to requests with an idempotency key, so that a client that never got its answer can ask
/// again: the same key brings the same answer, and nothing is done twice. Kept over restarts, for a day.
///
/// Theory of operation. A row is made before the request is handled and gets its answer behind it. A row without an
/// answer is of a request that is being handled, or that a crash cut: then nobody knows what became of it, and only a
/// look at what runs can tell. A key belongs to who sent it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "controlplane/store/database.hpp"

namespace sluice::cp {

inline constexpr std::size_t kAnswersKept = 10'000;
inline constexpr std::int64_t kAnswersKeptNs = 24LL * 3600 * 1'000'000'000;

struct AnswerKey {
    std::string_view actor, key;
};

class AnswerStore {
public:
    struct Kept {
        std::string request;                ///< digest of what was asked
        std::optional<std::string> answer;  ///< as `finish` got it; nothing: it is not settled
    };

    explicit AnswerStore(Database& database) : database_{database} {}
    /// Makes the table, if it is not there.
    Expected<void, FileError> open();

    /// What there is of this key; nothing: the key is now the request's. Old rows go.
    Expected<std::optional<Kept>, FileError> begin(const AnswerKey& key, std::string_view request, std::int64_t now_ns);
    Expected<void, FileError> finish(const AnswerKey& key, std::string_view answer);
    /// The request did nothing: the key is free again.
    Expected<void, FileError> forget(const AnswerKey& key);

private:
    Database& database_;
};

}  // namespace sluice::cp
