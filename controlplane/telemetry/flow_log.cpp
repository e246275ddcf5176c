#include "controlplane/telemetry/flow_log.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <system_error>

namespace sluice::cp {
namespace {

constexpr auto kRetryAfter = std::chrono::seconds(1);
constexpr std::size_t kBlockBytes = 256 * 1024;

}  // namespace

abi::MonoTime FlowLog::last_written(const FlowLogConfig& config) {
    struct stat st {};
    if (config.path.empty() || ::stat(config.path.c_str(), &st) != 0 || st.st_size == 0) return {};
    timespec wall{};
    clock_gettime(CLOCK_REALTIME, &wall);
    const auto ns = [](const timespec& t) { return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec; };
    const std::int64_t age_ns = ns(wall) - ns(st.st_mtim);
    const auto now = static_cast<std::int64_t>(abi::MonoTime::now().ns);
    if (age_ns < 0 || age_ns >= now) return {};  // the wall clock stepped, or the file is older than this boot
    return {static_cast<std::uint64_t>(now - age_ns)};
}

void FlowLog::fail(const char* action, int error_number) {
    trouble_ =
        std::string{"cannot "} + action + " " + config_.path + ": " + std::generic_category().message(error_number);
    fd_.reset();
    retry_at_ = std::chrono::steady_clock::now() + kRetryAfter;
}

/// Somebody has moved it away, or removed it: who rotates logs for a whole machine does.
bool FlowLog::is_elsewhere() const {
    struct stat ours {};
    struct stat there {};
    if (::fstat(fd_.get(), &ours) != 0) return true;
    if (::lstat(config_.path.c_str(), &there) != 0) return errno == ENOENT;  // else nobody can tell
    return there.st_ino != ours.st_ino || there.st_dev != ours.st_dev;
}

bool FlowLog::ensure_open() {
    if (fd_) return true;
    if (std::chrono::steady_clock::now() < retry_at_) return false;
    fd_.reset(::open(config_.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640));
    struct stat st {};
    if (!fd_ || ::fstat(fd_.get(), &st) != 0) {
        fail("open", errno);
        return false;
    }
    size_ = static_cast<std::uint64_t>(st.st_size);
    return true;
}

void FlowLog::rotate() {
    fd_.reset();
    const auto name = [&](std::uint32_t n) { return config_.path + "." + std::to_string(n); };
    if (config_.keep == 0) {
        (void)::unlink(config_.path.c_str());
        return;
    }
    for (std::uint32_t n = config_.keep; n > 1; --n) (void)std::rename(name(n - 1).c_str(), name(n).c_str());
    (void)std::rename(config_.path.c_str(), name(1).c_str());
}

bool FlowLog::write_block(const std::string& block) {
    std::size_t done = 0;
    while (done < block.size()) {
        const ssize_t n = ::write(fd_.get(), block.data() + done, block.size() - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            const int why = n < 0 ? errno : EIO;
            if (done != 0) (void)!::ftruncate(fd_.get(), static_cast<off_t>(size_));
            fail("write", why);
            return false;
        }
        done += static_cast<std::size_t>(n);
    }
    size_ += block.size();
    trouble_.clear();
    return true;
}

void FlowLog::write(const std::vector<std::string>& lines) {
    if (config_.path.empty()) return;
    if (fd_ && is_elsewhere()) fd_.reset();
    std::size_t at = 0;
    while (at < lines.size()) {
        if (fd_ && size_ >= config_.rotate_bytes) rotate();
        if (!ensure_open()) {
            lines_failed_ += lines.size() - at;
            return;
        }
        std::string block;
        std::size_t count = 0;
        while (at + count < lines.size() && block.size() < kBlockBytes &&
               (block.empty() || size_ + block.size() < config_.rotate_bytes)) {
            block.append(lines[at + count]).push_back('\n');
            ++count;
        }
        (write_block(block) ? lines_written_ : lines_failed_) += count;
        at += count;
    }
}

}  // namespace sluice::cp
