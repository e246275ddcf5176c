/// The kernel's files, call by call: what a test changes about them it overrides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "controlplane/store/file_ops.hpp"

namespace sluice::cp {

class KernelFiles : public FileOps {
public:
    Expected<int, Errno> create(const std::string& p, Readers r) override { return real_.create(p, r); }
    Expected<int, Errno> open_end(const std::string& p) override { return real_.open_end(p); }
    Expected<std::size_t, Errno> write(int h, std::span<const std::byte> b) override { return real_.write(h, b); }
    Expected<void, Errno> fsync(int h) override { return real_.fsync(h); }
    void close(int h) override { real_.close(h); }
    Expected<void, Errno> truncate(const std::string& p, std::uint64_t n) override { return real_.truncate(p, n); }
    Expected<void, Errno> rename(const std::string& a, const std::string& b) override { return real_.rename(a, b); }
    Expected<void, Errno> unlink(const std::string& p) override { return real_.unlink(p); }
    Expected<void, Errno> fsync_dir(const std::string& p) override { return real_.fsync_dir(p); }
    Expected<void, Errno> make_dir(const std::string& p, Readers r) override { return real_.make_dir(p, r); }
    Expected<std::string, Errno> read(const std::string& p, std::size_t n) override { return real_.read(p, n); }
    Expected<std::vector<std::string>, Errno> list(const std::string& p) override { return real_.list(p); }

private:
    FileOps& real_{posix_file_ops()};
};

}  // namespace sluice::cp
