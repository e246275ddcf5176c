/// Sets of the policy service that lives in memory: one, "blocked", with room for three. A member that ends in 99 finds
/// no dataplane, one in 129 stands in never_block.
#include <algorithm>

#include "controlplane/policy/address.hpp"
#include "tests/unit/controlplane/api/memory_policy_service.hpp"

namespace sluice::cp::api::test {

std::vector<SetInfo> MemoryPolicyService::sets() {
    const std::lock_guard lock{mutex_};
    return {{.name = "blocked", .members = members_.size(), .members_max = 3, .in_policy = true, .refuses = true}};
}

Expected<SetPage, Problem> MemoryPolicyService::set_members(const std::string& name, std::size_t count_max,
                                                            const std::string& cursor) {
    const std::lock_guard lock{mutex_};
    if (name != "blocked") return problem(404, "no-such-set", "there is none");
    SetPage page{.members = {}, .next = {}, .etag = "s" + std::to_string(set_number_)};
    const std::size_t first = cursor.size();  // a cursor is as long as what it stands behind
    for (std::size_t i = first; i < std::min(first + count_max, members_.size()); ++i) {
        page.members.push_back({.member = members_[i].member, .expires_ns = {}, .hits = i});
        if (members_[i].ttl_s != 0) page.members.back().expires_ns = 1'700'000'000'000'000'000;
    }
    if (first + count_max < members_.size()) page.next = std::string(first + count_max, 'x');
    return page;
}

Expected<SetChangeResult, Problem> MemoryPolicyService::change_set(const SetChangeQuery& query) {
    const std::lock_guard lock{mutex_};
    if (query.name != "blocked") return problem(404, "no-such-set", "there is none");
    if (query.if_match && *query.if_match != "s" + std::to_string(set_number_))
        return problem(412, "sets-changed", "sets have changed since");
    auto after = query.edit == SetEdit::replace ? std::vector<SetMemberEdit>{} : members_;
    SetChangeResult result{.enforced = true};
    for (const auto& edit : query.members) {
        const auto gone = std::erase_if(after, [&](const SetMemberEdit& m) { return m.member == edit.member; });
        if (query.edit == SetEdit::remove) {
            result.removed += gone;
        } else {
            after.push_back(edit);
            result.added += gone == 0 ? 1 : 0;
        }
        if (edit.member.addr.bytes[3] == 129 && query.edit != SetEdit::remove) {
            const auto at = std::to_string(&edit - query.members.data());
            result.warnings.push_back({"never-blocked", "/members/" + at, {}, to_text(edit.member) + " stands in it"});
        }
        if (edit.member.addr.bytes[3] == 99) {
            result.enforced = false;
            result.trouble = "there is no dataplane";
        }
    }
    if (after.size() > 3) return problem(409, "set-full", "it may have three");
    if (query.edit == SetEdit::replace) result.removed = members_.size();
    members_ = std::move(after);
    result.members = members_.size();
    result.etag = "s" + std::to_string(++set_number_);
    return result;
}

}  // namespace sluice::cp::api::test
