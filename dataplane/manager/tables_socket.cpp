#include "dataplane/manager/tables_socket.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include <sluice/abi/set_messages.hpp>

#include "dataplane/manager/log.hpp"

namespace sluice::dp {

namespace {

constexpr int kSendBufferBytes = 512 * 1024;  // a few flow dumps: a client that reads gets them without queueing

/// A message that ends with an array: as many elements as it says.
template <typename Message>
std::size_t bytes_with(std::span<const std::byte> bytes, std::size_t head, std::size_t element) {
    if (bytes.size() < head || bytes.size() > sizeof(Message)) return 0;
    Message message;
    std::memcpy(&message, bytes.data(), head);
    return head + message.count * element;
}

/// Length of what a client may send; 0 = no client sends this.
std::size_t request_bytes(abi::MessageType type, std::span<const std::byte> bytes) {
    switch (type) {
        case abi::MessageType::change_sets:
            return bytes_with<abi::ChangeSets>(bytes, offsetof(abi::ChangeSets, changes), sizeof(abi::SetChange));
        case abi::MessageType::get_members:
            return bytes_with<abi::GetMembers>(bytes, offsetof(abi::GetMembers, members), sizeof(abi::SetMember));
        case abi::MessageType::claim: return sizeof(abi::Claim);
        case abi::MessageType::offer: return sizeof(abi::Offer);
        case abi::MessageType::confirm: return sizeof(abi::Confirm);
        case abi::MessageType::revert: return sizeof(abi::Revert);
        case abi::MessageType::get_running: return sizeof(abi::GetRunning);
        case abi::MessageType::get_status: return sizeof(abi::GetStatus);
        case abi::MessageType::dump_flows: return sizeof(abi::DumpFlows);
        case abi::MessageType::end_flows: return sizeof(abi::EndFlows);
        case abi::MessageType::watch_flows: return sizeof(abi::WatchFlows);
        default: return 0;
    }
}

std::string failed(const std::string& path, const char* call) {
    return fmt::format("tables socket {}: {}: {}", path, call, std::strerror(errno));
}

/// Removes a socket file that a crashed process left behind; an error if it is something else or in use.
Expected<void, std::string> make_room(const std::string& path, const sockaddr_un& address) {
    struct stat st {};
    if (lstat(path.c_str(), &st) != 0) return {};
    if (!S_ISSOCK(st.st_mode)) return Unexpected<std::string>{path + " exists and is no socket; remove it"};
    const UniqueFd probe{socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    const bool alive = connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
                       errno == EAGAIN;  // EAGAIN: its backlog is full
    if (alive) return Unexpected<std::string>{path + ": another dataplane is listening there; stop it first"};
    if (unlink(path.c_str()) != 0) return Unexpected<std::string>{failed(path, "unlink")};
    return {};
}

}  // namespace

Expected<TablesSocket, std::string> TablesSocket::listen(const std::string& path, std::optional<std::uint32_t> gid) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return Unexpected<std::string>{path + " is too long for a socket"};
    std::memcpy(address.sun_path, path.data(), path.size());
    if (auto ok = make_room(path, address); !ok) return Unexpected<std::string>{ok.error()};

    TablesSocket result;
    result.listener_ = UniqueFd{socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    // Born with the narrow mode: between bind and chmod nobody else gets in.
    const mode_t before = umask(0117);
    const int bound = bind(result.listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    umask(before);
    if (bound != 0) return Unexpected<std::string>{failed(path, "bind")};
    result.path_ = path;
    if (gid && chown(path.c_str(), static_cast<uid_t>(-1), *gid) != 0) {
        return Unexpected<std::string>{failed(path, "chown")};
    }
    if (::listen(result.listener_.get(), static_cast<int>(kClientsMax)) != 0) {
        return Unexpected<std::string>{failed(path, "listen")};
    }
    return result;
}

TablesSocket::~TablesSocket() {
    if (listener_ && !path_.empty()) unlink(path_.c_str());
}

void TablesSocket::add_to(std::vector<pollfd>& polled) const {
    const bool full = clients_.size() >= kClientsMax;
    polled.push_back({listener_.get(), static_cast<short>(full ? 0 : POLLIN), 0});
    for (const auto& client : clients_) {
        polled.push_back({client->fd.get(), static_cast<short>(client->queue.empty() ? POLLIN : POLLOUT), 0});
    }
}

void TablesSocket::handle(std::span<const pollfd> polled, Handler& handler) {
    for (const pollfd& p : polled) {
        if (p.revents == 0) continue;
        if (p.fd == listener_.get()) {
            accept_all(handler);
            continue;
        }
        const auto at =
            std::find_if(clients_.begin(), clients_.end(), [&](const auto& c) { return c->fd.get() == p.fd; });
        if (at == clients_.end() || (*at)->gone) continue;
        Client& client = **at;
        if ((p.revents & POLLOUT) != 0) flush(client);
        if (!client.gone && (p.revents & (POLLIN | POLLHUP | POLLERR)) != 0) read_one(client, handler);
    }
    sweep(handler);
}

void TablesSocket::accept_all(Handler& handler) {
    while (clients_.size() < kClientsMax) {
        UniqueFd fd{accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
        if (!fd) return;
        ucred credentials{};
        socklen_t length = sizeof credentials;
        if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) continue;
        setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof kSendBufferBytes);
        auto client = std::make_unique<Client>();
        client->id = next_id_++;
        client->fd = std::move(fd);
        client->peer = {static_cast<std::uint32_t>(credentials.pid), credentials.uid};
        clients_.push_back(std::move(client));
        handler.connected(clients_.back()->id);
    }
}

void TablesSocket::read_one(Client& client, Handler& handler) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * abi::kMessageFdsMax)> control{};
    iovec part{buffer_.data(), buffer_.size()};
    msghdr m{};
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    m.msg_control = control.data();
    m.msg_controllen = control.size();
    const ssize_t length = recvmsg(client.fd.get(), &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    std::vector<UniqueFd> fds;  // owned from here on: whatever happens, they are closed
    for (cmsghdr* c = CMSG_FIRSTHDR(&m); length >= 0 && c != nullptr; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        for (std::size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
            int fd;
            std::memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
            fds.emplace_back(fd);
        }
    }
    if (length <= 0) {
        client.gone = true;
        return;
    }
    const std::span<const std::byte> bytes{buffer_.data(), static_cast<std::size_t>(length)};
    abi::MessageHeader header;
    bool good = (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 && bytes.size() >= sizeof header;
    if (good) {
        std::memcpy(&header, bytes.data(), sizeof header);
        good = header.magic == abi::kMessageMagic && header.bytes == bytes.size() &&
               request_bytes(header.type, bytes) == bytes.size() &&
               (fds.empty() || header.type == abi::MessageType::offer);
    }
    if (good) good = handler.message(client.id, bytes, std::move(fds));
    if (!good) {
        log_warning("closed a connection of the tables socket after a malformed message; pid={} uid={}",
                    client.peer.pid, client.peer.uid);
        client.gone = true;
    }
}

TablesSocket::Sent TablesSocket::try_send(const Client& client, std::span<const std::byte> bytes,
                                          std::span<const int> fds) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * abi::kMessageFdsMax)> control{};
    iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr m{};
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    if (!fds.empty()) {
        m.msg_control = control.data();
        m.msg_controllen = CMSG_SPACE(fds.size_bytes());
        cmsghdr* const c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
    }
    if (sendmsg(client.fd.get(), &m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return Sent::all;
    return errno == EAGAIN || errno == ENOBUFS || errno == EINTR ? Sent::later : Sent::failed;
}

bool TablesSocket::send_bytes(ClientId id, std::span<const std::byte> bytes, std::span<const int> fds) {
    Client* const client = find(id);
    if (client == nullptr || client->gone) return false;
    const Sent sent = client->queue.empty() ? try_send(*client, bytes, fds) : Sent::later;
    if (sent == Sent::all) return true;
    if (sent == Sent::failed || client->queue.size() >= kQueuedMax) {
        client->gone = true;  // reads nothing; the sweep closes it
        return false;
    }
    Outgoing message{{bytes.begin(), bytes.end()}, {}};
    for (const int fd : fds) message.fds.push_back(UniqueFd{dup(fd)});
    client->queue.push_back(std::move(message));
    return true;
}

void TablesSocket::flush(Client& client) {
    while (!client.queue.empty()) {
        const Outgoing& message = client.queue.front();
        std::vector<int> fds;
        for (const auto& fd : message.fds) fds.push_back(fd.get());
        const Sent sent = try_send(client, message.bytes, fds);
        if (sent == Sent::failed) client.gone = true;
        if (sent != Sent::all) return;
        client.queue.pop_front();
    }
}

void TablesSocket::sweep(Handler& handler) {
    std::vector<ClientId> left;
    std::erase_if(clients_, [&](const auto& client) {
        if (client->gone) left.push_back(client->id);
        return client->gone;
    });
    for (const ClientId id : left) handler.disconnected(id);
}

TablesSocket::Client* TablesSocket::find(ClientId id) const {
    for (const auto& client : clients_) {
        if (client->id == id) return client.get();
    }
    return nullptr;
}

TablesSocket::Peer TablesSocket::peer(ClientId client) const {
    const Client* const found = find(client);
    return found == nullptr ? Peer{} : found->peer;
}

}  // namespace sluice::dp
