/// Memory of sets that outlives the process: one memfd, named `sets.<layout>` in the supervisor's descriptor store.
/// What stands in it: acl/set_table.hpp. A build with another layout starts with no members, and is given them by the
/// control plane. Pages are taken as members come; they are not given back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <sluice/abi/set_messages.hpp>
#include <sluice/expected.hpp>

#include "dataplane/acl/set_table.hpp"
#include "dataplane/manager/memfd.hpp"
#include "dataplane/manager/notify.hpp"

namespace sluice::dp {

class SetMemory {
public:
    /// `stored`: what the process before left, if anything; it must have ended.
    static Expected<SetMemory, std::string> open(const StoredFds& stored, std::uint32_t records = abi::kSetMembersMax);

    SetTable::Memory memory() const noexcept;
    static std::string name();
    int fd() const noexcept { return fd_.get(); }
    bool had_predecessor() const noexcept { return had_predecessor_; }

private:
    static std::size_t bytes(std::uint32_t records) noexcept;
    static std::optional<Mapping> map(int fd, std::size_t bytes) noexcept;

    UniqueFd fd_;
    Mapping mapping_;
    std::uint32_t records_{};
    bool had_predecessor_{};
};

}  // namespace sluice::dp
