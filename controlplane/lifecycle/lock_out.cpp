/// Whether whoever changes the policy cuts off the way to the API by which he does it.
///
/// Theory of operation. The control plane does not know through which wires its clients come, but the dataplane does: a
/// request that passes through it has a live flow. So the tables that run and those that are meant to are asked about
/// the connection that the request came by, for each pair of zones that a wire connects; only where the first let it in
/// and the second would not are the flows looked through for it. Nobody else's commit takes longer for that.
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

/// A walk through ten million flows takes less; what it has not found by then is taken not to be there.
constexpr std::chrono::seconds kLookWithin{5};

std::string address_text(const ClientPath& path, const abi::IpAddr& addr) {
    return to_text(Address{.family = path.family, .addr = addr});
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

bool PolicyServiceImpl::passes_through(const ClientPath& path) {
    const auto filter = filter_of(shared(), filter_text(path));
    if (!filter) return false;
    const auto deadline = steady_clock::now() + kLookWithin;
    for (std::uint64_t position = 0;;) {
        const auto part = client_.dump_flows(position, 1, *filter);
        if (!part) return false;
        if (!part->flows.empty()) return true;
        if (part->last || part->next <= position || steady_clock::now() >= deadline) return false;
        position = part->next;
    }
}

std::optional<std::string> PolicyServiceImpl::would_lock_out(const CommitOptions& options, const PreparedPolicy& next) {
    const auto now = shared();
    if (!options.caller.path || now.current == nullptr || !now.runs(now.current)) return std::nullopt;
    const ClientPath& path = *options.caller.path;
    const auto is_cut = [&](const std::string& in_port, const std::string& out_port) {
        return lets_in(*now.current, path, in_port, out_port) && !lets_in(next, path, in_port, out_port);
    };
    for (const auto& [a, b] : now.wires().wires) {
        if (!is_cut(a, b) && !is_cut(b, a)) continue;
        if (!passes_through(path)) return std::nullopt;
        return "your connection from " + address_text(path, path.client) + " to " + address_text(path, path.api) +
               " port " + std::to_string(path.api_port) +
               " passes through this firewall, and the new policy refuses it";
    }
    return std::nullopt;
}

}  // namespace sluice::cp
