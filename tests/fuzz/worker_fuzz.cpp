/// libFuzzer target for the whole walk of a packet, with state: worker_fuzz [-max_total_time=60] CORPUS_DIR.
/// Input: steps. A step's first byte says what happens: a frame as raw bytes, a segment of one of four conversations,
/// an error about the last frame, time, another policy, a link, a full device, no buffer. The harness ends the run if
/// the conservation law, the buffers or the counters of sent packets do not add up; here also that flows come and go
/// evenly.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "tests/fuzz/input.hpp"
#include "tests/fuzz/repair.hpp"
#include "tests/harness/harness.hpp"

namespace sluice::test {
namespace {

constexpr std::size_t kStepsMax = 64;

/// Everything from outside by one rule: forwarded, rejected or denied.
cp::Policy any_to_any(cp::Action action, abi::RuleLog log) {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.rule({.id = "watch", .from = {"outside"}, .to = {"inside"}, .mode = abi::RuleMode::observe});
    p.rule({.id = "in", .from = {"outside"}, .to = {"inside"}, .action = action, .log = log});
    p.rule({.id = "out", .from = {"inside"}, .to = {"outside"}, .action = cp::Action::allow, .log = log});
    return p.build();
}

/// Ports, sets and types of ICMP, with something else for each of the walk's conversations.
cp::Policy by_service(cp::Action otherwise) {
    PolicyBuilder p;
    p.zone("outside", {"p0"}).zone("inside", {"p1"});
    p.set("clients", {"198.51.100.0/28", "2001:db8:51::7"}).set("web", {"198.51.100.80", "2001:db8:51::80"});
    p.rule({.id = "early", .from = {"clients"}, .to = {"web"}, .service = {"tcp/80-442"}, .action = otherwise});
    p.rule({.id = "web",
            .from = {"outside&198.51.100.0/24", "outside&2001:db8:51::/64"},
            .to = {"web"},
            .service = {"tcp/443"},
            .action = cp::Action::allow,
            .log = abi::RuleLog::both});
    p.rule({.id = "dns", .from = {"outside"}, .to = {"inside"}, .service = {"udp/53"}, .action = cp::Action::reject});
    p.rule({.id = "ping",
            .from = {"clients"},
            .to = {"any"},
            .service = {"icmp/8", "icmp6/128", "icmp/3/4"},
            .action = cp::Action::allow});
    p.rule({.id = "peers", .from = {"any"}, .to = {"any"}, .service = {"proto/132"}, .action = cp::Action::allow});
    p.rule({.id = "out", .from = {"inside"}, .to = {"outside"}, .service = {"udp/1-65535"}, .action = otherwise});
    p.default_action(otherwise, abi::RuleLog::start);
    return p.build();
}

/// Flows of a rule, of its sources and of a zone are counted, and how fast new ones come.
cp::Policy limited(std::uint32_t states, std::uint32_t of_a_source, std::uint32_t a_second) {
    cp::Policy policy = any_to_any(cp::Action::allow, abi::RuleLog::start);
    policy.rules[1].limits = {.states_max = states, .states_per_source_max = of_a_source};
    policy.rules[2].limits.new_per_second_max = a_second;
    policy.zones[0].limits = {.states_max = states + 1, .new_per_second_max = a_second};
    return policy;
}

cp::Policy policy_of(std::size_t which) {
    constexpr cp::Action kActions[] = {cp::Action::allow, cp::Action::reject, cp::Action::deny};
    switch (which) {
        case 6: return by_service(cp::Action::deny);
        case 7: return by_service(cp::Action::reject);
        case 8: return by_service(cp::Action::allow);
        case 9: return limited(2, 1, 5);
        case 10: return limited(4, 3, 2);
        case 11: return limited(1, 0, 1);
        default: return any_to_any(kActions[which % 3], which % 2 == 0 ? abi::RuleLog::both : abi::RuleLog::none);
    }
}

/// Compiled once: that takes longer than a walk.
const CompiledTables& tables(std::size_t which) {
    static const auto all = [] {
        std::array<std::unique_ptr<CompiledTables>, 12> made;
        for (std::size_t i = 0; i < made.size(); ++i) {
            made[i] = std::make_unique<CompiledTables>(policy_of(i), i + 1, std::vector<std::string>{"p0", "p1"});
        }
        return made;
    }();
    return *all[which % all.size()];
}

class Walk {
public:
    explicit Walk(Input in) : in_{in} { h_.use(tables(0)); }

    void run() {
        for (std::size_t step = 0; step < kStepsMax && !in_.empty(); ++step) {
            one_step();
            (void)h_.events();
        }
        finish();
    }

private:
    void one_step() {
        const std::uint8_t what = in_.byte();
        switch (what & 7U) {
            case 0: arrive(what, raw_frame()); break;
            case 1:
            case 2:
            case 3: arrive(what, segment()); break;
            case 4: arrive(what, error_about_last()); break;
            case 5: time(what); break;
            case 6: h_.use(tables(what >> 3U)); break;
            case 7: circumstances(what); break;
        }
    }

    void time(std::uint8_t what) {
        const std::chrono::milliseconds by{in_.take<std::uint16_t>() * ((what & 0x10U) != 0 ? 10 : 1)};
        if ((what & 8U) != 0) {
            h_.skip(by);
        } else {
            h_.advance(std::min(by, std::chrono::milliseconds{20'000}));
        }
    }

    /// For the next frame only.
    void circumstances(std::uint8_t what) {
        const std::size_t port = what >> 3U & 1U;
        if ((what & 0x10U) != 0) h_.io.link[port] = false;
        if ((what & 0x20U) != 0) h_.io.tx_room[port] = 0;
        if ((what & 0x40U) != 0) h_.io.can_allocate = false;
    }

    Bytes raw_frame() {
        const auto bytes = in_.bytes(in_.take<std::uint16_t>() % 1600);
        Bytes frame{bytes.begin(), bytes.end()};
        if (frame.empty()) frame.push_back(0);
        repair_ipv4_checksum(frame);
        return frame;
    }

    /// One of four conversations: ports, direction, flags, and where it stands relative to what went before.
    Bytes segment() {
        const std::uint8_t who = in_.byte();
        const bool reply = (who & 1U) != 0;
        Conversation& c = talks_[who >> 1U & 3U];
        const auto client = static_cast<std::uint16_t>(40000 + (who >> 1U & 3U));
        L4 l4;
        if ((who & 0x80U) != 0) {
            l4 = association(reply, client);
        } else if ((who & 0x10U) != 0) {
            l4 = Udp{.sport = reply ? std::uint16_t{53} : client,
                     .dport = reply ? client : std::uint16_t{53},
                     .payload = bytes_of(in_.byte())};
        } else if ((who & 0x40U) != 0) {
            l4 = Icmp{.type = static_cast<std::uint8_t>((who & 0x20U) != 0 ? (reply ? 129 : 128) : (reply ? 0 : 8)),
                      .id = client};
        } else {
            const std::uint8_t flags = in_.byte();
            const auto seq = static_cast<std::uint32_t>(in_.take<std::int16_t>());
            const auto ack = static_cast<std::uint32_t>(in_.take<std::int16_t>());
            const std::size_t length = in_.byte();
            std::uint32_t& mine = reply ? c.server : c.client;
            const std::uint32_t theirs = reply ? c.client : c.server;
            l4 = Tcp{.sport = reply ? std::uint16_t{443} : client,
                     .dport = reply ? client : std::uint16_t{443},
                     .seq = mine + seq,
                     .ack = theirs + ack,
                     .flags = flags,
                     .window = in_.take<std::uint16_t>(),
                     .payload = bytes_of(length)};
            mine += seq + static_cast<std::uint32_t>(length) + ((flags & (kSyn | kFin)) != 0 ? 1 : 0);
        }
        direction_ = reply ? 1 : 0;
        if ((who & 0x20U) != 0) {
            const Ipv6 there;
            return frame(reply ? Ipv6{.src = there.dst, .dst = there.src} : there, l4);
        }
        const Ipv4 there;
        return frame(reply ? Ipv4{.src = there.dst, .dst = there.src} : there, l4);
    }

    /// Few tags, so that they fit now and then: the client names 7, the server 9, others 8 and 10.
    Sctp association(bool reply, std::uint16_t client) {
        const std::uint8_t what = in_.byte(), tags = in_.byte();
        const std::uint8_t type = what & 0x0fU;
        Bytes chunks = type == 1   ? sctp_init(7 + (tags & 3U))
                       : type == 2 ? sctp_init_ack(7 + (tags & 3U))
                                   : sctp_chunk(type, bytes_of(4), what >> 4U & 1U);
        if ((what & 0x20U) != 0) chunks = chunks + sctp_data(3);
        if ((what & 0x40U) != 0) patch(std::span<std::uint8_t>{chunks}, in_, 1);
        const std::uint32_t tag = type == 1 && (tags & 0x80U) == 0 ? 0 : 7 + (tags >> 2U & 3U);
        return {.sport = reply ? std::uint16_t{3868} : client,
                .dport = reply ? client : std::uint16_t{3868},
                .tag = tag,
                .chunks = chunks};
    }

    /// An ICMP error that quotes the last frame's datagram, or a part of it, with a few bytes changed.
    Bytes error_about_last() {
        const std::uint8_t type = in_.byte();
        Bytes quoted{last_.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(14, last_.size())), last_.end()};
        quoted.resize(std::min<std::size_t>(quoted.size(), in_.byte() * 2U));
        patch(std::span<std::uint8_t>{quoted}, in_, type >> 6U);
        direction_ = 1 - direction_;
        const bool v6 = last_.size() > 14 && last_[12] == 0x86;
        const bool back = direction_ == 1;
        if (v6) {
            const Ipv6 there;
            const auto number = static_cast<std::uint8_t>(1 + type % 4);
            const Icmp error{.type = number, .code = in_.byte(), .payload = quoted};
            return frame(back ? Ipv6{.src = there.dst, .dst = there.src} : there, error);
        }
        constexpr std::uint8_t kErrors[] = {3, 11, 12, 5};
        const Ipv4 there;
        const Icmp error{.type = kErrors[type % 4], .code = in_.byte(), .payload = quoted};
        return frame(back ? Ipv4{.src = there.dst, .dst = there.src} : there, error);
    }

    void arrive(std::uint8_t what, Bytes bytes) {
        const auto port = static_cast<std::uint8_t>((what & 7U) == 0 ? what >> 3U & 1U : direction_);
        const auto checksum = (what & 0x10U) != 0 ? dp::L4Checksum::unknown : dp::L4Checksum::good;
        const std::uint32_t contiguous = (what & 0x20U) != 0 ? in_.byte() : UINT32_MAX;
        (void)h_.io.arrive(port, bytes, checksum, contiguous);
        if ((what & 0x40U) == 0 || in_.empty()) settle();
        last_ = std::move(bytes);
    }

    void settle() {
        do {
            (void)h_.run_once();
        } while (h_.io.waiting() != 0);
        (void)h_.io.take_sent();
        for (const std::size_t port : {0U, 1U}) {
            h_.io.link[port] = true;
            h_.io.tx_room[port] = SIZE_MAX;
        }
        h_.io.can_allocate = true;
    }

    void finish() {
        settle();
        const std::size_t dumped = h_.dump().size();
        const abi::WorkerCounters& c = h_.counters();
        must(dumped == h_.flows(), "the dump holds as many flows as are counted");
        must(c.flows_created.read() == h_.flows() + c.flows_expired.read() + c.flows_closed.read() +
                                           c.flows_ended_by_policy.read() + c.syn_early_drop.read() +
                                           c.closing_early_drop.read(),
             "every flow that came is there or went in a counted way");
    }

    struct Conversation {
        std::uint32_t client{1000}, server{5000};
    };

    Input in_;
    Harness h_{{.flow_entries_max = 8, .buffers = 96, .rule_slots = 64, .ring_records = 256}};
    std::array<Conversation, 4> talks_;
    std::uint8_t direction_{};
    Bytes last_;
};

}  // namespace
}  // namespace sluice::test

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    testing::GTEST_FLAG(break_on_failure) = true;  // the harness says what is wrong by EXPECT_EQ
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    sluice::test::Walk{sluice::test::Input{data, size}}.run();
    return 0;
}
