/// shadow: start, show and stop a policy that is asked about new flows and decides nothing.
#include <iostream>

#include <fmt/format.h>

#include "tools/sluicectl/command.hpp"
#include "tools/sluicectl/output.hpp"
#include "tools/sluicectl/policy_files.hpp"

namespace sluice::ctl {
namespace json = boost::json;
namespace {

constexpr std::size_t kPairsShown = 20;

std::string decision_text(const json::value& decision, bool colours) {
    const auto verdict = text_of(decision, "verdict"), rule = text_of(decision, "rule");
    return painted(verdict, verdict_colour(verdict), colours) + " by " + (rule.empty() ? "a rule that is gone" : rule);
}

std::string flow_text(const json::value& flow) {
    const auto port = [&](const char* name) {
        return flow.as_object().contains(name) ? count_of(flow, name) : std::uint64_t{0};
    };
    auto text = fmt::format("{} -> {} {}", endpoint_text(text_of(flow, "src"), port("sport")),
                            endpoint_text(text_of(flow, "dst"), port("dport")), text_of(flow, "proto"));
    if (flow.as_object().contains("icmp_type"))
        text += fmt::format(" {}/{}", count_of(flow, "icmp_type"), count_of(flow, "icmp_code"));
    return text + "  in " + text_of(flow, "in_port") + "  " + text_of(flow, "time");
}

void print_pairs(const json::value& shadow, bool colours) {
    const auto& pairs = shadow.at("pairs").as_array();
    std::uint64_t left_out = count_of(shadow, "flows_left_out");
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        const auto flows = count_of(pairs[i], "flows");
        if (i >= kPairsShown) {
            left_out += flows;
            continue;
        }
        std::cout << fmt::format("{:>10}  {}, would be {}\n", count_text(flows),
                                 decision_text(pairs[i].at("live"), colours),
                                 decision_text(pairs[i].at("shadow"), colours));
        for (const auto& flow : pairs[i].at("examples").as_array())
            std::cout << "            " << flow_text(flow) << '\n';
    }
    if (left_out != 0) std::cout << fmt::format("{:>10}  by other pairs of rules\n", count_text(left_out));
}

/// What was not seen, always said: no figure of a shadow is a total.
std::string unseen_text(const json::value& shadow) {
    const auto& unseen = shadow.at("unseen");
    std::string text;
    const auto add = [&](const char* key, const char* what) {
        if (const auto count = count_of(unseen, key); count != 0)
            text += (text.empty() ? "" : ", ") + count_text(count) + " " + what;
    };
    add("sampled", "sampled away");
    add("lost", "or fewer lost in the rings");
    add("queue", "faster than it can be asked");
    add("unplaced", "from a port without a place in it");
    if (const auto seconds = number_of(shadow, "unwatched_s"); seconds >= 1)
        text += (text.empty() ? "" : ", ") + ("those of " + duration_text(seconds)) + " without a dataplane that tells";
    return text.empty() ? "none that is known of" : text;
}

int report(const Context& context, const HttpReply& reply) {
    if (context.machine()) {
        print_value(context, parse_json(reply.body));
        return 0;
    }
    const auto answer = parse_json(reply.body);
    const auto& shadow = answer.at("shadow");
    if (shadow.is_null()) {
        std::cout << "no shadow policy runs\n";
        return 0;
    }
    const bool watching = flag_of(shadow, "watching");
    const auto trouble = text_of(shadow, "trouble"), reason = text_of(shadow, "reason");
    std::cout << fmt::format(
        "shadow     {}  {}\n", text_of(shadow, "version"),
        painted(watching ? "is asked" : "is not asked", watching ? Colour::green : Colour::yellow, context.colours));
    if (!trouble.empty()) std::cout << "trouble    " << trouble << '\n';
    std::cout << fmt::format("started    {} by {}{}{}\n", text_of(shadow, "started_at"), text_of(shadow, "started_by"),
                             shadow.at("draft").is_null() ? "" : ", draft " + text_of(shadow, "draft"),
                             reason.empty() ? "" : ": " + reason);
    if (shadow.at("since").is_null()) return 0;
    std::cout << fmt::format("asked      about {} new flows since {}\n", count_text(count_of(shadow, "flows")),
                             text_of(shadow, "since"))
              << fmt::format("not seen   {}\n", unseen_text(shadow))
              << fmt::format("otherwise  {} would have got another verdict, {} the same by another rule\n",
                             count_text(count_of(shadow, "changed")), count_text(count_of(shadow, "other_rule")));
    print_pairs(shadow, context.colours);
    return 0;
}

HttpRequest request_of(std::string method, std::string target) {
    return {.method = std::move(method), .target = std::move(target), .headers = {}, .body = {}};
}

}  // namespace

int shadow_start(const Context& context, const std::vector<std::string>& files, const std::string& draft) {
    if (files.empty() == draft.empty()) throw CommandError{"say which policy: -f FILE, or --draft NAME"};
    if (!draft.empty()) return report(context, send(context, request_of("POST", draft_path(draft, ":shadow")), draft));
    const PolicyText policy = read_policy_files(files);
    auto request = request_of("PUT", "/v1/shadow");
    request.body = policy.text;
    request.headers.emplace_back("Content-Type", policy.content_type);
    return report(context, send_policy(context, request, policy));
}

int shadow_show(const Context& context) { return report(context, send(context, request_of("GET", "/v1/shadow"))); }

int shadow_stop(const Context& context) {
    const auto reply = send(context, request_of("DELETE", "/v1/shadow"));
    if (!context.machine()) std::cout << "no longer asked; what it had counted:\n";
    return report(context, reply);
}

}  // namespace sluice::ctl
