#include "controlplane/api/once.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include <boost/json.hpp>

#include "controlplane/api/problem.hpp"
#include "controlplane/store/answer_store.hpp"
#include "controlplane/store/audit_entry.hpp"
#include "controlplane/store/wall_clock.hpp"

namespace sluice::cp::api {
namespace json = boost::json;
namespace {

constexpr std::size_t kKeyCharsMax = 128;

bool is_key(std::string_view key) {
    return !key.empty() && key.size() <= kKeyCharsMax &&
           std::ranges::all_of(key, [](char c) { return c > ' ' && c <= '~'; });
}

/// What makes two requests the same. Not the precondition, nor leave to pass a freeze: who asks again has read the
/// policy again, or has that leave by now.
std::string digest_of(const Request& request) {
    std::string text;
    const auto add = [&](std::string_view part) {
        text += std::to_string(part.size()) + ' ';
        text += part;
    };
    add(request.method);
    add(request.path);
    for (const auto& [name, value] : request.query) {
        add(name);
        add(value);
    }
    for (const auto* name : {"Content-Type", "Confirm-Timeout", "Confirm-Guard"})
        add(request.header(name).value_or(""));
    add(request.body);
    return sha256_hex(text);
}

std::string to_text(const Response& response) {
    json::array headers;
    for (const auto& header : response.headers) headers.push_back(json::array{header.name, header.value});
    return json::serialize(json::object{{"status", response.status},
                                        {"content_type", response.content_type},
                                        {"headers", std::move(headers)},
                                        {"body", response.body}});
}

std::string string_of(const json::value& value) {
    const auto& text = value.as_string();
    return {text.data(), text.size()};
}

/// Rows are ours, but the file is a file.
std::optional<Response> response_from(std::string_view text) {
    try {
        const auto kept = json::parse({text.data(), text.size()});
        Response response;
        response.status = static_cast<int>(kept.at("status").as_int64());
        response.content_type = string_of(kept.at("content_type"));
        for (const auto& header : kept.at("headers").as_array())
            response.headers.push_back({string_of(header.at(0)), string_of(header.at(1))});
        response.body = string_of(kept.at("body"));
        return response;
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

/// A commit that was on probation then, and is not in force: what its answer says is not so any more.
bool has_ended(const Response& kept, PolicyService& service) {
    if (kept.status != 202) return false;
    try {
        const auto body = json::parse(kept.body);
        if (string_of(body.at("state")) != "pending_confirmation") return false;
        const auto status = service.status();
        if (!status.dataplane_connected) return false;  // nobody knows what runs
        return status.running_generation != body.at("generation").to_number<std::uint64_t>() &&
               status.running_hash != string_of(body.at("hash"));
    } catch (const std::exception&) {
        return false;
    }
}

/// It may have been done, and nobody could say so.
bool is_unknown(const Response& response) {
    return response.status == 503 && response.body.find("\"outcome-unknown\"") != std::string::npos;
}

}  // namespace

Response answer_once(const Request& request, PolicyService& service, const std::function<Response()>& handle) {
    const auto header = request.header("Idempotency-Key");
    if (!header) return handle();
    if (!is_key(*header)) {
        return problem_response(400, "bad-idempotency-key",
                                "Idempotency-Key is 1 to 128 visible characters without spaces", request.id);
    }
    const AnswerKey key{request.actor, *header};
    const auto digest = digest_of(request);
    const auto kept = service.answers().begin(key, digest, wall_clock_ns());
    if (!kept) {
        return problem_response(507, "storage-full", kept.error().what + "; nothing was done", request.id);
    }
    if (*kept) {
        if ((*kept)->request != digest) {
            return problem_response(422, "idempotency-key-reused",
                                    "this key was sent with another request; take another key", request.id);
        }
        auto response = (*kept)->answer ? response_from(*(*kept)->answer) : std::nullopt;
        if (!response) {
            return problem_response(409, "idempotency-outcome-unknown",
                                    "this request was begun and never settled; GET /v1/status and /v1/history show "
                                    "what came of it",
                                    request.id);
        }
        if (has_ended(*response, service)) {
            return problem_response(409, "commit-ended",
                                    "this key's commit is not in force any more: not confirmed in time, left again, or "
                                    "another one came since; take another key to try once more",
                                    request.id);
        }
        response->headers.push_back({"Idempotency-Replayed", "true"});
        return std::move(*response);
    }
    Response response;
    try {
        response = handle();
    } catch (...) {
        (void)service.answers().forget(key);
        throw;
    }
    // What can't be kept leaves a row without an answer: nobody is told something else the second time; nor is whoever
    // asks behind a dataplane that went away before its answer. Any other refusal has changed nothing, and may be none
    // by the next time: a freeze ends, a confirmation comes.
    if (is_unknown(response)) return response;
    if (response.status >= 400) {
        (void)service.answers().forget(key);
    } else {
        (void)service.answers().finish(key, to_text(response));
    }
    return response;
}

Handler once(PolicyService& service, Handler handler) {
    return [&service, handler = std::move(handler)](const Request& request, const PathParameters& parameters) {
        return answer_once(request, service, [&] { return handler(request, parameters); });
    };
}

}  // namespace sluice::cp::api
