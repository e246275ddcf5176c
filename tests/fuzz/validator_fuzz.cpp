/// libFuzzer target for the validator and the lookups behind it: validator_fuzz [-max_total_time=60] CORPUS_DIR.
/// Input: one byte that picks a section, then patches of 8 bytes (4 of offset, 1 of width, 1 of kind, 2 of value) that
/// are put into a valid generation with the digests made right again, or, with the top bit set, the section's own
/// bytes. A raw input of megabytes with a matching digest is nothing that a fuzzer finds by itself.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "dataplane/acl/isa.hpp"
#include "dataplane/acl/lookup.hpp"
#include "dataplane/acl/validator.hpp"
#include "tests/harness/generations.hpp"
#include "tests/harness/policies.hpp"
#include "tests/harness/random_policies.hpp"

namespace {

using namespace sluice;

const test::Pool& pool() {
    static const test::Pool p{1};
    return p;
}

/// With some edits beside the tables, so that there are small ones too.
const cp::CompiledGeneration& generation() {
    static cp::SlotMap slots;
    static const test::CompiledTables tables = [] {
        test::Random random{1};
        const cp::Policy before = pool().policy(test::random_rules(random, 70));
        cp::Policy after = before;
        after.rules.erase(after.rules.begin() + 3);
        after.rules[10].log = abi::RuleLog::both;
        after.rules[20].action = cp::Action::reject;
        return test::CompiledTables{before, after, slots, 2};
    }();
    return tables.compiled();
}

/// The first bytes of a section hold its struct, which names every array: each second patch goes there, others are
/// spread over the whole.
std::size_t place(std::uint32_t raw, std::size_t bytes) {
    return (raw & 1) == 0 ? (raw >> 1) % std::min<std::size_t>(bytes, 512) : (raw >> 1) % bytes;
}

void patch(std::vector<std::byte>& section, const std::uint8_t* p) {
    std::uint32_t raw;
    std::uint16_t value;
    std::memcpy(&raw, p, sizeof raw);
    std::memcpy(&value, p + 6, sizeof value);
    const std::uint8_t kind = p[5] % 5;
    const std::size_t width = kind == 4 ? 8 : std::size_t{1} << (p[4] % 4);
    const std::size_t at = place(kind == 4 ? raw & ~1U : raw, section.size()) / width * width;
    if (at + width > section.size()) return;
    std::uint64_t field = 0;
    std::memcpy(&field, section.data() + at, width);
    switch (kind) {
        case 0: field = value; break;
        case 1: field += value; break;
        case 2: field -= value; break;
        case 3: field = std::uint64_t{value} << (value % 64); break;
        // A count that wraps when it is multiplied by the size of its element.
        case 4: field = (std::uint64_t{1} << (57 + value % 7)) + (value >> 8 & 3U); break;
    }
    std::memcpy(section.data() + at, &field, width);
}

void ask(const dp::TableView& view) {
    if (view.zones.empty()) return;
    test::Random random{2};
    std::vector<dp::LookupKey> keys(8);
    for (dp::LookupKey& key : keys) {
        key = pool().key(random);
        key.from = abi::ZoneId{static_cast<std::uint16_t>(random() % view.zones.size())};
        key.to = abi::ZoneId{static_cast<std::uint16_t>(random() % view.zones.size())};
    }
    std::vector<dp::LookupResult> scalar(keys.size()), got(keys.size());
    dp::lookup_using(dp::Isa::scalar, view, keys, scalar);
    for (const dp::Isa isa : {dp::Isa::avx2, dp::Isa::avx512}) {
        if (!dp::supported(isa)) continue;
        dp::lookup_using(isa, view, keys, got);
        for (std::size_t i = 0; i < keys.size(); ++i) {
            const bool exists = got[i].rule < view.rules_end() && !view.rule_id(got[i].rule).empty();
            if (exists && got[i].rule == scalar[i].rule && got[i].observe == scalar[i].observe) continue;
            std::fprintf(stderr, "bodies differ on %s\n", test::to_text(keys[i]).c_str());
            std::abort();
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) return 0;
    const auto index = data[0] % abi::kSectionKindCount;
    const auto kind = static_cast<abi::SectionKind>(index + 1);
    const auto whole = generation().sections[index].bytes();
    std::vector<std::byte> section{whole.begin(), whole.end()};
    const std::uint8_t* rest = data + 1;
    const std::size_t rest_bytes = size - 1;
    if ((data[0] & 0x80) != 0) {
        section.assign(reinterpret_cast<const std::byte*>(rest), reinterpret_cast<const std::byte*>(rest) + rest_bytes);
    } else {
        for (std::size_t at = 0; at + 8 <= rest_bytes; at += 8) patch(section, rest + at);
    }
    section.shrink_to_fit();

    test::EditableGeneration::fix_digest(section);
    if (!dp::validate_section(kind, section)) return 0;
    abi::Manifest manifest = generation().manifest;
    abi::SectionHeader header;
    std::memcpy(&header, section.data(), sizeof header);
    manifest.sections[index].bytes = header.bytes;
    manifest.sections[index].digest = header.digest;
    dp::SectionBytes spans = generation().section_bytes();
    spans[index] = section;
    if (const auto view = dp::assemble(manifest, spans, {.rule_slots_max = 16'384})) ask(*view);
    return 0;
}
