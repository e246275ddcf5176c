#include "dataplane/manager/descriptor_store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <iterator>

#include <sluice/abi/layout.hpp>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::dp {

namespace {

constexpr std::uint64_t kStateMagic = 0x3254535543554c53ULL;  // "SLUCUST2"
constexpr std::size_t kStateBytes = 4096;

struct StateSlot {
    std::uint64_t sequence{};  // 0 = never written
    std::uint64_t running{};
    std::uint64_t previous{};
    std::uint64_t confirm_deadline_ns{};
    std::uint64_t source{};
    std::uint64_t highest_seen{};
    std::uint64_t checksum{};  // XXH3-64 of the fields before
};

struct StateLayout {
    std::uint64_t magic{kStateMagic};
    std::uint64_t layout_hash{abi::kLayoutHash};
    std::array<StateSlot, 2> slots{};
};
static_assert(std::has_unique_object_representations_v<StateLayout> && sizeof(StateLayout) <= kStateBytes);

std::uint64_t checksum(const StateSlot& slot) noexcept { return XXH3_64bits(&slot, offsetof(StateSlot, checksum)); }

std::string manifest_prefix(std::uint64_t generation) { return fmt::format("m.{}.", generation); }
/// A generation may come again with other tables: they stand side by side until it has switched.
std::string manifest_name(const abi::Manifest& manifest) {
    return manifest_prefix(manifest.generation) + fmt::format("{:016x}", manifest.digest.low);
}
// The kind belongs to the name: a digest covers what stands behind a section's header, so that sections of two kinds
// with equal content have equal digests.
std::string section_name(const abi::SectionRef& ref) {
    return fmt::format("s.{}.{:016x}{:016x}", static_cast<std::uint32_t>(ref.kind), ref.digest.high, ref.digest.low);
}

void add_names(std::set<std::string>& names, const Generation* generation) {
    if (generation == nullptr) return;
    names.insert(manifest_name(generation->manifest));
    for (const auto& section : generation->sections) names.insert(section_name(section->ref));
}

}  // namespace

Expected<StateFile, std::string> StateFile::create() {
    auto fd = create_memfd("sluice-state", kStateBytes, PageSize::normal);
    if (!fd) return Unexpected<std::string>{fd.error()};
    auto mapping = map_writable(fd->get());
    if (!mapping) return Unexpected<std::string>{mapping.error()};
    const StateLayout empty;
    std::memcpy(mapping->data(), &empty, sizeof empty);
    if (fcntl(fd->get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        return Unexpected<std::string>{std::string{"sealing the state: "} + std::strerror(errno)};
    }
    return StateFile{std::move(*fd), std::move(*mapping)};
}

std::optional<StateFile> StateFile::open(UniqueFd fd) {
    struct stat st {};
    const int seals = fcntl(fd.get(), F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) return std::nullopt;
    if (fstat(fd.get(), &st) != 0 || st.st_size != static_cast<off_t>(kStateBytes)) return std::nullopt;
    auto mapping = map_writable(fd.get());
    if (!mapping) return std::nullopt;
    StateLayout layout;
    std::memcpy(&layout, mapping->data(), sizeof layout);
    // After an upgrade that changed the layout the stored tables are of no use either.
    if (layout.magic != kStateMagic || layout.layout_hash != abi::kLayoutHash) return std::nullopt;
    StateFile file{std::move(fd), std::move(*mapping)};
    for (const StateSlot& slot : layout.slots) {
        if (slot.checksum == checksum(slot) && slot.sequence > file.sequence_) file.sequence_ = slot.sequence;
    }
    return file;
}

void StateFile::write(const RunState& state) noexcept {
    StateSlot slot{++sequence_,
                   state.running,
                   state.previous,
                   state.confirm_deadline.ns,
                   static_cast<std::uint64_t>(state.source),
                   state.highest_seen,
                   0};
    slot.checksum = checksum(slot);
    const std::size_t at = offsetof(StateLayout, slots) + (sequence_ % 2) * sizeof slot;
    std::memcpy(mapping_.data() + at, &slot, sizeof slot);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // the reader comes after our death: no other fence is needed
}

std::optional<RunState> StateFile::read() const noexcept {
    StateLayout layout;
    std::memcpy(&layout, mapping_.data(), sizeof layout);
    std::optional<RunState> newest;
    std::uint64_t newest_sequence = 0;
    for (const StateSlot& slot : layout.slots) {
        if (slot.sequence <= newest_sequence || slot.checksum != checksum(slot)) continue;
        newest_sequence = slot.sequence;
        newest = RunState{slot.running,
                          slot.previous,
                          {slot.confirm_deadline_ns},
                          static_cast<abi::StateSource>(slot.source),
                          slot.highest_seen};
    }
    return newest;
}

Expected<DescriptorStore, std::string> DescriptorStore::open(Notifier notifier, StoredFds inherited) {
    std::optional<StateFile> state;
    if (const auto it = inherited.find("state"); it != inherited.end()) {
        state = StateFile::open(std::move(it->second));
        inherited.erase(it);
    }
    const bool is_new = !state;
    if (is_new) {
        auto created = StateFile::create();
        if (!created) return Unexpected<std::string>{created.error()};
        state = std::move(*created);
        notifier.send("FDSTOREREMOVE=1\nFDNAME=state");
    }
    DescriptorStore store{std::move(notifier), std::move(*state)};
    store.state_stored_ = !is_new;
    store.restored_ = store.state_.read().value_or(RunState{});
    for (const auto& [name, fd] : inherited) store.names_.insert(name);
    store.inherited_ = std::move(inherited);
    return store;
}

std::optional<GenerationFds> DescriptorStore::stored_generation(std::uint64_t generation) const {
    const std::string prefix = manifest_prefix(generation);
    std::optional<GenerationFds> found;
    for (auto it = inherited_.lower_bound(prefix); it != inherited_.end() && it->first.starts_with(prefix); ++it) {
        abi::Manifest manifest;
        // Read for the names only; what is attached later is checked like an offer.
        if (pread(it->second.get(), &manifest, sizeof manifest, 0) != sizeof manifest) continue;
        GenerationFds fds;
        fds.manifest = it->second.duplicate();
        bool whole = true;
        for (std::size_t i = 0; i < manifest.sections.size(); ++i) {
            const auto section = inherited_.find(section_name(manifest.sections[i]));
            if (section != inherited_.end()) fds.sections[i] = section->second.duplicate();
            whole = whole && section != inherited_.end();
        }
        found = std::move(fds);
        if (whole) break;
    }
    return found;
}

void DescriptorStore::keep(const Generation& generation) {
    if (!state_stored_) state_stored_ = notifier_.send("FDSTORE=1\nFDNAME=state", state_.fd());
    put(manifest_name(generation.manifest), generation.manifest_fd.get());
    for (const auto& section : generation.sections) put(section_name(section->ref), section->fd.get());
    put_flows();
}

void DescriptorStore::keep_flows(std::vector<std::pair<std::string, int>> flows) {
    flows_ = std::move(flows);
    put_flows();
}

void DescriptorStore::put_flows() {
    for (const auto& [name, fd] : flows_) put(name, fd);
}

void DescriptorStore::put(const std::string& name, int fd) {
    if (!notifier_.connected() || names_.contains(name)) return;
    if (notifier_.send("FDSTORE=1\nFDNAME=" + name, fd)) names_.insert(name);
}

void DescriptorStore::keep_only(const Generation* running, const Generation* previous) {
    std::set<std::string> wanted;
    add_names(wanted, running);
    add_names(wanted, previous);
    bool flows_are_stored = true;
    for (const auto& [name, fd] : flows_) {
        flows_are_stored = flows_are_stored && names_.contains(name);
        wanted.insert(name);
    }
    if (!flows_are_stored) {
        std::copy_if(names_.begin(), names_.end(), std::inserter(wanted, wanted.end()),
                     [](const std::string& name) { return name.starts_with("f."); });
    }
    for (auto it = names_.begin(); it != names_.end();) {
        if (wanted.contains(*it) || !notifier_.send("FDSTOREREMOVE=1\nFDNAME=" + *it)) {
            ++it;
        } else {
            it = names_.erase(it);
        }
    }
    inherited_.clear();  // whatever is still needed is attached by now
}

}  // namespace sluice::dp
