/// status, get rules, get drops, get flows, get workers.
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <sstream>

#include <fmt/format.h>

#include "tools/sluicectl/command.hpp"
#include "tools/sluicectl/output.hpp"

namespace sluice::ctl {
namespace json = boost::json;
namespace {

constexpr std::uint64_t kFlowsPerPage = 1000;

std::string ago(const json::value& object, std::string_view key) {
    const auto time = text_of(object, key);
    return time.empty() ? "never" : duration_text(-seconds_from_now(time)) + " ago";
}

std::string endpoint_of(const json::value& flow, const char* address_key, const char* port_key) {
    const bool has_port = flow.as_object().contains(port_key);
    return endpoint_text(text_of(flow, address_key), has_port ? count_of(flow, port_key) : 0);
}

std::string dataplane_line(const json::value& dataplane) {
    if (!flag_of(dataplane, "connected")) return "not connected";
    const auto generation = count_of(dataplane, "generation");
    std::string line = generation == 0 ? "connected, runs no policy: all ports are closed"
                                       : fmt::format("connected, runs generation {} (from {})", generation,
                                                     text_of(dataplane, "source"));
    if (generation == 0 && flag_of(dataplane, "fail_open"))
        line = "connected, runs no policy: FAIL OPEN, all traffic passes";
    if (const auto started = text_of(dataplane, "started"); !started.empty()) {
        line += ", up " + duration_text(-seconds_from_now(started));
    }
    return line;
}

/// While a commit waits for its confirmation, the dataplane runs that one, and all is well.
std::string sync_note(const json::value& status) {
    const auto& dataplane = status.at("dataplane");
    if (flag_of(dataplane, "in_sync")) return {};
    if (text_of(status.at("policy"), "confirm_deadline").empty()) return "  NOT what the dataplane runs";
    return fmt::format("; waits for confirmation: generation {}", count_of(dataplane, "generation"));
}

/// What the dataplane took over from the process before it; nothing after a first start.
std::string restart_note(const json::value& flows) {
    const auto kept = count_of(flows, "kept"), lost = count_of(flows, "lost");
    if (kept == 0 && lost == 0) return {};
    return fmt::format("; the last restart kept {} and lost {}", count_text(kept), count_text(lost));
}

/// A figure that may be null: nothing was measured.
std::string figure_text(const json::value& object, std::string_view key) {
    const auto* figure = object.as_object().if_contains(key);
    if (figure == nullptr || !figure->is_number()) return "-";
    return fmt::format("{:.1f}", figure->to_number<double>());
}

void print_status(const json::value& answer, bool colours) {
    const auto& dataplane = answer.at("dataplane");
    const auto& policy = answer.at("policy");
    const auto& flows = answer.at("flows");
    std::string ready = painted("yes", Colour::green, colours);
    if (!flag_of(answer, "ready")) {
        std::string reasons;
        for (const auto& reason : answer.at("not_ready").as_array()) {
            if (!reasons.empty()) reasons += "; ";
            reasons += printable(std::string_view{reason.as_string()});
        }
        ready = painted("no", Colour::red, colours) + ": " + reasons;
    }
    std::cout << "ready      " << ready << '\n' << "dataplane  " << dataplane_line(dataplane) << '\n';
    if (text_of(policy, "version").empty()) {
        std::cout << "policy     none stored\n";
    } else {
        std::cout << "policy     " << text_of(policy, "version") << "  generation " << count_of(policy, "generation")
                  << sync_note(answer) << '\n';
    }
    if (const auto deadline = text_of(policy, "confirm_deadline"); !deadline.empty()) {
        std::cout << "confirm    within " << duration_text(seconds_from_now(deadline))
                  << ", else the dataplane reverts: sluicectl confirm\n";
        if (const auto guard = text_of(policy, "guard"); !guard.empty()) std::cout << "guard      " << guard << '\n';
    }
    std::cout << "flows      " << count_text(count_of(flows, "count")) << " of "
              << count_text(count_of(flows, "capacity")) << ", half-open " << count_text(count_of(flows, "half_open"))
              << " of " << count_text(count_of(flows, "half_open_max"));
    if (const auto pressure = text_of(flows, "pressure"); !pressure.empty() && pressure != "none") {
        std::cout << "; " << painted("pressure: " + pressure, Colour::red, colours);
    }
    if (flag_of(flows, "syn_cookies")) {
        std::cout << "; " << painted("SYNs are answered with cookies", Colour::red, colours);
    }
    if (const auto proxied = count_of(flows, "proxied"); proxied != 0) {
        std::cout << "; " << count_text(proxied) << " proxied";
    }
    std::cout << restart_note(flows) << '\n';
    if (const auto step = text_of(answer, "overload"); !step.empty() && step != "none") {
        std::cout << "overload   " << painted("gives up " + step, Colour::yellow, colours) << '\n';
    }
    if (const auto trouble = text_of(answer.at("audit"), "trouble"); !trouble.empty()) {
        std::cout << "audit      " << painted("in trouble", Colour::red, colours) << ": " << trouble << '\n';
    }
    // A control plane of before has no issuer.
    if (const auto* issuer = answer.as_object().if_contains("issuer"); issuer != nullptr && issuer->is_object()) {
        const auto trouble = text_of(*issuer, "trouble");
        std::cout << "issuer     " << text_of(*issuer, "name");
        if (!trouble.empty()) std::cout << "  " << painted("in trouble", Colour::red, colours) << ": " << trouble;
        std::cout << '\n';
    }
    if (const auto trouble = text_of(answer.at("flow_log"), "trouble"); !trouble.empty()) {
        std::cout << "flow log   " << painted("loses lines", Colour::red, colours) << ": " << trouble << '\n';
    }
    if (const auto trouble = text_of(answer.at("flow_records"), "trouble"); !trouble.empty()) {
        std::cout << "records    " << painted("are being lost", Colour::red, colours) << ": " << trouble << '\n';
    }
    std::cout << '\n';

    Table ports{{{"PORT"},
                 {"ZONE"},
                 {"LINK"},
                 {"RX PACKETS", Align::right},
                 {"TX PACKETS", Align::right},
                 {"DROPS", Align::right}}};
    for (const auto& port : answer.at("ports").as_array()) {
        const bool up = flag_of(port, "link_up");
        ports.add({text_of(port, "name"),
                   text_of(port, "zone"),
                   {up ? "up" : "down", up ? Colour::green : Colour::red},
                   count_text(count_of(port, "rx_packets")),
                   count_text(count_of(port, "tx_packets")),
                   count_text(count_of(port, "drops"))});
    }
    Table workers{{{"WORKER"},
                   {"LCORE", Align::right},
                   {"GENERATION", Align::right},
                   {"FLOWS", Align::right},
                   {"RECEIVED", Align::right},
                   {"HANDED OUT", Align::right},
                   {"HANDED IN", Align::right},
                   {"P50 US", Align::right},
                   {"P99 US", Align::right},
                   {"STATE"}}};
    for (const auto& worker : answer.at("workers").as_array()) {
        const bool stalled = flag_of(worker, "stalled");
        workers.add({std::to_string(count_of(worker, "worker")),
                     std::to_string(count_of(worker, "lcore")),
                     std::to_string(count_of(worker, "generation")),
                     count_text(count_of(worker, "flows")),
                     count_text(count_of(worker, "received")),
                     count_text(count_of(worker, "handed_out")),
                     count_text(count_of(worker, "handed_in")),
                     figure_text(worker.at("latency"), "p50_us"),
                     figure_text(worker.at("latency"), "p99_us"),
                     {stalled ? "stalled" : "running", stalled ? Colour::red : Colour::green}});
    }
    std::cout << ports.text(colours) << '\n' << workers.text(colours);
}

void print_flows(const json::array& flows, bool wide, bool colours) {
    std::vector<Table::Column> columns{{"PROTO"},
                                       {"SOURCE"},
                                       {"DESTINATION"},
                                       {"STATE"},
                                       {"RULE"},
                                       {"PACKETS", Align::right},
                                       {"REPLIES", Align::right},
                                       {"BYTES", Align::right},
                                       {"REPLY BYTES", Align::right},
                                       {"AGE", Align::right},
                                       {"IDLE", Align::right}};
    if (wide) columns.insert(columns.end(), {{"FROM"}, {"TO"}, {"GENERATION", Align::right}, {"WORKER", Align::right}});
    Table table{std::move(columns)};
    for (const auto& flow : flows) {
        auto proto = text_of(flow, "proto");
        if (flow.as_object().contains("icmp_type")) proto += fmt::format("/{}", count_of(flow, "icmp_type"));
        const bool icmp = flow.as_object().contains("icmp_type");
        const auto& packets = flow.at("packets").as_array();
        const auto& bytes = flow.at("bytes").as_array();
        std::vector<Table::Cell> row{proto,
                                     icmp ? text_of(flow, "src") : endpoint_of(flow, "src", "sport"),
                                     endpoint_of(flow, "dst", "dport"),
                                     text_of(flow, "state") + (flow.as_object().contains("proxied") ? " proxied" : ""),
                                     text_of(flow, "rule"),
                                     count_text(packets.at(0).to_number<std::uint64_t>()),
                                     count_text(packets.at(1).to_number<std::uint64_t>()),
                                     bytes_text(bytes.at(0).to_number<std::uint64_t>()),
                                     bytes_text(bytes.at(1).to_number<std::uint64_t>()),
                                     duration_text(number_of(flow, "age_s")),
                                     duration_text(number_of(flow, "idle_s"))};
        if (wide) {
            row.insert(row.end(),
                       {text_of(flow, "from_zone"), text_of(flow, "to_zone"),
                        std::to_string(count_of(flow, "generation")), std::to_string(count_of(flow, "worker"))});
        }
        table.add(std::move(row));
    }
    std::cout << table.text(colours);
}

}  // namespace

int status(const Context& context) {
    const auto reply = send(context, {.method = "GET", .target = "/v1/status", .headers = {}, .body = {}});
    if (context.machine()) {
        print_value(context, parse_json(reply.body));
    } else {
        print_status(parse_json(reply.body), context.colours);
    }
    return 0;
}

int get_rules(const Context& context) {
    const auto reply = send(context, {.method = "GET", .target = "/v1/rules", .headers = {}, .body = {}});
    if (context.machine()) {
        print_value(context, parse_json(reply.body));
        return 0;
    }
    Table table{{{"RULE"},
                 {"ACTION"},
                 {"MODE"},
                 {"HITS", Align::right},
                 {"PACKETS", Align::right},
                 {"BYTES", Align::right},
                 {"FIRST HIT", Align::right},
                 {"LAST HIT", Align::right}}};
    const auto rules = parse_json(reply.body);
    std::string last_word;
    for (const auto& rule : rules.as_array()) {
        if (text_of(rule, "id") == "default") last_word = text_of(rule, "action");
    }
    for (const auto& rule : rules.as_array()) {
        const auto action = text_of(rule, "action");
        table.add({text_of(rule, "id"),
                   {action == "pass" && !last_word.empty() ? "pass -> " + last_word : action, verdict_colour(action)},
                   text_of(rule, "mode"),
                   count_text(count_of(rule, "hits")),
                   count_text(count_of(rule, "packets")),
                   bytes_text(count_of(rule, "bytes")),
                   ago(rule, "first_hit"),
                   ago(rule, "last_hit")});
    }
    std::cout << table.text(context.colours);
    return 0;
}

/// How long packets of the last seconds took, and where their cycles went.
int get_workers(const Context& context) {
    const auto answer = fetch(context, {.method = "GET", .target = "/v1/status", .headers = {}, .body = {}});
    const auto& workers = answer.at("workers").as_array();
    if (context.machine()) {
        print_value(context, workers);
        return 0;
    }
    static constexpr const char* kStages[] = {"rx", "parse", "track", "classify", "admit", "act", "tx"};
    std::vector<Table::Column> columns{
        {"WORKER"}, {"MEASURED", Align::right}, {"P50 US", Align::right}, {"P99 US", Align::right}};
    for (const char* stage : kStages) {
        std::string title{stage};
        std::ranges::transform(title, title.begin(), [](unsigned char c) { return std::toupper(c); });
        columns.push_back({std::move(title), Align::right});
    }
    Table table{std::move(columns)};
    for (const auto& worker : workers) {
        const auto& latency = worker.at("latency");
        std::vector<Table::Cell> row{std::to_string(count_of(worker, "worker")),
                                     count_text(count_of(latency, "packets")), figure_text(latency, "p50_us"),
                                     figure_text(latency, "p99_us")};
        for (const char* stage : kStages) row.emplace_back(figure_text(worker.at("cycles"), stage));
        table.add(std::move(row));
    }
    std::cout << table.text(context.colours) << "cycles per packet by stage; of the last ten to twenty seconds\n";
    return 0;
}

/// From the metrics: `sluice_drop_reasons_total{port="p",reason="r"} 3`; reasons that never came are left out.
int get_drops(const Context& context) {
    const auto reply = send(context, {.method = "GET", .target = "/metrics", .headers = {}, .body = {}});
    const auto label = [](std::string_view line, std::string_view key) -> std::string {
        const auto start = line.find(key);
        if (start == std::string_view::npos) return {};
        const auto rest = line.substr(start + key.size());
        return printable(rest.substr(0, rest.find('"')));
    };
    struct Drops {
        std::string port, reason;
        std::uint64_t count{};
    };
    std::vector<Drops> drops;
    std::istringstream lines{reply.body};
    for (std::string line; std::getline(lines, line);) {
        const auto value = line.rfind(' ');
        if (!line.starts_with("sluice_drop_reasons_total{") || value == std::string::npos) continue;
        const auto count = std::strtoull(line.c_str() + value, nullptr, 10);
        if (count != 0) drops.push_back({label(line, "port=\""), label(line, "reason=\""), count});
    }
    std::ranges::stable_sort(drops, std::greater{}, &Drops::count);
    if (context.machine()) {
        json::array out;
        for (const auto& d : drops) out.push_back({{"port", d.port}, {"reason", d.reason}, {"packets", d.count}});
        print_value(context, out);
        return 0;
    }
    Table table{{{"PORT"}, {"REASON"}, {"PACKETS", Align::right}}};
    for (const auto& d : drops) table.add({d.port, d.reason, count_text(d.count)});
    std::cout << table.text(context.colours);
    return 0;
}

int end_flows(const Context& context, const std::string& filter, bool all, bool answer) {
    std::string target = fmt::format("/v1/flows?all={}&answer={}", all, answer);
    if (!filter.empty()) target += "&filter=" + escaped(filter);
    const auto result = fetch(context, {.method = "DELETE", .target = target, .headers = {}, .body = {}});
    if (context.machine()) {
        print_value(context, result);
        return 0;
    }
    const auto ended = count_of(result, "ended");
    std::cout << "ended " << count_text(ended) << (ended == 1 ? " flow" : " flows") << '\n';
    if (!result.at("complete").as_bool()) std::cerr << "time ran out before all flows were looked at; repeat\n";
    return 0;
}

int get_flows(const Context& context, std::uint64_t count_max, const std::string& filter) {
    json::array flows;
    std::string next;
    do {
        const auto wanted = std::min(count_max - flows.size(), kFlowsPerPage);
        std::string target = fmt::format("/v1/flows?limit={}", wanted);
        if (!next.empty()) target += "&cursor=" + escaped(next);
        if (!filter.empty()) target += "&filter=" + escaped(filter);
        const auto page = fetch(context, {.method = "GET", .target = target, .headers = {}, .body = {}});
        for (const auto& flow : page.at("flows").as_array()) flows.push_back(flow);
        next = text_of(page, "next");
    } while (!next.empty() && flows.size() < count_max);
    if (context.machine()) {
        json::object out{{"flows", std::move(flows)}};
        out["next"] = next.empty() ? json::value(nullptr) : json::value(next);
        print_value(context, out);
        return 0;
    }
    print_flows(flows, context.wide(), context.colours);
    if (!next.empty()) std::cerr << "there are more flows; show more with --limit\n";
    return 0;
}

}  // namespace sluice::ctl
