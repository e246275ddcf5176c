#include "controlplane/compiler/manifest.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include <openssl/sha.h>

#include <sluice/abi/layout.hpp>

#include "controlplane/compiler/sections.hpp"
#include "dataplane/acl/digest.hpp"

namespace sluice::cp {

namespace {

/// For people; cut at a character's start where it is too long.
std::array<char, 64> manifest_name(std::string_view name) {
    std::array<char, 64> out{};
    std::size_t bytes = std::min(name.size(), out.size() - 1);
    if (bytes < name.size()) {
        while (bytes > 0 && (static_cast<unsigned char>(name[bytes]) & 0xc0U) == 0x80) --bytes;
    }
    std::memcpy(out.data(), name.data(), bytes);
    return out;
}

abi::SectionRef ref_of(std::span<const std::byte> section) {
    abi::SectionHeader header;
    std::memcpy(&header, section.data(), sizeof header);
    return {.kind = header.kind, .bytes = header.bytes, .digest = header.digest};
}

/// Identifies what the dataplane would do: the policy, this compiler, which slot counts for which rule, and for which
/// years schedules are written out. Independent of the generation number, of what it was compared with, and of the way
/// on which the tables were made: those of a whole policy, and those of another with an overlay, may answer alike and
/// have other bytes. So "does it run what is stored?" is one comparison, by a control plane that has been restarted
/// too.
abi::Digest256 generation_digest(const abi::Manifest& m, const Policy& policy, const RuleSlots& slots,
                                 std::span<const abi::Transition> transitions) {
    std::vector<unsigned char> text;
    const auto add = [&](const void* p, std::size_t n) {
        text.insert(text.end(), static_cast<const unsigned char*>(p), static_cast<const unsigned char*>(p) + n);
    };
    const auto add_digest = [&](const auto& items) {
        const XXH128_hash_t h = XXH3_128bits(items.data(), items.size() * sizeof items[0]);
        add(&h, sizeof h);
    };
    add(m.policy_version.bytes.data(), m.policy_version.bytes.size());
    add(&m.compiler_version, sizeof m.compiler_version);
    const abi::SectionRef settings = ref_of(write_settings(policy, std::nullopt, {}));
    add(&settings.digest, sizeof settings.digest);
    const auto& zones = m.sections[static_cast<std::size_t>(abi::SectionKind::zones) - 1];
    add(&zones.digest, sizeof zones.digest);
    add_digest(slots);
    add_digest(transitions);
    abi::Digest256 digest;
    SHA256(text.data(), text.size(), digest.bytes.data());
    return digest;
}

}  // namespace

abi::Manifest make_manifest(const Policy& policy, const RuleSlots& slots, std::span<const abi::Transition> transitions,
                            const CompiledGeneration& compiled) {
    abi::Manifest m;
    m.layout_hash = abi::kLayoutHash;
    m.bytes = sizeof m;
    m.policy_version = policy.version;
    m.compiler_version = kCompilerVersion;
    m.rule_slots = static_cast<std::uint32_t>(abi::kSlotFirstFree);
    const std::span<const abi::RuleSlot> in_use = slots;
    for (const abi::RuleSlot slot : in_use) m.rule_slots = std::max(m.rule_slots, static_cast<std::uint32_t>(slot) + 1);
    // Rules that an overlay hides keep theirs in the rules section.
    if (compiled.whole != nullptr) {
        for (const abi::RuleSlot slot : compiled.whole->slots)
            m.rule_slots = std::max(m.rule_slots, static_cast<std::uint32_t>(slot) + 1);
    }
    m.policy_name = manifest_name(policy.name);
    for (std::size_t i = 0; i < compiled.sections.size(); ++i) m.sections[i] = ref_of(compiled.sections[i].bytes());
    m.generation_digest = generation_digest(m, policy, slots, transitions);
    return m;
}

}  // namespace sluice::cp
