#include "controlplane/policy/symbols.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <tuple>

#include "controlplane/policy/address.hpp"
#include "controlplane/policy/names.hpp"
#include "controlplane/policy/service.hpp"

namespace sluice::cp {

namespace {

constexpr std::string_view kAny = "any";

const BuiltInService* built_in(std::string_view name) noexcept {
    const auto all = built_in_services();
    const auto found = std::ranges::find(all, name, &BuiltInService::name);
    return found == all.end() ? nullptr : &*found;
}

std::string place(SourcePos pos) { return std::to_string(pos.line) + ":" + std::to_string(pos.column); }

void add(std::vector<ServiceTerm>& terms, std::span<const ServiceTerm> more) {
    terms.insert(terms.end(), more.begin(), more.end());
}

/// Once each, in time n log n: lists are as long as their author likes.
template <typename T, typename Key>
void sort_unique(std::vector<T>& items, Key&& key) {
    std::ranges::sort(items, {}, key);
    items.erase(std::unique(items.begin(), items.end()), items.end());
}

void tidy(std::vector<ServiceTerm>& terms) {
    sort_unique(terms, [](const ServiceTerm& t) { return std::tuple{t.proto, t.first, t.last}; });
}

void tidy(Endpoint& endpoint) {
    sort_unique(endpoint.sets, std::identity{});
    sort_unique(endpoint.except, std::identity{});
    sort_unique(endpoint.nets, [](const Prefix& p) { return std::tuple{p.family, p.addr.bytes, p.bits}; });
}

}  // namespace

std::string_view Symbols::to_string(Kind kind) noexcept {
    switch (kind) {
        case Kind::zone: return "zone";
        case Kind::set: return "set";
        case Kind::service: return "service";
    }
    return "name";
}

const Symbols::Symbol* Symbols::find(std::string_view name) const noexcept {
    const auto found = symbols_.find(name);
    return found == symbols_.end() ? nullptr : &found->second;
}

void Symbols::define(const Path& path, const Node& name, Kind kind, std::uint16_t index) {
    const auto words = std::string{to_string(kind)} + " " + quoted(name.text);
    if (is_reserved(name.text)) {
        report_.add(path, name.pos, "reserved-name", words + " takes a word of the language; choose another name");
        return;
    }
    // A service may give a well-known name its own meaning; a zone of that name would make `service: dns` a puzzle.
    if (kind != Kind::service && built_in(name.text) != nullptr) {
        report_.add(path, name.pos, "name-clash", words + " has the name of a built-in service; choose another name");
        return;
    }
    const auto [at, added] = symbols_.try_emplace(name.text, Symbol{kind, index, name.pos});
    if (added || at->second.kind == kind) return;  // twice in one map is a duplicate key, reported there
    report_.add(path, name.pos, "name-clash",
                words + " at " + place(name.pos) + " has the name of the " + std::string{to_string(at->second.kind)} +
                    " at " + place(at->second.pos) + "; zones, sets and services share one name space, rename one");
}

void Symbols::define_service(std::string_view name, std::vector<ServiceTerm> terms) {
    services_.insert_or_assign(name, std::move(terms));
}

void Symbols::report_undefined(std::string_view name, SourcePos pos, const Path& path, std::string_view wanted,
                               std::initializer_list<Kind> kinds) const {
    if (const auto* symbol = find(name)) {
        report_.add(path, pos, "wrong-kind",
                    quoted(name) + " is a " + std::string{to_string(symbol->kind)} + " (defined at " +
                        place(symbol->pos) + "); write a " + std::string{wanted} + " here");
        return;
    }
    std::vector<std::string_view> known;
    for (const auto& [candidate, symbol] : symbols_) {
        if (std::ranges::find(kinds, symbol.kind) != kinds.end()) known.push_back(candidate);
    }
    if (kinds.size() > 1) known.push_back(kAny);
    if (std::ranges::find(kinds, Kind::service) != kinds.end()) {
        for (const auto& service : built_in_services()) known.push_back(service.name);
    }
    std::ranges::sort(known);  // the same proposal every time, whatever the order of the table
    auto hint = did_you_mean(name, known);
    const bool service_wanted = std::ranges::find(kinds, Kind::service) != kinds.end();
    if (service_wanted && !name.empty() && name.find_first_not_of("0123456789") == std::string_view::npos) {
        hint = "; a port alone names no protocol, write " + quoted("tcp/" + std::string{name}) + " or " +
               quoted("udp/" + std::string{name});
    }
    if (hint.empty()) hint = "; define it or correct the name";
    report_.add(path, pos, "undefined-name", std::string{wanted} + " " + quoted(name) + " is not defined" + hint);
}

std::optional<std::uint16_t> Symbols::zone(std::string_view name, SourcePos pos, const Path& path) const {
    const auto* symbol = find(name);
    if (symbol != nullptr && symbol->kind == Kind::zone) return symbol->index;
    report_undefined(name, pos, path, "zone", {Kind::zone});
    return std::nullopt;
}

std::optional<std::uint16_t> Symbols::set(std::string_view name, SourcePos pos, const Path& path) const {
    const auto* symbol = find(name);
    if (symbol != nullptr && symbol->kind == Kind::set) return symbol->index;
    report_undefined(name, pos, path, "set", {Kind::set});
    return std::nullopt;
}

void Symbols::add_member(Endpoint& endpoint, const Node& word, const Path& path) const {
    if (looks_like_address(word.text)) {
        auto prefix = parse_prefix(word.text);
        if (!prefix) return report_.add(path, word.pos, std::move(prefix).error());
        endpoint.nets.push_back(*prefix);
        return;
    }
    if (const auto index = set(word.text, word.pos, path)) endpoint.sets.push_back(*index);
}

std::vector<Prefix> Symbols::prefixes(const Node& node, const Path& path) const {
    std::vector<Prefix> prefixes;
    for_each_of(node, path, [&](const Node& word, const Path& at) {
        if (word.kind != Node::Kind::scalar) return;
        if (auto prefix = parse_prefix(word.text)) {
            prefixes.push_back(*prefix);
        } else {
            report_.add(at, word.pos, std::move(prefix).error());
        }
    });
    return prefixes;
}

Endpoint Symbols::members(const Node& node, const Path& path) const {
    Endpoint all{.zone = std::nullopt, .any_addr = false, .sets = {}, .nets = {}};
    for_each_of(node, path, [&](const Node& word, const Path& at) {
        if (word.kind == Node::Kind::scalar) add_member(all, word, at);
    });
    tidy(all);
    return all;
}

/// Of `not`: sets only, so that what is left out has a name.
void Symbols::add_except(Endpoint& endpoint, const Node& word, const Path& path) const {
    if (looks_like_address(word.text)) {
        return report_.add(path, word.pos, "wrong-kind",
                           "not takes sets, and " + quoted(word.text) + " is an address; put it into a set");
    }
    if (const auto index = set(word.text, word.pos, path)) endpoint.except.push_back(*index);
}

/// Nobody means to name a set and leave out the same.
void Symbols::check_leaves_some(const Endpoint& endpoint, const Node& except, const Path& path) const {
    if (endpoint.sets.empty() || !endpoint.nets.empty() || !std::ranges::includes(endpoint.except, endpoint.sets))
        return;
    report_.add(path, except.pos, "nothing-left",
                "not leaves out every set that stands here, so nothing is meant; take one of them away");
}

std::vector<Endpoint> Symbols::endpoints(const Node& node, const Path& path) const {
    std::vector<Endpoint> result;
    Endpoint addresses{.zone = std::nullopt, .any_addr = false, .sets = {}, .nets = {}};
    bool has_any = false;
    for_each_of(node, path, [&](const Node& item, const Path& at) {
        if (item.kind == Node::Kind::map) {
            Endpoint both;
            if (const auto* zone_word = item.find("zone"); zone_word && zone_word->kind == Node::Kind::scalar) {
                both.zone = zone(zone_word->text, zone_word->pos, Path{at, "zone"});
            }
            if (const auto* members = item.find("set")) {
                both.any_addr = false;
                for_each_of(*members, Path{at, "set"}, [&](const Node& member, const Path& member_path) {
                    if (member.kind == Node::Kind::scalar) add_member(both, member, member_path);
                });
            }
            const auto* except = item.find("not");
            if (except != nullptr) {
                for_each_of(*except, Path{at, "not"}, [&](const Node& member, const Path& member_path) {
                    if (member.kind == Node::Kind::scalar) add_except(both, member, member_path);
                });
            }
            tidy(both);
            if (except != nullptr) check_leaves_some(both, *except, Path{at, "not"});
            result.push_back(std::move(both));
        } else if (item.kind != Node::Kind::scalar) {
            return;  // reported by the shape check
        } else if (item.text == kAny) {
            has_any = true;
            if (node.kind == Node::Kind::list && node.children.size() > 1) {
                report_.add(at, item.pos, "any-with-others",
                            "any matches everything already; write it alone or leave it out");
            }
        } else if (looks_like_address(item.text)) {
            add_member(addresses, item, at);
        } else if (const auto* symbol = find(item.text); symbol != nullptr && symbol->kind == Kind::zone) {
            result.push_back({.zone = symbol->index, .any_addr = true, .sets = {}, .nets = {}});
        } else if (symbol != nullptr && symbol->kind == Kind::set) {
            add_member(addresses, item, at);
        } else {
            report_undefined(item.text, item.pos, at, "zone or set", {Kind::zone, Kind::set});
        }
    });
    if (has_any) result.push_back({});
    tidy(addresses);
    if (!addresses.sets.empty() || !addresses.nets.empty()) result.push_back(std::move(addresses));
    return result;
}

std::vector<ServiceTerm> Symbols::services(const Node& node, const Path& path) const {
    std::vector<ServiceTerm> result;
    for_each_of(node, path, [&](const Node& item, const Path& at) {
        if (item.kind != Node::Kind::scalar) return;
        if (const auto own = services_.find(item.text); own != services_.end()) {
            add(result, own->second);
        } else if (const auto* known = built_in(item.text)) {
            add(result, known->terms);
        } else if (item.text == kAny) {
            report_.add(at, item.pos, "bad-service", "any is no service; leave the key out to match every service");
        } else if (is_name(item.text) && !is_reserved(item.text)) {
            report_undefined(item.text, item.pos, at, "service", {Kind::service});
        } else if (auto term = parse_service_term(item.text)) {
            add(result, std::span{&*term, 1});
        } else {
            report_.add(at, item.pos, std::move(term).error());
        }
    });
    tidy(result);
    return result;
}

std::vector<ServiceTerm> Symbols::service_terms(const Node& node, const Path& path) const {
    std::vector<ServiceTerm> result;
    for_each_of(node, path, [&](const Node& item, const Path& at) {
        if (item.kind != Node::Kind::scalar) return;
        if (auto term = parse_service_term(item.text)) {
            add(result, std::span{&*term, 1});
        } else {
            report_.add(at, item.pos, std::move(term).error());
        }
    });
    tidy(result);
    return result;
}

}  // namespace sluice::cp
