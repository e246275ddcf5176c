/// Whether whoever changes the policy cuts off the way to the API by which he does it.
///
/// Theory of operation. The control plane does not know through which wires its clients come, but the dataplane does: a
/// request that passes through it has a live flow. So the tables that run and those that are meant to are asked about
/// the connection that the request came by, for each pair of zones that a wire connects; only where the first let it in
/// and the second would not are the flows looked through for it. Who is on the machine of the API itself passes through
/// nothing, and is not asked.
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "controlplane/lifecycle/flow_places.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"
#include "controlplane/policy/address.hpp"
#include "controlplane/policy/schedule.hpp"
#include "dataplane/acl/lookup.hpp"

namespace sluice::cp {
namespace {

using std::chrono::steady_clock;

/// Commits of others wait meanwhile. Where that is not enough for all flows, the answer is that nobody could tell.
constexpr std::chrono::seconds kLookWithin{5};

std::string address_text(const ClientPath& path, const abi::IpAddr& addr) {
    return to_text(Address{.family = path.family, .addr = addr});
}

bool is_here(const ClientPath& path) {
    const bool loopback = path.family == abi::IpFamily::v4
                              ? path.client.bytes[0] == 127
                              : path.client == abi::IpAddr{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    return loopback || path.client == path.api;
}

/// Of the connection itself, by the grammar of filters.
std::string filter_text(const ClientPath& path) {
    return "proto==tcp and src==" + address_text(path, path.client) + " and dst==" + address_text(path, path.api) +
           " and sport==" + std::to_string(path.client_port) + " and dport==" + std::to_string(path.api_port);
}

}  // namespace

bool PolicyServiceImpl::lets_in(const PreparedPolicy& prepared, const ClientPath& path, const std::string& in_port,
                                const std::string& out_port) {
    const auto from = zone_of_port(prepared.policy, in_port), to = zone_of_port(prepared.policy, out_port);
    if (!from || !to) return false;
    const dp::LookupKey key{path.client,   path.api,    abi::ZoneId{*from}, abi::ZoneId{*to},
                            path.api_port, path.family, abi::L4Proto::tcp};
    dp::LookupResult found;
    dp::TableView view = prepared.view.at(static_cast<std::uint64_t>(unix_now()));
    std::shared_ptr<dp::OwnSetTable> members;
    if (std::ranges::any_of(prepared.policy.sets, &NetSet::by_api))
        members = members_about(prepared.policy, key).value_or(nullptr);
    if (members != nullptr) view.members = (*members)->view(view, nullptr, 0);
    dp::lookup(view, {&key, 1}, {&found, 1});
    return prepared.view.rule(found.rule).verdict == abi::Verdict::allow;
}

std::optional<bool> PolicyServiceImpl::passes_through(const ClientPath& path, const std::string& from_zone,
                                                      const std::string& to_zone, steady_clock::time_point deadline) {
    const auto filter =
        filter_of(shared(), filter_text(path) + " and from_zone==" + from_zone + " and to_zone==" + to_zone);
    if (!filter) return std::nullopt;
    for (std::uint64_t position = 0;;) {
        const auto part = client_.dump_flows(position, 1, *filter);
        if (!part) return std::nullopt;
        if (!part->flows.empty()) return true;
        if (part->last) {
            // A worker that stands still was passed over, and the flow may be one of its.
            const auto state = client_.get_status();
            return state && state->stalled_workers == 0 ? std::optional{false} : std::nullopt;
        }
        if (part->next <= position || steady_clock::now() >= deadline) return std::nullopt;
        position = part->next;
    }
}

std::optional<std::string> PolicyServiceImpl::would_lock_out(const Caller& caller, const PreparedPolicy& next) {
    const auto now = shared();
    if (!caller.path || is_here(*caller.path) || now.current == nullptr || !now.runs(now.current)) return std::nullopt;
    const ClientPath& path = *caller.path;
    const Policy& policy = now.current->policy;
    const auto deadline = steady_clock::now() + kLookWithin;
    const auto cut = [&](const std::string& in_port, const std::string& out_port) -> std::optional<std::string> {
        if (!lets_in(*now.current, path, in_port, out_port) || lets_in(next, path, in_port, out_port))
            return std::nullopt;
        const auto through = passes_through(path, policy.zones[*zone_of_port(policy, in_port)].name,
                                            policy.zones[*zone_of_port(policy, out_port)].name, deadline);
        if (through && !*through) return std::nullopt;
        return "your connection from " + address_text(path, path.client) + " to " + address_text(path, path.api) +
               " port " + std::to_string(path.api_port) +
               (through ? " passes through this firewall" : " may pass through this firewall, which could not say") +
               ", and the new policy refuses it";
    };
    for (const auto& [a, b] : now.wires().wires) {
        if (auto why = cut(a, b)) return why;
        if (auto why = cut(b, a)) return why;
    }
    return std::nullopt;
}

std::optional<std::string> PolicyServiceImpl::would_lock_out(const Caller& caller, const Change& change) {
    const auto now = shared();
    if (!caller.path || is_here(*caller.path) || now.current == nullptr) return std::nullopt;
    const bool may_come = std::ranges::any_of(now.wires().wires, [&](const auto& wire) {
        return lets_in(*now.current, *caller.path, wire.first, wire.second) ||
               lets_in(*now.current, *caller.path, wire.second, wire.first);
    });
    if (!may_come) return std::nullopt;
    auto read = change.format == "edits" ? read_edits(now.current, change.text)
                                         : read_body(change.text, format_of(change.format));
    if (!read) return std::nullopt;  // whoever applies it is told
    auto slots = slots_;
    const auto prepared = prepare(std::move(*read), slots, 1, now.runs(now.current) ? now.current.get() : nullptr);
    return prepared ? would_lock_out(caller, **prepared) : std::nullopt;
}

Problem locks_out(const std::string& why) {
    return problem(409, "would-lock-out", "You would not reach this API any more",
                   why + "; send Allow-Lock-Out: true (sluicectl: --force) if that is meant");
}

}  // namespace sluice::cp
