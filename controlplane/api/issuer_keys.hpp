/// The keys of an issuer as they are now, read by a thread of their own.
///
/// Theory of operation. Keys are read at the start, every `refresh_s`, and when a token names one that is not there
/// (a new one), at most once in `demand_every`: whoever makes up names of keys costs the issuer nothing more. Who asks
/// for a key that is not there waits for that reading, for a bounded time; nobody else waits for the issuer. What can't
/// be read leaves the last good set in force until it is `keys_age_max_s` old; status and metrics say so meanwhile.
/// Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "controlplane/identity/issuer_config.hpp"
#include "controlplane/identity/key_set.hpp"

namespace sluice::cp::api {

/// Where keys are read from.
class KeySource {
public:
    virtual ~KeySource() = default;
    /// A JSON Web Key Set; the error is a sentence.
    virtual Expected<std::string, std::string> read(std::chrono::milliseconds timeout) = 0;
    /// From another thread: `read` ends, and every one after it.
    virtual void stop() {}
};

struct IssuerTimes {
    std::chrono::milliseconds fetch_timeout{5'000};
    std::chrono::milliseconds demand_every{10'000};
    std::chrono::milliseconds retry_every{10'000};  ///< after a reading that failed
};

/// What status and metrics say.
struct IssuerView {
    std::string issuer;
    std::size_t keys{};
    std::optional<std::int64_t> keys_read_unix_s;
    std::uint64_t reads{}, read_failures{};
    std::string trouble;  ///< why the last reading failed; empty = it did not
};

class IssuerKeys {
public:
    IssuerKeys(IssuerConfig config, const IssuerTimes& times);
    ~IssuerKeys();
    IssuerKeys(const IssuerKeys&) = delete;
    IssuerKeys& operator=(const IssuerKeys&) = delete;

    void start(std::unique_ptr<KeySource> source);
    void stop();

    /// Null: none were read yet, or they are too old.
    std::shared_ptr<const KeySet> current() const;
    /// The same, after a new reading if one may be made now.
    std::shared_ptr<const KeySet> renewed();
    IssuerView view() const;
    const IssuerConfig& config() const noexcept { return config_; }

private:
    using Clock = std::chrono::steady_clock;
    void run();
    void read_once();
    std::shared_ptr<const KeySet> current_locked() const;

    const IssuerConfig config_;
    const IssuerTimes times_;
    std::unique_ptr<KeySource> source_;
    mutable std::mutex mutex_;  ///< of what follows; never held while keys are read
    std::condition_variable wake_, read_;
    std::shared_ptr<const KeySet> keys_;
    Clock::time_point keys_at_{}, demanded_{};
    std::uint64_t rounds_{};
    bool reading_{}, wanted_{}, stopping_{};
    IssuerView view_;
    std::thread thread_;
};

}  // namespace sluice::cp::api
