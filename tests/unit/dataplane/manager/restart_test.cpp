/// What survives this process: the descriptor store, the state file, and the two ways to get them back.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "dataplane/manager/descriptor_store.hpp"
#include "dataplane/manager/notify.hpp"
#include "tests/harness/seed.hpp"
#include "tests/unit/dataplane/manager/rig.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

/// The supervisor's side of the notify protocol. It reads all the time: the kernel queues ten datagrams at most.
class Supervisor {
public:
    Supervisor() : socket_{socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)} {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        dir_.path("notify").copy(address.sun_path, sizeof address.sun_path - 1);
        EXPECT_EQ(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        thread_ = std::thread{[this] {
            pollfd p{socket_.get(), POLLIN, 0};
            while (!stop_) {
                if (poll(&p, 1, 10) > 0) take_all();
            }
        }};
    }
    ~Supervisor() {
        stop_ = true;
        thread_.join();
    }
    std::string path() const { return dir_.path("notify"); }

    /// All that has come, in order.
    std::vector<std::string> messages() {
        take_all();
        const std::lock_guard lock{mutex_};
        return messages_;
    }
    bool heard(const std::string& start) {
        const auto all = messages();
        return std::any_of(all.begin(), all.end(), [&](const auto& m) { return m.starts_with(start); });
    }
    dp::StoredFds hand_out() {
        take_all();
        const std::lock_guard lock{mutex_};
        dp::StoredFds fds;
        for (const auto& [name, fd] : store_) fds.insert_or_assign(name, fd.duplicate());
        return fds;
    }

private:
    void take_all() {
        const std::lock_guard lock{mutex_};
        std::array<char, 4096> text;
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control;
        while (true) {
            iovec part{text.data(), text.size()};
            msghdr m{};
            m.msg_iov = &part;
            m.msg_iovlen = 1;
            m.msg_control = control.data();
            m.msg_controllen = control.size();
            const ssize_t length = recvmsg(socket_.get(), &m, MSG_CMSG_CLOEXEC);
            if (length < 0) return;
            const std::string message{text.data(), static_cast<std::size_t>(length)};
            messages_.push_back(message);
            const auto name_at = message.find("FDNAME=");
            const std::string name = name_at == std::string::npos ? "" : message.substr(name_at + 7);
            if (message.starts_with("FDSTOREREMOVE=1")) store_.erase(name);
            if (const cmsghdr* c = CMSG_FIRSTHDR(&m)) {
                int fd;
                std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
                store_[name] = dp::UniqueFd{fd};
            }
        }
    }

    const TempDir dir_;
    dp::UniqueFd socket_;
    std::mutex mutex_;
    std::map<std::string, dp::UniqueFd> store_;  // mutex_
    std::vector<std::string> messages_;          // mutex_
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

std::uint64_t running_generation(const Rig& rig) {
    Client client{rig.socket()};
    return client.expect(abi::MessageType::hello)->as<abi::Hello>().state.running_generation;
}

/// The first one that is stored of a generation.
dp::StoredFds::iterator manifest_of(dp::StoredFds& stored, std::uint64_t generation) {
    const std::string prefix = "m." + std::to_string(generation) + ".";
    const auto at = stored.lower_bound(prefix);
    return at != stored.end() && at->first.starts_with(prefix) ? at : stored.end();
}

TEST(Restart, RunsAgainWhatItRan) {
    Supervisor supervisor;
    {
        Rig rig{{.notify_socket = supervisor.path()}};
        Client client{rig.socket()};
        ASSERT_TRUE(client.claim());
        ASSERT_EQ(client.publish(*tables_for(1)).kind, abi::AnswerKind::adopted);
        ASSERT_EQ(client.publish(*tables_for(2, cp::Action::deny)).kind, abi::AnswerKind::adopted);
        ASSERT_EQ(client.publish(*tables_for(3)).kind, abi::AnswerKind::adopted);
        EXPECT_TRUE(eventually([&] { return supervisor.heard("READY=1"); }));
    }
    auto stored = supervisor.hand_out();
    // state, two manifests, eight sections that they share, two rules sections: nothing of generation 1.
    EXPECT_EQ(stored.size(), 3 + (abi::kSectionKindCount - 1) + 2);
    EXPECT_EQ(manifest_of(stored, 1), stored.end());
    Rig again{{.notify_socket = supervisor.path(), .stored = std::move(stored)}};
    Client client{again.socket()};
    const auto state = client.expect(abi::MessageType::hello)->as<abi::Hello>().state;
    EXPECT_EQ(state.running_generation, 3U);
    EXPECT_EQ(state.previous_generation, 2U);
    EXPECT_EQ(state.source, static_cast<std::uint8_t>(abi::StateSource::descriptor_store));
    EXPECT_TRUE(eventually([&] { return again.workers[0]->generation == 3; }));
    // And the way back still works.
    ASSERT_TRUE(client.claim());
    abi::Revert revert;
    revert.generation = 3;
    client.send(revert);
    EXPECT_EQ(client.answer().generation, 2U);
}

// D5: who runs a generation again had flows and has lost them; who starts with none has had none.
TEST(Restart, D5OpensTheTimeOfPickupForARestoredGenerationOnly) {
    Supervisor supervisor;
    {
        Rig rig{{.notify_socket = supervisor.path()}};
        Client client{rig.socket()};
        ASSERT_TRUE(client.claim());
        ASSERT_EQ(client.publish(*tables_for(1)).kind, abi::AnswerKind::adopted);
        EXPECT_EQ(rig.workers[0]->pickup_until_ns, 0U) << "the very first start";
    }
    const std::uint64_t before = abi::MonoTime::now().ns;
    {
        Rig again{{.notify_socket = supervisor.path(), .stored = supervisor.hand_out(), .pickup_ns = 7'000'000'000}};
        ASSERT_TRUE(eventually([&] { return again.workers[0]->generation == 1; }));
        const std::uint64_t until = again.workers[0]->pickup_until_ns;
        EXPECT_GE(until, before + 7'000'000'000);
        EXPECT_LE(until, abi::MonoTime::now().ns + 7'000'000'000);
        Client client{again.socket()};
        ASSERT_TRUE(client.claim());
        ASSERT_EQ(client.publish(*tables_for(2)).kind, abi::AnswerKind::adopted);
        EXPECT_EQ(again.workers[0]->pickup_until_ns, until) << "a publish neither ends nor prolongs it";
    }
    Rig never{{.notify_socket = supervisor.path(), .stored = supervisor.hand_out(), .pickup_ns = 0}};
    ASSERT_TRUE(eventually([&] { return never.workers[0]->generation == 2; }));
    EXPECT_EQ(never.workers[0]->pickup_until_ns, 0U);
}

// D5: where no flow was lost there is none to pick up; where one was, the window is what it was.
TEST(Restart, D5NoTimeOfPickupWhereEveryFlowWasKept) {
    Supervisor supervisor;
    {
        Rig rig{{.notify_socket = supervisor.path()}};
        Client client{rig.socket()};
        ASSERT_TRUE(client.claim());
        ASSERT_EQ(client.publish(*tables_for(1)).kind, abi::AnswerKind::adopted);
    }
    dp::KeptFlows flows{.count = {.kept = 12}, .had_predecessor = true};
    {
        Rig whole{{.notify_socket = supervisor.path(), .stored = supervisor.hand_out(), .flows = flows}};
        ASSERT_TRUE(eventually([&] { return whole.workers[0]->generation == 1; }));
        EXPECT_EQ(whole.workers[0]->pickup_until_ns, 0U);
        EXPECT_EQ(whole.telemetry->manager().flows_kept.read(), 12U);
    }
    flows.count.lose(abi::FlowLoss::damaged);
    Rig less{{.notify_socket = supervisor.path(), .stored = supervisor.hand_out(), .flows = flows}};
    ASSERT_TRUE(eventually([&] { return less.workers[0]->generation == 1; }));
    EXPECT_NE(less.workers[0]->pickup_until_ns, 0U);
    EXPECT_EQ(less.telemetry->manager().flows_lost[static_cast<std::size_t>(abi::FlowLoss::damaged)].read(), 1U);
}

TEST(Restart, FlowsAreInTheStoreBeforeThoseOfTheEarlierProcessLeaveIt) {
    Supervisor supervisor;
    const auto old_memory = sealed(std::as_bytes(std::span{"old", 4}));
    const auto new_memory = sealed(std::as_bytes(std::span{"new", 4}));
    {
        Rig rig{{.notify_socket = supervisor.path(),
                 .flows = {.count = {}, .had_predecessor = false, .fds = {{"f.1.0", old_memory.get()}}}}};
        Client client{rig.socket()};
        ASSERT_TRUE(client.claim());
        ASSERT_EQ(client.publish(*tables_for(1)).kind, abi::AnswerKind::adopted);
        ASSERT_EQ(client.publish(*tables_for(2, cp::Action::deny)).kind, abi::AnswerKind::adopted);
    }
    auto stored = supervisor.hand_out();
    ASSERT_TRUE(stored.contains("f.1.0")) << "a publish does not tidy it away";
    {
        // Nobody takes the new one: the old one stays, it is all that there is.
        Rig deaf{{.stored = supervisor.hand_out(),
                  .flows = {.count = {}, .had_predecessor = true, .fds = {{"f.2.0", new_memory.get()}}}}};
        EXPECT_EQ(running_generation(deaf), 2U);
    }
    EXPECT_TRUE(supervisor.hand_out().contains("f.1.0"));
    {
        Rig again{{.notify_socket = supervisor.path(),
                   .stored = std::move(stored),
                   .flows = {.count = {}, .had_predecessor = true, .fds = {{"f.2.0", new_memory.get()}}}}};
        EXPECT_EQ(running_generation(again), 2U);
        ASSERT_TRUE(eventually([&] { return !supervisor.hand_out().contains("f.1.0"); }));
        EXPECT_TRUE(supervisor.hand_out().contains("f.2.0"));
    }
    const auto messages = supervisor.messages();
    const auto heard = [&](const std::string& start) {
        return std::find_if(messages.begin(), messages.end(), [&](const auto& m) { return m.starts_with(start); });
    };
    EXPECT_LT(heard("FDSTORE=1\nFDNAME=f.2.0"), heard("FDSTOREREMOVE=1\nFDNAME=f.1.0"));
}

// P10: the deadline passes while nobody runs.
TEST(Restart, P10AnUnconfirmedGenerationDoesNotOutliveItsDeadline) {
    Supervisor supervisor;
    {
        Rig rig{{.notify_socket = supervisor.path()}};
        Client client{rig.socket()};
        ASSERT_TRUE(client.claim());
        ASSERT_EQ(client.publish(*tables_for(1)).kind, abi::AnswerKind::adopted);
        ASSERT_EQ(client.publish(*tables_for(2, cp::Action::deny), 1).kind, abi::AnswerKind::adopted);
        // Killed before the deadline: what the store holds is what it held then.
    }
    auto stored = supervisor.hand_out();
    Rig again{{.notify_socket = supervisor.path(), .stored = std::move(stored)}};
    EXPECT_TRUE(eventually([&] { return running_generation(again) == 1; }));
    EXPECT_TRUE(eventually([&] { return again.workers[0]->generation == 1; }));
}

// What was reverted must not come back as new because the process that saw it is gone.
TEST(Restart, AGenerationThatWasLeftIsOldAfterwardsToo) {
    Supervisor supervisor;
    {
        Rig rig{{.notify_socket = supervisor.path()}};
        Client client{rig.socket()};
        ASSERT_TRUE(client.claim());
        ASSERT_EQ(client.publish(*tables_for(1)).kind, abi::AnswerKind::adopted);
        ASSERT_EQ(client.publish(*tables_for(2, cp::Action::deny)).kind, abi::AnswerKind::adopted);
        abi::Revert revert;
        revert.generation = 2;
        client.send(revert);
        ASSERT_EQ(client.answer().generation, 1U);
    }
    Rig again{{.notify_socket = supervisor.path(), .stored = supervisor.hand_out()}};
    EXPECT_EQ(running_generation(again), 1U);
    Client client{again.socket()};
    ASSERT_TRUE(client.claim());
    EXPECT_EQ(client.publish(*tables_for(2, cp::Action::deny)).reason, abi::RefuseReason::generation_old);
    EXPECT_EQ(client.publish(*tables_for(3)).kind, abi::AnswerKind::adopted);
}

// P10: the store has lost the generation to return to; the last good one is what was confirmed before.
TEST(Restart, P10WithoutTheWayBackTheLastGoodGenerationIsReturnedTo) {
    Supervisor supervisor;
    {
        Rig rig{{.notify_socket = supervisor.path()}};
        Client client{rig.socket()};
        ASSERT_TRUE(client.claim());
        ASSERT_EQ(client.publish(*tables_for(1)).kind, abi::AnswerKind::adopted);
        ASSERT_EQ(client.publish(*tables_for(2, cp::Action::deny), 500).kind, abi::AnswerKind::adopted);
    }
    TempDir dir;
    write_last_good(dir.path("last-good"), *tables_for(1));
    auto stored = supervisor.hand_out();
    const auto manifest = manifest_of(stored, 1);
    ASSERT_NE(manifest, stored.end());
    stored.erase(manifest);
    Rig again{{.notify_socket = supervisor.path(), .stored = std::move(stored), .last_good = dir.path("last-good")}};
    EXPECT_TRUE(eventually([&] { return running_generation(again) == 1; }));
    EXPECT_TRUE(eventually([&] { return again.workers[0]->generation == 1; }));
}

TEST(Restart, SurvivesAStoreWithHoles) {
    Supervisor supervisor;
    {
        Rig rig{{.notify_socket = supervisor.path()}};
        Client client{rig.socket()};
        ASSERT_TRUE(client.claim());
        ASSERT_EQ(client.publish(*tables_for(1)).kind, abi::AnswerKind::adopted);
    }
    auto whole = supervisor.hand_out();
    std::vector<std::string> names;
    for (const auto& [name, fd] : whole) names.push_back(name);
    for (const auto& missing : names) {
        auto stored = supervisor.hand_out();
        stored.erase(missing);
        Rig rig{{.stored = std::move(stored)}};
        EXPECT_EQ(running_generation(rig), 0U) << missing;
    }
    auto foreign = supervisor.hand_out();
    foreign["state"] = sealed(std::as_bytes(std::span{"nonsense", 8}));
    Rig rig{{.stored = std::move(foreign)}};
    EXPECT_EQ(running_generation(rig), 0U);
}

TEST(StateFile, ReadsWhatWasWrittenLast) {
    auto file = dp::StateFile::create();
    ASSERT_TRUE(file.has_value());
    EXPECT_FALSE(file->read().has_value());
    for (std::uint64_t g = 1; g < 10; ++g) {
        const dp::RunState state{g, g - 1, {g * 100}, abi::StateSource::publisher, g + 1};
        file->write(state);
        auto again = dp::StateFile::open(dp::UniqueFd{dup(file->fd())});
        ASSERT_TRUE(again.has_value());
        EXPECT_EQ(again->read(), state);
    }
}

// A crash in mid-write: whatever is torn, the state before it or the one after it is read, never a mixture.
TEST(StateFile, ATornWriteLeavesTheStateBefore) {
    SCOPED_TRACE(seed_line());
    std::mt19937 random{seed_of_this_run()};
    for (int round = 0; round < 200; ++round) {
        auto file = dp::StateFile::create();
        const dp::RunState one{1, 0, {}, abi::StateSource::publisher}, two{2, 1, {77}, abi::StateSource::publisher};
        file->write(one);
        std::array<char, 4096> before, after;
        ASSERT_EQ(pread(file->fd(), before.data(), before.size(), 0), 4096);
        file->write(two);
        ASSERT_EQ(pread(file->fd(), after.data(), after.size(), 0), 4096);
        // Any subset of the bytes of the write has reached memory.
        for (std::size_t i = 0; i < after.size(); ++i) {
            if (random() % 2 == 0) after[i] = before[i];
        }
        ASSERT_EQ(pwrite(file->fd(), after.data(), after.size(), 0), 4096);
        const auto read = dp::StateFile::open(dp::UniqueFd{dup(file->fd())})->read();
        EXPECT_TRUE(read == one || read == two);
    }
}

TEST(Takeover, StandsByAndTakesWhatItIsHanded) {
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    const dp::UniqueFd ours{pair[0]};
    dp::Takeover takeover{dp::UniqueFd{pair[1]}};
    std::optional<Expected<dp::StoredFds, std::string>> result;
    std::thread successor{[&] { result = takeover.stand_by(); }};
    std::array<char, 64> text{};
    EXPECT_EQ(recv(ours.get(), text.data(), text.size(), 0), 7);
    EXPECT_STREQ(text.data(), "standby");
    const std::string go = "go\nstate:m.4";
    const std::array<int, 2> fds{0, 2};
    iovec part{const_cast<char*>(go.data()), go.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof fds)> control{};
    msghdr m{};
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    m.msg_control = control.data();
    m.msg_controllen = control.size();
    cmsghdr* const c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fds);
    std::memcpy(CMSG_DATA(c), fds.data(), sizeof fds);
    EXPECT_GT(sendmsg(ours.get(), &m, 0), 0);
    successor.join();
    ASSERT_TRUE(result && result->has_value());
    EXPECT_EQ((*result)->size(), 2U);
    EXPECT_TRUE((*result)->contains("m.4"));
}

TEST(Takeover, GivesUpWhenTheSupervisorGoes) {
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    dp::Takeover takeover{dp::UniqueFd{pair[1]}};
    shutdown(pair[0], SHUT_WR);
    EXPECT_FALSE(takeover.stand_by().has_value());
    close(pair[0]);
}

}  // namespace
}  // namespace sluice::test
