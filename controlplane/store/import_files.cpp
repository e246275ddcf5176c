#include "controlplane/store/import_files.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "controlplane/store/durable_file.hpp"

namespace sluice::cp {
namespace {

constexpr std::size_t kSmallFileBytesMax = 1U << 20;
constexpr std::size_t kSlotsBytesMax = 16U << 20;
constexpr std::size_t kTextBytesMax = 64U << 20;

bool is_hash(std::string_view text) noexcept {
    return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::optional<std::uint64_t> parse_number(std::string_view text) noexcept {
    if (text.ends_with('\n')) text.remove_suffix(1);
    std::uint64_t value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<PolicyRef> parse_ref(std::string_view line) {
    const auto dot = line.find('.'), space = line.find(' ');
    if (dot == std::string_view::npos || space == std::string_view::npos || dot > space) return std::nullopt;
    const auto hash = line.substr(0, dot);
    const auto extension = line.substr(dot + 1, space - dot - 1);
    const auto generation = parse_number(line.substr(space + 1));
    if (!is_hash(hash) || (extension != "yaml" && extension != "json") || !generation) return std::nullopt;
    return PolicyRef{std::string{hash}, std::string{extension}, *generation};
}

class Reader {
public:
    Reader(FileOps& ops, std::string dir, FileState& state) : ops_{ops}, dir_{std::move(dir)}, state_{state} {}

    /// `policy/current` or `policy/pending`.
    std::optional<FileState::Policy> policy_of(const char* name) {
        const std::string path = dir_ + "/policy/" + name;
        const auto line = ops_.read(path, kSmallFileBytesMax);
        if (!line) {
            if (line.error() != ENOENT) damaged(file_error(line.error(), "read", path).what);
            return std::nullopt;
        }
        const auto ref = parse_ref(*line);
        if (!ref) {
            damaged(path + " is damaged: expected \"<sha256>.<yaml|json> <generation>\"");
            return std::nullopt;
        }
        return policy_of(*ref, true);
    }
    std::optional<FileState::Policy> policy_of(const PolicyRef& ref, bool wanted) {
        state_.generation = std::max(state_.generation, ref.generation);
        const std::string path = dir_ + "/policy/" + ref.hash + "." + ref.extension;
        auto text = ops_.read(path, kTextBytesMax);
        if (text) return FileState::Policy{ref, std::move(*text)};
        if (wanted) damaged("a policy is not there any more: " + file_error(text.error(), "read", path).what);
        return std::nullopt;
    }
    void damaged(std::string what) { state_.damage.push_back(std::move(what)); }

private:
    FileOps& ops_;
    std::string dir_;
    FileState& state_;
};

}  // namespace

std::optional<FileState> read_file_state(FileOps& ops, const std::string& dir) {
    const auto number = ops.read(dir + "/generation", kSmallFileBytesMax);
    if (!number && !ops.read(dir + "/policy/current", kSmallFileBytesMax)) return std::nullopt;
    FileState state;
    Reader reader{ops, dir, state};
    if (number) {
        const auto value = parse_number(*number);
        if (!value) reader.damaged(dir + "/generation is damaged: expected a number");
        state.generation = value.value_or(0);
    }
    if (const auto lines = ops.read(dir + "/policy/history", kSmallFileBytesMax)) {
        for (std::string_view rest{*lines}; !rest.empty();) {
            const auto end = std::min(rest.find('\n'), rest.size() - 1);
            const auto ref = parse_ref(rest.substr(0, end + 1));
            rest.remove_prefix(end + 1);
            if (!ref) continue;
            if (auto policy = reader.policy_of(*ref, false)) state.history.push_back(std::move(*policy));
        }
    }
    if (auto current = reader.policy_of("current")) {
        state.has_current = true;
        // The history names it already, unless the power went in between.
        if (state.history.empty() || state.history.back().ref != current->ref) {
            state.history.push_back(std::move(*current));
        }
    }
    // The last row is what ought to be in force: without that there is none.
    if (!state.has_current) state.history.clear();
    state.pending = reader.policy_of("pending");
    if (auto slots = ops.read(dir + "/slots", kSlotsBytesMax)) state.slots = std::move(*slots);
    return state;
}

void retire_file_state(FileOps& ops, const std::string& dir) {
    const std::string aside = dir + "/policy.imported";
    (void)ops.rename(dir + "/policy", aside);
    for (const auto* name : {"generation", "slots"}) {
        (void)ops.rename(dir + "/" + name, aside + "/" + std::string{name});
    }
}

}  // namespace sluice::cp
