#include "dataplane/manager/notify.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace sluice::dp {

namespace {

constexpr std::size_t kStoredFdsMax = 250;      // SCM_MAX_FD of Linux is 253
constexpr std::size_t kGoBytesMax = 64 * 1024;  // 250 names of at most 255 characters
constexpr int kFirstInheritedFd = 3;            // SD_LISTEN_FDS_START

std::optional<std::uint64_t> number_from_environment(const char* name) {
    const char* text = std::getenv(name);
    if (text == nullptr) return std::nullopt;
    std::uint64_t value{};
    const char* const end = text + std::strlen(text);
    const auto result = std::from_chars(text, end, value);
    if (result.ec != std::errc{} || result.ptr != end) return std::nullopt;
    return value;
}

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const auto at = text.find(separator);
        parts.emplace_back(text.substr(0, at));
        if (at == std::string_view::npos) break;
        text.remove_prefix(at + 1);
    }
    return parts;
}

}  // namespace

Notifier Notifier::from_environment() {
    const char* address = std::getenv("NOTIFY_SOCKET");
    return address == nullptr ? Notifier{} : Notifier{address};
}

Notifier::Notifier(std::string_view address) {
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    if (address.empty() || address.size() >= sizeof un.sun_path) return;
    std::memcpy(un.sun_path, address.data(), address.size());
    if (un.sun_path[0] == '@') un.sun_path[0] = '\0';
    UniqueFd socket_fd{socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
    if (!socket_fd || connect(socket_fd.get(), reinterpret_cast<const sockaddr*>(&un), length) != 0) return;
    const timeval patience{.tv_sec = 0, .tv_usec = 100'000};
    setsockopt(socket_fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    socket_ = std::move(socket_fd);
}

bool Notifier::send(std::string_view message) const { return send_with(message, nullptr); }
bool Notifier::send(std::string_view message, int fd) const { return send_with(message, &fd); }

bool Notifier::send_with(std::string_view message, const int* fd) const {
    if (!socket_) return false;
    iovec part{const_cast<char*>(message.data()), message.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr m{};
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    if (fd != nullptr) {
        m.msg_control = control.data();
        m.msg_controllen = control.size();
        cmsghdr* const c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(c), fd, sizeof(int));
    }
    return sendmsg(socket_.get(), &m, MSG_NOSIGNAL) == static_cast<ssize_t>(message.size());
}

std::uint64_t watchdog_period_ns() {
    const auto pid = number_from_environment("WATCHDOG_PID");
    if (pid && *pid != static_cast<std::uint64_t>(getpid())) return 0;
    return number_from_environment("WATCHDOG_USEC").value_or(0) * 1000;
}

StoredFds inherited_descriptors() {
    StoredFds stored;
    const auto pid = number_from_environment("LISTEN_PID");
    const auto count = number_from_environment("LISTEN_FDS").value_or(0);
    const char* names_text = std::getenv("LISTEN_FDNAMES");
    const auto names = split(names_text == nullptr ? "" : names_text, ':');
    if (pid && *pid == static_cast<std::uint64_t>(getpid())) {
        for (std::size_t i = 0; i < count && i < kStoredFdsMax; ++i) {
            UniqueFd fd{kFirstInheritedFd + static_cast<int>(i)};
            fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
            if (i < names.size()) stored.insert_or_assign(names[i], std::move(fd));
        }
    }
    for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) unsetenv(name);
    return stored;
}

std::optional<Takeover> Takeover::from_environment() {
    const auto fd = number_from_environment("SLUICE_TAKEOVER_FD");
    if (!fd) return std::nullopt;
    unsetenv("SLUICE_TAKEOVER_FD");
    fcntl(static_cast<int>(*fd), F_SETFD, FD_CLOEXEC);
    return Takeover{UniqueFd{static_cast<int>(*fd)}};
}

Expected<StoredFds, std::string> Takeover::stand_by() {
    constexpr std::string_view kStandby = "standby";
    if (::send(pair_.get(), kStandby.data(), kStandby.size(), MSG_NOSIGNAL) < 0) {
        return Unexpected<std::string>{fmt::format("the supervisor has gone: {}", std::strerror(errno))};
    }
    std::vector<char> text(kGoBytesMax);
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kStoredFdsMax)> control{};
    iovec part{text.data(), text.size()};
    msghdr m{};
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    m.msg_control = control.data();
    m.msg_controllen = control.size();
    ssize_t length;
    do length = recvmsg(pair_.get(), &m, MSG_CMSG_CLOEXEC);
    while (length < 0 && errno == EINTR);
    std::vector<UniqueFd> fds;
    for (cmsghdr* c = CMSG_FIRSTHDR(&m); length > 0 && c != nullptr; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        for (std::size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
            int fd;
            std::memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
            fds.emplace_back(fd);
        }
    }
    if (length <= 0) return Unexpected<std::string>{"the supervisor has gone before it said go"};
    const std::string_view message{text.data(), static_cast<std::size_t>(length)};
    const auto end = message.find('\n');
    if (message.substr(0, end) != "go") return Unexpected<std::string>{"the supervisor said something else than go"};
    std::string_view rest = end == std::string_view::npos ? "" : message.substr(end + 1);
    while (rest.ends_with('\n')) rest.remove_suffix(1);
    const auto names = split(rest, ':');
    if (names.size() != fds.size()) {
        return Unexpected<std::string>{fmt::format("go with {} names and {} descriptors", names.size(), fds.size())};
    }
    StoredFds stored;
    for (std::size_t i = 0; i < fds.size(); ++i) stored.insert_or_assign(names[i], std::move(fds[i]));
    return stored;
}

}  // namespace sluice::dp
