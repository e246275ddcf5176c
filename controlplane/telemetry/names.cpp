#include "controlplane/telemetry/names.hpp"

namespace sluice::cp {
namespace {

constexpr std::size_t kGenerationsKept = 8;

}  // namespace

std::string_view Names::rule(abi::RuleSlot slot) const noexcept {
    const auto i = static_cast<std::size_t>(slot);
    return i < rules->size() ? std::string_view{(*rules)[i]} : std::string_view{};
}

std::string_view Names::zone(std::uint64_t generation, abi::ZoneId zone) const noexcept {
    const auto i = static_cast<std::size_t>(zone);
    for (auto at = zones.rbegin(); at != zones.rend(); ++at) {
        if (at->first == generation)
            return i < at->second.size() ? std::string_view{at->second[i]} : std::string_view{};
    }
    return {};
}

std::string_view Names::port(std::size_t port) const noexcept {
    return port < ports.size() ? std::string_view{ports[port]} : std::string_view{};
}

std::shared_ptr<const Names> NameBook::names() const {
    const std::lock_guard lock{mutex_};
    return names_;
}

template <typename Change>
void NameBook::change(Change&& apply) {
    const std::lock_guard lock{mutex_};
    auto fresh = std::make_shared<Names>(*names_);
    apply(*fresh);
    names_ = std::move(fresh);
}

void NameBook::set_rules(std::vector<std::string> by_slot) {
    change([&](Names& names) { names.rules = std::make_shared<const std::vector<std::string>>(std::move(by_slot)); });
}

void NameBook::add_generation(std::uint64_t generation, std::vector<std::string> zones) {
    change([&](Names& names) {
        names.zones.emplace_back(generation, std::move(zones));
        if (names.zones.size() > kGenerationsKept) names.zones.pop_front();
    });
}

void NameBook::set_ports(std::vector<std::string> ports) {
    change([&](Names& names) { names.ports = std::move(ports); });
}

}  // namespace sluice::cp
