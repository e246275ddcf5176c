/// Members of sets over the API: stored first, then sent to the dataplane as numbered changes. What could not be sent
/// is sent when the dataplane is there again, as a whole: every set replaced by what the store has.
#include <algorithm>
#include <chrono>

#include "controlplane/compiler/changing_sets.hpp"
#include "controlplane/compiler/range_algebra.hpp"
#include "controlplane/lifecycle/audit_records.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"
#include "controlplane/lifecycle/shadow_judge.hpp"
#include "controlplane/policy/address.hpp"
#include "controlplane/store/wall_clock.hpp"

namespace sluice::cp {
namespace {

constexpr std::size_t kPageOfSync = 50'000;
constexpr std::size_t kWarningsMax = 100;
constexpr std::uint64_t kTtlNsPerS = 1'000'000'000;

abi::SetMember member_of(const Prefix& p) { return {.addr = p.addr, .family = p.family, .bits = p.bits}; }

/// What one edit is for the dataplane.
std::vector<abi::SetChange> changes_of(const std::string& name, SetEdit edit, std::span<const StoredMember> members) {
    const abi::SetId id = set_id(name);
    std::vector<abi::SetChange> changes;
    changes.reserve(members.size() + 2);
    const abi::SetOp op = edit == SetEdit::add      ? abi::SetOp::add
                          : edit == SetEdit::remove ? abi::SetOp::remove
                                                    : abi::SetOp::stage;
    if (edit == SetEdit::replace) changes.push_back({.set = id, .op = abi::SetOp::begin});
    for (const StoredMember& m : members) {
        changes.push_back(
            {.set = id, .expires_unix_ns = static_cast<std::uint64_t>(m.expires_ns), .member = m.member, .op = op});
    }
    if (edit == SetEdit::replace) changes.push_back({.set = id, .op = abi::SetOp::commit});
    return changes;
}

std::uint64_t batches_of(std::size_t changes) { return (changes + abi::kSetChangesMax - 1) / abi::kSetChangesMax; }

/// Each once; of one that stands twice the last counts.
std::vector<StoredMember> stored(const std::vector<SetMemberEdit>& edits, std::int64_t now_ns) {
    std::map<std::string, StoredMember> unique;
    for (const SetMemberEdit& e : edits) {
        const abi::SetMember member = member_of(e.member);
        const std::int64_t expires_ns = e.ttl_s == 0 ? 0 : now_ns + static_cast<std::int64_t>(e.ttl_s * kTtlNsPerS);
        unique.insert_or_assign(SetStore::key_of(member), StoredMember{member, expires_ns});
    }
    std::vector<StoredMember> members;
    members.reserve(unique.size());
    for (const auto& [key, member] : unique) members.push_back(member);
    return members;
}

/// Does a rule cut off who is a member, now that it is `now`?
bool cuts_off_members(const Policy& policy, std::uint16_t set, UnixSeconds now) {
    const auto named = [&](const std::vector<Endpoint>& side, std::vector<std::uint16_t> Endpoint::*sets) {
        return std::ranges::any_of(side, [&](const Endpoint& e) { return std::ranges::count(e.*sets, set) != 0; });
    };
    return std::ranges::any_of(policy.rules, [&](const Rule& rule) {
        if (rule.mode == abi::RuleMode::observe || (rule.expires && *rule.expires <= now)) return false;
        const auto sets = policy.refuses(rule) ? &Endpoint::sets : &Endpoint::except;
        return named(rule.from, sets) || named(rule.to, sets);
    });
}

/// Members that never_block has whole, of a set by which somebody would be cut off.
PolicyErrors never_blocked(const Policy& policy, std::string_view name, const std::vector<SetMemberEdit>& members) {
    const auto set = std::ranges::find(policy.sets, name, &NetSet::name);
    if (policy.never_block.empty() || set == policy.sets.end()) return {};
    std::vector<Prefix> nets = policy.never_block.nets;
    for (const std::uint16_t s : policy.never_block.sets)
        nets.insert(nets.end(), policy.sets[s].nets.begin(), policy.sets[s].nets.end());
    const AddressList never = address_list(nets);
    PolicyErrors warnings;
    for (std::size_t i = 0; i < members.size() && warnings.size() < kWarningsMax; ++i) {
        const AddressList member = address_list({&members[i].member, 1});
        if (!covers(never.v4, member.v4) || !covers(never.v6, member.v6)) continue;
        if (warnings.empty() &&
            !cuts_off_members(policy, static_cast<std::uint16_t>(set - policy.sets.begin()), unix_now()))
            return {};
        warnings.push_back({"never-blocked",
                            "/members/" + std::to_string(i),
                            {},
                            to_text(members[i].member) +
                                " stands in never_block of the policy: it is a member now, and "
                                "no rule blocks it for that"});
    }
    return warnings;
}

std::string etag_of(const SetStore& sets) { return "s" + std::to_string(sets.number()); }

Problem no_such_set(const std::string& name) {
    return problem(404, "no-such-set", "No set with members over the API has this name",
                   "the policy has no set \"" + name.substr(0, 63) +
                       "\" with members: api, and none has members under this name; GET /v1/sets lists them");
}

}  // namespace

std::vector<SetInfo> PolicyServiceImpl::sets() {
    std::map<std::string, SetInfo> all;
    for (const auto& [name, count] : store_->sets().counts()) all[name] = {.name = name, .members = count};
    if (const auto active = shared().active()) {
        for (const NetSet& set : active->policy.sets) {
            if (!set.by_api) continue;
            SetInfo& info = all[set.name];
            info.name = set.name;
            info.in_policy = true;
            info.members_max = set.members_max;
            info.refuses = cuts_off_members(active->policy, static_cast<std::uint16_t>(&set - &active->policy.sets[0]),
                                            unix_now());
        }
    }
    std::vector<SetInfo> out;
    for (auto& [name, info] : all) out.push_back(std::move(info));
    return out;
}

std::optional<SetInfo> PolicyServiceImpl::find_set(const std::string& name) const {
    std::optional<SetInfo> found;
    const auto counts = store_->sets().counts();
    if (const auto at = counts.find(name); at != counts.end()) found = SetInfo{.name = name, .members = at->second};
    const auto active = shared().active();
    if (active == nullptr) return found;
    for (const NetSet& set : active->policy.sets) {
        if (!set.by_api || set.name != name) continue;
        if (!found) found = SetInfo{.name = name};
        found->in_policy = true;
        found->members_max = set.members_max;
    }
    return found;
}

Expected<SetPage, Problem> PolicyServiceImpl::set_members(const std::string& name, std::size_t count_max,
                                                          const std::string& cursor) {
    if (!find_set(name)) return Unexpected(no_such_set(name));
    SetPage page{.etag = etag_of(store_->sets())};
    const auto members = store_->sets().page(name, cursor, count_max + 1, wall_clock_ns());
    if (!members) return Unexpected(storage_problem(members.error()));
    const std::size_t count = std::min(members->size(), count_max);
    std::vector<abi::SetMember> asked;
    for (std::size_t i = 0; i < count; ++i) {
        const StoredMember& m = (*members)[i];
        asked.push_back(m.member);
        page.members.push_back({.member = {.family = m.member.family, .bits = m.member.bits, .addr = m.member.addr}});
        if (m.expires_ns != 0) page.members.back().expires_ns = m.expires_ns;
    }
    for (std::size_t first = 0; first < count; first += abi::kSetChangesMax) {
        const auto part = std::span{asked}.subspan(first, std::min<std::size_t>(abi::kSetChangesMax, count - first));
        const auto states = client_.get_members(set_id(name), part);
        if (!states) break;
        for (std::size_t i = 0; i < states->size(); ++i) {
            if ((*states)[i].found != 0) page.members[first + i].hits = (*states)[i].hits;
        }
    }
    if (members->size() > count_max) page.next = SetStore::key_of(asked.back());
    return page;
}

Expected<SetChangeResult, Problem> PolicyServiceImpl::change_set(const SetChangeQuery& query) {
    const std::lock_guard lock{sets_mutex_};
    const auto refused = [&](Problem p) -> Expected<SetChangeResult, Problem> {
        auto entry = record_of("set.change", query.caller);
        store_->audit().write_or_keep(with_result(std::move(entry), "refused", p.code));
        return Unexpected(std::move(p));
    };
    const auto set = find_set(query.name);
    // Of a set that no policy asks for members can be taken, and nothing else.
    const bool empties = query.edit == SetEdit::remove || query.members.empty();
    if (!set || (!set->in_policy && !empties)) return refused(no_such_set(query.name));
    if (query.if_match && *query.if_match != etag_of(store_->sets())) {
        return refused(problem(412, "sets-changed", "Sets have changed since",
                               "sets are at " + etag_of(store_->sets()) + ", If-Match names " + *query.if_match));
    }
    const auto members = stored(query.members, wall_clock_ns());
    const auto changes = changes_of(query.name, query.edit, members);
    const std::uint64_t batches = batches_of(changes.size());
    const auto edited =
        store_->sets().edit(query.name, query.edit, members, set->in_policy ? set->members_max : kSetMembersMost,
                            batches, record_of("set.change", query.caller));
    if (!edited) {
        if (!edited.error().full) return Unexpected(storage_problem(edited.error().error));
        return refused(problem(409, "set-full", "The set can't have so many members",
                               query.name + " would have " + std::to_string(edited.error().wanted) +
                                   " members, its max_ips is " + std::to_string(set->members_max) +
                                   "; nothing was changed"));
    }
    SetChangeResult result{.added = edited->added, .removed = edited->removed, .members = edited->members};
    result.etag = etag_of(store_->sets());
    result.trouble = sets_sent_ ? send_changes(changes, edited->first_number, false) : sync_sets();
    result.enforced = result.trouble.empty();
    const auto active = shared().active();
    if (active != nullptr && query.edit != SetEdit::remove) {
        result.warnings = never_blocked(active->policy, query.name, query.members);
    }
    if (const auto shadow = judge()) shadow->members_changed();
    return result;
}

/// Empty: all of it is in force. Else why not; then, unless workers stall, the sets are sent anew when somebody can.
std::string PolicyServiceImpl::send_changes(std::span<const abi::SetChange> changes, std::uint64_t first_number,
                                            bool is_first) {
    abi::ChangeSets batch;
    batch.epoch = store_->sets().epoch();
    batch.number = first_number;
    batch.is_first = is_first ? 1 : 0;
    std::string stalled;
    for (std::size_t at = 0; at < changes.size(); at += batch.count, ++batch.number) {
        batch.count = static_cast<std::uint16_t>(std::min<std::size_t>(abi::kSetChangesMax, changes.size() - at));
        std::copy_n(changes.begin() + static_cast<std::ptrdiff_t>(at), batch.count, batch.changes.begin());
        const auto answer = client_.change_sets(batch, options_.adopt_within);
        if (!answer) {
            sets_sent_ = false;
            return to_text(answer.error());
        }
        if (answer->kind == abi::AnswerKind::refused) {
            sets_sent_ = false;
            return "the dataplane refused it: " + std::string{answer->where.data()};
        }
        if (answer->kind == abi::AnswerKind::stalled) stalled = "workers of the dataplane have stalled";
        batch.is_first = 0;
    }
    return stalled;
}

/// Everything that the store has, in place of everything that the dataplane has. The last batch has the store's number.
std::string PolicyServiceImpl::sync_sets() {
    const auto now = shared();
    if (!now.connected || !now.publisher) return "there is no dataplane that takes changes from here";
    if (sets_sent_) return {};
    const auto trouble = [](const FileError& error) { return error.what; };
    std::vector<abi::SetChange> changes{{.op = abi::SetOp::begin_sync}};
    const std::int64_t now_ns = wall_clock_ns();
    for (const auto& [name, count] : store_->sets().counts()) {
        const abi::SetId id = set_id(name);
        changes.push_back({.set = id, .op = abi::SetOp::begin});
        std::string after;
        for (;;) {
            const auto page = store_->sets().page(name, after, kPageOfSync, now_ns);
            if (!page) return trouble(page.error());
            for (const StoredMember& m : *page) {
                changes.push_back({.set = id,
                                   .expires_unix_ns = static_cast<std::uint64_t>(m.expires_ns),
                                   .member = m.member,
                                   .op = abi::SetOp::stage});
            }
            if (page->size() < kPageOfSync) break;
            after = SetStore::key_of(page->back().member);
        }
        changes.push_back({.set = id, .op = abi::SetOp::commit});
    }
    changes.push_back({.op = abi::SetOp::end_sync});
    // Numbers go on to the store's own, whatever that is: below 0 they wrap, and nobody compares them.
    const std::uint64_t first = store_->sets().number() + 1 - batches_of(changes.size());
    sets_sent_ = true;
    return send_changes(changes, first, true);
}

Expected<std::shared_ptr<dp::OwnSetTable>, Problem> PolicyServiceImpl::members_about(const Policy& policy,
                                                                                     const dp::LookupKey& key) {
    const auto table = std::make_shared<dp::OwnSetTable>(kSetsByApiMax * 2 * dp::kSetLengths);
    abi::ChangeSets batch;
    batch.epoch = 1;
    batch.is_first = 1;
    const auto flush = [&] {
        (void)(*table)->apply(batch, {}, nullptr, 0);  // what the store has is well-formed
        batch.is_first = 0;
        ++batch.number;
        batch.count = 0;
    };
    for (const NetSet& set : policy.sets) {
        if (!set.by_api) continue;
        for (const abi::IpAddr& addr : {key.src, key.dst}) {
            const auto members = store_->sets().holding(set.name, key.family, addr, wall_clock_ns());
            if (!members) return Unexpected(storage_problem(members.error()));
            for (const abi::SetMember& m : *members) {
                batch.changes[batch.count++] = {.set = set_id(set.name), .member = m, .op = abi::SetOp::add};
                if (batch.count == abi::kSetChangesMax) flush();
            }
        }
    }
    flush();
    return table;
}

}  // namespace sluice::cp
