/// How an event is told; flows -f and watch: events as they happen, across restarts of the control plane.
#include <chrono>
#include <iostream>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "tools/sluicectl/command.hpp"
#include "tools/sluicectl/event_stream.hpp"
#include "tools/sluicectl/output.hpp"

namespace sluice::ctl {
namespace json = boost::json;
namespace {

constexpr std::chrono::seconds kReconnectPause{1};
constexpr std::chrono::milliseconds kRecordedWithin{500};

std::string field(const json::object& event, std::string_view key) {
    const auto* value = event.if_contains({key.data(), key.size()});
    if (value == nullptr || value->is_null()) return {};
    if (const auto* text = value->if_string()) return printable({text->data(), text->size()});
    return printable(json::serialize(*value));
}

/// An event without that port, as ICMP's, has none.
std::string endpoint_of(const json::object& event, std::string_view address_key, std::string_view port_key) {
    const auto* port = event.if_contains({port_key.data(), port_key.size()});
    const bool has_port = port != nullptr && port->is_number();
    return endpoint_text(field(event, address_key), has_port ? port->to_number<std::uint64_t>() : 0);
}

/// 2026-11-22T22:10:36.123Z -> 22:10:36.123, or 2026-11-22 22:10:36.123
std::string clock_text(const std::string& time, bool date) {
    if (time.size() < 23) return time;
    return (date ? time.substr(0, 10) + ' ' : "") + time.substr(11, 12);
}

/// Of the two directions.
std::string bytes_words(const json::object& event) {
    const auto* value = event.if_contains("bytes");
    const auto* pair = value == nullptr ? nullptr : value->if_array();
    if (pair == nullptr || pair->size() != 2) return {};
    return fmt::format("  {} sent, {} back", bytes_text((*pair)[0].to_number<std::uint64_t>()),
                       bytes_text((*pair)[1].to_number<std::uint64_t>()));
}

}  // namespace

std::string event_line(const json::object& event, bool date, bool colours) {
    const auto kind = field(event, "event");
    const auto word = kind == "drop" ? std::string{"drop"} : field(event, "verdict");
    const auto why = kind == "drop" ? field(event, "reason") : field(event, "rule");
    auto proto = field(event, "proto");
    if (const auto type = field(event, "icmp_type"); !type.empty()) proto += '/' + type;
    std::string line =
        fmt::format("{:<12}  {}{:<{}}  {:<8}  {:<21} -> {:<21}  {:<16}", clock_text(field(event, "time"), date),
                    painted(word, verdict_colour(word), colours), "", word.size() < 6 ? 6 - word.size() : 0, proto,
                    endpoint_of(event, "src", "sport"), endpoint_of(event, "dst", "dport"), why);
    const auto from = field(event, "from");
    const auto to = field(event, "to");
    if (!from.empty() && !to.empty()) line += "  " + from + "->" + to;
    if (kind == "observed") line += "  observed, not enforced";
    if (kind == "seq_check") line += "  " + field(event, "reason") + ", not enforced";
    if (kind == "limited") line += "  refused: " + field(event, "reason");
    if (kind == "flow_kept") line += "  kept";
    if (kind == "syn_cookie") line += "  answered with a SYN cookie";
    if (kind == "flow_end") {
        line += "  end " + field(event, "end");
        line += bytes_words(event);
    } else if (kind == "flow_start") {
        line += "  start";
    }
    return line;
}

namespace {

Colour result_colour(std::string_view result) {
    if (result == "adopted" || result == "done") return Colour::green;
    return result == "refused" || result == "failed" ? Colour::red : Colour::yellow;
}

/// 12:00:01.123  policy.put  adopted  generation 6 -> 7  by token:ci/7f3a9c21  "CHG-1"  detail
std::string policy_line(const json::object& event, bool colours) {
    const auto generation = [&](std::string_view key) {
        const auto* state = event.if_contains({key.data(), key.size()});
        return state == nullptr || !state->is_object() ? std::string{"none"} : field(state->get_object(), "generation");
    };
    const auto result = field(event, "result");
    const auto before = generation("before"), after = generation("after");
    auto line =
        fmt::format("{}  {:<16}  {}{:<{}}", clock_text(field(event, "time"), true), field(event, "action"),
                    painted(result, result_colour(result), colours), "", result.size() < 9 ? 9 - result.size() : 0);
    // Generation 0: what is meant has none yet.
    if (before != after && after != "0") line += fmt::format("  generation {} -> {}", before, after);
    line += "  by " + field(event, "actor");
    if (const auto reason = field(event, "reason"); !reason.empty()) line += "  \"" + reason + '"';
    if (const auto detail = field(event, "detail"); !detail.empty()) line += "  " + detail;
    return line;
}

class Follower {
public:
    Follower(const Context& context, std::string query)
        : context_{context}, target_{"/v1/events?" + std::move(query)} {}

    /// Where the stream is now: who goes on from there misses nothing that comes behind.
    void take_place() {
        EventStreamReader reader;
        const auto reply = context_.client.stream({.method = "GET", .target = target_, .headers = {}, .body = {}},
                                                  [&](std::string_view piece) {
                                                      for (const auto& event : reader.feed(piece))
                                                          if (!event.id.empty()) last_id_ = event.id;
                                                      return last_id_.empty();
                                                  });
        if (reply && reply->status != 200) throw CommandError{problem_text(*reply, {})};
        if (!reply && last_id_.empty()) throw CommandError{reply.error()};
    }
    /// Was shown already, as a record.
    void leave_out(ToldLines told) { told_lines_.emplace(std::move(told)); }

    int run() {
        while (true) {
            HttpRequest request{.method = "GET", .target = target_, .headers = {}, .body = {}};
            if (!last_id_.empty()) request.headers.emplace_back("Last-Event-ID", last_id_);
            EventStreamReader reader;
            const auto reply = context_.client.stream(request, [&](std::string_view piece) {
                connected_ = true;
                told_ = false;
                for (const auto& event : reader.feed(piece)) print(event);
                std::cout.flush();
                return static_cast<bool>(std::cout);
            });
            if (!std::cout) return 0;  // whoever read our output has left
            if (reply && reply->status != 200) throw CommandError{problem_text(*reply, {})};
            if (!reply && !connected_) throw CommandError{reply.error()};
            if (!told_) std::cerr << (reply ? std::string{"the stream ended"} : reply.error()) << "; trying again\n";
            told_ = true;
            std::this_thread::sleep_for(kReconnectPause);
        }
    }

private:
    void print(const ServerEvent& event) {
        if (!event.id.empty()) last_id_ = event.id;
        json::error_code error;
        const auto data = json::parse(event.data, error);
        if (error || !data.is_object()) return;
        const auto& object = data.get_object();
        if (event.type == "lost") {
            std::cerr << field(object, "lost") << " events were lost: this reader or the control plane was too slow\n";
            return;
        }
        if (event.type == "left_out") {
            std::cerr << field(object, "audit_entries") << " older entries are left out; sluicectl audit has them\n";
            return;
        }
        if (event.type == "restarted") {
            std::cerr << "the control plane was restarted: flow events in between are missing here, sluicectl flows "
                         "--since has them\n";
            return;
        }
        if (told_lines_ && told_lines_->take(json::serialize(data))) return;
        const bool policy = event.type == "policy";
        if (context_.machine()) {
            print_value(context_, data);
        } else {
            std::cout << (policy ? policy_line(object, context_.colours) : event_line(object, false, context_.colours))
                      << '\n';
        }
    }

    const Context& context_;
    const std::string target_;
    std::string last_id_;
    std::optional<ToldLines> told_lines_;
    bool connected_{};
    bool told_{};  ///< once per outage
};

}  // namespace

int follow_flows(const Context& context, const FlowsWanted& wanted) {
    const bool past = !wanted.since.empty() || !wanted.until.empty() || wanted.last;
    if (!wanted.follow) return recorded_flows(context, wanted, nullptr);
    Follower follower{context, "topics=flows" + (wanted.filter.empty() ? "" : "&filter=" + escaped(wanted.filter))};
    if (past) {
        follower.take_place();
        // What happened right before stands behind that place, and in the store only when its block is written.
        std::this_thread::sleep_for(kRecordedWithin);
        ToldLines told;
        if (const int code = recorded_flows(context, wanted, &told); code != 0) return code;
        follower.leave_out(std::move(told));
    }
    return follower.run();
}

int follow_policy(const Context& context) { return Follower{context, "topics=policy"}.run(); }

}  // namespace sluice::ctl
