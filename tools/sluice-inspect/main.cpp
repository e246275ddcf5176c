/// sluice-inspect: what a running dataplane really holds, read over its tables socket as any inspector may. Needs no
/// control plane.
#include <fmt/format.h>

#include <string>
#include <string_view>

#include "tools/sluice-inspect/print.hpp"

namespace sluice::inspect {

std::string json_text(std::string_view text) {
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') quoted += '\\';
        if (static_cast<unsigned char>(c) < 0x20) {
            quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
            quoted += c;
        }
    }
    return quoted + '"';
}

namespace {

constexpr int kExitUsage = 2;

int usage() {
    fmt::print(stderr,
               "usage: sluice-inspect [--socket /run/sluice/tables.sock] [--json] generation | counters | status\n");
    return kExitUsage;
}

int run(int argc, char** argv) {
    std::string socket = "/run/sluice/tables.sock", command;
    bool json = false;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        const bool has_value = i + 1 < argc;
        if (argument == "--json") {
            json = true;
        } else if (argument == "-o" && has_value) {
            const std::string_view format = argv[++i];
            if (format != "json" && format != "table") return usage();
            json = format == "json";
        } else if (argument == "--socket" && has_value) {
            socket = argv[++i];
        } else if (command.empty() && !argument.starts_with('-')) {
            command = argument;
        } else {
            return usage();
        }
    }
    if (command != "generation" && command != "counters" && command != "status") return usage();
    auto connection = Connection::open(socket);
    if (!connection) {
        fmt::print(stderr, "sluice-inspect: {}\n", connection.error());
        return 1;
    }
    if (command == "generation") return print_generation(*connection, json);
    return command == "counters" ? print_counters(*connection, json) : print_status(*connection, json);
}

}  // namespace
}  // namespace sluice::inspect

int main(int argc, char** argv) { return sluice::inspect::run(argc, argv); }
