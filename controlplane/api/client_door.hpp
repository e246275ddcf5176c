/// Who may come in: how many connections there are, of all and of each address, and how often each client has asked of
/// late. So one address that opens a thousand connections and dawdles on them takes its own places and nobody else's.
/// Whoever has many addresses can take all places, but not keep them: when there is none left, the stranger who came
/// first goes for the one who comes. For the I/O thread alone.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <sluice/expected.hpp>

#include "controlplane/identity/attempt_limit.hpp"

namespace sluice::cp::api {

/// What counts as one address: an IPv4 address, the /64 of an IPv6 address (whoever has one has all of it); an IPv4
/// address in IPv6's clothes is what it is. Anything else is itself.
std::string client_address(std::string_view text);

class ClientDoor {
public:
    struct Limits {
        std::size_t connections{};
        std::size_t connections_per_address{};
        std::uint32_t requests_per_second{};  ///< 0 = as many as come
    };
    enum class Refusal : std::uint8_t { too_many, too_many_of_address };

private:
    struct Held {
        std::string address;
        std::function<void()> close{};  ///< it stands among strangers_ then
        bool taken_away{};
    };

public:
    /// Of one connection, for as long as it lives: whatever becomes of the connection, the place is left, under the
    /// address that it was given to. (Who is asked again may be gone and have no address any more.)
    class Place {
    public:
        Place(Place&& other) noexcept : door_{std::exchange(other.door_, nullptr)}, held_{other.held_} {}
        Place& operator=(Place&&) = delete;
        ~Place() {
            if (door_ != nullptr) door_->leave(held_);
        }
        const std::string& address() const noexcept { return held_->address; }
        /// Of a stranger: it may be wanted for somebody else. `close` ends the connection; it is called at most once.
        void may_be_wanted(std::function<void()> close) { door_->may_be_wanted(held_, std::move(close)); }
        /// Who it is has turned out: nobody takes it away any more.
        void stays() noexcept { door_->stays(held_); }

    private:
        friend ClientDoor;
        Place(ClientDoor& door, std::list<Held>::iterator held) noexcept : door_{&door}, held_{held} {}

        ClientDoor* door_;
        std::list<Held>::iterator held_;
    };

    /// Somebody who asks: an actor that was recognised, or the address of who was not.
    struct Client {
        bool known{};
        std::string name;
    };

    explicit ClientDoor(const Limits& limits);
    ClientDoor(const ClientDoor&) = delete;
    ClientDoor& operator=(const ClientDoor&) = delete;

    /// `address`: client_address() of it.
    Expected<Place, Refusal> enter(std::string address);
    /// False: it asks too often.
    bool may_ask(const Client& client, AttemptLimit::Time now);
    std::chrono::seconds wait(const Client& client, AttemptLimit::Time now) const;
    std::size_t connections() const noexcept { return connections_; }
    /// Connections that had to go for others, so far.
    std::uint64_t taken_away() const noexcept { return taken_away_; }

private:
    using Where = std::list<Held>::iterator;
    void leave(Where held) noexcept;
    void may_be_wanted(Where held, std::function<void()> close);
    void stays(Where held) noexcept;
    void give_up(const Held& held) noexcept;
    bool take_one_away();

    const Limits limits_;
    std::size_t connections_{};
    std::uint64_t taken_away_{};
    std::unordered_map<std::string, std::size_t> by_address_;
    std::list<Held> strangers_, others_;  ///< strangers: who came first stands first
    /// Apart: however many addresses strangers have, they take no bucket of somebody who is known.
    AttemptLimit asked_by_strangers_, asked_by_known_;
};

}  // namespace sluice::cp::api
