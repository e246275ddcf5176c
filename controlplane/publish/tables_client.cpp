#include "controlplane/publish/tables_client.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <system_error>

namespace sluice::cp {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kBackoffMin = 20ms;
constexpr auto kBackoffMax = 500ms;
constexpr auto kHelloWithin = 5s;
constexpr auto kClaimAgainAfter = 1s;
/// What an offer may take beyond the wait for workers: mapping and validating a gigabyte.
constexpr auto kValidateWithin = 10s;

std::string reason(int error_number) { return std::generic_category().message(error_number); }

Expected<UniqueFd, std::string> connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return Unexpected<std::string>(path + " is too long for a socket name");
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd socket{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!socket) return Unexpected<std::string>("cannot make a socket: " + reason(errno));
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return Unexpected<std::string>("cannot connect to " + path + ": " + reason(errno));
    }
    return socket;
}

template <typename T>
std::span<std::byte> bytes_of(T& message) noexcept {
    return {reinterpret_cast<std::byte*>(&message), sizeof message};
}

}  // namespace

TablesClient::TablesClient(std::string socket_path, TablesListener& listener)
    : path_{std::move(socket_path)}, listener_{listener}, wake_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {}

TablesClient::~TablesClient() { stop(); }

void TablesClient::start() {
    thread_ = std::thread{[this] { run(); }};
}

void TablesClient::stop() {
    stopping_ = true;
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
    if (thread_.joinable()) thread_.join();
}

std::optional<abi::Hello> TablesClient::hello() const {
    const std::lock_guard lock{mutex_};
    return hello_;
}
std::string TablesClient::trouble() const {
    const std::lock_guard lock{mutex_};
    return trouble_;
}

// ------------------------------------------------------------------------------------------------ background thread
/// True if the socket (where one is given) can be read; false on timeout, stop or a wake-up.
bool TablesClient::wait_for(int socket, int timeout_ms) {
    std::array<pollfd, 2> polled{pollfd{wake_.get(), POLLIN, 0}, pollfd{socket, POLLIN, 0}};
    const int ready = ::poll(polled.data(), socket < 0 ? 1 : 2, timeout_ms);
    if (ready > 0 && (polled[0].revents & POLLIN) != 0) {
        std::uint64_t count{};
        (void)!::read(wake_.get(), &count, sizeof count);
    }
    return ready > 0 && socket >= 0 && polled[1].revents != 0;
}

void TablesClient::run() {
    std::chrono::milliseconds backoff = kBackoffMin;
    while (!stopping_) {
        auto socket = connect_to(path_);
        if (!socket) {
            {
                const std::lock_guard lock{mutex_};
                trouble_ = socket.error();
            }
            (void)wait_for(-1, static_cast<int>(backoff.count()));
            backoff = std::min<std::chrono::milliseconds>(backoff * 2, kBackoffMax);
            continue;
        }
        const int fd = socket->get();
        {
            const std::lock_guard lock{mutex_};
            socket_ = std::move(*socket);
        }
        const bool greeted = serve_connection(fd);
        // Whoever accepts and says nothing, or says what we can't take, is not met with a storm of connections.
        backoff = greeted ? kBackoffMin : std::min<std::chrono::milliseconds>(backoff * 2, kBackoffMax);
        if (!stopping_) (void)wait_for(-1, static_cast<int>(backoff.count()));
    }
}

bool TablesClient::serve_connection(int socket) {
    const auto hello_by = Clock::now() + kHelloWithin;
    auto claim_at = Clock::time_point::max();
    std::string why;
    while (!stopping_ && why.empty()) {
        if (wait_for(socket, 250)) {
            Datagram datagram;
            const auto received = receive(socket, datagram);
            if (!received) {
                why = received.error();
            } else if (*received == Received::closed) {
                why = "the dataplane closed the connection";
            } else if (*received == Received::datagram) {
                if (const auto good = check(datagram); !good) {
                    why = good.error();
                } else if (const auto handled = handle(std::move(datagram)); !handled) {
                    why = handled.error();
                }
            }
        }
        const std::lock_guard lock{mutex_};
        if (broken_) why = "the dataplane did not answer in time";
        if (!hello_ && Clock::now() > hello_by) why = "the dataplane said no hello";
        if (!hello_ || publisher_) {
            claim_at = Clock::time_point::max();
        } else if (claim_at == Clock::time_point::max()) {
            claim_at = Clock::now() + kClaimAgainAfter;
        } else if (Clock::now() > claim_at) {
            claim_at = Clock::now() + kClaimAgainAfter;
            send_claim();
        }
    }
    return lose(why.empty() ? "stopped" : why);
}

/// mutex_ is held.
void TablesClient::send_claim() {
    abi::Claim claim;
    claim.header.bytes = sizeof claim;
    claim.header.sequence = claim_sequence_ = ++last_sequence_;
    (void)send(socket_.get(), bytes_of(claim), {});  // a lost claim is repeated after kClaimAgainAfter
}

Expected<void, std::string> TablesClient::handle(Datagram&& datagram) {
    const auto type = datagram.header().type;
    if (type == abi::MessageType::hello) {
        if (hello()) return Unexpected<std::string>("a second hello on one connection");
        const auto& greeting = datagram.as<abi::Hello>();
        // Told before anybody can ask: whoever sees the connection finds its telemetry attached.
        listener_.on_hello(greeting,
                           {std::move(datagram.fds[0]), std::move(datagram.fds[1]), std::move(datagram.fds[2])});
        const std::lock_guard lock{mutex_};
        hello_ = greeting;
        trouble_.clear();
        held_ = {};
        send_claim();
        return {};
    }
    std::unique_lock lock{mutex_};
    if (!hello_) return Unexpected<std::string>("an answer before hello");
    if (type == abi::MessageType::notice) {
        hello_->state = datagram.as<abi::Notice>().state;
        if (datagram.as<abi::Notice>().kind == abi::NoticeKind::reverted) held_ = {};
        lock.unlock();
        listener_.on_notice(datagram.as<abi::Notice>());
        return {};
    }
    const auto sequence = datagram.header().sequence;
    if (type == abi::MessageType::claimed) {
        if (sequence != claim_sequence_) return Unexpected<std::string>("a claim was answered that nobody made");
        publisher_ = datagram.as<abi::Claimed>().granted != 0;
        const bool granted = publisher_;
        const auto holder = datagram.as<abi::Claimed>().holder_pid;
        lock.unlock();
        listener_.on_claim(granted, holder);
        return {};
    }
    const auto found_for = [&] {
        const auto found = waiters_.find(sequence);
        return found != waiters_.end() && found->second->expected == type && !found->second->answer ? found->second
                                                                                                    : nullptr;
    };
    if (found_for() == nullptr) return Unexpected<std::string>("an answer that nobody asked for");
    if (type == abi::MessageType::status) {
        hello_->state = datagram.as<abi::Status>().state;
        lock.unlock();
        listener_.on_status(datagram.as<abi::Status>().state);
        lock.lock();
    }
    auto* const waiter = found_for();
    if (waiter == nullptr) return {};  // it ran into its deadline meanwhile, which ends the connection
    waiter->answer = std::move(datagram);
    changed_.notify_all();
    return {};
}

bool TablesClient::lose(const std::string& why) {
    bool was_connected = false;
    {
        const std::lock_guard lock{mutex_};
        was_connected = hello_.has_value();
        hello_.reset();
        publisher_ = false;
        broken_ = false;
        trouble_ = why;
        socket_.reset();
        held_ = {};
        waiters_.clear();  // a waiter that no longer stands here knows that it was abandoned
    }
    changed_.notify_all();
    if (was_connected) listener_.on_lost(why);
    return was_connected;
}

// ----------------------------------------------------------------------------------------------------- any thread
Expected<Datagram, ClientError> TablesClient::ask(std::span<std::byte> request, std::span<const int> fds,
                                                  abi::MessageType expected, std::chrono::milliseconds timeout,
                                                  bool publisher_only) {
    using Kind = ClientError::Kind;
    const auto deadline = Clock::now() + timeout;
    std::unique_lock lock{mutex_};
    if (!hello_) return Unexpected(ClientError{Kind::no_dataplane, trouble_});
    if (publisher_only && !publisher_) {
        return Unexpected(ClientError{Kind::not_publisher, "another process holds the right to publish"});
    }
    auto& header = *reinterpret_cast<abi::MessageHeader*>(request.data());
    header.bytes = static_cast<std::uint32_t>(request.size());
    header.sequence = ++last_sequence_;
    while (!send(socket_.get(), request, fds)) {
        if (errno != EAGAIN || Clock::now() > deadline) {
            return Unexpected(ClientError{Kind::no_dataplane, "sending to the dataplane failed: " + reason(errno)});
        }
        // The peer reads slowly: its queue has room again in a moment, or the deadline ends this.
        changed_.wait_for(lock, 5ms);
        if (!hello_) return Unexpected(ClientError{Kind::no_dataplane, trouble_});
    }
    Waiter waiter{expected, {}};
    const auto sequence = header.sequence;
    waiters_[sequence] = &waiter;
    const auto mine = [&] {
        const auto at = waiters_.find(sequence);
        return at != waiters_.end() && at->second == &waiter;
    };
    const bool settled = changed_.wait_until(lock, deadline, [&] { return waiter.answer.has_value() || !mine(); });
    if (mine()) waiters_.erase(sequence);
    if (waiter.answer) return std::move(*waiter.answer);
    if (!settled) {
        broken_ = true;
        const std::uint64_t one = 1;
        (void)!::write(wake_.get(), &one, sizeof one);
        return Unexpected(ClientError{Kind::unknown, "the dataplane did not answer in time"});
    }
    return Unexpected(ClientError{Kind::unknown, "the connection ended before the answer: " + trouble_});
}

template <typename Request>
Expected<Datagram, ClientError> TablesClient::ask(Request request, abi::MessageType expected, bool publisher_only,
                                                  std::span<const int> fds, std::chrono::milliseconds timeout) {
    return ask(bytes_of(request), fds, expected, timeout, publisher_only);
}

void TablesClient::hold(const abi::Manifest* manifest) {
    const std::lock_guard lock{mutex_};
    held_ = {};
    if (manifest == nullptr || !hello_) return;
    for (std::size_t k = 0; k < held_.size(); ++k) held_[k] = manifest->sections[k].digest;
}

Expected<abi::Answer, ClientError> TablesClient::offer_once(const GenerationBytes& generation, abi::Offer offer,
                                                            bool everything, std::chrono::milliseconds timeout) {
    decltype(held_) held;
    if (!everything) {
        const std::lock_guard lock{mutex_};
        held = held_;
    }
    const auto local = [](std::string what) {
        return Unexpected(ClientError{ClientError::Kind::local, std::move(what)});
    };
    std::vector<UniqueFd> owned;
    auto manifest = sealed_memfd("sluice-manifest", std::as_bytes(std::span{generation.manifest, 1}));
    if (!manifest) return local(manifest.error());
    owned.push_back(std::move(*manifest));
    for (std::size_t k = 0; k < generation.sections.size(); ++k) {
        offer.section_fd[k] = -1;
        if (held[k] == generation.manifest->sections[k].digest) continue;
        auto section = sealed_memfd("sluice-section", generation.sections[k]);
        if (!section) return local(section.error());
        offer.section_fd[k] = static_cast<std::int32_t>(owned.size());
        owned.push_back(std::move(*section));
    }
    std::vector<int> fds;
    for (const auto& fd : owned) fds.push_back(fd.get());
    auto answer = ask(offer, abi::MessageType::answer, true, fds, timeout);
    if (!answer) return Unexpected(answer.error());
    return answer->as<abi::Answer>();
}

Expected<abi::Answer, ClientError> TablesClient::offer(const GenerationBytes& generation,
                                                       std::chrono::milliseconds confirm_within,
                                                       std::chrono::milliseconds adopt_within) {
    abi::Offer offer;
    offer.generation = generation.manifest->generation;
    offer.digest = generation.manifest->generation_digest;
    offer.confirm_within_ms = static_cast<std::uint64_t>(confirm_within.count());
    offer.adopt_within_ms = static_cast<std::uint64_t>(adopt_within.count());
    const auto timeout = adopt_within + kValidateWithin;
    auto answer = offer_once(generation, offer, false, timeout);
    if (answer && answer->kind == abi::AnswerKind::refused && answer->reason == abi::RefuseReason::section_not_held) {
        answer = offer_once(generation, offer, true, timeout);
    }
    if (answer && answer->kind == abi::AnswerKind::adopted) hold(generation.manifest);
    return answer;
}

Expected<abi::Answer, ClientError> TablesClient::confirm(std::uint64_t generation) {
    auto answer = ask(abi::Confirm{.generation = generation}, abi::MessageType::answer, true);
    if (!answer) return Unexpected(answer.error());
    return answer->as<abi::Answer>();
}

Expected<abi::Answer, ClientError> TablesClient::revert(std::uint64_t generation) {
    auto answer = ask(abi::Revert{.generation = generation}, abi::MessageType::answer, true, {}, kValidateWithin);
    hold(nullptr);
    if (!answer) return Unexpected(answer.error());
    return answer->as<abi::Answer>();
}

Expected<abi::ProcessState, ClientError> TablesClient::get_status() {
    auto answer = ask(abi::GetStatus{}, abi::MessageType::status);
    if (!answer) return Unexpected(answer.error());
    return answer->as<abi::Status>().state;
}

Expected<RunningTables, ClientError> TablesClient::get_running() {
    auto answer = ask(abi::GetRunning{}, abi::MessageType::running);
    if (!answer) return Unexpected(answer.error());
    return RunningTables{answer->as<abi::Running>().generation, std::move(answer->fds)};
}

Expected<FlowsEndedPart, ClientError> TablesClient::end_flows(std::uint64_t cursor, bool answered,
                                                              const abi::FlowFilter& filter) {
    abi::EndFlows request;
    request.cursor = cursor;
    request.answered = answered ? 1 : 0;
    request.filter = filter;
    auto answer = ask(request, abi::MessageType::flows_ended, true);
    if (!answer) return Unexpected(answer.error());
    const auto& ended = answer->as<abi::FlowsEnded>();
    if (ended.granted == 0) {
        return Unexpected(ClientError{ClientError::Kind::not_publisher, "the dataplane takes no changes from here"});
    }
    return FlowsEndedPart{ended.count, ended.next, ended.last != 0};
}

Expected<void, ClientError> TablesClient::watch_flows(std::uint32_t per_second) {
    abi::WatchFlows request;
    request.per_second = per_second;
    auto answer = ask(request, abi::MessageType::flows_watched, true);
    if (!answer) return Unexpected(answer.error());
    if (answer->as<abi::FlowsWatched>().granted == 0) {
        return Unexpected(ClientError{ClientError::Kind::not_publisher, "the dataplane takes no wishes from here"});
    }
    return {};
}

Expected<abi::SetsChanged, ClientError> TablesClient::change_sets(abi::ChangeSets& batch,
                                                                  std::chrono::milliseconds enforce_within) {
    batch.adopt_within_ms = static_cast<std::uint32_t>(enforce_within.count());
    const std::size_t bytes = offsetof(abi::ChangeSets, changes) + batch.count * sizeof(abi::SetChange);
    auto answer = ask(bytes_of(batch).first(bytes), {}, abi::MessageType::sets_changed, enforce_within + 5s, true);
    if (!answer) return Unexpected(answer.error());
    return answer->as<abi::SetsChanged>();
}

Expected<std::vector<abi::MemberState>, ClientError> TablesClient::get_members(
    abi::SetId set, std::span<const abi::SetMember> members) {
    abi::GetMembers request;
    request.set = set;
    request.count = static_cast<std::uint32_t>(std::min<std::size_t>(members.size(), abi::kSetChangesMax));
    std::copy_n(members.begin(), request.count, request.members.begin());
    const std::size_t bytes = offsetof(abi::GetMembers, members) + request.count * sizeof(abi::SetMember);
    auto answer = ask(bytes_of(request).first(bytes), {}, abi::MessageType::members, 5s, false);
    if (!answer) return Unexpected(answer.error());
    std::uint32_t count{};
    std::memcpy(&count, answer->bytes.data() + offsetof(abi::Members, count), sizeof count);
    if (count != request.count)
        return Unexpected(ClientError{ClientError::Kind::local, "an answer about other members"});
    std::vector<abi::MemberState> states(count);
    std::memcpy(states.data(), answer->bytes.data() + offsetof(abi::Members, states), count * sizeof(abi::MemberState));
    return states;
}

Expected<FlowDumpPage, ClientError> TablesClient::dump_flows(std::uint64_t cursor, std::uint32_t count_max,
                                                             const abi::FlowFilter& filter) {
    abi::DumpFlows request;
    request.cursor = cursor;
    request.filter = filter;
    request.count_max = std::min(count_max, abi::kFlowsPerDumpMax);
    auto answer = ask(request, abi::MessageType::flow_dump);
    if (!answer) return Unexpected(answer.error());
    const auto& dump = answer->as<abi::FlowDump>();
    FlowDumpPage page{{}, dump.next, dump.last != 0};
    for (std::uint32_t i = 0; i < dump.count; ++i) {
        const auto& flow = dump.flows[i];
        const bool known = (flow.family == abi::IpFamily::v4 || flow.family == abi::IpFamily::v6) &&
                           static_cast<std::uint8_t>(flow.state) < abi::kFlowStateCount;
        if (known) page.flows.push_back(flow);
    }
    return page;
}

}  // namespace sluice::cp
