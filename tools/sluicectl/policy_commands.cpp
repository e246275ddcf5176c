/// plan, apply, patch, confirm, rollback, get policy.
#include <algorithm>
#include <iostream>

#include <fmt/format.h>

#include "tools/sluicectl/command.hpp"
#include "tools/sluicectl/output.hpp"
#include "tools/sluicectl/plan_text.hpp"
#include "tools/sluicectl/policy_files.hpp"

namespace sluice::ctl {
namespace json = boost::json;
namespace {

constexpr std::string_view kBaseNone = "none";
constexpr std::size_t kBaseShown = 8;  ///< digits of a hash: enough for a slip, and no lock
constexpr std::string_view kNothingStored = "no policy is stored yet; apply one first: sluicectl apply -f FILE";

/// `words` and the member, or nothing where it is not there.
std::string told(const json::value& object, std::string_view words, std::string_view key) {
    return object.as_object().contains(key) ? fmt::format("{}{}", words, text_of(object, key)) : std::string{};
}

std::string test_lines(const json::value& plan, std::string_view file) {
    std::string out;
    for (const auto& test : plan.at("tests").as_array()) {
        if (flag_of(test, "passed")) continue;
        const bool placed = test.as_object().contains("line") && test.as_object().contains("column");
        const auto by = text_of(test, "by");
        out += fmt::format(
            "{}{}: test {} -> {}{}: expected {}{}{}, got {} by {}{}; correct the rules or the test\n",
            file_of(test.as_object(), file),
            placed ? fmt::format(":{}:{}", count_of(test, "line"), count_of(test, "column")) : std::string{},
            text_of(test, "from"), text_of(test, "to"), told(test, " ", "repeat"), text_of(test, "expect"),
            by.empty() ? std::string{} : fmt::format(" by {}", by), told(test, " at limit ", "limit"),
            text_of(test, "got"), text_of(test, "got_rule"), told(test, " at limit ", "got_limit"));
    }
    return out;
}

std::pair<std::size_t, std::size_t> passed_of_tests(const json::value& answer) {
    const auto& tests = answer.at("tests").as_array();
    std::size_t passed = 0;
    for (const auto& test : tests) passed += flag_of(test, "passed") ? 1 : 0;
    return {passed, tests.size()};
}

/// `to: shop -> canary`, `+ 0.0.0.0/0`, `- 192.0.2.1`; of an added rule `to canary`. Long values are only named.
std::string field_text(const json::value& field, bool added) {
    constexpr std::size_t kShown = 100;
    const auto name = text_of(field, "name"), before = text_of(field, "before"), after = text_of(field, "after");
    const bool item = name == "port" || name == "net" || name == "term" || name == "member";
    if (before.size() + after.size() > kShown) {
        return fmt::format("{}: {} -> {} characters, see -o json", name, before.size(), after.size());
    }
    if (item) return added ? after : before.empty() ? "+ " + after : "- " + before;
    if (before.empty()) return name.empty() ? after : name + " " + after;
    return (name.empty() ? "" : name + ": ") + before + " -> " + after;
}

std::size_t count_of_op(const json::value& plan, std::string_view op) {
    const auto& changes = plan.at("changes").as_array();
    return static_cast<std::size_t>(
        std::ranges::count_if(changes, [&](const json::value& change) { return text_of(change, "op") == op; }));
}

/// Which policy the plan compares with, where one could take it for another.
void print_compared(const json::value& plan) {
    const auto waiting = text_of(plan, "waiting");
    if (waiting.empty()) return;
    const auto stored = text_of(plan, "compared_with");
    std::cout << fmt::format("compared with {}; {} waits for confirmation\n",
                             stored.empty() ? "no policy" : "the stored policy " + stored, waiting);
}

std::uint64_t running_generation(const Context& context) {
    const auto answer = fetch(context, {.method = "GET", .target = "/v1/status", .headers = {}, .body = {}});
    const auto generation = count_of(answer.at("dataplane"), "generation");
    if (generation == 0) throw CommandError{"no generation runs; apply a policy first"};
    return generation;
}

int post_commit(const Context& context, std::uint64_t generation, std::string_view verb) {
    if (generation == 0) generation = running_generation(context);
    const auto reply = send(
        context,
        {.method = "POST", .target = fmt::format("/v1/commits/{}:{}", generation, verb), .headers = {}, .body = {}});
    return report_commit(context, reply, {});
}

}  // namespace

HttpReply send_policy(const Context& context, const HttpRequest& request, const PolicyText& policy) {
    HttpReply reply = exchange(context, request);
    if (!policy.files.empty()) {
        json::error_code error;
        auto answer = json::parse(reply.body, error);
        if (!error) {
            policy.place(answer);
            reply.body = json::serialize(answer);
        }
    }
    if (reply.status >= 400) throw CommandError{problem_text(reply, policy.name)};
    return reply;
}

std::optional<std::string> stored_etag(const Context& context) {
    const HttpRequest request{.method = "GET", .target = "/v1/policy", .headers = {}, .body = {}};
    const auto reply = context.client.send(request);
    if (!reply) throw CommandError{reply.error()};
    if (reply->status == 404) return std::nullopt;
    if (reply->status != 200) throw CommandError{problem_text(*reply, {})};
    return reply->etag;
}

bool add_condition(const Context& context, HttpRequest& request, const std::string& base) {
    constexpr std::size_t kDigitsMin = 6;
    const bool is_hash = base.size() >= kDigitsMin && base.find_first_not_of("0123456789abcdef") == base.npos;
    if (!base.empty() && base != kBaseNone && !is_hash)
        throw CommandError{
            fmt::format("--base \"{}\" is no hash of a policy; write at least {} of its digits, as "
                        "plan prints them, or {}",
                        base, kDigitsMin, kBaseNone)};
    const auto stored = stored_etag(context);
    if (base == kBaseNone || (base.empty() && !stored)) {
        request.headers.emplace_back("If-None-Match", "*");
        return base == kBaseNone;
    }
    // Another policy is refused by the server, which may know the answer already (--idempotency-key).
    const bool is_stored = stored && (base.empty() || stored->starts_with('"' + base));
    request.headers.emplace_back("If-Match", is_stored ? *stored : '"' + base + '"');
    return true;
}

int report_commit(const Context& context, const HttpReply& reply, std::string_view file) {
    const auto answer = parse_json(reply.body);
    const auto* waiting = answer.at("change").if_object();
    const bool waits = text_of(answer, "state") == "waiting" && waiting != nullptr;
    const int code = waits && text_of(*waiting, "state") == "pending" ? kExitWaits : 0;
    if (context.machine()) {
        print_value(context, parse_json(reply.body));
        return code;
    }
    std::cerr << error_lines(answer.at("warnings").as_array(), file);
    const auto state = text_of(answer, "state");
    const auto generation = count_of(answer, "generation");
    const auto [passed, tests] = passed_of_tests(answer);
    std::cout << "policy " << text_of(answer, "version");
    if (generation != 0) std::cout << "  generation " << generation;
    if (tests > 0) std::cout << "  " << passed << '/' << tests << " tests";
    if (state == "unchanged") std::cout << "  unchanged";
    std::cout << '\n';
    if (state == "pending_confirmation") {
        const auto left = seconds_from_now(text_of(answer, "confirm_deadline"));
        std::cout << "confirm within " << duration_text(left) << ", else the dataplane reverts: sluicectl confirm "
                  << generation << '\n';
    }
    if (state == "stalled") {
        std::string names;
        for (const auto& worker : answer.at("stalled_workers").as_array()) {
            if (!names.empty()) names += ", ";
            names += printable(std::string_view{worker.as_string()});
        }
        std::cerr << "adopted by all but: " << names << "; look at sluicectl status\n";
    }
    if (waits) print_waiting(answer.at("change"));
    return code;
}

void add_time(HttpRequest& request, const std::string& at) {
    if (at.empty()) return;
    request.target += (request.target.find('?') == std::string::npos ? "?at=" : "&at=") + escaped(at);
}

void add_permissions(const Context& context, HttpRequest& request) {
    if (context.break_glass) request.headers.emplace_back("Break-Glass", "true");
    if (context.force) request.headers.emplace_back("Allow-Lock-Out", "true");
}

void add_commit_headers(const Context& context, HttpRequest& request, const std::string& duration,
                        const std::string& guard) {
    add_permissions(context, request);
    if (!guard.empty()) {
        if (duration.empty()) throw CommandError{"--guard watches what waits for its confirmation; give --confirm too"};
        request.headers.emplace_back("Confirm-Guard", guard);
    }
    if (duration.empty()) return;
    const auto seconds = parse_duration_s(duration);
    if (!seconds)
        throw CommandError{
            fmt::format("--confirm \"{}\" is no duration; write 10m, 90s or 1h30m, at most 24h", duration)};
    request.headers.emplace_back("Confirm-Timeout", std::to_string(*seconds));
}

void print_change(const json::value& change, bool colours) {
    constexpr std::size_t kFieldsShown = 8;
    const auto op = text_of(change, "op"), id = text_of(change, "id");
    const bool added = op == "add";
    auto line = fmt::format("{} {}{}{}",
                            added            ? '+'
                            : op == "remove" ? '-'
                            : op == "move"   ? '^'
                                             : '~',
                            text_of(change, "kind"), id.empty() ? "" : " ", id);
    const auto& fields = change.at("fields").as_array();
    for (std::size_t i = 0; i < fields.size() && i < kFieldsShown; ++i) line += "  " + field_text(fields[i], added);
    if (fields.size() > kFieldsShown) line += fmt::format("  and {} more, see -o json", fields.size() - kFieldsShown);
    const auto colour = added ? Colour::green : op == "remove" ? Colour::red : Colour::yellow;
    std::cout << painted(line, colour, colours) << '\n';
}

int report_plan(const Context& context, const HttpReply& reply, const std::optional<std::string>& stored,
                const std::string& file, const std::string& how) {
    const auto answer = parse_json(reply.body);
    const bool good = flag_of(answer, "ok");
    const bool same = stored && *stored == fmt::format("\"{}\"", text_of(answer, "hash"));
    if (context.machine()) {
        print_value(context, parse_json(reply.body));
        return good ? (same ? kExitSame : kExitChanges) : kExitError;
    }
    const auto& errors = answer.at("errors").as_array();
    std::cerr << error_lines(errors, file) << error_lines(answer.at("warnings").as_array(), file)
              << test_lines(answer, file);
    if (!good) {
        const auto [passed, tests] = passed_of_tests(answer);
        if (errors.empty()) {
            std::cerr << fmt::format("sluicectl: {} of {} policy tests failed; nothing would be applied\n",
                                     tests - passed, tests);
        } else {
            std::cerr << fmt::format("sluicectl: {} error{} in the policy; nothing would be applied\n", errors.size(),
                                     errors.size() == 1 ? "" : "s");
        }
        return kExitError;
    }
    print_compared(answer);
    for (const auto& change : answer.at("changes").as_array()) print_change(change, context.colours);
    std::cout << effect_lines(answer, context.colours) << flow_lines(answer, context.colours)
              << finding_lines(answer, file);
    const auto [passed, tests] = passed_of_tests(answer);
    std::cout << fmt::format("tests {} passed, {} failed\n", passed, tests - passed);
    if (same) {
        std::cout << fmt::format("plan {}: no changes\n", text_of(answer, "version"));
        return kExitSame;
    }
    std::cout << fmt::format(
        "plan {}: {} to add, {} to change, {} to move, {} to remove.  apply with: sluicectl {} --confirm 10m\n",
        text_of(answer, "version"), count_of_op(answer, "add"), count_of_op(answer, "change"),
        count_of_op(answer, "move"), count_of_op(answer, "remove"), how);
    return kExitChanges;
}

int plan(const Context& context, const std::vector<std::string>& files, const std::string& flows_since) {
    const PolicyText policy = read_policy_files(files);
    HttpRequest request{.method = "PUT", .target = "/v1/policy?dry_run=true", .headers = {}, .body = policy.text};
    if (!flows_since.empty()) request.target += "&flows_since=" + escaped(flows_since);
    request.headers.emplace_back("Content-Type", policy.content_type);
    // Asked for before the plan: if another policy comes between, it is not taken for the one that was compared with.
    const auto etag = stored_etag(context);
    const auto base = etag ? etag->substr(1, kBaseShown) : std::string{kBaseNone};
    return report_plan(context, send_policy(context, request, policy), etag, policy.name,
                       fmt::format("apply -f {} --base {}", policy.name, base));
}

int apply(const Context& context, const ApplyOptions& options) {
    const PolicyText policy = read_policy_files(options.files);
    HttpRequest request{.method = "PUT", .target = "/v1/policy", .headers = {}, .body = policy.text};
    request.headers.emplace_back("Content-Type", policy.content_type);
    add_commit_headers(context, request, options.confirm, options.guard);
    add_time(request, options.at);
    (void)add_condition(context, request, options.base);
    return report_commit(context, send_policy(context, request, policy), policy.name);
}

int patch(const Context& context, const std::string& file, const std::string& confirm_duration,
          const std::string& guard, const std::string& at, const std::string& base) {
    HttpRequest request{.method = "PATCH",
                        .target = "/v1/policy",
                        .headers = {{"Content-Type", "application/json"}},
                        .body = read_file(file)};
    add_commit_headers(context, request, confirm_duration, guard);
    add_time(request, at);
    if (!add_condition(context, request, base)) throw CommandError{std::string{kNothingStored}};
    return report_commit(context, send(context, request, file), file);
}

int show_commit(const Context& context, std::uint64_t generation) {
    if (generation == 0) generation = running_generation(context);
    const auto answer = fetch(
        context, {.method = "GET", .target = fmt::format("/v1/commits/{}", generation), .headers = {}, .body = {}});
    if (context.machine()) {
        print_value(context, answer);
        return 0;
    }
    std::cout << fmt::format("generation {}  {}", generation, text_of(answer, "state"));
    if (const auto hash = text_of(answer, "hash"); !hash.empty()) std::cout << "  policy " << hash.substr(0, 6);
    std::cout << '\n';
    const auto line = [&](std::string_view label, const std::string& text) {
        if (!text.empty()) std::cout << fmt::format("{:<10} {}\n", label, text);
    };
    if (const auto by = text_of(answer, "by"); !by.empty()) line("asked", text_of(answer, "asked") + " by " + by);
    line("reason", text_of(answer, "reason"));
    line("since", text_of(answer, "settled"));
    line("why", text_of(answer, "detail"));
    if (const auto deadline = text_of(answer, "confirm_deadline"); !deadline.empty())
        line("confirm", "within " + duration_text(seconds_from_now(deadline)));
    line("guard", text_of(answer, "guard"));
    return 0;
}

int confirm(const Context& context, std::uint64_t generation) { return post_commit(context, generation, "confirm"); }

int rollback(const Context& context) { return post_commit(context, 0, "rollback"); }

int roll_back_to(const Context& context, std::uint64_t generation, const std::string& confirm_duration,
                 const std::string& guard, const std::string& at, const std::string& base) {
    HttpRequest request{
        .method = "POST", .target = fmt::format("/v1/history/{}:restore", generation), .headers = {}, .body = {}};
    add_commit_headers(context, request, confirm_duration, guard);
    add_time(request, at);
    if (!add_condition(context, request, base)) throw CommandError{std::string{kNothingStored}};
    return report_commit(context, send(context, request), {});
}

int get_policy(const Context& context) {
    HttpRequest request{.method = "GET", .target = "/v1/policy", .headers = {}, .body = {}};
    if (context.output == OutputForm::json) request.headers.emplace_back("Accept", "application/json");
    const auto reply = send(context, request);
    if (context.output == OutputForm::yaml && reply.content_type.starts_with("application/json")) {
        print_value(context, parse_json(reply.body));
        return 0;
    }
    std::cout << reply.body;
    if (!reply.body.ends_with('\n')) std::cout << '\n';
    return 0;
}

}  // namespace sluice::ctl
