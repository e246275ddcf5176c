#include "controlplane/api/commit_options.hpp"

#include <algorithm>

#include "controlplane/api/problem.hpp"
#include "controlplane/api/resources.hpp"
#include "controlplane/policy/schedule.hpp"

namespace sluice::cp::api {
namespace {

constexpr std::string_view kReason = "Sluice-Reason";

using MaybeProblem = std::optional<Problem>;

Problem bad_request(std::string code, std::string detail) {
    return {.status = 400, .code = std::move(code), .title = {}, .detail = std::move(detail), .errors = {}};
}

/// `If-Match: *` stands for whatever is stored; of several tags, the one that is stored counts.
MaybeProblem read_if_match(const Request& request, PolicyService& service, CommitOptions& options) {
    const auto header = request.header("If-Match");
    if (!header) return std::nullopt;
    const auto tags = parse_entity_tags(*header);
    if (!tags) {
        return bad_request("bad-if-match",
                           "If-Match is no list of quoted entity tags; send the ETag of GET /v1/policy as it is");
    }
    // A hash that no policy has, so that the service answers 412. Weak tags never match here (RFC 9110 section 13.1.1).
    options.if_match = "no-such-policy";
    const auto current = service.current();
    if (tags->any) {
        if (current) options.if_match = current->hash;
        return std::nullopt;
    }
    for (std::size_t i = 0; i < tags->tags.size(); ++i) {
        if (tags->weak[i]) continue;
        if (options.if_match == "no-such-policy" || (current && tags->tags[i] == current->hash)) {
            options.if_match = tags->tags[i];
        }
    }
    return std::nullopt;
}

/// `?at=`: when the change is to be applied.
MaybeProblem read_at(const Request& request, CommitOptions& options) {
    constexpr std::int64_t kSecondNs = 1'000'000'000;
    constexpr UnixSeconds kAheadMax = 92 * 86'400;
    for (const auto& [name, value] : request.query) {
        if (name != kAtParameter) continue;
        const auto at = parse_instant(value);
        if (!at) return bad_request("bad-query", "at: " + at.error().detail);
        if (*at <= unix_now() || *at - unix_now() > kAheadMax)
            return bad_request("bad-query", "at lies in the future, and at most 92 days ahead; it is " +
                                                instant_text(unix_now()) + " now");
        options.at_ns = *at * kSecondNs;
    }
    return std::nullopt;
}

}  // namespace

MaybeProblem read_commit_options(const Request& request, PolicyService& service, CommitOptions& options) {
    if (auto problem = read_if_match(request, service, options)) return problem;
    if (const auto header = request.header("If-None-Match")) {
        if (*header != "*")
            return bad_request("bad-if-none-match", "here If-None-Match can only be *: no policy is stored yet");
        if (options.if_match)
            return bad_request("bad-precondition", "If-Match and If-None-Match contradict each other; send one");
        options.if_none_match_any = true;
    }
    if (const auto header = request.header("Confirm-Timeout")) {
        const auto seconds = parse_number(*header);
        if (!seconds || *seconds == 0 || *seconds > kConfirmSecondsMax) {
            return bad_request("bad-confirm-timeout", "Confirm-Timeout is a whole number of seconds from 1 to 86400");
        }
        options.confirm_within = std::chrono::seconds{*seconds};
    }
    if (const auto header = request.header("Confirm-Guard")) {
        const auto guard = parse_guard(*header);
        if (!guard) return bad_request("bad-confirm-guard", "Confirm-Guard: " + guard.error());
        if (!options.confirm_within) {
            return bad_request("bad-confirm-guard", "a guard watches a commit that waits; send Confirm-Timeout too");
        }
        options.guard = *guard;
    }
    if (auto problem = read_at(request, options)) return problem;
    options.caller = caller_of(request);
    if (const auto header = request.header("Break-Glass")) {
        if (*header != "true") return bad_request("bad-break-glass", "Break-Glass can only be true");
        if (options.caller.reason.empty())
            return bad_request("reason-missing", "who breaks a freeze says why, in Sluice-Reason");
        options.break_glass = true;
    }
    return lock_out_trouble(request);
}

MaybeProblem lock_out_trouble(const Request& request) {
    const auto header = request.header("Allow-Lock-Out");
    if (!header || *header == "true") return std::nullopt;
    return bad_request("bad-allow-lock-out", "Allow-Lock-Out can only be true");
}

Caller caller_of(const Request& request) {
    return {.actor = request.actor,
            .origin = request.peer,
            .request_id = request.id,
            .reason = std::string{request.header(kReason).value_or("")},
            .path = request.path_through,
            .allow_lock_out = request.header("Allow-Lock-Out").value_or("") == "true"};
}

std::optional<std::string> reason_trouble(const Request& request) {
    const auto reason = request.header(kReason);
    if (!reason) return std::nullopt;
    if (reason->size() > kAuditReasonBytesMax) return "Sluice-Reason has more than 1000 bytes";
    const bool control = std::ranges::any_of(*reason, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
    if (control || valid_utf8(*reason) != *reason) return "Sluice-Reason is text in UTF-8 without control characters";
    return std::nullopt;
}

}  // namespace sluice::cp::api
