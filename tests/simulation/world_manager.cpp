// The part of World that speaks with the product's manager, in the runs that have it.
#include <algorithm>

#include "tests/simulation/world.hpp"

namespace sluice::sim {

namespace {

constexpr std::uint64_t kPatienceNs = 1'000'000'000;  ///< of a publisher that names none

abi::Answer refusal(abi::RefuseReason reason) {
    abi::Answer a;
    a.kind = abi::AnswerKind::refused;
    a.reason = reason;
    return a;
}

}  // namespace

void World::start_manager() {
    manager_ =
        std::make_unique<RealManager>(RealManager::Options{.workers = static_cast<std::uint32_t>(shape_.workers),
                                                           .rule_slots = setup_.rule_slots,
                                                           .pickup_ns = setup_.pickup_ms * std::uint64_t{1'000'000},
                                                           .ports = {"p0", "p1", "p2", "p3"},
                                                           .flows = kept_,
                                                           .clock = [this] { return abi::MonoTime{mono_ns()}; }},
                                      *qsbr_, *supervisor_);
    expect_equal("flows kept, as the manager tells", manager_->counters().flows_kept.read(), kept_.count.kept);
}

void World::offer(const Step& s, const std::shared_ptr<const Edition>& edition) {
    constexpr auto rules = static_cast<std::size_t>(abi::SectionKind::rules) - 1;
    cp::CompileOptions options{.generation = edition->generation, .base = {}};
    if (const auto& running = generations().running()) {
        const Edition& runs = *switches_.running();
        options.base = cp::ChangeBase{&runs.policy, runs.rule_slots(), running->manifest.generation,
                                      running->manifest.sections[rules].digest};
    }
    const auto compiled = cp::compile(edition->policy, slots_, options);
    if (!compiled) failed("the policy does not compile: " + compiled.error().detail);
    std::optional<abi::Answer> at_once;
    if (!switches_.may_switch()) at_once = refusal(abi::RefuseReason::too_many_unretired);
    if (s.b != 0 && !switches_.running()) at_once = refusal(abi::RefuseReason::nothing_to_confirm);
    const RealManager::Heard heard = manager_->offer(*compiled, ++request_, s.b);
    const std::uint64_t deadline = s.b == 0 ? 0 : mono_ns() + s.b * std::uint64_t{1'000'000};
    const bool done = switches_.publish(edition, deadline);
    if (done) asked_.push_back({request_, switches_.number(), mono_ns() + kPatienceNs});
    hear(heard, at_once);
    tally.publishes += done ? 1 : 0;
    tally.refused += done ? 0 : 1;
    const auto& running = generations().running();
    check_switch("publish", running && running->manifest.generation == edition->generation, done);
}

void World::confirm() {
    const std::uint64_t generation = switches_.running() ? switches_.running()->generation : 1;
    const RealManager::Heard heard = manager_->confirm(generation, ++request_);
    abi::Answer at_once = refusal(abi::RefuseReason::nothing_to_confirm);
    if (switches_.confirm()) {
        at_once = {};
        at_once.kind = abi::AnswerKind::adopted;
    }
    hear(heard, at_once);
}

void World::revert() {
    const std::uint64_t generation = switches_.running() ? switches_.running()->generation : 1;
    const bool may = switches_.may_switch();
    const RealManager::Heard heard = manager_->revert(generation, ++request_);
    std::optional<abi::Answer> at_once;
    if (switches_.revert()) {
        asked_.push_back({request_, switches_.number(), mono_ns() + kPatienceNs});
        ++tally.reverts;
    } else {
        at_once = refusal(may ? abi::RefuseReason::nothing_to_confirm : abi::RefuseReason::too_many_unretired);
    }
    hear(heard, at_once);
}

/// A round's answers: the one to what was just asked, then to switches that all workers have seen by now, or have not
/// in time. Then the deadline of a generation that nobody has confirmed.
void World::hear(const RealManager::Heard& heard, std::optional<abi::Answer> at_once) {
    std::vector<abi::Answer> expected;
    if (at_once) {
        at_once->header.sequence = request_;
        expected.push_back(*at_once);
    }
    std::erase_if(asked_, [&](const Asked& a) {
        const std::uint64_t late = switches_.late_workers(a.number);
        if (late != 0 && mono_ns() < a.deadline_ns) return false;
        abi::Answer answer;
        answer.kind = late == 0 ? abi::AnswerKind::adopted : abi::AnswerKind::stalled;
        answer.header.sequence = a.request;
        answer.stalled_workers = late;
        expected.push_back(answer);
        return true;
    });
    expect_equal("answers of the manager", heard.answers.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const abi::Answer &got = heard.answers[i], &wanted = expected[i];
        const std::string which = "answer " + std::to_string(i) + ": ";
        expect_equal(which + "kind", static_cast<std::uint64_t>(got.kind), static_cast<std::uint64_t>(wanted.kind));
        expect_equal(which + "request", got.header.sequence, wanted.header.sequence);
        expect_equal(which + "reason", static_cast<std::uint64_t>(got.reason),
                     static_cast<std::uint64_t>(wanted.reason));
        expect_equal(which + "stalled workers", got.stalled_workers, wanted.stalled_workers);
        see(&got.kind, sizeof got.kind);
    }
    const bool reverted = switches_.time_is_up(mono_ns()) && switches_.revert();
    tally.reverts += reverted ? 1 : 0;
    expect_equal("notices of a revert", heard.reverts, reverted ? 1 : 0);
    check_switch("revert at the deadline", reverted, reverted);
}

/// The store has what a next process needs, and nothing else.
void World::check_store() {
    std::vector<std::string> wanted;
    for (const auto& held : {switches_.running(), switches_.previous()}) {
        if (held) wanted.push_back("m." + std::to_string(held->generation));
    }
    std::sort(wanted.begin(), wanted.end());
    std::vector<std::string> stored = supervisor_->names("m.");
    for (std::string& name : stored) name.resize(name.rfind('.'));  // the digest behind it tells tables apart
    if (stored != wanted) failed("the store holds other generations than those that can run");
    expect_equal("memory of flows in the store", supervisor_->names("f.").size(), shape_.workers);
}

}  // namespace sluice::sim
