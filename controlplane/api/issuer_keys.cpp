#include "controlplane/api/issuer_keys.hpp"

#include <cstdio>
#include <ctime>

#include <fmt/format.h>

namespace sluice::cp::api {

IssuerKeys::IssuerKeys(IssuerConfig config, const IssuerTimes& times) : config_{std::move(config)}, times_{times} {
    view_.issuer = config_.issuer;
    demanded_ = Clock::now() - times_.demand_every;
}

IssuerKeys::~IssuerKeys() { stop(); }

void IssuerKeys::start(std::unique_ptr<KeySource> source) {
    source_ = std::move(source);
    reading_ = true;  // whoever comes before the first reading waits for it
    thread_ = std::thread{[this] { run(); }};
}

void IssuerKeys::stop() {
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
    }
    wake_.notify_all();
    read_.notify_all();
    if (source_) source_->stop();
    if (thread_.joinable()) thread_.join();
}

void IssuerKeys::run() {
    for (;;) {
        read_once();
        std::unique_lock lock{mutex_};
        const std::chrono::milliseconds pause =
            view_.trouble.empty() ? std::chrono::seconds{config_.refresh_s} : times_.retry_every;
        wake_.wait_for(lock, pause, [this] { return wanted_ || stopping_; });
        if (stopping_) return;
        wanted_ = false;
        reading_ = true;
    }
}

void IssuerKeys::read_once() {
    const auto body = source_->read(times_.fetch_timeout);
    auto set =
        body ? KeySet::parse(*body) : Expected<std::shared_ptr<const KeySet>, std::string>{Unexpected(body.error())};
    std::string said;
    {
        const std::lock_guard lock{mutex_};
        reading_ = false;
        ++rounds_;
        ++view_.reads;
        if (set) {
            keys_ = std::move(*set);
            keys_at_ = Clock::now();
            view_.keys = keys_->size();
            view_.keys_read_unix_s = std::time(nullptr);
            if (!view_.trouble.empty()) said = "the keys of " + config_.issuer + " are read again";
            view_.trouble.clear();
        } else {
            ++view_.read_failures;
            auto trouble = fmt::format("cannot use the keys of {}: {}", config_.issuer, set.error());
            if (trouble != view_.trouble && !stopping_) said = trouble;
            view_.trouble = std::move(trouble);
        }
    }
    read_.notify_all();
    // Once for each trouble, not once for each try.
    if (!said.empty()) std::fprintf(stderr, "sluice-controlplane: %s\n", said.c_str());
}

std::shared_ptr<const KeySet> IssuerKeys::current_locked() const {
    if (keys_ == nullptr || Clock::now() - keys_at_ > std::chrono::seconds{config_.keys_age_max_s}) return nullptr;
    return keys_;
}

std::shared_ptr<const KeySet> IssuerKeys::current() const {
    const std::lock_guard lock{mutex_};
    return current_locked();
}

std::shared_ptr<const KeySet> IssuerKeys::renewed() {
    std::unique_lock lock{mutex_};
    if (!reading_) {
        const auto now = Clock::now();
        if (now - demanded_ < times_.demand_every) return current_locked();
        demanded_ = now;
        wanted_ = true;
        wake_.notify_all();
    }
    const auto round = rounds_;
    read_.wait_for(lock, times_.fetch_timeout + std::chrono::seconds{1}, [&] { return rounds_ != round || stopping_; });
    return current_locked();
}

IssuerView IssuerKeys::view() const {
    const std::lock_guard lock{mutex_};
    auto view = view_;
    if (current_locked() == nullptr) view.keys = 0;
    return view;
}

}  // namespace sluice::cp::api
