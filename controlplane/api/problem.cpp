#include "controlplane/api/problem.hpp"

#include <algorithm>

#include <boost/json.hpp>

namespace sluice::cp::api {
namespace json = boost::json;
namespace {

/// Bytes of the well-formed sequence at the front (Unicode 15, table 3-7), 0 if there is none.
std::size_t utf8_length(std::string_view text) noexcept {
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
    const auto continues = [&](std::size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
    const unsigned first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return continues(1) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        const bool overlong = first == 0xe0 && byte(1) < 0xa0;
        const bool surrogate = first == 0xed && byte(1) > 0x9f;
        return continues(1) && continues(2) && !overlong && !surrogate ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        const bool overlong = first == 0xf0 && byte(1) < 0x90;
        const bool too_large = first == 0xf4 && byte(1) > 0x8f;
        return continues(1) && continues(2) && continues(3) && !overlong && !too_large ? 4 : 0;
    }
    return 0;
}

}  // namespace

std::string valid_utf8(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length == 0) {
            out += "\xef\xbf\xbd";
            text.remove_prefix(1);
        } else {
            out.append(text.substr(0, length));
            text.remove_prefix(length);
        }
    }
    return out;
}

std::string_view reason_phrase(int status) noexcept {
    switch (status) {
        case 200: return "OK";
        case 202: return "Accepted";
        case 304: return "Not Modified";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 406: return "Not Acceptable";
        case 408: return "Request Timeout";
        case 409: return "Conflict";
        case 410: return "Gone";
        case 412: return "Precondition Failed";
        case 413: return "Content Too Large";
        case 415: return "Unsupported Media Type";
        case 417: return "Expectation Failed";
        case 422: return "Unprocessable Content";
        case 428: return "Precondition Required";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 503: return "Service Unavailable";
        case 505: return "HTTP Version Not Supported";
        case 507: return "Insufficient Storage";
        default: return "Error";
    }
}

json::array errors_json(const PolicyErrors& errors, std::size_t count_max) {
    json::array out;
    out.reserve(std::min(errors.size(), count_max));
    for (const auto& error : errors) {
        if (out.size() == count_max) break;
        json::object item;
        item["pointer"] = valid_utf8(error.pointer);
        if (error.pos.line != 0) item["line"] = error.pos.line;
        if (error.pos.column != 0) item["column"] = error.pos.column;
        item["code"] = error.code;
        item["detail"] = valid_utf8(error.detail);
        out.push_back(std::move(item));
    }
    return out;
}

Response problem_response(const Problem& problem, std::string_view request_id,
                          const std::vector<std::string>& reasons) {
    json::object document;
    document["type"] = "urn:sluice:problem:" + problem.code;
    document["title"] = problem.title.empty() ? std::string{reason_phrase(problem.status)} : valid_utf8(problem.title);
    document["status"] = problem.status;
    document["code"] = problem.code;
    document["detail"] = valid_utf8(problem.detail);
    document["request_id"] = std::string{request_id};
    if (!problem.errors.empty()) document["errors"] = errors_json(problem.errors);
    if (problem.errors.size() > kProblemErrorsMax)
        document["errors_omitted"] = problem.errors.size() - kProblemErrorsMax;
    if (!reasons.empty()) {
        json::array list;
        for (const auto& reason : reasons) list.emplace_back(valid_utf8(reason));
        document["reasons"] = std::move(list);
    }
    Response response = json_response(problem.status, json::serialize(document));
    response.content_type = "application/problem+json";
    if (problem.status == 503) response.headers.push_back({"Retry-After", "1"});
    return response;
}

Response problem_response(int status, std::string_view code, std::string_view detail, std::string_view request_id) {
    return problem_response(
        Problem{.status = status, .code = std::string{code}, .title = {}, .detail = std::string{detail}, .errors = {}},
        request_id);
}

}  // namespace sluice::cp::api
