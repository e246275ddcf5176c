/// The server in this process, as sluice-controlplane uses it: open, run, stop. What clients see of it over TLS is
/// tested from outside, in server_test.py.
#include "controlplane/api/http_session.hpp"

#include <cstdlib>
#include <filesystem>
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

}  // namespace
}  // namespace sluice::cp::api
