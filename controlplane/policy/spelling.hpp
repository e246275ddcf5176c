/// How words of a policy are spelt in the tree, as values of the model. The shape check has refused all others.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "controlplane/policy/document.hpp"
#include "controlplane/policy/model.hpp"

namespace sluice::cp {

inline std::string place(SourcePos pos) { return std::to_string(pos.line) + ":" + std::to_string(pos.column); }

/// The word behind a key, or nothing if there is none that could be read; the shape check has said so then.
inline std::string_view word(const Node& map, std::string_view key) {
    const auto* node = map.find(key);
    return node != nullptr && node->kind == Node::Kind::scalar ? node->text : std::string_view{};
}

inline Action action_of(std::string_view text) noexcept {
    if (text == "allow") return Action::allow;
    if (text == "reject") return Action::reject;
    if (text == "pass") return Action::pass;
    return Action::deny;
}

inline abi::RuleLog log_of(std::string_view text) noexcept {
    if (text == "start") return abi::RuleLog::start;
    if (text == "end") return abi::RuleLog::end;
    if (text == "both") return abi::RuleLog::both;
    return abi::RuleLog::none;
}

inline abi::OnChange on_change_of(std::string_view text) noexcept {
    if (text == "keep") return abi::OnChange::keep;
    if (text == "kill") return abi::OnChange::kill;
    return abi::OnChange::reevaluate;
}

inline abi::SynPromise promise_of(std::string_view text, abi::SynPromise standard) noexcept {
    if (text == "on") return abi::SynPromise::on;
    if (text == "learn") return abi::SynPromise::learn;
    if (text == "off") return abi::SynPromise::off;
    return standard;
}

/// `0` to `89`, no leading zero.
inline std::optional<std::uint8_t> layer_of(std::string_view text) noexcept {
    std::uint32_t number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = error == std::errc{} && end == text.data() + text.size();
    if (!whole || number > kLayerMost || (text.size() > 1 && text.front() == '0')) return std::nullopt;
    return static_cast<std::uint8_t>(number);
}

}  // namespace sluice::cp
