/// From descriptors to a TableView that may be trusted.
///
/// Theory of operation. A generation is a manifest and eight sections, each a sealed memfd. A section that passed is
/// known by kind and digest and stays mapped for as long as a generation holds it; a later generation that names the
/// same digest gets the same mapping, unread. Only what concerns several sections is checked again. Whoever holds a
/// Generation holds its mappings; the last one to let go unmaps them.
#pragma once

#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include <sluice/abi/messages.hpp>
#include <sluice/abi/tables.hpp>
#include <sluice/expected.hpp>

#include "dataplane/acl/table_view.hpp"
#include "dataplane/acl/validator.hpp"
#include "dataplane/manager/memfd.hpp"

namespace sluice::dp {

/// One validated section.
struct Section {
    UniqueFd fd;
    Mapping mapping;
    abi::SectionRef ref;

    std::span<const std::byte> bytes() const noexcept { return mapping.bytes().first(ref.bytes); }
};

/// One validated generation, held by whatever may still publish or read it.
struct Generation {
    UniqueFd manifest_fd;
    abi::Manifest manifest;
    std::array<std::shared_ptr<const Section>, abi::kSectionKindCount> sections;
    std::shared_ptr<const LargeTables> large;
    TableView view;
};

/// What came over the socket or out of the store: the manifest, and per kind a descriptor or nothing.
struct GenerationFds {
    UniqueFd manifest;
    std::array<UniqueFd, abi::kSectionKindCount> sections;
};

class Attacher {
public:
    /// `ports`: names by port index; their text outlives the Attacher.
    Attacher(std::vector<std::string_view> ports, std::uint32_t rule_slots_max, TrustedOwners owners);
    Attacher(const Attacher&) = delete;
    Attacher& operator=(const Attacher&) = delete;

    /// Everything or a refusal. Descriptors that are not needed any more are closed in every case.
    Expected<std::shared_ptr<const Generation>, Refusal> attach(GenerationFds fds);

private:
    Expected<abi::Manifest, Refusal> read_manifest(const UniqueFd& fd) const;
    Expected<std::shared_ptr<const Section>, Refusal> attach_section(UniqueFd fd, const abi::SectionRef& ref);
    std::shared_ptr<const Section> held(const abi::SectionRef& ref);

    std::vector<std::string_view> ports_;
    ValidationLimits limits_;
    TrustedOwners owners_;
    std::weak_ptr<const LargeTables> large_;          // of the generation before
    std::vector<std::weak_ptr<const Section>> held_;  // a handful of generations' worth: searched, not hashed
};

}  // namespace sluice::dp
