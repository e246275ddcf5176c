/// The tables to start with when nobody is there to publish: written by the control plane, read here once at start.
///
/// The directory is opened once, without following a symlink, and everything is reached through that descriptor. A
/// directory or file that somebody else could have planted (symlink, foreign owner, writable for all) is a reason not
/// to start at all (CASES S6); a file that is merely broken is a reason to start closed (CASES A3).
#pragma once

#include <optional>
#include <string>

#include <sluice/expected.hpp>

#include "dataplane/manager/attach.hpp"
#include "dataplane/manager/memfd.hpp"

namespace sluice::dp {

class LastGood {
public:
    /// An error is a reason not to start. A directory that does not exist is none: then load() has nothing.
    static Expected<LastGood, std::string> open(const std::string& directory, const TrustedOwners& owners);

    /// Sealed copies of the parts; empty: there is no file; an error: the file is broken.
    Expected<std::optional<GenerationFds>, std::string> load() const;

private:
    LastGood() = default;
    UniqueFd file_;
    std::string name_;
};

}  // namespace sluice::dp
