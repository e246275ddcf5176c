/// The server in this process, as sluice-controlplane uses it: open, run, stop. What clients see of it over TLS is
/// tested from outside, in server_test.py.
#include "controlplane/api/http_session.hpp"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

#include "tests/unit/controlplane/api/memory_policy_service.hpp"

namespace sluice::cp::api {
namespace {
namespace asio = boost::asio;
namespace fs = std::filesystem;

class HttpSession : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "sluice-api-XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        config.listen = "127.0.0.1:0";
        config.state_dir = name;
    }
    void TearDown() override { fs::remove_all(config.state_dir); }

    test::MemoryPolicyService service;
    ApiConfig config;
};

TEST_F(HttpSession, OpenSaysWhatIsWrongInOneSentence) {
    for (const auto* listen : {"", "8443", "127.0.0.1", "127.0.0.1:99999", "localhost:1", "::1:1", "[127.0.0.1]:1"}) {
        config.listen = listen;
        ApiServer server{config, service};
        const auto opened = server.open();
        ASSERT_FALSE(opened) << listen;
        EXPECT_NE(opened.error().find("is no ADDRESS:PORT"), std::string::npos);
    }
    config.listen = "127.0.0.1:0";
    config.state_dir = "/does/not/exist";
    ApiServer server{config, service};
    EXPECT_FALSE(server.open());
}

TEST_F(HttpSession, StopEndsRunAlsoBeforeItBegan) {
    ApiServer server{config, service};
    ASSERT_TRUE(server.open());
    EXPECT_TRUE(server.first_start());
    server.stop();
    server.stop();
    server.run();
}

TEST_F(HttpSession, AnOpenConnectionDoesNotHoldUpTheEnd) {
    ApiServer server{config, service};
    ASSERT_TRUE(server.open());
    std::thread io{[&] { server.run(); }};
    asio::io_context client;
    asio::ssl::context tls{asio::ssl::context::tls_client};
    tls.load_verify_file((config.state_dir / "ca.pem").string());
    tls.set_verify_mode(asio::ssl::verify_peer);
    asio::ssl::stream<asio::ip::tcp::socket> stream{client, tls};
    stream.next_layer().connect({asio::ip::address_v4::loopback(), server.port()});
    stream.handshake(asio::ssl::stream_base::client);
    const std::string request = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
    asio::write(stream, asio::buffer(request));
    std::string answer(12, '\0');
    asio::read(stream, asio::buffer(answer));
    EXPECT_EQ(answer, "HTTP/1.1 200");

    const auto started = std::chrono::steady_clock::now();
    server.stop();
    io.join();
    EXPECT_LT(std::chrono::steady_clock::now() - started, 10 * config.limits.drain_timeout);
}

/// A server that runs, and connections to it.
class RunningServer {
public:
    RunningServer(const ApiConfig& config, PolicyService& service) : server_{config, service}, dir_{config.state_dir} {
        const auto opened = server_.open();
        EXPECT_TRUE(opened) << opened.error();
        tls_.load_verify_file((dir_ / "ca.pem").string());
        tls_.set_verify_mode(asio::ssl::verify_peer);
        std::ifstream{dir_ / "token"} >> token_;
        io_ = std::thread{[this] { server_.run(); }};
    }
    ~RunningServer() {
        server_.stop();
        io_.join();
    }
    RunningServer(const RunningServer&) = delete;
    RunningServer& operator=(const RunningServer&) = delete;

    class Connection {
    public:
        explicit Connection(RunningServer& server) : stream_{server.client_, server.tls_} {
            stream_.next_layer().connect({asio::ip::address_v4::loopback(), server.server_.port()});
            stream_.handshake(asio::ssl::stream_base::client);
        }
        /// For what needs a token, with one. Status of the answer; 0 = the connection has ended.
        int ask(const std::string& token = {}) {
            const std::string who = token.empty() ? token : "Authorization: Bearer " + token + "\r\n";
            const std::string request =
                (token.empty() ? "HEAD /livez" : "HEAD /") + std::string{" HTTP/1.1\r\nHost: x\r\n"} + who + "\r\n";
            boost::system::error_code error;
            asio::write(stream_, asio::buffer(request), error);
            return status(error);
        }
        /// Waits until the server ends it.
        void end() {
            boost::system::error_code error;
            while (!error) stream_.read_some(asio::buffer(answer_), error);
        }

    private:
        int status(boost::system::error_code& error) {
            std::string head;
            while (!error && !head.ends_with("\r\n\r\n")) {
                asio::read(stream_, asio::buffer(answer_, 1), error);
                head.push_back(answer_[0]);
            }
            return error ? 0 : std::stoi(head.substr(9, 3));
        }
        asio::ssl::stream<asio::ip::tcp::socket> stream_;
        std::array<char, 256> answer_{};
    };
    const std::string& token() const { return token_; }

private:
    ApiServer server_;
    const fs::path dir_;
    asio::io_context client_;
    asio::ssl::context tls_{asio::ssl::context::tls_client};
    std::string token_;
    std::thread io_;
};

TEST_F(HttpSession, WhoSaysNothingIsClosedWithTheHeadersDeadline) {
    config.limits.header_timeout = std::chrono::milliseconds{300};
    config.limits.idle_timeout = std::chrono::minutes{10};
    RunningServer server{config, service};
    RunningServer::Connection silent{server}, asked{server};
    EXPECT_EQ(asked.ask(), 200);
    silent.end();
    EXPECT_EQ(asked.ask(), 200) << "who has been answered may wait";
}

TEST_F(HttpSession, WhoIsKnownStaysWhenThereIsNoPlaceLeft) {
    config.limits.connections_max = 3;
    RunningServer server{config, service};
    RunningServer::Connection known{server};
    ASSERT_EQ(known.ask(server.token()), 200);
    RunningServer::Connection stranger{server};
    ASSERT_EQ(stranger.ask(), 200);
    for (int more = 0; more < 5; ++more) {
        RunningServer::Connection one{server}, other{server};
        EXPECT_EQ(other.ask(), 200);
    }
    stranger.end();
    EXPECT_EQ(known.ask(), 200);
}

TEST_F(HttpSession, TheKnownAndStrangersHaveEachTheirOwnPace) {
    config.limits.requests_per_second_max = 1;
    RunningServer server{config, service};
    RunningServer::Connection connection{server};
    EXPECT_EQ(connection.ask(server.token()), 200);
    EXPECT_EQ(connection.ask(server.token()), 200);
    int limited = 0;
    for (int more = 0; more < 20; ++more) limited += connection.ask(server.token()) == 429 ? 1 : 0;
    EXPECT_GT(limited, 0);
    EXPECT_EQ(connection.ask(), 200) << "of the same address, and nobody is known";
}

}  // namespace
}  // namespace sluice::cp::api
