/// Members of sets that come over the API: a row for each, the numbers of the changes that the dataplane is sent, and
/// who changed what. A change, its number and its entry in the audit are one transaction: what was acknowledged is
/// there after a crash, and what the dataplane has been sent is never more than what is there.
///
/// Members stand on the disk alone; how many a set has is known in memory. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/abi/set_messages.hpp>

#include "controlplane/store/audit_log.hpp"
#include "controlplane/store/database.hpp"

namespace sluice::cp {

struct StoredMember {
    abi::SetMember member;
    std::int64_t expires_ns{};  ///< UTC since 1970; 0 = never
};

enum class SetEdit : std::uint8_t { add, remove, replace };

/// What a change has done.
struct SetEdited {
    std::uint64_t added{}, removed{};  ///< of a replacement: all that it has, all that were there
    std::uint64_t members{};           ///< that the set has now
    std::uint64_t first_number{}, last_number{};
};

struct SetTrouble {
    bool full{};  ///< else the disk; `error` says what
    std::uint64_t wanted{};
    FileError error{};
};

class SetStore {
public:
    SetStore(Database& database, AuditLog& audit) : database_{database}, audit_{audit} {}
    /// The caller holds the database's lock.
    Expected<void, FileError> load();

    std::uint64_t epoch() const;
    std::uint64_t number() const;
    std::map<std::string, std::uint64_t> counts() const;

    /// `members`: each once. `batches`: how many numbers the change takes. `entry`: who and why; what was done is
    /// filled in here.
    Expected<SetEdited, SetTrouble> edit(const std::string& set, SetEdit edit, std::span<const StoredMember> members,
                                         std::uint64_t members_max, std::uint64_t batches, AuditRecord entry);
    /// Forgets members whose time is over; the dataplane does so by itself.
    Expected<void, FileError> expire(std::int64_t now_ns);

    /// In the order of their keys, behind `after` (a key, or empty).
    Expected<std::vector<StoredMember>, FileError> page(std::string_view set, std::string_view after,
                                                        std::size_t count_max, std::int64_t now_ns);
    /// Those of one set that hold the address.
    Expected<std::vector<abi::SetMember>, FileError> holding(std::string_view set, abi::IpFamily family,
                                                             const abi::IpAddr& addr, std::int64_t now_ns);
    static std::string key_of(const abi::SetMember& member);

private:
    Database& database_;
    AuditLog& audit_;
    mutable std::mutex mutex_;  ///< of what follows; never held while the disk is waited for
    std::uint64_t epoch_{}, number_{};
    std::map<std::string, std::uint64_t> counts_;
};

/// The tables of members and of numbers.
std::span<const std::string_view> set_schema() noexcept;

}  // namespace sluice::cp
