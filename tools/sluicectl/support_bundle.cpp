/// support-bundle: what somebody who is to help needs to see, in one file, without secrets.
#include <sys/stat.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "tools/sluicectl/command.hpp"
#include "tools/sluicectl/output.hpp"
#include "tools/sluicectl/redact.hpp"
#include "tools/sluicectl/tar_gz.hpp"

namespace sluice::ctl {
namespace {

constexpr std::size_t kMemberBytesMax = 8U << 20, kLogBytes = 1U << 20;

struct Asked {
    const char* target;
    const char* member;
};
constexpr Asked kAsked[] = {
    {"/v1/status", "status.json"},
    {"/readyz", "ready.json"},
    {"/metrics", "metrics.txt"},
    {"/v1/rules", "rules.json"},
    {"/v1/sets", "sets.json"},
    {"/v1/history?limit=100", "history.json"},
    {"/v1/drafts", "drafts.json"},
    {"/v1/changes?limit=1000", "changes.json"},
    {"/v1/shadow", "shadow.json"},
    {"/v1/freeze", "freeze.json"},
    {"/v1/audit?limit=200", "audit.json"},
    {"/v1/audit:verify", "audit-verify.json"},
};

/// The last bytes of a file, from the beginning of a line on. Nothing: it can't be read, and errno says why.
std::optional<std::string> tail_of(const std::string& path, std::size_t bytes) {
    std::ifstream in{path, std::ios::binary | std::ios::ate};
    struct stat is {};
    if (!in || ::stat(path.c_str(), &is) != 0 || !S_ISREG(is.st_mode)) return std::nullopt;
    const auto size = static_cast<std::size_t>(in.tellg());
    const auto begin = size > bytes ? size - bytes : 0;
    in.seekg(static_cast<std::streamoff>(begin));
    std::string text{std::istreambuf_iterator<char>{in}, {}};
    if (begin != 0) text.erase(0, std::min(text.find('\n'), text.size() - 1) + 1);
    return text;
}

class Bundle {
public:
    Bundle(const Context& context, std::vector<std::string> secrets)
        : context_{context}, redactor_{std::move(secrets)}, tar_{std::time(nullptr)} {}

    void ask(const std::string& target, const std::string& member) {
        const auto reply = context_.client.send({.method = "GET", .target = target, .headers = {}, .body = {}});
        if (!reply) return leave_out(member, reply.error());
        // Why it is not ready is what one wants to know.
        if (reply->status >= 400 && target != "/readyz") return leave_out(member, problem_text(*reply, {}));
        add(member, reply->body);
    }

    void file(const std::string& path, const std::string& member, std::size_t bytes) {
        errno = 0;
        const auto text = tail_of(path, bytes);
        if (!text) return leave_out(member, fmt::format("{}: {}", path, errno == 0 ? "no file" : std::strerror(errno)));
        add(member, *text);
    }

    void add(const std::string& member, std::string_view text) {
        if (text.size() > kMemberBytesMax) {
            return leave_out(
                member, fmt::format("it has {}, more than {}", bytes_text(text.size()), bytes_text(kMemberBytesMax)));
        }
        tar_.add("sluice-support/" + member, redactor_.apply(text));
        inside_ += member + '\n';
    }

    void leave_out(const std::string& member, const std::string& why) {
        left_out_ += member + ": " + redactor_.apply(printable(why)) + '\n';
    }

    Expected<std::string, std::string> finish() {
        tar_.add(
            "sluice-support/MANIFEST",
            fmt::format("What this bundle has:\n{}\nWhat it left out, and why:\n{}\n"
                        "{} secrets were taken out. Never asked for: the texts of tokens and drafts, keys, flows and "
                        "flow records.\n",
                        inside_, left_out_.empty() ? "nothing\n" : left_out_, redactor_.count()));
        return tar_.finish();
    }

    const std::string& left_out() const noexcept { return left_out_; }

private:
    const Context& context_;
    Redactor redactor_;
    TarGz tar_;
    std::string inside_, left_out_;
};

std::string versions(const std::string& ours) {
    utsname system{};
    ::uname(&system);
    std::string release;
    if (const auto text = tail_of("/etc/os-release", kLogBytes)) release = *text;
    return fmt::format("sluicectl {}\n{} {} {} {}\n{}", ours, system.sysname, system.release, system.version,
                       system.machine, release);
}

/// Never over what is there, and for nobody else to read.
void write_new(const std::string& path, std::string_view bytes) {
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = file >= 0;
    for (std::size_t at = 0; good && at < bytes.size();) {
        const auto written = ::write(file, bytes.data() + at, bytes.size() - at);
        good = written > 0;
        at += good ? static_cast<std::size_t>(written) : 0;
    }
    const int why = errno;
    if (file >= 0 && ::close(file) != 0) good = false;
    if (!good)
        throw CommandError{fmt::format("{}: cannot write it: {}; name another file with -f", path, std::strerror(why))};
}

}  // namespace

int support_bundle(const Context& context, const SupportOptions& options) {
    Bundle bundle{context, options.secrets};
    for (const auto& [target, member] : kAsked) bundle.ask(target, member);
    if (options.no_policy) {
        bundle.leave_out("policy.yaml", "--no-policy");
    } else {
        bundle.ask("/v1/policy", "policy.yaml");
    }
    bundle.add("versions.txt", versions(options.version));
    for (const auto* name : {"controlplane.yaml", "dataplane.yaml"})
        bundle.file(options.config_dir + "/" + name, std::string{"config/"} + name, kMemberBytesMax);
    for (std::size_t i = 0; i < options.logs.size(); ++i) {
        const auto& path = options.logs[i];
        bundle.file(path, fmt::format("logs/{}-{}", i + 1, path.substr(path.rfind('/') + 1)).substr(0, 80), kLogBytes);
    }
    if (options.logs.empty()) bundle.leave_out("logs", "none was named with --log");
    const auto archive = bundle.finish();
    if (!archive) throw CommandError{archive.error()};
    auto path = options.file;
    if (path.empty()) {
        std::array<char, 32> stamp{};
        const auto now = std::time(nullptr);
        std::tm utc{};
        ::gmtime_r(&now, &utc);
        std::strftime(stamp.data(), stamp.size(), "%Y%m%dT%H%M%SZ", &utc);
        path = fmt::format("sluice-support-{}.tar.gz", stamp.data());
    }
    write_new(path, *archive);
    std::cout << path << '\n';
    if (const auto& left_out = bundle.left_out(); !left_out.empty()) std::cerr << "left out:\n" << left_out;
    return 0;
}

}  // namespace sluice::ctl
