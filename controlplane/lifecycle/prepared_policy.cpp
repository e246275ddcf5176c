#include "controlplane/lifecycle/prepared_policy.hpp"

#include <algorithm>
#include <chrono>
#include <future>
#include <optional>

#include "controlplane/compiler/overlay.hpp"
#include "controlplane/policy/sha256.hpp"
#include "dataplane/acl/validator.hpp"

namespace sluice::cp {
namespace {

std::uint64_t unix_now_ns() {
    using namespace std::chrono;
    return static_cast<std::uint64_t>(duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count());
}

Problem internal(std::string detail) {
    return problem(500, "internal-error", "The control plane contradicts itself", std::move(detail));
}

}  // namespace

std::string_view extension_of(PolicyFormat format) noexcept { return format == PolicyFormat::json ? "json" : "yaml"; }
PolicyFormat format_of(std::string_view extension) noexcept {
    return extension == "json" ? PolicyFormat::json : PolicyFormat::yaml;
}

Problem invalid_policy(PolicyErrors errors) {
    const auto count = errors.size();
    return problem(422, "invalid-policy", "The policy has errors",
                   std::to_string(count) + (count == 1 ? " error" : " errors") + "; nothing was changed",
                   std::move(errors));
}

Problem failed_tests(const std::vector<TestOutcome>& tests) {
    PolicyErrors errors;
    for (const auto& test : tests) {
        if (test.passed) continue;
        std::string detail = "test " + test.from + " -> " + test.to;
        if (!test.repeat.empty()) detail += " " + test.repeat;
        detail += ": expected " + test.expect;
        if (!test.by.empty()) detail += " by " + test.by;
        if (!test.limit.empty()) detail += " at limit " + test.limit;
        detail += ", got " + test.got + " by " + test.got_rule;
        if (!test.got_limit.empty()) detail += " at limit " + test.got_limit;
        detail += "; correct the rules or the test";
        const auto index = static_cast<std::size_t>(&test - tests.data());
        errors.push_back({"test-failed", "/tests/" + std::to_string(index), test.pos, std::move(detail)});
    }
    auto detail = std::to_string(errors.size()) + " of " + std::to_string(tests.size()) +
                  " policy tests failed; nothing was changed";
    return problem(422, "policy-tests-failed", "Policy tests failed", std::move(detail), std::move(errors));
}

GenerationBytes PreparedPolicy::bytes() const noexcept {
    GenerationBytes b{&compiled.manifest, {}};
    for (std::size_t k = 0; k < b.sections.size(); ++k) b.sections[k] = compiled.sections[k].bytes();
    return b;
}

ChangeBase PreparedPolicy::as_base() const noexcept {
    constexpr auto rules = static_cast<std::size_t>(abi::SectionKind::rules) - 1;
    return {.policy = &policy,
            .slots = rule_slots,
            .generation = generation(),
            .rules_digest = compiled.manifest.sections[rules].digest,
            .terms = compiled.overlaid == nullptr ? compiled.whole->terms.get() : nullptr};
}

PolicyStore::Staged PreparedPolicy::staged_behind(const PreparedPolicy* before) const {
    PolicyStore::Staged staged{.ref = ref(), .label = version, .text = known_text()};
    if (before == nullptr) return staged;
    staged.before = before->known_text();
    if (edit_of.lock().get() != before) return staged;
    staged.before = before->text_to_edit();
    staged.kept = kept;
    return staged;
}

PolicyRef PreparedPolicy::ref() const { return {hash, std::string{extension_of(format)}, generation()}; }

std::vector<std::string> PreparedPolicy::zone_names() const {
    std::vector<std::string> names;
    for (const auto& zone : policy.zones) names.push_back(zone.name);
    return names;
}

std::size_t PreparedPolicy::rules_beside() const noexcept {
    const Overlaid* overlaid = compiled.overlaid.get();
    return overlaid == nullptr ? 0 : std::max(overlaid->fresh, overlaid->hidden.size());
}

Expected<SourcePolicy, PolicyErrors> read_source(std::string text, PolicyFormat format, const ReadOptions& options) {
    auto read = read_written(parse_document(text, format), format, options);
    if (!read) return Unexpected(std::move(read.error()));
    return SourcePolicy{.policy = std::move(read->policy),
                        .format = format,
                        .text = std::move(text),
                        .written = std::move(read->written),
                        .edit_of = nullptr};
}

namespace {

/// What the dataplane will check. What `base` has too was looked at then.
Expected<dp::TableView, dp::Refusal> validated(const CompiledGeneration& compiled, const PreparedPolicy* base,
                                               std::uint32_t rule_slots_max,
                                               std::shared_ptr<const dp::LargeTables>& large) {
    const auto sections = compiled.section_bytes();
    if (auto ok = dp::validate_manifest(compiled.manifest_bytes()); !ok) return Unexpected(std::move(ok.error()));
    for (std::size_t i = 0; i < sections.size(); ++i) {
        const abi::SectionRef& ref = compiled.manifest.sections[i];
        if (base != nullptr && base->compiled.manifest.sections[i].digest == ref.digest &&
            base->compiled.manifest.sections[i].bytes == ref.bytes)
            continue;
        if (auto ok = dp::validate_section(ref.kind, sections[i]); !ok) return Unexpected(std::move(ok.error()));
    }
    if (base != nullptr) large = base->large;
    return dp::assemble(compiled.manifest, sections, {.rule_slots_max = rule_slots_max, .ports = {}}, large);
}

/// Of a whole policy; `terms` are waited for.
Expected<CompiledGeneration, CompileRefusal> compiled_generation(
    const PreparedPolicy& prepared, std::uint64_t generation, const PreparedPolicy* base,
    std::future<std::shared_ptr<const TermBuilder>> terms) {
    CompileOptions options{.generation = generation, .created_unix_ns = unix_now_ns(), .terms = terms.get()};
    if (base != nullptr) options.base = base->as_base();
    return compile(prepared.policy, prepared.rule_slots, options);
}

/// Nothing: there is no base that it is an edit of, or it doesn't fit beside that one's tables.
std::optional<CompiledGeneration> compiled_beside(const PreparedPolicy& prepared, std::uint64_t generation,
                                                  const PreparedPolicy* base, bool edited) {
    if (base == nullptr || !edited) return std::nullopt;
    const auto of = base->as_base();
    const CompileOptions options{.generation = generation, .created_unix_ns = unix_now_ns(), .base = of};
    auto beside = compile_beside(base->compiled, prepared.policy, prepared.rule_slots, of, options);
    return beside ? std::optional{std::move(*beside)} : std::nullopt;
}

/// Begun before they are needed, unless edits are likely to be compiled beside the tables.
std::future<std::shared_ptr<const TermBuilder>> terms_of(const Policy& policy, const PreparedPolicy* base,
                                                         bool edited) {
    const auto* before = base == nullptr ? nullptr : base->compiled.whole.get();
    const bool soon = !edited && policy.rules.size() >= kRulesWorthAThread;
    return std::async(soon ? kAThreadIfThereIsOne : std::launch::deferred, [&policy, before] {
        return std::make_shared<const TermBuilder>(policy, before == nullptr ? nullptr : &before->policy,
                                                   before == nullptr ? nullptr : before->terms.get());
    });
}

}  // namespace

Expected<std::shared_ptr<PreparedPolicy>, Problem> prepare(SourcePolicy source, SlotMap& slots,
                                                           std::uint64_t generation, const PreparedPolicy* base) {
    auto prepared = std::make_shared<PreparedPolicy>();
    prepared->policy = std::move(source.policy);
    prepared->format = source.format;
    prepared->text = std::move(source.text);
    prepared->written = std::move(source.written);
    prepared->text_digest = std::move(source.text_digest);
    prepared->edit_of = source.edit_of;
    for (const SharedRun& run : source.kept) prepared->kept.push_back({run.before, run.after, run.count});
    prepared->hash = to_hex(prepared->policy.version);
    prepared->version = prepared->policy.name + "@" + prepared->hash.substr(0, 6);

    const bool edited = base != nullptr && source.edit_of.get() == base;
    auto terms = terms_of(prepared->policy, base, edited);
    SlotMap::Before assigned_before;
    if (base != nullptr) assigned_before = {&base->policy, &base->rule_slots, &base->slots};
    auto assigned = slots.assign(prepared->policy, base == nullptr ? nullptr : &assigned_before);
    if (!assigned) {
        if (assigned.error().resting != 0) {
            return Unexpected(problem(503, "rule-slots-rest", "Flows of removed rules are still being judged",
                                      assigned.error().to_string()));
        }
        return Unexpected(problem(422, "too-many-rules", "The policy is too big", assigned.error().to_string()));
    }
    prepared->slots = slots;
    prepared->rule_slots = std::move(*assigned);
    if (auto beside = compiled_beside(*prepared, generation, base, edited)) {
        prepared->compiled = std::move(*beside);
    } else {
        auto compiled = compiled_generation(*prepared, generation, base, std::move(terms));
        if (!compiled) {
            if (compiled.error().code == "slot-missing") return Unexpected(internal(compiled.error().detail));
            return Unexpected(problem(422, compiled.error().code, "The policy is too big", compiled.error().detail));
        }
        prepared->compiled = std::move(*compiled);
    }
    auto view = validated(prepared->compiled, base, slots.capacity(), prepared->large);
    if (!view) return Unexpected(internal("the compiled policy is not valid: " + view.error().where));
    prepared->view = *view;
    auto tests = run_policy_tests(prepared->policy, prepared->view);
    if (!tests) return Unexpected(internal(tests.error()));
    prepared->tests = std::move(*tests);
    return prepared;
}

std::shared_ptr<PreparedPolicy> moved_onto(const PreparedPolicy& whole, const PreparedPolicy& current) {
    const CompileOptions options{.generation = 1, .created_unix_ns = unix_now_ns()};
    auto compiled = compile_beside(whole.compiled, current.policy, current.rule_slots, current.as_base(), options);
    if (!compiled) return nullptr;
    auto moved = std::make_shared<PreparedPolicy>(current);
    auto view = validated(*compiled, &whole, current.slots.capacity(), moved->large);
    if (!view) return nullptr;
    moved->compiled = std::move(*compiled);
    moved->view = *view;
    return moved;
}

std::string port_trouble(const PreparedPolicy& prepared, std::span<const std::string> ports) {
    const std::vector<std::string_view> names{ports.begin(), ports.end()};
    auto large = prepared.large;
    const auto view = dp::assemble(prepared.compiled.manifest, prepared.compiled.section_bytes(),
                                   {.rule_slots_max = prepared.compiled.manifest.rule_slots, .ports = names}, large);
    return view ? std::string{} : view.error().where;
}

}  // namespace sluice::cp
