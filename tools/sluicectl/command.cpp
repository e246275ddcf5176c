#include "tools/sluicectl/command.hpp"

#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <system_error>
#include <thread>

#include <fmt/format.h>

#include "tools/sluicectl/output.hpp"

namespace sluice::ctl {
namespace json = boost::json;

HttpReply exchange(const Context& context, const HttpRequest& request) {
    auto whole = request;
    if (!context.reason.empty()) whole.headers.emplace_back("Sluice-Reason", context.reason);
    if (!context.idempotency_key.empty() && request.method != "GET")
        whole.headers.emplace_back("Idempotency-Key", context.idempotency_key);
    // Scripts and pages come faster than one client may ask: such a request was not looked at, so it is sent again.
    constexpr int kPatience = 5;
    for (int attempt = 1;; ++attempt) {
        auto reply = context.client.send(whole);
        if (!reply) throw CommandError{reply.error()};
        const bool too_often = reply->status == 429 && reply->body.find("\"too-many-requests\"") != std::string::npos;
        if (!too_often || attempt == kPatience) return std::move(*reply);
        std::this_thread::sleep_for(std::chrono::seconds{1});
    }
}

HttpReply send(const Context& context, const HttpRequest& request, std::string_view file) {
    auto reply = exchange(context, request);
    if (reply.status >= 400) throw CommandError{problem_text(reply, file)};
    return reply;
}

json::value fetch(const Context& context, const HttpRequest& request, std::string_view file) {
    return parse_json(send(context, request, file).body);
}

json::value parse_json(std::string_view text) {
    json::error_code error;
    auto value = json::parse({text.data(), text.size()}, error);
    if (error) throw CommandError{"the server's answer is no JSON: " + error.message()};
    return value;
}

std::string error_lines(const json::array& errors, std::string_view file) {
    std::string out;
    for (const auto& error : errors) {
        const auto& object = error.as_object();
        std::string place = file_of(object, file);
        if (object.contains("line")) {
            place += fmt::format("{}{}:{}", place.empty() ? "" : ":", count_of(error, "line"),
                                 object.contains("column") ? count_of(error, "column") : 1);
        } else if (const auto pointer = text_of(error, "pointer"); !pointer.empty()) {
            place += (place.empty() ? "" : ": ") + pointer;
        }
        out += (place.empty() ? "" : place + ": ") + text_of(error, "detail") + '\n';
    }
    return out;
}

std::string problem_text(const HttpReply& reply, std::string_view file) {
    json::error_code error;
    const auto document = json::parse(reply.body, error);
    if (error || !document.is_object() || !document.get_object().contains("detail")) {
        return fmt::format("the server answered with status {} and no explanation; is this a Sluice control plane?",
                           reply.status);
    }
    std::string out;
    if (const auto* errors = document.get_object().if_contains("errors"); errors != nullptr) {
        out = error_lines(errors->as_array(), file);
    }
    const bool token_problem = reply.status == 401;
    out += text_of(document, "detail");
    if (token_problem) out += " (--token-file, SLUICE_TOKEN_FILE or SLUICE_TOKEN)";
    return out;
}

std::string file_of(const json::object& told, std::string_view otherwise) {
    const auto* file = told.if_contains("file");
    return file == nullptr ? std::string{otherwise} : printable(std::string_view{file->as_string()});
}

std::string text_of(const json::value& object, std::string_view key) {
    const auto& value = object.as_object().at({key.data(), key.size()});
    if (value.is_null()) return {};
    const auto& text = value.as_string();
    return printable({text.data(), text.size()});
}

std::uint64_t count_of(const json::value& object, std::string_view key) {
    return object.as_object().at({key.data(), key.size()}).to_number<std::uint64_t>();
}

double number_of(const json::value& object, std::string_view key) {
    return object.as_object().at({key.data(), key.size()}).to_number<double>();
}

bool flag_of(const json::value& object, std::string_view key) {
    return object.as_object().at({key.data(), key.size()}).as_bool();
}

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    return out;
}

std::string read_file(const std::string& path) {
    if (path == "-") return {std::istreambuf_iterator<char>{std::cin}, {}};
    std::error_code error;
    // A stream would open it, and throw when it is read.
    if (std::filesystem::is_directory(path, error)) throw CommandError{path + ": is a folder; name the policy's file"};
    std::ifstream in{path, std::ios::binary};
    std::string text;
    if (in) text.assign(std::istreambuf_iterator<char>{in}, {});
    if (!in) throw CommandError{fmt::format("{}: cannot read it: {}; check the path", path, std::strerror(errno))};
    return text;
}

std::optional<std::uint64_t> parse_duration_s(std::string_view text, std::uint64_t seconds_max) {
    std::uint64_t total = 0;
    if (text.empty()) return std::nullopt;
    while (!text.empty()) {
        std::uint64_t number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc{} || number > seconds_max) return std::nullopt;
        text.remove_prefix(static_cast<std::size_t>(end - text.data()));
        std::uint64_t unit_s = 1;
        if (!text.empty()) {
            if (text.front() == 'd') {
                unit_s = 86'400;
            } else if (text.front() == 'h') {
                unit_s = 3600;
            } else if (text.front() == 'm') {
                unit_s = 60;
            } else if (text.front() != 's') {
                return std::nullopt;
            }
            text.remove_prefix(1);
        }
        total += number * unit_s;
    }
    return total >= 1 && total <= seconds_max ? std::optional{total} : std::nullopt;
}

}  // namespace sluice::ctl
