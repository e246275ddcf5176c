/// Writes a .tar.gz: POSIX ustar (IEEE 1003.1, pax: ustar interchange format) in gzip (RFC 1952).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <sluice/expected.hpp>

namespace sluice::ctl {

class TarGz {
public:
    /// The members' time, in seconds since 1970.
    explicit TarGz(std::int64_t time) : time_{time} {}
    /// `name` has at most 100 bytes; mode 0600.
    void add(std::string_view name, std::string_view body);
    /// The whole archive, ended. Error: a sentence.
    Expected<std::string, std::string> finish();

private:
    std::int64_t time_;
    std::string tar_;
};

}  // namespace sluice::ctl
