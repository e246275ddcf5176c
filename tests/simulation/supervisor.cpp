#include "tests/simulation/supervisor.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace sluice::sim {

namespace {

constexpr std::string_view kSettle = "SETTLE", kEnd = "END";

void must(bool condition) {
    if (!condition) std::abort();
}

}  // namespace

Supervisor::Supervisor()
    : socket_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)}, own_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)} {
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    // The kernel gives it an abstract name that nobody else has.
    must(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&un), sizeof un.sun_family) == 0);
    socklen_t length = sizeof un;
    must(::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&un), &length) == 0);
    must(::connect(own_.get(), reinterpret_cast<const sockaddr*>(&un), length) == 0);
    address_ = "@" + std::string{un.sun_path + 1, length - offsetof(sockaddr_un, sun_path) - 1};
    thread_ = std::thread{[this] { run(); }};
}

Supervisor::~Supervisor() {
    must(::send(own_.get(), kEnd.data(), kEnd.size(), 0) == static_cast<ssize_t>(kEnd.size()));
    thread_.join();
}

void Supervisor::run() {
    for (;;) {
        std::array<char, 512> bytes;
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
        iovec part{bytes.data(), bytes.size()};
        msghdr m{};
        m.msg_iov = &part;
        m.msg_iovlen = 1;
        m.msg_control = control.data();
        m.msg_controllen = control.size();
        const ssize_t length = ::recvmsg(socket_.get(), &m, MSG_CMSG_CLOEXEC);
        must(length > 0);
        const std::string_view message{bytes.data(), static_cast<std::size_t>(length)};
        if (message == kEnd) return;
        int fd = -1;
        if (const cmsghdr* c = CMSG_FIRSTHDR(&m)) std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
        const std::lock_guard lock{mutex_};
        if (message == kSettle) {
            ++settled_;
            changed_.notify_all();
        } else {
            take(message, dp::UniqueFd{fd});
        }
    }
}

/// Readiness, status and watchdog are for others.
void Supervisor::take(std::string_view message, dp::UniqueFd fd) {
    constexpr std::string_view key = "\nFDNAME=";
    const std::size_t at = message.find(key);
    if (at == std::string_view::npos) return;
    std::string name{message.substr(at + key.size())};
    if (message.starts_with("FDSTOREREMOVE=1")) {
        stored_.erase(name);
    } else if (message.starts_with("FDSTORE=1") && fd) {
        stored_.insert_or_assign(std::move(name), std::move(fd));
    }
}

void Supervisor::settle(std::unique_lock<std::mutex>& lock) {
    const std::uint64_t mine = ++asked_;
    lock.unlock();
    must(::send(own_.get(), kSettle.data(), kSettle.size(), 0) == static_cast<ssize_t>(kSettle.size()));
    lock.lock();
    changed_.wait(lock, [&] { return settled_ >= mine; });
}

dp::StoredFds Supervisor::stored() {
    std::unique_lock lock{mutex_};
    settle(lock);
    dp::StoredFds copies;
    for (const auto& [name, fd] : stored_) copies.emplace(name, fd.duplicate());
    return copies;
}

std::vector<std::string> Supervisor::names(std::string_view prefix) {
    std::unique_lock lock{mutex_};
    settle(lock);
    std::vector<std::string> names;
    for (const auto& [name, fd] : stored_) {
        if (name.starts_with(prefix)) names.push_back(name);
    }
    return names;
}

void Supervisor::lose(std::string_view prefix, std::size_t count) {
    std::unique_lock lock{mutex_};
    settle(lock);
    for (auto it = stored_.begin(); it != stored_.end() && count != 0;) {
        if (!it->first.starts_with(prefix)) {
            ++it;
            continue;
        }
        it = stored_.erase(it);
        --count;
    }
}

}  // namespace sluice::sim
