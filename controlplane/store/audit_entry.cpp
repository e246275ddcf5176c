#include "controlplane/store/audit_entry.hpp"

#include <openssl/sha.h>

#include <array>
#include <cctype>

namespace sluice::cp {
namespace {

void append(std::string& out, std::string_view name, std::string_view value) {
    out.append(name).append(" ").append(std::to_string(value.size())).append("\n").append(value).append("\n");
}

void fit_text(std::string& text, std::size_t bytes_max) {
    if (text.size() > bytes_max) {
        text.resize(bytes_max);
        // Not in the middle of a UTF-8 sequence: continuation bytes at the end go, and the byte that they belong to.
        std::size_t end = text.size();
        while (end > 0 && (static_cast<unsigned char>(text[end - 1]) & 0xc0U) == 0x80U) --end;
        if (end > 0 && (static_cast<unsigned char>(text[end - 1]) & 0x80U) != 0) text.resize(end - 1);
    }
    for (char& c : text) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    }
}

}  // namespace

std::string no_hash() { return std::string(64, '0'); }

std::string sha256_hex(std::string_view bytes) {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data());
    std::string out;
    out.reserve(digest.size() * 2);
    for (const auto byte : digest) {
        out.push_back("0123456789abcdef"[byte >> 4U]);
        out.push_back("0123456789abcdef"[byte & 15U]);
    }
    return out;
}

std::string canonical_bytes(const AuditEntry& entry) {
    const auto& r = entry.record;
    std::string out;
    out.reserve(512 + r.reason.size() + r.detail.size());
    append(out, "prev", entry.prev);
    append(out, "number", std::to_string(entry.number));
    append(out, "at_ns", std::to_string(r.at_ns));
    append(out, "actor", r.actor);
    append(out, "origin", r.origin);
    append(out, "action", r.action);
    append(out, "before_hash", r.before.hash);
    append(out, "before_generation", std::to_string(r.before.generation));
    append(out, "after_hash", r.after.hash);
    append(out, "after_generation", std::to_string(r.after.generation));
    append(out, "approval", r.approval);
    append(out, "reason", r.reason);
    append(out, "result", r.result);
    append(out, "detail", r.detail);
    append(out, "request_id", r.request_id);
    return out;
}

std::string audit_hash(const AuditEntry& entry) { return sha256_hex(canonical_bytes(entry)); }

AuditRecord fit(AuditRecord record) {
    fit_text(record.reason, kAuditReasonBytesMax);
    for (auto* text : {&record.actor, &record.origin, &record.action, &record.approval, &record.result, &record.detail,
                       &record.request_id}) {
        fit_text(*text, kAuditTextBytesMax);
    }
    return record;
}

}  // namespace sluice::cp
