/// S3, the structural half: 10^5 random damages of valid generations, digests put right again. Each is refused, or
/// harmless: every lookup stays inside the sections (each in a heap block of its exact size, so that the address
/// sanitizer's build sees any step beyond) and answers with a rule that exists. Prints its seed; SEED repeats a run,
/// SLUICE_MUTATIONS sets the count.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "controlplane/compiler/overlay.hpp"
#include "dataplane/acl/isa.hpp"
#include "dataplane/acl/lookup.hpp"
#include "dataplane/acl/validator.hpp"
#include "tests/harness/generations.hpp"
#include "tests/harness/policies.hpp"
#include "tests/harness/random_policies.hpp"
#include "tests/harness/seed.hpp"

namespace sluice::dp {
namespace {

using test::EditableGeneration;
using test::Random;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

/// Numbers that tip bounds over.
std::uint64_t nasty(Random& random) {
    constexpr std::uint64_t values[] = {0,
                                        1,
                                        7,
                                        8,
                                        63,
                                        64,
                                        65,
                                        0xff,
                                        0x100,
                                        0xffff,
                                        0x10000,
                                        0x10001,
                                        0x7fffffff,
                                        0x80000000,
                                        0xffffffff,
                                        0x100000000,
                                        ~std::uint64_t{0},
                                        ~std::uint64_t{7},
                                        std::uint64_t{1} << 63};
    return random() % 3 == 0 ? random() : values[random() % std::size(values)];
}

/// Where a damage goes: half of them into the first 256 bytes, where structs and array references stand; the rest
/// anywhere, with large tables as likely as small ones.
std::size_t place(Random& random, std::size_t bytes) {
    return random() % 2 == 0 ? random() % std::min<std::size_t>(bytes, 256) : random() % bytes;
}

void damage(Random& random, std::vector<std::byte>& bytes, std::span<const std::byte> other) {
    if (bytes.size() < 16) return;
    const std::size_t at = place(random, bytes.size());
    switch (random() % 6) {
        case 0: bytes[at] ^= std::byte{static_cast<unsigned char>(1U << (random() % 8))}; break;
        case 1: bytes[at] = static_cast<std::byte>(random()); break;
        case 2: {  // a field overwritten
            const std::uint64_t value = nasty(random);
            const std::size_t width = std::size_t{1} << (random() % 4);
            const std::size_t field = std::min(at / width * width, bytes.size() - width);
            std::memcpy(bytes.data() + field, &value, width);
            break;
        }
        case 3: {  // a field moved a little: still plausible, so it gets deep
            std::uint32_t value;
            const std::size_t field = std::min(at / 4 * 4, bytes.size() - 4);
            std::memcpy(&value, bytes.data() + field, sizeof value);
            value += static_cast<std::uint32_t>(random() % 17) - 8;
            std::memcpy(bytes.data() + field, &value, sizeof value);
            break;
        }
        case 4: {  // a splice from another section or generation
            if (other.empty()) break;
            const std::size_t n = 1 + random() % std::min<std::size_t>(64, std::min(bytes.size() - at, other.size()));
            std::memcpy(bytes.data() + at, other.data() + random() % (other.size() - n + 1), n);
            break;
        }
        case 5:  // cut or grown, the size field following or not
            bytes.resize(random() % 4 == 0 ? bytes.size() + random() % 64
                                           : bytes.size() - random() % std::min<std::size_t>(64, bytes.size()));
            if (bytes.size() >= sizeof(abi::SectionHeader) && random() % 2 == 0) {
                bytes.resize(bytes.size() / 8 * 8);
                const std::uint64_t size = bytes.size();
                std::memcpy(bytes.data() + offsetof(abi::SectionHeader, bytes), &size, sizeof size);
            }
            break;
    }
    bytes.shrink_to_fit();
}

/// Every body over random keys; asking beyond a section is the sanitizer's to see, a rule that is not there is ours.
void ask(Random& random, const TableView& view, const test::Pool& pool) {
    if (view.zones.empty()) return;
    std::vector<LookupKey> keys(16);
    for (LookupKey& key : keys) {
        key = pool.key(random);
        key.from = abi::ZoneId{static_cast<std::uint16_t>(random() % view.zones.size())};
        key.to = abi::ZoneId{static_cast<std::uint16_t>(random() % view.zones.size())};
    }
    for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) {
        if (!supported(isa)) continue;
        std::vector<LookupResult> results(keys.size());
        lookup_using(isa, view, keys, results);
        for (const LookupResult& r : results) {
            ASSERT_LT(r.rule, view.rules_end());
            ASSERT_TRUE(r.observe == abi::kNoRule || r.observe < r.rule || view.has_overlay);
            ASSERT_TRUE(r.observe == abi::kNoRule || r.observe < view.rules_end());
            ASSERT_FALSE(view.rule_id(r.rule).empty());
        }
    }
}

/// Half of them with edits beside the tables.
cp::CompiledGeneration random_generation(Random& random, const test::Pool& pool) {
    const cp::Policy before = pool.policy(test::random_rules(random, random() % 80));
    cp::SlotMap slots{16'384};
    const auto slots_before = slots.assign(before);
    auto whole = cp::compile(before, *slots_before, {.generation = 1});
    if (random() % 2 == 0) return std::move(*whole);
    cp::Policy after = before;
    std::uint32_t next_id = 0;
    for (int n = 0; n < 3; ++n) test::change_rule(after, pool, random, next_id);
    const auto slots_after = slots.assign(after);
    const cp::ChangeBase base{&before, *slots_before, 1, {}, nullptr};
    auto edited = cp::compile_beside(*whole, after, *slots_after, base, {.generation = 2});
    return edited ? std::move(*edited) : std::move(*whole);
}

TEST(ValidatorMutation, S3RandomDamageIsRefusedOrHarmless) {
    const std::uint64_t seed = test::seed_of_this_run();
    const std::uint64_t count = from_environment("SLUICE_MUTATIONS", 100'000);
    SCOPED_TRACE(test::seed_line());
    Random random{seed};
    std::map<std::string, std::uint64_t> outcomes;
    for (std::uint64_t done = 0; done < count;) {
        const test::Pool pool{random()}, other_pool{random()};
        const cp::CompiledGeneration other = random_generation(random, other_pool);
        const SectionBytes other_sections = other.section_bytes();
        EditableGeneration g{random_generation(random, pool)};
        const ValidationLimits limits{.rule_slots_max = 16'384};
        ASSERT_TRUE(g.validate(limits));
        for (int i = 0; i < 500 && done < count; ++i, ++done) {
            SCOPED_TRACE("mutation " + std::to_string(done));
            // Only the damaged part is copied and validated again: the others are known to be good.
            const auto kind = static_cast<abi::SectionKind>(1 + random() % abi::kSectionKindCount);
            const std::vector<std::byte> section = g.section_bytes(kind);
            const abi::Manifest manifest = g.manifest();
            const std::uint64_t damages = 1 + random() % 3;
            for (std::uint64_t d = 0; d < damages; ++d)
                damage(random, g.section_bytes(kind), other_sections[random() % abi::kSectionKindCount]);
            if (random() % 16 == 0) damage(random, g.manifest_bytes(), {});
            g.manifest_bytes().resize(sizeof(abi::Manifest));
            g.fix_section(kind);
            SectionBytes spans;
            for (std::size_t k = 0; k < spans.size(); ++k)
                spans[k] = g.section_bytes(static_cast<abi::SectionKind>(k + 1));
            auto part = validate_manifest(g.manifest_bytes());
            if (part) part = validate_section(kind, spans[static_cast<std::size_t>(kind) - 1]);
            if (!part) {
                EXPECT_NE(part.error().reason, abi::RefuseReason::none);
                ++outcomes[std::string{to_string(part.error().reason)}];
            } else if (const auto view = assemble(g.manifest(), spans, limits); !view) {
                ++outcomes[std::string{to_string(view.error().reason)} + " (whole)"];
            } else {
                ++outcomes["harmless"];
                ask(random, *view, pool);
                if (HasFatalFailure()) return;
            }
            std::vector<std::byte>{section}.swap(g.section_bytes(kind));  // a block of exact size again
            g.manifest() = manifest;
        }
    }
    for (const auto& [outcome, times] : outcomes) std::printf("%8lu %s\n", times, outcome.c_str());
    EXPECT_GT(outcomes["harmless"], count / 100) << "damage is too coarse to reach the lookups";
    EXPECT_GT(outcomes.size(), 8U) << "damage does not reach all checks";
}

}  // namespace
}  // namespace sluice::dp
