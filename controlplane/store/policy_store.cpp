#include "controlplane/store/policy_store.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <set>

namespace sluice::cp {
namespace {

constexpr std::size_t kSmallFileBytesMax = 1U << 20;
constexpr std::size_t kSlotsBytesMax = 16U << 20;

std::string file_name(const PolicyRef& ref) { return ref.hash + "." + ref.extension; }

bool is_hash(std::string_view text) noexcept {
    return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::optional<std::uint64_t> parse_number(std::string_view text) noexcept {
    std::uint64_t value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::string_view without_newline(std::string_view text) noexcept {
    if (text.ends_with('\n')) text.remove_suffix(1);
    return text;
}

}  // namespace

std::string to_line(const PolicyRef& ref) { return file_name(ref) + " " + std::to_string(ref.generation) + "\n"; }

std::optional<PolicyRef> parse_policy_ref(std::string_view line) {
    line = without_newline(line);
    const auto dot = line.find('.');
    const auto space = line.find(' ');
    if (dot == std::string_view::npos || space == std::string_view::npos || dot > space) return std::nullopt;
    const auto hash = line.substr(0, dot);
    const auto extension = line.substr(dot + 1, space - dot - 1);
    const auto generation = parse_number(line.substr(space + 1));
    if (!is_hash(hash) || (extension != "yaml" && extension != "json") || !generation) return std::nullopt;
    return PolicyRef{std::string{hash}, std::string{extension}, *generation};
}

Expected<std::unique_ptr<PolicyStore>, FileError> PolicyStore::open(FileOps& ops, std::string state_dir) {
    std::unique_ptr<PolicyStore> store{new PolicyStore{ops, std::move(state_dir)}};
    for (const auto& dir : {store->dir_, store->policy_dir_}) {
        if (const auto made = ops.make_dir(dir, Readers::owner); !made)
            return Unexpected(file_error(made.error(), "make", dir));
    }
    store->load();
    return store;
}

std::optional<PolicyRef> PolicyStore::load_ref(const char* name) {
    const std::string path = policy_dir_ + "/" + name;
    const auto line = ops_.read(path, kSmallFileBytesMax);
    if (!line) {
        if (line.error() != ENOENT) damage_.push_back(file_error(line.error(), "read", path).what);
        return std::nullopt;
    }
    auto ref = parse_policy_ref(*line);
    if (!ref) {
        damage_.push_back(path + " is damaged: expected \"<sha256>.<yaml|json> <generation>\"");
        return std::nullopt;
    }
    generation_last_ = std::max(generation_last_, ref->generation);
    if (const auto body = text(*ref); !body) {
        damage_.push_back(path + " names a policy that is not there: " + body.error().what);
        return std::nullopt;
    }
    return ref;
}

void PolicyStore::load() {
    for (const auto& dir : {dir_, policy_dir_}) {
        const auto names = ops_.list(dir);
        if (!names) continue;
        for (const auto& name : *names) {
            if (is_leftover(name)) (void)ops_.unlink(dir + "/" + name);
        }
    }
    if (const auto number = ops_.read(dir_ + "/generation", kSmallFileBytesMax)) {
        if (const auto value = parse_number(without_newline(*number))) {
            generation_last_ = *value;
        } else {
            damage_.push_back(dir_ + "/generation is damaged: expected a number");
        }
    }
    current_ = load_ref("current");
    pending_ = load_ref("pending");
    if (auto slots = ops_.read(dir_ + "/slots", kSlotsBytesMax)) slots_ = std::move(*slots);
    if (const auto lines = ops_.read(policy_dir_ + "/history", kSmallFileBytesMax)) {
        std::string_view rest{*lines};
        while (!rest.empty()) {
            const auto end = std::min(rest.find('\n'), rest.size() - 1);
            if (auto ref = parse_policy_ref(rest.substr(0, end + 1))) history_.push_back(std::move(*ref));
            rest.remove_prefix(end + 1);
        }
    }
    for (const auto& ref : history_) generation_last_ = std::max(generation_last_, ref.generation);
}

Expected<std::string, FileError> PolicyStore::text(const PolicyRef& ref) const {
    const std::string path = policy_dir_ + "/" + file_name(ref);
    auto body = ops_.read(path, kPolicyTextBytesMax);
    if (!body) return Unexpected(file_error(body.error(), "read", path));
    return std::move(*body);
}

std::uint64_t PolicyStore::next_generation(std::uint64_t floor) const noexcept {
    return std::max(generation_last_, floor) + 1;
}

Expected<void, FileError> PolicyStore::write_stage(const PolicyRef& ref, std::string_view text,
                                                   std::string_view slots) {
    if (auto r = write_durably(ops_, policy_dir_, file_name(ref), text); !r) return r;
    if (auto r = write_durably(ops_, policy_dir_, "pending", to_line(ref)); !r) return r;
    const bool new_slots = slots != slots_;
    const auto number = std::to_string(ref.generation) + "\n";
    if (auto r = write_durably(ops_, dir_, "generation", number, new_slots ? DirSync::later : DirSync::now); !r) {
        return r;
    }
    if (!new_slots) return {};
    return write_durably(ops_, dir_, "slots", slots);
}

Expected<void, FileError> PolicyStore::stage(const PolicyRef& ref, std::string_view text, std::string_view slots) {
    if (auto written = write_stage(ref, text, slots); !written) {
        // Should even the removal fail, the next start finds an intent that no dataplane runs, and discards it.
        (void)discard_pending();
        return written;
    }
    pending_ = ref;
    generation_last_ = std::max(generation_last_, ref.generation);
    slots_ = slots;
    return {};
}

Expected<void, FileError> PolicyStore::make_current(const PolicyRef& ref) {
    auto history = history_;
    history.push_back(ref);
    if (history.size() > kPolicyVersionsKept) {
        history.erase(history.begin(), history.end() - static_cast<std::ptrdiff_t>(kPolicyVersionsKept));
    }
    std::string lines;
    for (const auto& entry : history) lines += to_line(entry);
    if (auto r = write_durably(ops_, policy_dir_, "history", lines, DirSync::later); !r) return r;
    if (auto r = write_durably(ops_, policy_dir_, "current", to_line(ref)); !r) return r;
    current_ = ref;
    history_ = std::move(history);
    return {};
}

Expected<void, FileError> PolicyStore::promote() {
    if (!pending_) return Unexpected(FileError{EINVAL, "nothing is pending"});
    if (auto r = make_current(*pending_); !r) return r;
    // Not synced: an intent that comes back after a power cut equals current, and is promoted or discarded alike.
    (void)ops_.unlink(policy_dir_ + "/pending");
    pending_.reset();
    prune();
    return {};
}

Expected<void, FileError> PolicyStore::discard_pending() {
    pending_.reset();
    const std::string path = policy_dir_ + "/pending";
    if (const auto gone = ops_.unlink(path); !gone) {
        if (gone.error() == ENOENT) return {};
        return Unexpected(file_error(gone.error(), "remove", path));
    }
    if (const auto synced = ops_.fsync_dir(policy_dir_); !synced) {
        return Unexpected(file_error(synced.error(), "fsync", policy_dir_));
    }
    return {};
}

Expected<void, FileError> PolicyStore::restore(const PolicyRef& ref) {
    if (const auto body = text(ref); !body) return Unexpected(body.error());
    return make_current(ref);
}

Expected<void, FileError> PolicyStore::replace_text(const PolicyRef& ref, std::string_view text) {
    return write_durably(ops_, policy_dir_, file_name(ref), text);
}

void PolicyStore::prune() {
    std::set<std::string> kept;
    for (const auto& ref : history_) kept.insert(file_name(ref));
    if (current_) kept.insert(file_name(*current_));
    if (pending_) kept.insert(file_name(*pending_));
    const auto names = ops_.list(policy_dir_);
    if (!names) return;
    for (const auto& name : *names) {
        const bool version = name.size() == 69 && is_hash(std::string_view{name}.substr(0, 64)) && name[64] == '.';
        if (version && !kept.contains(name)) (void)ops_.unlink(policy_dir_ + "/" + name);
    }
}

}  // namespace sluice::cp
