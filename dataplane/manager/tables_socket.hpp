/// The listening end of the tables socket (abi/messages.hpp): who is connected, framing, descriptors, and clients that
/// do not read. What a message means is the manager's business.
///
/// Nothing here blocks. A client that has not taken its last answer is not read from; one that lets its queue grow to
/// kQueuedMax is disconnected. A datagram that is not exactly as long as its type says, of a type that no client sends,
/// or with descriptors where none belong, ends the connection; its descriptors are closed.
#pragma once

#include <poll.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <sluice/abi/messages.hpp>
#include <sluice/expected.hpp>

#include "dataplane/manager/memfd.hpp"

namespace sluice::dp {

inline constexpr std::size_t kClientsMax = 32;
inline constexpr std::size_t kQueuedMax = 16;

class TablesSocket {
public:
    using ClientId = std::uint64_t;
    struct Peer {
        std::uint32_t pid{}, uid{};
    };
    class Handler {
    public:
        virtual ~Handler() = default;
        virtual void connected(ClientId client) = 0;
        /// `bytes` is a whole, well-framed message. False: it makes no sense; end the connection.
        virtual bool message(ClientId client, std::span<const std::byte> bytes, std::vector<UniqueFd> fds) = 0;
        virtual void disconnected(ClientId client) = 0;
    };

    /// Mode 0660 and the group, if one is given. A socket file that nobody listens on is replaced.
    static Expected<TablesSocket, std::string> listen(const std::string& path, std::optional<std::uint32_t> gid);
    TablesSocket(TablesSocket&&) noexcept = default;
    TablesSocket& operator=(TablesSocket&&) noexcept = default;
    ~TablesSocket();

    void add_to(std::vector<pollfd>& polled) const;
    /// `polled` as add_to filled it, after poll.
    void handle(std::span<const pollfd> polled, Handler& handler);

    /// False: the client has gone, or is disconnected because its queue is full.
    template <typename Message>
    bool send(ClientId client, const Message& message, std::span<const int> fds = {}) {
        Message framed = message;
        if (framed.header.bytes == 0) framed.header.bytes = sizeof framed;
        return send_bytes(client, {reinterpret_cast<const std::byte*>(&framed), framed.header.bytes}, fds);
    }
    Peer peer(ClientId client) const;

private:
    struct Outgoing {
        std::vector<std::byte> bytes;
        std::vector<UniqueFd> fds;
    };
    struct Client {
        ClientId id{};
        UniqueFd fd;
        Peer peer;
        std::deque<Outgoing> queue;
        bool gone{};
    };
    enum class Sent { all, later, failed };

    TablesSocket() = default;
    Client* find(ClientId id) const;
    void accept_all(Handler& handler);
    void read_one(Client& client, Handler& handler);
    void flush(Client& client);
    bool send_bytes(ClientId id, std::span<const std::byte> bytes, std::span<const int> fds);
    static Sent try_send(const Client& client, std::span<const std::byte> bytes, std::span<const int> fds);
    void sweep(Handler& handler);

    UniqueFd listener_;
    std::string path_;
    std::vector<std::unique_ptr<Client>> clients_;
    ClientId next_id_{1};
    std::vector<std::byte> buffer_ = std::vector<std::byte>(abi::kMessageBytesMax);
};

}  // namespace sluice::dp
