/// What one follower of /v1/events gets, as server-sent events (WHATWG HTML, section 9.2).
///
/// Two topics. `flows` comes from the ring of this process: what falls out before the follower takes it is counted and
/// told; with a filter it gets those that fit. `policy` is what became of the policy (who changed it, adopted, refused,
/// taken back), of changes that wait, of drafts and of this process, read from the audit: nothing of it is ever lost,
/// over restarts either; who was away for longer than kAuditEntriesBack is told how much is `left_out`.
///
/// The id of an event says how far the follower is in both: `RUN-FLOW-AUDIT`, the process that counted the flow events
/// (8 hex digits), the last flow event and the last entry of the audit. Clients send it back as it is. One that comes
/// back to another process is told so (`restarted`): how many flow events it missed nobody knows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "controlplane/lifecycle/event_filter.hpp"
#include "controlplane/lifecycle/policy_service.hpp"

namespace sluice::cp::api {

struct EventTopics {
    bool flows{true};
    bool policy{};
};
/// `flows`, `policy` or both with a comma.
std::optional<EventTopics> event_topics_from(std::string_view text);

struct EventPlace {
    std::uint64_t flow{};   ///< last flow event seen
    std::uint64_t audit{};  ///< last entry of the audit seen
};

struct EventStart {
    EventTopics topics;
    EventPlace behind;
    bool restarted{};                     ///< the client comes from another process's events
    std::uint64_t left_out{};             ///< older entries of the audit, policy's or not, that it does not get
    std::optional<EventFilter> filter{};  ///< of flow events; the others are passed over
};
/// How far back in the audit a follower may come: the topic is for every role, the audit is not.
inline constexpr std::uint64_t kAuditEntriesBack = 1000;

/// `last_id`: what the client sends in Last-Event-ID, empty = it starts now. Nothing: this is no id of ours.
std::optional<EventStart> event_start(PolicyService& service, EventTopics topics, std::string_view last_id);

class EventFeed {
public:
    EventFeed(PolicyService& service, EventStart start) : service_{service}, start_{std::move(start)} {}
    /// Where it starts: an id without an event, to come back with.
    std::string place() const { return id_line() + '\n'; }
    /// What is new, at most a page of it; empty = nothing is.
    std::string next();

private:
    void add_policy(std::string& out);
    void add_flows(std::string& out);
    std::string id_line() const;

    PolicyService& service_;
    EventStart start_;
};

}  // namespace sluice::cp::api
