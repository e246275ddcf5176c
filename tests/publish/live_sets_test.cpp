/// Sets change under live flows: real manager, real socket, real workers on their threads. From the moment at which a
/// change is answered, every packet of every flow meets it: flows of who came into a blocked set end, flows of others
/// go on, and who was taken out may come again. Takes SEED.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>

#include <sluice/abi/set_messages.hpp>

#include "controlplane/compiler/changing_sets.hpp"
#include "dataplane/acl/set_view.hpp"
#include "tests/harness/frames.hpp"
#include "tests/harness/seed.hpp"
#include "tests/publish/live_dataplane.hpp"

namespace sluice::test {
namespace {

constexpr std::uint32_t kWorkers = 2;
constexpr std::size_t kClients = 48;  ///< by index: half IPv4, half IPv6
enum class Expect : std::uint8_t { unknown, blocked, allowed };

cp::Policy policy() {
    PolicyBuilder b;
    b.zone("outside", {"p0"}).zone("inside", {"p1"});
    b.policy.sets.push_back({.name = "blocked", .nets = {}, .pos = {}, .by_api = true, .members_max = 1000});
    b.rule({.id = "no", .from = {"blocked"}, .action = cp::Action::deny});
    b.rule({.id = "yes", .from = {"outside"}, .to = {"inside"}, .action = cp::Action::allow});
    return b.build();
}

bool is_v6(std::size_t client) { return client % 2 == 1; }
std::string source(std::size_t client) {
    return is_v6(client) ? "2001:db8:" + std::to_string(client) + "::1" : "10.0.0." + std::to_string(client + 1);
}
FrameBytes frame_of(std::size_t client) {
    const Udp udp{.sport = static_cast<std::uint16_t>(1000 + client)};
    if (is_v6(client)) {
        Ipv6 ip;
        ip.src = source(client);
        return frame(ip, udp);
    }
    Ipv4 ip;
    ip.src = source(client);
    return frame(ip, udp);
}
std::size_t client_of(const FrameBytes& f) {
    const std::size_t at = 14 + ((f[14] >> 4) == 6 ? 40U : 20U);
    return static_cast<std::size_t>(f[at] << 8 | f[at + 1]) - 1000;
}

struct Board {
    std::array<std::atomic<Expect>, kClients> expect{};
    Complaints complaints;
    std::atomic<std::uint64_t> packets{0}, flows_made{0};

    void all(Expect e) {
        for (auto& x : expect) x = e;
    }
};

/// One loop with a packet of every client; what was expected before and after it must have happened.
void round(LiveWorker& worker, Board& board) {
    std::array<Expect, kClients> before;
    for (std::size_t c = 0; c < kClients; ++c) {
        before[c] = board.expect[c];
        if (!worker.io.arrive(0, frame_of(c))) board.complaints.add("no buffer left");
    }
    while (worker.run_once() != 0) {
    }
    std::array<bool, kClients> passed{};
    for (const Output& out : worker.io.take_sent()) passed[client_of(out.bytes)] = true;
    board.packets += kClients;
    for (std::size_t c = 0; c < kClients; ++c) {
        if (before[c] == Expect::unknown || before[c] != board.expect[c]) continue;
        if (passed[c] != (before[c] == Expect::allowed))
            board.complaints.add(source(c) + (passed[c] ? " passed although blocked" : " did not pass"));
    }
}

class Publisher {
public:
    explicit Publisher(const std::string& socket) : client_{socket} {
        EXPECT_TRUE(client_.claim());
        batch_.epoch = 3;
        batch_.is_first = 1;
    }
    abi::Answer publish(const CompiledTables& tables) { return client_.publish(tables, 0, 60'000); }
    Publisher& put(abi::SetOp op, const std::string& member = {}) {
        abi::SetChange& c = batch_.changes[batch_.count++];
        c = {.set = cp::set_id("blocked"), .op = op};
        if (!member.empty()) {
            const cp::Prefix p = prefix(member);
            c.member = {.addr = p.addr, .family = p.family, .bits = p.bits};
        }
        return *this;
    }
    void send() {
        ++batch_.number;
        batch_.adopt_within_ms = 60'000;
        batch_.header.bytes =
            static_cast<std::uint32_t>(offsetof(abi::ChangeSets, changes) + batch_.count * sizeof(abi::SetChange));
        ASSERT_TRUE(client_.send_bytes(std::as_bytes(std::span{&batch_, 1}).first(batch_.header.bytes)));
        const auto answer = client_.expect(abi::MessageType::sets_changed);
        ASSERT_TRUE(answer);
        const auto changed = answer->as<abi::SetsChanged>();
        ASSERT_EQ(changed.kind, abi::AnswerKind::adopted) << changed.where.data();
        ASSERT_EQ(changed.number, batch_.number);
        batch_.is_first = 0;
        batch_.count = 0;
    }

private:
    Client client_;
    abi::ChangeSets batch_;
};

TEST(Sets, LiveFlowsMeetAChangeFromItsAnswerOn) {
    std::mt19937_64 random{seed_of_this_run()};
    Board board;
    const CompiledTables tables{policy(), 1, {"p0", "p1"}};
    LiveDataplane dataplane{kWorkers, [&](LiveWorker& worker, const std::atomic<bool>& stop) {
                                while (!stop) {
                                    round(worker, board);
                                    std::this_thread::sleep_for(std::chrono::microseconds{50});
                                }
                            }};
    Publisher publisher{dataplane.socket()};
    ASSERT_EQ(publisher.publish(tables).kind, abi::AnswerKind::adopted);
    board.all(Expect::allowed);
    std::array<bool, kClients> blocked{};
    for (int step = 0; step < (kSanitized ? 60 : 300) && board.complaints.count() == 0; ++step) {
        if (step % 10 == 9) {  // everything anew
            board.all(Expect::unknown);
            publisher.put(abi::SetOp::begin);
            for (std::size_t c = 0; c < kClients; ++c) {
                blocked[c] = random() % 4 == 0;
                if (blocked[c]) publisher.put(abi::SetOp::stage, source(c));
            }
            ASSERT_NO_FATAL_FAILURE(publisher.put(abi::SetOp::commit).send());
            for (std::size_t c = 0; c < kClients; ++c) board.expect[c] = blocked[c] ? Expect::blocked : Expect::allowed;
        } else if (step % 10 == 5) {  // and a prefix around all of IPv4
            board.all(Expect::unknown);
            ASSERT_NO_FATAL_FAILURE(publisher.put(abi::SetOp::add, "10.0.0.0/16").send());
            for (std::size_t c = 0; c < kClients; ++c)
                board.expect[c] = blocked[c] || !is_v6(c) ? Expect::blocked : Expect::allowed;
            std::this_thread::sleep_for(std::chrono::milliseconds{2});
            board.all(Expect::unknown);
            ASSERT_NO_FATAL_FAILURE(publisher.put(abi::SetOp::remove, "10.0.0.0/16").send());
            for (std::size_t c = 0; c < kClients; ++c) board.expect[c] = blocked[c] ? Expect::blocked : Expect::allowed;
        } else {
            const std::size_t c = random() % kClients;
            board.expect[c] = Expect::unknown;
            blocked[c] = !blocked[c];
            publisher.put(blocked[c] ? abi::SetOp::add : abi::SetOp::remove, source(c));
            ASSERT_NO_FATAL_FAILURE(publisher.send());
            board.expect[c] = blocked[c] ? Expect::blocked : Expect::allowed;
        }
        std::this_thread::sleep_for(std::chrono::microseconds{random() % 3000});
    }
    EXPECT_EQ(board.complaints.count(), 0U) << board.complaints.text() << seed_line();
    EXPECT_GT(board.packets, 10'000U);
}

}  // namespace
}  // namespace sluice::test
