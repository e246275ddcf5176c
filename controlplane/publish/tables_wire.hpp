/// Datagrams of the tables socket, sent and received by the letter of messages.hpp. The dataplane is another user and
/// another process: every length, count, enum and descriptor count is checked here, once, so that the rest of the
/// control plane may read the structures as they are.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <sluice/abi/messages.hpp>
#include <sluice/expected.hpp>

#include "controlplane/store/unique_fd.hpp"

namespace sluice::cp {

inline constexpr std::size_t kTelemetryFdCount = 3;

struct Datagram {
    std::vector<std::byte> bytes;
    std::vector<UniqueFd> fds;

    const abi::MessageHeader& header() const noexcept {
        return *reinterpret_cast<const abi::MessageHeader*>(bytes.data());
    }
    /// Precondition: `check` accepted the datagram and its type is T's.
    template <typename T>
    const T& as() const noexcept {
        return *reinterpret_cast<const T*>(bytes.data());
    }
};

/// Length, type, counts, enums, texts, descriptors. The error is a sentence for the log.
Expected<void, std::string> check(const Datagram& datagram);

enum class Received { datagram, nothing, closed };
/// One datagram without waiting. Descriptors of a datagram that cannot be read whole are closed.
Expected<Received, std::string> receive(int socket, Datagram& datagram);

/// False with errno set if it did not go out; EAGAIN = the peer's queue is full.
bool send(int socket, std::span<const std::byte> bytes, std::span<const int> fds);

}  // namespace sluice::cp
