/// The flow log: JSON lines in a file that rotates by size. A full or vanished disk loses lines and counts them; it
/// never stops anything else (CASES A6). Lines are whole: one that the disk took only in part is cut off again. Where
/// the file was moved away, as logrotate does, the next lines begin a new one.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sluice/abi/clock.hpp>

#include "controlplane/store/unique_fd.hpp"

namespace sluice::cp {

struct FlowLogConfig {
    std::string path;  ///< empty = no log
    std::uint64_t rotate_bytes{64ULL << 20};
    std::uint32_t keep{8};  ///< rotated files beside the current one: path.1 is the newest
};

class FlowLog {
public:
    explicit FlowLog(FlowLogConfig config) : config_{std::move(config)} {}

    void write(const std::vector<std::string>& lines);

    std::uint64_t lines_written() const noexcept { return lines_written_; }
    std::uint64_t lines_failed() const noexcept { return lines_failed_; }
    /// Sentence about the last failure; empty while all is well.
    const std::string& trouble() const noexcept { return trouble_; }
    /// When an earlier process last wrote to the file; 0 if it never did.
    static abi::MonoTime last_written(const FlowLogConfig& config);

private:
    bool is_elsewhere() const;
    bool ensure_open();
    void rotate();
    bool write_block(const std::string& block);
    void fail(const char* action, int error_number);

    FlowLogConfig config_;
    UniqueFd fd_;
    std::uint64_t size_{};
    std::chrono::steady_clock::time_point retry_at_{};
    std::uint64_t lines_written_{}, lines_failed_{};
    std::string trouble_;
};

}  // namespace sluice::cp
