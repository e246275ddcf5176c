/// An inspector's end of the tables socket: says nothing but questions, maps everything read-only.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/abi/messages.hpp>
#include <sluice/expected.hpp>

namespace sluice::inspect {

class Fd {
public:
    explicit Fd(int fd = -1) noexcept : fd_{fd} {}
    Fd(Fd&& other) noexcept : fd_{other.fd_} { other.fd_ = -1; }
    Fd& operator=(Fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Fd();
    int get() const noexcept { return fd_; }

private:
    int fd_;
};

/// A whole file, mapped read-only. Refuses what another process could cut short under us (no SHRINK seal).
class View {
public:
    static Expected<View, std::string> map(const Fd& fd);
    View(View&& other) noexcept : bytes_{other.bytes_} { other.bytes_ = {}; }
    View& operator=(View&& other) noexcept {
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~View();
    std::span<const std::byte> bytes() const noexcept { return bytes_; }

private:
    explicit View(std::span<const std::byte> bytes) noexcept : bytes_{bytes} {}
    std::span<const std::byte> bytes_;
};

struct Reply {
    std::vector<std::byte> bytes;
    std::vector<Fd> fds;
};

class Connection {
public:
    static Expected<Connection, std::string> open(const std::string& socket_path);

    const abi::Hello& hello() const noexcept { return hello_; }
    /// counters, rules, events
    const std::vector<Fd>& telemetry() const noexcept { return telemetry_; }
    /// The descriptors of the running generation, manifest first; empty if nothing runs.
    Expected<std::vector<Fd>, std::string> running();

private:
    Connection() = default;
    Expected<Reply, std::string> receive(abi::MessageType type, std::size_t bytes_min);

    Fd socket_;
    abi::Hello hello_;
    std::vector<Fd> telemetry_;
};

}  // namespace sluice::inspect
