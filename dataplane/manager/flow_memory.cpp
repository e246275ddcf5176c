#include "dataplane/manager/flow_memory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <map>
#include <new>
#include <string_view>

#include "dataplane/flow/flow_table.hpp"

namespace sluice::dp {

namespace {

using abi::FlowLoss;

constexpr std::uint64_t kTickNs = std::uint64_t{kTickMs} * 1'000'000;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

constexpr std::uint64_t kFlowMemoryLayout =
    abi::fnv1a({kFlowLayoutHash, kSlabOffset, SLUICE_LAYOUT(FlowAnchor, tick_zero_ns, flows),
                SLUICE_LAYOUT(FlowMemoryHeader, magic, layout_hash, anchor, form),
                SLUICE_LAYOUT(FlowMemoryForm, boot, worker, worker_count, entries, v6_entries, proxies, must_be_zero,
                              port_count, ports, partner, owners, owner_secret)});

std::array<char, 40> boot_id() {
    std::array<char, 40> id{};
    std::string text;
    std::ifstream{"/proc/sys/kernel/random/boot_id"} >> text;
    text.copy(id.data(), id.size());
    return id;
}

struct Name {
    std::uint64_t set{};
    std::uint32_t worker{};
};

std::string name_of(std::uint64_t set, std::uint32_t worker) { return fmt::format("f.{}.{}", set, worker); }

std::optional<Name> parse_name(std::string_view text) {
    Name name;
    const char* const end = text.data() + text.size();
    if (!text.starts_with("f.")) return std::nullopt;
    const auto set = std::from_chars(text.data() + 2, end, name.set);
    if (set.ec != std::errc{} || set.ptr == end || *set.ptr != '.') return std::nullopt;
    const auto worker = std::from_chars(set.ptr + 1, end, name.worker);
    if (worker.ec != std::errc{} || worker.ptr != end) return std::nullopt;
    return name;
}

std::uint32_t tick_of(const FlowMemoryHeader& header, abi::MonoTime time) noexcept {
    return static_cast<std::uint32_t>((time.ns - header.anchor.tick_zero_ns.load(std::memory_order_relaxed)) / kTickNs);
}

/// Not simply tick_zero_ns <= now: a process that began to count soon after boot, by a clock that it took for slower
/// than it is, moves its tick 0 ever further back, in the end to before the monotonic clock's own beginning. That is a
/// number just below 2^64.
bool began_before(const FlowMemoryHeader& header, abi::MonoTime now) noexcept {
    return static_cast<std::int64_t>(now.ns - header.anchor.tick_zero_ns.load(std::memory_order_relaxed)) >= 0;
}

std::uint64_t live_entries(const FlowSlab& slab) noexcept {
    return static_cast<std::uint64_t>(
        std::count_if(slab.hot.begin(), slab.hot.end(), [](const FlowHot& e) { return e.phase != FlowPhase::free; }));
}

std::string_view text_of(const abi::PortName& name) noexcept {
    return {name.text.data(), strnlen(name.text.data(), name.text.size())};
}

bool is_ours(int fd) noexcept {
    struct stat st {};
    const int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & kSeals) == kSeals && fstat(fd, &st) == 0 && (st.st_mode & 0777) == 0600 &&
           st.st_uid == geteuid() && static_cast<std::size_t>(st.st_size) >= kSlabOffset;
}

}  // namespace

FlowMemory::FlowMemory(const FlowMemoryShape& shape) : shape_{shape} {
    form_.boot = boot_id();
    form_.worker_count = shape.worker_count;
    form_.entries = form_.v6_entries = shape.entries;
    form_.proxies = proxies(shape);
    form_.port_count = shape.ports.size();
    form_.owners = shape.owners ? shape.owners->identity() : 0;
    form_.owner_secret = shape.owner_secret;
    for (std::size_t i = 0; i < shape.ports.size(); ++i) {
        shape.ports[i].copy(form_.ports[i].text.data(), form_.ports[i].text.size());
    }
    form_.partner.fill(FlowMove::kNoWire);
    for (const auto& [a, b] : shape.wires) {
        form_.partner[a] = static_cast<std::uint8_t>(b);
        form_.partner[b] = static_cast<std::uint8_t>(a);
    }
}

Expected<FlowMemory, std::string> FlowMemory::open(const FlowMemoryShape& shape, const StoredFds& stored,
                                                   abi::MonoTime now) {
    FlowMemory memory{shape};
    memory.find_before(stored, now);
    if (memory.fits(memory.before_)) {
        memory.tables_ = std::move(memory.before_);
        memory.before_.clear();
        return memory;
    }
    ++memory.set_;
    for (std::uint32_t w = 0; w < shape.worker_count; ++w) {
        auto table = memory.make_table(w);
        if (!table) return Unexpected<std::string>{std::move(table.error())};
        memory.tables_.push_back(std::move(*table));
    }
    return memory;
}

/// The newest set of which every member is in the store. Sets that are not whole were never in use, or are being left.
void FlowMemory::find_before(const StoredFds& stored, abi::MonoTime now) {
    std::map<std::uint64_t, std::map<std::uint32_t, const UniqueFd*>> sets;
    for (const auto& [text, fd] : stored) {
        if (const auto name = parse_name(text)) sets[name->set][name->worker] = &fd;
    }
    if (sets.empty()) return;
    set_ = sets.rbegin()->first;
    for (auto set = sets.rbegin(); set != sets.rend(); ++set) {
        std::vector<Table> tables;
        RecoveryCount lost;
        std::uint32_t workers = 0;
        for (const auto& [worker, fd] : set->second) {
            auto table = open_table(*fd, worker, lost, now);
            if (!table) continue;
            workers = table->form().worker_count;
            tables.push_back(std::move(*table));
        }
        if (!tables.empty() && set->second.size() != workers) continue;
        had_predecessor_ = true;
        lost_ += lost;
        before_ = std::move(tables);
        set_ = fits(before_) ? set->first : set_;
        break;
    }
    if (!before_.empty() && !has_owner(before_.front().form().worker_count)) {
        for (const Table& table : before_) lost_.lose(FlowLoss::workers, live_entries(table.slab()));
        before_.clear();
    }
}

/// One memfd of the store. What is lost with it is counted as far as it can be told; at least once.
std::optional<FlowMemory::Table> FlowMemory::open_table(const UniqueFd& fd, std::uint32_t worker, RecoveryCount& lost,
                                                        abi::MonoTime now) {
    const auto lose = [&lost](FlowLoss why, std::uint64_t count) {
        lost.lose(why, std::max<std::uint64_t>(count, 1));
        return std::nullopt;
    };
    if (!is_ours(fd.get())) return lose(FlowLoss::damaged, 1);
    auto mapping = map_writable(fd.get());
    if (!mapping) return lose(FlowLoss::damaged, 1);
    Table table{fd.duplicate(), std::move(*mapping)};
    const FlowMemoryHeader& header = table.header();
    if (header.magic != FlowMemoryHeader::kMagic) return lose(FlowLoss::damaged, 1);
    if (header.layout_hash != kFlowMemoryLayout) {
        return lose(FlowLoss::layout, header.anchor.flows.load(std::memory_order_relaxed));
    }
    const FlowMemoryForm& h = header.form;
    const bool is_sound = h.worker == worker && h.worker < h.worker_count && h.worker_count <= abi::kWorkersMax &&
                          h.entries != 0 && h.v6_entries <= h.entries && h.proxies <= h.entries &&
                          h.port_count <= abi::kPortsMax &&
                          kSlabOffset + FlowSlab::bytes(h.entries, h.v6_entries, h.proxies) <= table.mapping.size() &&
                          began_before(header, now);
    if (!is_sound) return lose(FlowLoss::damaged, 1);
    if (h.boot != boot_id()) return lose(FlowLoss::boot, live_entries(table.slab()));
    return table;
}

Expected<FlowMemory::Table, std::string> FlowMemory::make_table(std::uint32_t worker) const {
    const auto failed = [](const std::string& why) {
        return Unexpected<std::string>{"no memory for flows: " + why + "; lower flow_table.entries_max"};
    };
    const std::size_t bytes = kSlabOffset + FlowSlab::bytes(shape_.entries, shape_.entries, form_.proxies);
    auto fd = create_memfd("sluice-flows", bytes, shape_.pages);
    if (!fd) return failed(fd.error());
    auto mapping = map_writable(fd->get());
    if (!mapping) return failed(mapping.error());
    // A page that is missing now would be a SIGBUS later.
    struct stat st {};
    if (fstat(fd->get(), &st) != 0 || static_cast<std::uint64_t>(st.st_blocks) * 512 < bytes) {
        return failed(fmt::format("{} of {} bytes", st.st_blocks * 512, bytes));
    }
    auto* const header = new (mapping->data()) FlowMemoryHeader{};
    header->magic = FlowMemoryHeader::kMagic;
    header->layout_hash = kFlowMemoryLayout;
    header->form = form_;
    header->form.worker = worker;
    if (fcntl(fd->get(), F_ADD_SEALS, kSeals) != 0) return failed(std::string{"sealing: "} + std::strerror(errno));
    return Table{std::move(*fd), std::move(*mapping)};
}

bool FlowMemory::same_wires(const FlowMemoryForm& h) const noexcept {
    const auto same_name = [](const abi::PortName& a, const abi::PortName& b) { return a.text == b.text; };
    return h.port_count == form_.port_count && h.partner == form_.partner &&
           std::equal(h.ports.begin(), h.ports.end(), form_.ports.begin(), same_name);
}

bool FlowMemory::fits(const std::vector<Table>& tables) const noexcept {
    if (tables.size() != shape_.worker_count) return false;
    return std::all_of(tables.begin(), tables.end(), [&](const Table& table) {
        const FlowMemoryForm& h = table.form();
        return h.worker_count == form_.worker_count && h.entries == form_.entries && h.v6_entries == form_.v6_entries &&
               h.proxies == form_.proxies && h.owners == form_.owners && same_wires(h);
    });
}

/// Without a function that says whose a flow is, as many workers as before get what they had, and one gets all.
bool FlowMemory::has_owner(std::uint32_t old_worker_count) const noexcept {
    return shape_.owners || shape_.worker_count == old_worker_count || shape_.worker_count == 1;
}

/// What one worker owns of the flows of another set.
class FlowMemory::Share final : public FlowShare {
public:
    Share(const Owners& owners, std::uint32_t worker) : owners_{owners}, worker_{worker} {}
    bool has(const FlowKeyV4& key) const noexcept override { return owners_.owner(key) == worker_; }
    bool has(const FlowKeyV6& key) const noexcept override { return owners_.owner(key) == worker_; }
    bool counts_losses() const noexcept override { return worker_ == 0; }

private:
    Owners owners_;
    std::uint32_t worker_;
};

std::optional<HashSecret> FlowMemory::kept_owner_secret(const StoredFds& stored, abi::MonoTime now) {
    FlowMemory before{FlowMemoryShape{.worker_count = 1}};
    before.find_before(stored, now);
    if (before.before_.empty()) return std::nullopt;
    const HashSecret secret = before.before_.front().form().owner_secret;
    return secret == HashSecret{} ? std::nullopt : std::optional{secret};
}

FlowHome FlowMemory::home(std::uint32_t worker, abi::MonoTime origin) const noexcept {
    const Table& table = tables_[worker];
    FlowMemoryHeader& header = table.header();
    if (header.anchor.tick_zero_ns.load(std::memory_order_relaxed) == 0) {
        header.anchor.tick_zero_ns.store(origin.ns, std::memory_order_relaxed);
    }
    FlowHome home{.slab = table.slab(), .anchor = &header.anchor, .tick_at_origin = tick_of(header, origin)};
    home.limits = {.now_tick = home.tick_at_origin, .rule_slots = shape_.rule_slots, .wires = 0};
    for (const auto& [a, b] : shape_.wires) home.limits.wires |= 1U << std::min(a, b);
    return home;
}

std::vector<FlowMemory::Source> FlowMemory::sources(std::uint32_t worker, abi::MonoTime origin) {
    if (before_.empty()) return {};
    const FlowShare* share = nullptr;
    if (shape_.owners) share = shares_.emplace_back(std::make_shared<Share>(*shape_.owners, worker)).get();
    std::vector<Source> sources;
    for (const Table& old : before_) {
        if (share == nullptr && shape_.worker_count != 1 && old.form().worker != worker) continue;
        sources.push_back({old.slab(), move_from(old, origin)});
        sources.back().move.share = share;
    }
    return sources;
}

/// New memory counts ticks from `origin`. A wire is known by the names of its ports.
FlowMove FlowMemory::move_from(const Table& old, abi::MonoTime origin) const noexcept {
    const FlowMemoryForm& h = old.form();
    FlowMove move;
    move.ticks = 0U - tick_of(old.header(), origin);
    move.domain.fill(FlowMove::kNoWire);
    const auto place = [this](const abi::PortName& name) {
        return static_cast<std::size_t>(std::find(shape_.ports.begin(), shape_.ports.end(), text_of(name)) -
                                        shape_.ports.begin());
    };
    for (std::size_t low = 0; low < h.port_count; ++low) {
        const std::size_t high = h.partner[low];
        if (high >= h.port_count || high < low) continue;
        const std::size_t a = place(h.ports[low]), b = place(h.ports[high]);
        if (a >= shape_.ports.size() || b >= shape_.ports.size() || form_.partner[a] != b) continue;
        move.domain[low] = static_cast<std::uint8_t>(std::min(a, b));
        move.ports_swap[low] = a > b;
    }
    return move;
}

KeptFlows FlowMemory::finish(const RecoveryCount& workers) noexcept {
    before_.clear();
    KeptFlows kept{.count = workers, .had_predecessor = had_predecessor_, .fds = {}};
    kept.count += lost_;
    for (std::uint32_t w = 0; w < tables_.size(); ++w) kept.fds.emplace_back(name_of(set_, w), tables_[w].fd.get());
    return kept;
}

}  // namespace sluice::dp
