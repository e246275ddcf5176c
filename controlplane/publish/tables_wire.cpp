#include "controlplane/publish/tables_wire.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <sluice/abi/layout.hpp>
#include <sluice/abi/set_messages.hpp>

namespace sluice::cp {
namespace {

using abi::MessageType;
using Fault = Unexpected<std::string>;

template <std::size_t N>
bool terminated(const std::array<char, N>& text) noexcept {
    return std::find(text.begin(), text.end(), '\0') != text.end();
}

/// Length of what a dataplane may send, without the variable part; 0 = it may not send that.
std::size_t fixed_bytes(MessageType type) noexcept {
    switch (type) {
        case MessageType::hello: return sizeof(abi::Hello);
        case MessageType::claimed: return sizeof(abi::Claimed);
        case MessageType::answer: return sizeof(abi::Answer);
        case MessageType::running: return sizeof(abi::Running);
        case MessageType::flow_dump: return offsetof(abi::FlowDump, flows);
        case MessageType::flows_ended: return sizeof(abi::FlowsEnded);
        case MessageType::flows_watched: return sizeof(abi::FlowsWatched);
        case MessageType::sets_changed: return sizeof(abi::SetsChanged);
        case MessageType::members: return offsetof(abi::Members, states);
        case MessageType::notice: return sizeof(abi::Notice);
        case MessageType::status: return sizeof(abi::Status);
        default: return 0;
    }
}

bool plausible(const abi::ProcessState& state) noexcept {
    return state.worker_count <= abi::kWorkersMax && state.port_count <= abi::kPortsMax && state.fail_open <= 1 &&
           state.source <= static_cast<std::uint8_t>(abi::StateSource::reverted);
}

Expected<void, std::string> check_hello(const abi::Hello& hello) {
    if (hello.abi_version != abi::kAbiVersion) {
        return Fault("the dataplane speaks ABI version " + std::to_string(hello.abi_version) + ", this build speaks " +
                     std::to_string(abi::kAbiVersion));
    }
    if (hello.layout_hash != abi::kLayoutHash) return Fault("the dataplane was built with another table layout");
    if (!plausible(hello.state)) return Fault("hello with an impossible process state");
    if (hello.wire_count > hello.wires.size()) return Fault("hello with too many wires");
    for (std::uint32_t p = 0; p < hello.state.port_count; ++p) {
        if (!terminated(hello.ports[p].text)) return Fault("hello with a port name without end");
    }
    for (std::uint32_t w = 0; w < hello.wire_count; ++w) {
        if (hello.wires[w].a >= hello.state.port_count || hello.wires[w].b >= hello.state.port_count) {
            return Fault("hello with a wire to a port that is not there");
        }
    }
    return {};
}

bool valid_enum(abi::AnswerKind kind) noexcept {
    return kind >= abi::AnswerKind::adopted && kind <= abi::AnswerKind::stalled;
}
bool valid_enum(abi::NoticeKind kind) noexcept {
    return kind >= abi::NoticeKind::reverted && kind <= abi::NoticeKind::worker_back;
}

std::size_t fds_allowed(const Datagram& datagram) noexcept {
    switch (datagram.header().type) {
        case MessageType::hello: return kTelemetryFdCount;
        case MessageType::running: return datagram.as<abi::Running>().generation == 0 ? 0 : abi::kMessageFdsMax;
        default: return 0;
    }
}

}  // namespace

Expected<void, std::string> check(const Datagram& datagram) {
    const std::size_t size = datagram.bytes.size();
    if (size < sizeof(abi::MessageHeader)) return Fault("datagram shorter than its header");
    const auto& header = datagram.header();
    if (header.magic != abi::kMessageMagic || header.bytes != size) return Fault("datagram with a wrong header");
    const std::size_t fixed = fixed_bytes(header.type);
    if (fixed == 0) {
        return Fault("datagram of unknown type " + std::to_string(static_cast<std::uint32_t>(header.type)));
    }
    const bool has_list = header.type == MessageType::flow_dump || header.type == MessageType::members;
    if (has_list ? size < fixed : size != fixed) {
        return Fault("datagram of type " + std::to_string(static_cast<std::uint32_t>(header.type)) + " with " +
                     std::to_string(size) + " bytes");
    }
    if (datagram.fds.size() != fds_allowed(datagram)) return Fault("datagram with a wrong number of descriptors");
    switch (header.type) {
        case MessageType::hello: return check_hello(datagram.as<abi::Hello>());
        case MessageType::answer: {
            const auto& answer = datagram.as<abi::Answer>();
            if (!valid_enum(answer.kind) || answer.reason > abi::kRefuseReasonLast) {
                return Fault("answer of unknown kind");
            }
            if (!terminated(answer.where)) return Fault("answer with a text without end");
            return {};
        }
        case MessageType::notice: {
            const auto& notice = datagram.as<abi::Notice>();
            if (!valid_enum(notice.kind) || notice.worker >= abi::kWorkersMax || !plausible(notice.state)) {
                return Fault("notice of unknown kind");
            }
            return {};
        }
        case MessageType::status:
            if (!plausible(datagram.as<abi::Status>().state)) return Fault("status with an impossible process state");
            return {};
        case MessageType::flow_dump: {
            // Read the fields by offset: the object behind them may be shorter than FlowDump.
            std::uint32_t count{};
            std::memcpy(&count, datagram.bytes.data() + offsetof(abi::FlowDump, count), sizeof count);
            if (count > abi::kFlowsPerDumpMax || size != fixed + count * sizeof(abi::FlowRecord)) {
                return Fault("flow dump whose count and length disagree");
            }
            return {};
        }
        case MessageType::sets_changed: {
            const auto& changed = datagram.as<abi::SetsChanged>();
            if (!valid_enum(changed.kind) || changed.reason > abi::kRefuseReasonLast || !terminated(changed.where)) {
                return Fault("answer to set changes of unknown kind");
            }
            return {};
        }
        case MessageType::members: {
            std::uint32_t count{};
            std::memcpy(&count, datagram.bytes.data() + offsetof(abi::Members, count), sizeof count);
            if (count > abi::kSetChangesMax || size != fixed + count * sizeof(abi::MemberState)) {
                return Fault("answer about members whose count and length disagree");
            }
            return {};
        }
        default: return {};
    }
}

Expected<Received, std::string> receive(int socket, Datagram& datagram) {
    datagram.bytes.resize(abi::kMessageBytesMax);
    datagram.fds.clear();
    iovec part{datagram.bytes.data(), datagram.bytes.size()};
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int) * 253)> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t n = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0) {
        if (errno == EAGAIN || errno == EINTR) return Received::nothing;
        if (errno == ECONNRESET) return Received::closed;
        return Fault("receiving failed: " + std::generic_category().message(errno));
    }
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd{};
            std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            datagram.fds.emplace_back(fd);
        }
    }
    if (n == 0) return Received::closed;
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return Fault("datagram larger than allowed");
    datagram.bytes.resize(static_cast<std::size_t>(n));
    return Received::datagram;
}

bool send(int socket, std::span<const std::byte> bytes, std::span<const int> fds) {
    iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int) * abi::kMessageFdsMax)> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(fds.size_bytes());
        cmsghdr* c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
    }
    for (;;) {
        const ssize_t n = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) return static_cast<std::size_t>(n) == bytes.size();
        if (errno != EINTR) return false;
    }
}

}  // namespace sluice::cp
