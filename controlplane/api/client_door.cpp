#include "controlplane/api/client_door.hpp"

#include <algorithm>
#include <array>
#include <iterator>

#include "controlplane/api/wire_text.hpp"

namespace sluice::cp::api {
namespace {

/// Of clients that have asked within the last two seconds; beyond, new ones share a bucket.
constexpr std::size_t kClientsMax = 4096;
constexpr double kBurstSeconds = 2;

AttemptLimit::Rate rate_of(std::uint32_t per_second) {
    return {.burst = kBurstSeconds * per_second, .per_second = static_cast<double>(per_second)};
}

constexpr std::array<std::uint8_t, 12> kMappedV4{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

std::string client_address(std::string_view text) {
    const auto parsed = parse_address(text.substr(0, text.find('%')));
    if (!parsed || parsed->first != abi::IpFamily::v6) return std::string{text};
    auto bytes = parsed->second.bytes;
    if (std::equal(kMappedV4.begin(), kMappedV4.end(), bytes.begin())) {
        std::string v4;
        for (std::size_t i = kMappedV4.size(); i < bytes.size(); ++i)
            v4 += (v4.empty() ? "" : ".") + std::to_string(bytes[i]);
        return v4;
    }
    std::fill(bytes.begin() + 8, bytes.end(), std::uint8_t{0});
    return address_text(abi::IpFamily::v6, abi::IpAddr{bytes}) + "/64";
}

ClientDoor::ClientDoor(const Limits& limits)
    : limits_{limits},
      asked_by_strangers_{rate_of(limits.requests_per_second), kClientsMax},
      asked_by_known_{rate_of(limits.requests_per_second), kClientsMax} {}

Expected<ClientDoor::Place, ClientDoor::Refusal> ClientDoor::enter(std::string address) {
    // Looked at first: who has as many as may be takes no place of others for one more.
    const auto found = by_address_.find(address);
    if (found != by_address_.end() && found->second >= limits_.connections_per_address)
        return Unexpected(Refusal::too_many_of_address);
    if (connections_ >= limits_.connections && !take_one_away()) return Unexpected(Refusal::too_many);
    ++by_address_[address];
    ++connections_;
    others_.push_back({.address = std::move(address)});
    return Place{*this, std::prev(others_.end())};
}

/// False: nobody who is here is a stranger.
bool ClientDoor::take_one_away() {
    if (strangers_.empty()) return false;
    const Where held = strangers_.begin();
    others_.splice(others_.end(), strangers_, held);
    held->taken_away = true;
    ++taken_away_;
    give_up(*held);
    std::exchange(held->close, nullptr)();
    return true;
}

void ClientDoor::give_up(const Held& held) noexcept {
    --connections_;
    const auto found = by_address_.find(held.address);
    if (--found->second == 0) by_address_.erase(found);
}

void ClientDoor::leave(Where held) noexcept {
    if (!held->taken_away) give_up(*held);
    (held->close ? strangers_ : others_).erase(held);
}

void ClientDoor::may_be_wanted(Where held, std::function<void()> close) {
    held->close = std::move(close);
    strangers_.splice(strangers_.end(), others_, held);
}

void ClientDoor::stays(Where held) noexcept {
    if (!held->close) return;
    held->close = nullptr;
    others_.splice(others_.end(), strangers_, held);
}

bool ClientDoor::may_ask(const Client& client, AttemptLimit::Time now) {
    auto& asked = client.known ? asked_by_known_ : asked_by_strangers_;
    return limits_.requests_per_second == 0 || asked.take(client.name, now);
}

std::chrono::seconds ClientDoor::wait(const Client& client, AttemptLimit::Time now) const {
    return (client.known ? asked_by_known_ : asked_by_strangers_).wait(client.name, now);
}

}  // namespace sluice::cp::api
