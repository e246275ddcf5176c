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

void NameBook::set_rules(const std::vector<std::pair<abi::RuleSlot, std::string>>& of_slots) {
    change([&](Names& names) {
        auto rules = std::make_shared<SharedList<std::string>>(*names.rules);
        for (const auto& [slot, name] : of_slots) {
            const auto at = static_cast<std::size_t>(slot);
            if (rules->size() <= at) rules->resize(at + 1);
            (*rules)[at] = name;
        }
        names.rules = std::move(rules);
    });
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
