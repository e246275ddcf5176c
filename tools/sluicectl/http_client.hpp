/// HTTPS to the control plane: one request, one answer; or a stream. The only file of sluicectl behind which Beast
/// stands.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/expected.hpp>

namespace sluice::ctl {

struct ClientConfig {
    std::string url;                         ///< https://HOST[:PORT]
    std::string ca_file;                     ///< what signed the server's certificate; nothing else is trusted
    std::string token;                       ///< empty = none is sent
    std::string certificate_file, key_file;  ///< PEM; empty = no client certificate
    std::chrono::seconds connect_timeout{5};
    std::chrono::seconds answer_timeout{180};  ///< a commit may wait for workers
};

using Headers = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
    std::string method{"GET"};
    std::string target;
    Headers headers;
    std::string body;
};

struct HttpReply {
    int status{};
    std::string content_type;
    std::string etag;
    std::string body;
};

class HttpClient {
public:
    explicit HttpClient(ClientConfig config) : config_{std::move(config)} {}

    /// The error is one sentence with cause and remedy.
    Expected<HttpReply, std::string> send(const HttpRequest& request) const;

    /// Calls `on_data` with pieces of the body as they come, until it returns false or the server ends the stream
    /// (then the reply's body is empty). An answer other than 200 is returned whole.
    Expected<HttpReply, std::string> stream(const HttpRequest& request,
                                            const std::function<bool(std::string_view)>& on_data) const;

    const std::string& url() const noexcept { return config_.url; }

private:
    ClientConfig config_;
};

}  // namespace sluice::ctl
