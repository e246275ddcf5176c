#include "tools/sluice-inspect/connection.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <sluice/abi/layout.hpp>

namespace sluice::inspect {

namespace {
constexpr timeval kPatience{.tv_sec = 5, .tv_usec = 0};

Unexpected<std::string> failed(std::string_view what) {
    return Unexpected<std::string>{fmt::format("{}: {}", what, std::strerror(errno))};
}
}  // namespace

Fd::~Fd() {
    if (fd_ >= 0) close(fd_);
}

View::~View() {
    if (bytes_.data() != nullptr) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

Expected<View, std::string> View::map(const Fd& fd) {
    struct stat st {};
    const int seals = fcntl(fd.get(), F_GET_SEALS);
    if (fstat(fd.get(), &st) != 0 || seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
        return Unexpected<std::string>{"what the dataplane sent is no sealed memory"};
    }
    void* const data = mmap(nullptr, static_cast<std::size_t>(st.st_size), PROT_READ, MAP_SHARED, fd.get(), 0);
    if (data == MAP_FAILED) return failed("mmap");
    return View{{static_cast<const std::byte*>(data), static_cast<std::size_t>(st.st_size)}};
}

Expected<Connection, std::string> Connection::open(const std::string& socket_path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket_path.size() >= sizeof address.sun_path) return Unexpected<std::string>{"the socket's path is too long"};
    std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
    Connection connection;
    connection.socket_ = Fd{socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
    setsockopt(connection.socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    if (connect(connection.socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return failed(fmt::format("{} (is the dataplane running, and may you use its socket?)", socket_path));
    }
    auto reply = connection.receive(abi::MessageType::hello, sizeof(abi::Hello));
    if (!reply) return Unexpected<std::string>{reply.error()};
    std::memcpy(&connection.hello_, reply->bytes.data(), sizeof connection.hello_);
    if (connection.hello_.layout_hash != abi::kLayoutHash) {
        return Unexpected<std::string>{"the dataplane is of another version than this tool"};
    }
    if (reply->fds.size() != 3) return Unexpected<std::string>{"the dataplane sent no telemetry"};
    connection.telemetry_ = std::move(reply->fds);
    return connection;
}

Expected<std::vector<Fd>, std::string> Connection::running() {
    abi::GetRunning question;
    question.header.bytes = sizeof question;
    if (send(socket_.get(), &question, sizeof question, MSG_NOSIGNAL) < 0) return failed("asking for the generation");
    auto reply = receive(abi::MessageType::running, sizeof(abi::Running));
    if (!reply) return Unexpected<std::string>{reply.error()};
    return std::move(reply->fds);
}

Expected<Reply, std::string> Connection::receive(abi::MessageType type, std::size_t bytes_min) {
    Reply reply;
    reply.bytes.resize(abi::kMessageBytesMax);
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * abi::kMessageFdsMax)> control{};
    iovec part{reply.bytes.data(), reply.bytes.size()};
    msghdr m{};
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    m.msg_control = control.data();
    m.msg_controllen = control.size();
    const ssize_t length = recvmsg(socket_.get(), &m, MSG_CMSG_CLOEXEC);
    if (length < 0) return failed("no answer from the dataplane");
    for (cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        for (std::size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
            int fd;
            std::memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
            reply.fds.emplace_back(fd);
        }
    }
    reply.bytes.resize(static_cast<std::size_t>(length));
    abi::MessageHeader header;
    const bool whole = reply.bytes.size() >= bytes_min && reply.bytes.size() >= sizeof header;
    if (whole) std::memcpy(&header, reply.bytes.data(), sizeof header);
    if (!whole || header.magic != abi::kMessageMagic || header.type != type) {
        return Unexpected<std::string>{"the dataplane answered something else than what was asked"};
    }
    return reply;
}

}  // namespace sluice::inspect
