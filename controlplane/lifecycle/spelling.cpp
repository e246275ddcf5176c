/// A PATCH writes its policy out, and the store keeps that as an edit of the text before. Where there is no such text,
/// or it is made of many edits by now, all of it has to be written: for 100,000 rules a tenth of a second. Here that is
/// done before: while the dataplane looks at a policy that was sent, and for others while nobody waits.
#include <chrono>
#include <future>
#include <utility>

#include "controlplane/lifecycle/policy_service_impl.hpp"
#include "controlplane/policy/written.hpp"
#include "controlplane/store/audit_entry.hpp"

namespace sluice::cp {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

/// Not while edits follow each other: writing megabytes would hold up the next one.
constexpr auto kPolicyRestsFor = 1s;
constexpr std::uint64_t kWrittenWholeAtEdits = kTextEditsMax / 2;

bool is_worth_spelling(const PreparedPolicy& p) {
    return p.text.size() >= kEditedTextBytesMin && !p.written.lines.empty() && p.spelled == nullptr;
}

/// A policy that was sent is in its author's own words; an edit of it is not.
bool has_own_words(const PreparedPolicy& p) { return p.spelled == nullptr && p.written.text_at.empty(); }

/// What edits go on from. It says the same, so only the copy's positions are other ones.
std::shared_ptr<const Spelled> spelled(const PreparedPolicy& of) {
    auto made = std::make_shared<Spelled>();
    WrittenPolicy written = of.written;
    Policy policy = of.policy;
    made->text = write_out(written, policy).text;
    made->text_at = std::move(written.text_at);
    made->digest = sha256_hex(made->text);
    return made;
}

}  // namespace

std::future<std::shared_ptr<const Spelled>> spelled_soon(const PreparedPolicy& of, std::size_t bytes_min) {
    if (of.text.size() < bytes_min || !is_worth_spelling(of) || !has_own_words(of)) return {};
    return std::async(kAThreadIfThereIsOne, [&of] { return spelled(of); });
}

void PolicyServiceImpl::spell_current() {
    const auto found = shared();
    if (found.current == nullptr || found.pending != nullptr || spelling_seen_.lock() == found.current ||
        steady_clock::now() - found.current_since < kPolicyRestsFor)
        return;
    const PreparedPolicy& was = *found.current;
    spelling_seen_ = found.current;
    if (!is_worth_spelling(was)) return;
    const bool own_words = has_own_words(was);
    if (!own_words && store_->text_edits(was.text_digest) < kWrittenWholeAtEdits) return;

    auto next = std::make_shared<PreparedPolicy>(was);
    if (own_words) next->spelled = spelled(was);
    auto digest = store_->keep_text(own_words ? next->spelled->text : was.text);
    if (!digest) return;  // the next edit takes longer, and that is all
    if (!own_words) next->text_digest = std::move(*digest);

    const std::lock_guard commit{commit_mutex_};
    if (shared().current != found.current) return;  // nobody names the text, so it goes with the next adoption
    spelling_seen_ = next;
    const std::lock_guard lock{state_mutex_};
    shared_.current = std::move(next);
    ++shared_.texts_spelled;
}

}  // namespace sluice::cp
