#include "dataplane/manager/attach.hpp"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include <sluice/abi/section_names.hpp>

namespace sluice::dp {

namespace {

Unexpected<Refusal> refuse(abi::RefuseReason reason, std::string where) {
    return Unexpected<Refusal>{Refusal{reason, std::move(where)}};
}

bool same(const abi::SectionRef& a, const abi::SectionRef& b) {
    return a.kind == b.kind && a.digest == b.digest && a.bytes == b.bytes;
}

std::string name_of(abi::SectionKind kind) { return fmt::format("section {}", abi::section_name(kind)); }

}  // namespace

Attacher::Attacher(std::vector<std::string_view> ports, std::uint32_t rule_slots_max, TrustedOwners owners)
    : ports_{std::move(ports)},
      limits_{.rule_slots_max = rule_slots_max, .ports = ports_},
      owners_{std::move(owners)} {}

Expected<std::shared_ptr<const Generation>, Refusal> Attacher::attach(GenerationFds fds) {
    auto generation = std::make_shared<Generation>();
    auto manifest = read_manifest(fds.manifest);
    if (!manifest) return Unexpected<Refusal>{std::move(manifest.error())};
    generation->manifest_fd = std::move(fds.manifest);
    generation->manifest = *manifest;

    std::uint64_t bytes_total = 0;
    SectionBytes bytes{};
    for (std::size_t i = 0; i < abi::kSectionKindCount; ++i) {
        const abi::SectionRef& ref = generation->manifest.sections[i];
        bytes_total += ref.bytes;  // each is at most kSectionBytesMax: validate_manifest saw to it
        if (bytes_total > abi::kGenerationBytesMax) {
            return refuse(abi::RefuseReason::budget,
                          fmt::format("the sections are longer than {} bytes together", abi::kGenerationBytesMax));
        }
        auto section = attach_section(std::move(fds.sections[i]), ref);
        if (!section) return Unexpected<Refusal>{std::move(section.error())};
        generation->sections[i] = std::move(*section);
        bytes[i] = generation->sections[i]->bytes();
    }
    generation->large = large_.lock();
    auto view = assemble(generation->manifest, bytes, limits_, generation->large);
    if (!view) return Unexpected<Refusal>{std::move(view.error())};
    large_ = generation->large;
    generation->view = *view;
    for (const auto& section : generation->sections) {
        if (!held(section->ref)) held_.push_back(section);
    }
    return generation;
}

Expected<abi::Manifest, Refusal> Attacher::read_manifest(const UniqueFd& fd) const {
    if (auto ok = check_sealed(fd.get(), sizeof(abi::Manifest), sizeof(abi::Manifest), owners_, "manifest"); !ok) {
        return Unexpected<Refusal>{std::move(ok.error())};
    }
    auto mapping = map_sealed(fd.get(), "manifest");
    if (!mapping) return Unexpected<Refusal>{std::move(mapping.error())};
    const auto bytes = mapping->bytes().first(sizeof(abi::Manifest));
    if (auto ok = validate_manifest(bytes); !ok) return Unexpected<Refusal>{std::move(ok.error())};
    abi::Manifest manifest;
    std::memcpy(&manifest, bytes.data(), sizeof manifest);
    return manifest;
}

Expected<std::shared_ptr<const Section>, Refusal> Attacher::attach_section(UniqueFd fd, const abi::SectionRef& ref) {
    if (auto section = held(ref)) return section;
    const std::string what = name_of(ref.kind);
    if (!fd) return refuse(abi::RefuseReason::section_not_held, what + " was not sent and is not held here");
    if (auto ok = check_sealed(fd.get(), ref.bytes, ref.bytes, owners_, what); !ok) {
        return Unexpected<Refusal>{std::move(ok.error())};
    }
    auto mapping = map_sealed(fd.get(), what);
    if (!mapping) return Unexpected<Refusal>{std::move(mapping.error())};
    auto section = std::make_shared<Section>(Section{std::move(fd), std::move(*mapping), ref});
    if (auto ok = validate_section(ref.kind, section->bytes()); !ok) {
        return Unexpected<Refusal>{std::move(ok.error())};
    }
    abi::SectionHeader header;
    std::memcpy(&header, section->bytes().data(), sizeof header);
    if (header.digest != ref.digest || header.bytes != ref.bytes) {
        return refuse(abi::RefuseReason::digest_wrong, what + ": digest or length is not what the manifest says");
    }
    return std::shared_ptr<const Section>{std::move(section)};
}

std::shared_ptr<const Section> Attacher::held(const abi::SectionRef& ref) {
    std::erase_if(held_, [](const auto& weak) { return weak.expired(); });
    for (const auto& weak : held_) {
        if (auto section = weak.lock(); section && same(section->ref, ref)) return section;
    }
    return nullptr;
}

}  // namespace sluice::dp
