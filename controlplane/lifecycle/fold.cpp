/// From tables with an overlay to tables without one.
#include <cstdio>
#include <utility>

#include "controlplane/compiler/overlay.hpp"
#include "controlplane/lifecycle/policy_service_impl.hpp"

namespace sluice::cp {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

/// A lookup that makes a flow asks two tables for so long, at least.
constexpr auto kEditsRestFor = 2s;
/// With so many the time has come, whether they rest or not: an edit beyond what an overlay may have waits for all
/// tables.
constexpr std::size_t kFoldedAtRules = kOverlayFreshMax / 2, kFoldedAtMet = kOverlayMetMax / 2;

constexpr auto kTriedAgainAfter = 60s;

bool is_due(const PreparedPolicy& current, steady_clock::time_point since) {
    const Overlaid* overlaid = current.compiled.overlaid.get();
    if (overlaid == nullptr) return false;
    return steady_clock::now() - since >= kEditsRestFor || overlaid->fresh >= kFoldedAtRules ||
           overlaid->hidden.size() >= kFoldedAtRules || overlaid->met_count >= kFoldedAtMet;
}

}  // namespace

void PolicyServiceImpl::fold_overlay() {
    const auto found = shared();
    if (steady_clock::now() < fold_not_before_ || found.current == nullptr || found.pending != nullptr ||
        !found.runs(found.current) || !is_due(*found.current, found.current_since))
        return;
    // The long part, while edits may go on.
    const PreparedPolicy& was = *found.current;
    auto slots_then = was.slots;
    auto whole = prepare({was.policy, was.format, was.text, was.written, was.text_digest, {}}, slots_then, 1, &was);
    if (!whole) {  // rules beside the tables can make fewer classes than in them; the overlay goes on
        fold_not_before_ = steady_clock::now() + kTriedAgainAfter;
        return;
    }

    const std::lock_guard commit{commit_mutex_};
    const auto now = shared();
    if (now.current == nullptr || now.pending != nullptr || !now.runs(now.current)) return;
    std::shared_ptr<PreparedPolicy> next = *whole;
    if (now.current != found.current) {
        // Edits of the same tables went on; anything else has other tables by now.
        if (now.current->compiled.whole != was.compiled.whole) return;
        next = moved_onto(**whole, *now.current);
        if (next == nullptr) return;
    }
    next->spelled = now.current->spelled;
    // The same generation with other tables: nothing that anybody could ask for is another, so nothing is written down.
    const abi::Manifest& runs = now.current->compiled.manifest;
    next->compiled.manifest.set_epoch = runs.set_epoch;
    next->compiled.manifest.set_delta = runs.set_delta;
    renumber(next->compiled, runs.generation, runs.created_unix_ns);
    next->view.generation = next->generation();
    const auto answer = client_.offer(next->bytes(), std::chrono::milliseconds{0}, options_.adopt_within);
    ask_what_runs();
    if (!answer || answer->kind == abi::AnswerKind::refused) {
        fold_not_before_ = steady_clock::now() + kTriedAgainAfter;
        std::fprintf(stderr, "sluice-controlplane: compiling edits into the tables: %s\n",
                     answer ? "the dataplane refuses them" : to_text(answer.error()).c_str());
        return;
    }
    {
        const std::lock_guard lock{state_mutex_};
        shared_.current = next;
        ++shared_.folds;
    }
    keep_as_last_good(next);
}

}  // namespace sluice::cp
