/// libFuzzer target for what a peer can say over HTTP: http_fuzz [-max_total_time=60] CORPUS_DIR. Input: the bytes of a
/// connection, one request behind the other. They go through the session's own parser and limits, the gateway, and the
/// handlers over a policy service in memory. Every answer is well-formed; nothing is told to who has no token.
#include <boost/json/parse.hpp>

#include <algorithm>
#include <array>

#include "controlplane/api/http_session.hpp"
#include "controlplane/api/resources.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/unit/controlplane/api/memory_policy_service.hpp"

namespace {

using namespace sluice::cp::api;
using sluice::test::must;

constexpr std::string_view kToken = "fuzz-token";
constexpr std::size_t kRequestsMax = 8;

bool is_field_text(std::string_view text) {
    return std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

void check(const Response& response) {
    must(response.status >= 200 && response.status < 600 && response.status != 500, "a status that we mean");
    must(is_field_text(response.content_type), "a content type without control characters");
    for (const auto& header : response.headers) {
        must(!header.name.empty() && is_field_text(header.name) && is_field_text(header.value),
             "a header without control characters");
    }
    if (response.content_type.find("json") != std::string::npos) {
        boost::system::error_code error;
        (void)boost::json::parse(response.body, error);
        must(!error, "a JSON body is JSON in UTF-8");
    }
}

/// Words that make the service in memory sleep or throw on purpose: they are no finding.
bool steers(std::string_view body) {
    constexpr std::array<std::string_view, 2> kWords{"SLOW", "THROW"};
    return std::ranges::any_of(kWords, [&](auto word) { return body.find(word) != std::string_view::npos; });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view left{reinterpret_cast<const char*>(data), size};
    if (steers(left)) return 0;
    test::MemoryPolicyService service;
    service.add_events(3, 10);
    ApiCounters counters;
    const Router router = make_router(service, counters);
    const Gateway gateway{router, BearerAuth{kToken}, false, counters};
    const ApiLimits limits{.body_bytes_max = 64 * 1024};

    for (std::size_t n = 0; n < kRequestsMax; ++n) {
        auto read = request_from(left, limits);
        if (!read) return 0;
        if (read->refused) {
            check(*read->refused);
            return 0;
        }
        must(read->bytes != 0 && read->bytes <= left.size(), "a request has bytes, and no more than there are");
        left.remove_prefix(read->bytes);
        must(read->request.body.size() <= limits.body_bytes_max, "no body above the limit");
        const auto admission = gateway.admit(read->request, read->has_body);
        if (const auto* refused = std::get_if<Response>(&admission)) {
            check(*refused);
            if (read->has_body) return 0;  // the session closes
            continue;
        }
        const auto& admitted = std::get<Admitted>(admission);
        must(admitted.route->access == Access::open ||
                 read->request.header("Authorization").value_or("").find(kToken) != std::string_view::npos,
             "who has no token is told nothing");
        if (steers(read->request.body)) return 0;
        check(call_handler(*admitted.route, read->request, admitted.parameters));
    }
    return 0;
}
