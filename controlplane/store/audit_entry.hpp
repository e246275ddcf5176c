/// One entry of the audit, and the bytes that its hash is over.
///
/// The chain: every entry's hash is SHA-256 over its canonical bytes, which begin with the hash of the entry before it
/// (64 zeros before the first). Canonical bytes are lines of text, fields in this order, each as
///
///     <name> <length of the value in bytes>\n<value>\n
///
/// prev number at_ns actor origin action before_hash before_generation after_hash after_generation approval reason
/// result detail request_id; numbers are decimal. Lengths stand in front, so no two entries have the same bytes. The
/// form is a contract: exported entries are verified by others (docs/OPERATING.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::cp {

/// A policy at a moment; empty hash = none.
struct AuditState {
    std::string hash;  ///< 64 hex digits
    std::uint64_t generation{};
    bool operator==(const AuditState&) const = default;
};

/// What its writer says. Texts are UTF-8; what is too long is cut.
struct AuditRecord {
    std::int64_t at_ns{};          ///< UTC since 1970; 0 = when it is written
    std::string actor{"system"};   ///< as authenticated: token:1f3a5c7e; anonymous; system for what nobody asked for
    std::string origin{"local"};   ///< address that the request came from
    std::string action;            ///< policy.put, policy.confirm, flows.end, access, process.start, ...
    AuditState before{}, after{};  ///< the policy in force, and the one that is meant to be
    std::string approval;          ///< who approved
    std::string reason;            ///< as the caller gave it
    std::string result;            ///< begun, adopted, pending, unchanged, refused, failed, done
    std::string detail;            ///< a sentence, or the code of the problem
    std::string request_id;
};

struct AuditEntry {
    std::uint64_t number{};  ///< from 1, without gaps
    AuditRecord record;
    std::string prev, hash;  ///< 64 hex digits
};

/// The last entry of a chain.
struct AuditHead {
    std::uint64_t number{};
    std::string hash;
    bool operator==(const AuditHead&) const = default;
};

inline constexpr std::size_t kAuditTextBytesMax = 2000;
inline constexpr std::size_t kAuditReasonBytesMax = 1000;

/// Hash of an entry's canonical bytes; `hash` itself is not read.
std::string audit_hash(const AuditEntry& entry);
std::string canonical_bytes(const AuditEntry& entry);
/// Of the place before the first entry.
std::string no_hash();

/// SHA-256, 64 hex digits.
std::string sha256_hex(std::string_view bytes);

/// Texts of bounded length, control characters replaced, whole UTF-8 sequences: what the database can hold.
AuditRecord fit(AuditRecord record);

}  // namespace sluice::cp
