/// A generation: the whole policy in compiled form, as the control plane hands it over and the dataplane runs it.
///
/// Theory of operation. A generation is one sealed *manifest* memfd and a handful of sealed *section* memfds. The
/// control plane writes them, seals them (WRITE|SHRINK|GROW|SEAL), sets mode 0600 and passes the descriptors over the
/// tables socket. The dataplane checks type, seals and size, maps them read-only and validates every offset, count,
/// index, enum and order once
/// (`dataplane/acl/validator.hpp`); from then on nobody can change them and they are trusted. A section whose digest
/// the dataplane already holds is neither sent nor mapped again.
///
/// Shapes. All integers are little-endian host integers (one machine, one kernel); addresses inside sections are *host
/// order* so that they can be compared; offsets are in bytes from the start of the section that holds them; there are
/// no pointers. Every array is 8-byte aligned. `kAbiVersion` changes with any layout in this folder; `kLayoutHash`
/// (layout.hpp) proves it.
///
/// Classification model (bit vectors). Rules are expanded to *terms* in evaluation order: a term is one AND of
/// from-zone, to-zone, source, destination, transport. A lookup finds one class per dimension, ANDs the classes' bit
/// rows (bit i = term i may match) and takes the first set bit; observe terms are masked out for the enforced answer
/// and in for the observed one. The cost depends on the term count only, never on traffic.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include <sluice/abi/verdict.hpp>

namespace sluice::abi {

inline constexpr std::uint32_t kAbiVersion = 8;

inline constexpr std::uint64_t kManifestMagic = 0x31464d5343554c53ULL;  // "SLUCSMF1", read as bytes
inline constexpr std::uint64_t kSectionMagic = 0x3143455343554c53ULL;   // "SLUCSEC1"

/// XXH3-128 of everything behind a section's header, or behind Manifest::digest. It identifies content between two
/// processes that trust each other's intent; it is no signature.
struct Digest128 {
    std::uint64_t low{}, high{};
    bool operator==(const Digest128&) const = default;
};

/// SHA-256. Policy version = of the canonical policy; generation digest = of canonical policy + compiler version.
struct Digest256 {
    std::array<std::uint8_t, 32> bytes{};
    bool operator==(const Digest256&) const = default;
};

/// Where an array stands: `offset` bytes from the start of its section, `count` elements.
struct ArrayRef {
    std::uint64_t offset{};
    std::uint64_t count{};
};

/// `bytes` characters at `offset` in the section's text array; UTF-8, no terminator.
struct TextRef {
    std::uint32_t offset{};
    std::uint32_t bytes{};
};

enum class SectionKind : std::uint32_t {
    settings = 1,   ///< SettingsSection: defaults, wire policy, timeouts
    zones = 2,      ///< ZonesSection: zones, and which port + VLAN + VNI belongs to which
    rules = 3,      ///< RulesSection: one record per rule in evaluation order, the default last; terms
    src_v4 = 4,     ///< AddrClassSection<4>
    dst_v4 = 5,     ///< AddrClassSection<4>
    src_v6 = 6,     ///< AddrClassSection<6>
    dst_v6 = 7,     ///< AddrClassSection<6>
    transport = 8,  ///< TransportSection: protocol, destination port, ICMP type and code -> class
};
inline constexpr std::uint32_t kSectionKindCount = 8;  ///< each kind stands exactly once in a generation

/// First bytes of every section.
struct SectionHeader {
    std::uint64_t magic{kSectionMagic};
    std::uint32_t abi_version{kAbiVersion};
    SectionKind kind{};
    std::uint64_t layout_hash{};
    std::uint64_t bytes{};  ///< whole section, header included; the memfd may be longer (page rounding), never shorter
    Digest128 digest{};     ///< of bytes [sizeof(SectionHeader), bytes)
    std::array<std::uint8_t, 16> must_be_zero{};
};
static_assert(sizeof(SectionHeader) == 64);

struct SectionRef {
    SectionKind kind{};
    std::uint32_t must_be_zero{};
    std::uint64_t bytes{};
    Digest128 digest{};
};
static_assert(sizeof(SectionRef) == 32);

/// The manifest memfd: this header, then nothing. `digest` covers the bytes after itself.
struct Manifest {
    std::uint64_t magic{kManifestMagic};
    std::uint32_t abi_version{kAbiVersion};
    std::uint32_t section_count{kSectionKindCount};
    std::uint64_t layout_hash{};
    std::uint64_t bytes{};  ///< sizeof(Manifest)
    Digest128 digest{};     ///< of the bytes from `generation` to the end
    // --- covered by `digest` ---
    std::uint64_t generation{};  ///< counts up for ever; 0 is never published
    Digest256 generation_digest{};
    Digest256 policy_version{};
    std::uint64_t created_unix_ns{};  ///< for people
    std::uint32_t compiler_version{};
    std::uint32_t rule_slots{};                            ///< highest slot in use + 1
    std::array<char, 64> policy_name{};                    ///< for people; zero-padded
    std::array<SectionRef, kSectionKindCount> sections{};  ///< ascending by kind
};

// ----------------------------------------------------------------------------------------------------------------
// settings
enum class WireAction : std::uint8_t { deny = 0, allow = 1 };
/// What becomes of a live flow that the policy in force no longer allows.
enum class OnChange : std::uint8_t {
    reevaluate = 0,  ///< it ends; its next packet is a first packet and meets the policy as such
    keep = 1,        ///< it goes on until it ends by itself
    kill = 2,        ///< it ends, and its next packet is answered: both ends learn of it
};
inline constexpr std::uint8_t kOnChangeCount = 3;

/// What becomes of a TCP segment whose numbers don't fit its flow: out of the window, acknowledging what was never
/// sent, a RST elsewhere. The handshake is always checked.
enum class SeqCheck : std::uint8_t {
    strict = 0,  ///< dropped
    log = 1,     ///< passes, is counted and makes an event
    off = 2,     ///< passes: for networks whose traffic takes another way back
};
inline constexpr std::uint8_t kSeqCheckCount = 3;

/// Idle timeouts in milliseconds, 1 s to 30 days each.
struct FlowTimeouts {
    std::uint32_t tcp_opening_ms{30'000};
    std::uint32_t tcp_established_ms{7'440'000};
    std::uint32_t tcp_closing_ms{120'000};
    std::uint32_t tcp_closed_ms{10'000};
    std::uint32_t udp_oneway_ms{30'000};
    std::uint32_t udp_stream_ms{180'000};
    std::uint32_t icmp_ms{60'000};
    std::uint32_t other_ms{600'000};
    std::uint32_t tcp_unacknowledged_ms{300'000};  ///< instead of a longer one, while sent data wait for their ACK
};
inline constexpr std::uint32_t kTimeoutMsMin = 1'000;
inline constexpr std::uint32_t kTimeoutMsMax = 30U * 24 * 3600 * 1000;

/// Whether the firewall, when it answers a SYN in a server's stead, promises something that the server may not have.
enum class SynPromise : std::uint8_t {
    off = 0,
    on = 1,     ///< unless the server was seen to do without
    learn = 2,  ///< only where the server was seen to do it
};
inline constexpr std::uint8_t kSynPromiseCount = 3;

/// What a SYN cookie offers in the server's name. Where a destination's own SYN-ACKs were seen, their MSS counts.
struct SynProxySettings {
    std::uint16_t mss{1460};  ///< over IPv4; over IPv6 20 less
    std::uint8_t wscale{7};   ///< 0 to 14; windows are translated, so a server may have any
    SynPromise sack{SynPromise::on};
    SynPromise timestamps{SynPromise::learn};
    std::array<std::uint8_t, 3> must_be_zero{};
    bool operator==(const SynProxySettings&) const = default;
};
inline constexpr std::uint16_t kSynMssMin = 536;  ///< RFC 9293 section 3.7.1: what is assumed where none is told
inline constexpr std::uint16_t kSynMssMax = 9176;
inline constexpr std::uint8_t kSynWscaleMax = 14;

struct SettingsSection {
    SectionHeader header{};
    WireAction wire_arp{WireAction::allow};
    WireAction wire_nd{WireAction::allow};
    WireAction wire_other{WireAction::deny};
    OnChange on_change{OnChange::reevaluate};  ///< where the deciding rule says nothing; for people, rules carry theirs
    SeqCheck seq_check{SeqCheck::strict};
    std::array<std::uint8_t, 3> must_be_zero{};
    FlowTimeouts timeouts{};
    std::uint32_t must_be_zero_behind{};
    SynProxySettings syn_proxy{};
    /// What this generation was compared with; 0 = with nothing. `untouched` holds only for flows that were judged
    /// under that generation, known by its number and the digest of its rules section (which tells slots and ids).
    std::uint64_t base_generation{};
    Digest128 base_rules{};
    /// uint64, a bit per rule slot: all that the base lets this slot decide, this generation lets it decide too, with
    /// the same verdict and log. Flows of all other slots, and of slots behind the end, are judged again.
    ArrayRef untouched;
};
inline constexpr std::uint64_t kUntouchedWordsMax = (std::uint64_t{1} << 20) / 64;

// -------------------------------------------------------------------------------------------------------------------
// zones
/// What may come from a zone; 0 = no limit.
struct ZoneLimits {
    std::uint32_t states_max{};          ///< flows whose original direction arrives there
    std::uint32_t new_per_second_max{};  ///< such flows made
    bool operator==(const ZoneLimits&) const = default;
};

struct ZoneRecord {
    TextRef name;  ///< zone id = index
    ZoneLimits limits;
};

/// Which traffic of a port belongs to a zone. `vlan` 0 = untagged (or priority-tagged); `vni` 0 = not tunnelled.
struct ZoneBinding {
    TextRef port;
    ZoneId zone{};
    std::uint16_t vlan{};
    std::uint32_t vni{};
};

struct ZonesSection {
    SectionHeader header{};
    ArrayRef zones;     ///< ZoneRecord
    ArrayRef bindings;  ///< ZoneBinding; (port, vlan, vni) unique
    ArrayRef text;      ///< char
};

// -------------------------------------------------------------------------------------------------------------------
// rules
/// What becomes of a SYN when its rule has as many half-open TCP flows as it may have.
enum class HalfOpenOver : std::uint8_t {
    refuse = 0,
    syn_cookie = 1,  ///< answered in the server's stead, without a flow until the client has shown that it got that
};
inline constexpr std::uint8_t kHalfOpenOverCount = 2;

/// What a rule that allows may allow, all workers together; 0 = no limit. A source is the address that opens the flow:
/// an IPv4 address, or the /64 of an IPv6 address, for a host has the whole of it.
struct RuleLimits {
    std::uint32_t states_max{};                     ///< its flows
    std::uint32_t states_per_source_max{};          ///< its flows of one source
    std::uint32_t new_per_second_max{};             ///< its flows made
    std::uint32_t new_per_second_per_source_max{};  ///< its flows made, of one source
    std::uint32_t half_open_max{};  ///< its TCP flows whose handshake is not over; with syn_cookie, 0 = none at all
    HalfOpenOver over{};
    std::array<std::uint8_t, 3> must_be_zero{};
    bool operator==(const RuleLimits&) const = default;
    bool by_source() const noexcept { return (states_per_source_max | new_per_second_per_source_max) != 0; }
    bool by_half_open() const noexcept { return half_open_max != 0 || over != HalfOpenOver::refuse; }
    bool any() const noexcept { return by_source() || by_half_open() || (states_max | new_per_second_max) != 0; }
};
inline constexpr std::uint32_t kStatesLimitMax = 1'000'000'000;
inline constexpr std::uint32_t kRateLimitMax = 10'000'000;

struct RuleRecord {
    RuleSlot slot{};
    Verdict verdict{};  ///< `pass` of the language is resolved to the default's verdict; `is_pass` remembers it
    RuleMode mode{};
    RuleLog log{};
    std::uint8_t is_pass{};
    TextRef id;
    RuleLimits limits;     ///< all 0 unless `verdict` is allow
    OnChange on_change{};  ///< of live flows that this rule decides against; resolved, never "as the policy says"
    std::array<std::uint8_t, 3> must_be_zero{};
};
static_assert(sizeof(RuleRecord) == 44);

/// Index of a rule in evaluation order; the last record is the default and always matches.
using RuleIndex = std::uint32_t;
inline constexpr RuleIndex kNoRule = 0xffffffff;

inline constexpr std::uint32_t kTermsMax = 1U << 17;

/// Bit rows are `word_count` words of 64 bits; bit t of word t/64 stands for term t. Bits at and above `term_count` are
/// zero.
struct RulesSection {
    SectionHeader header{};
    std::uint32_t term_count{};
    std::uint32_t word_count{};  ///< (term_count + 63) / 64, at least 1
    ArrayRef rules;              ///< RuleRecord, evaluation order, default last
    ArrayRef term_rule;          ///< RuleIndex per term, non-decreasing, never the default's
    ArrayRef observe_mask;       ///< uint64[word_count]: terms whose rule is in observe mode
    ArrayRef from_zone_rows;     ///< uint64[zone_count * word_count]
    ArrayRef to_zone_rows;       ///< uint64[zone_count * word_count]
    ArrayRef text;               ///< char
};

// -------------------------------------------------------------------------------------------------------- address
// classes
/// First address of an interval, host order; the interval ends before the next record. Strictly ascending, the first is
/// 0.
struct IntervalV4 {
    std::uint32_t first{};
    std::uint32_t class_index{};
};
struct IntervalV6 {
    std::uint64_t first_high{}, first_low{};
    std::uint32_t class_index{};
    std::uint32_t must_be_zero{};
};

/// One side and family. `root` (IPv4 and IPv6: by the top 16 bits of the address) holds 65,537 interval indices:
/// the interval that contains (r << rest) is root[r], so a search for an address looks at [root[top], root[top + 1]].
struct AddrClassSection {
    SectionHeader header{};
    std::uint32_t class_count{};
    std::uint32_t word_count{};  ///< equals RulesSection::word_count
    ArrayRef root;               ///< uint32[65,537], non-decreasing, < intervals.count
    ArrayRef intervals;          ///< IntervalV4 or IntervalV6
    ArrayRef rows;               ///< uint64[class_count * word_count]
};
inline constexpr std::uint32_t kAddrRootCount = 65'537;

// ---------------------------------------------------------------------------------------------------------------
// transport
/// Class of (protocol, destination port | ICMP type << 8 | code). Protocols with a table of their own are not looked up
/// in `proto_class`, except ICMP in IPv6 and ICMPv6 in IPv4, which are no ICMP: their entries hold any-service terms.
/// Protocols are those of the packet; SCTP ports are not matched in this version (class by protocol).
struct TransportSection {
    SectionHeader header{};
    std::uint32_t class_count{};
    std::uint32_t word_count{};
    ArrayRef proto_class;  ///< uint16[256]
    ArrayRef tcp_dport;    ///< uint16[65,536], index = port in host order
    ArrayRef udp_dport;    ///< uint16[65,536]
    ArrayRef icmp;         ///< uint16[65,536], index = type << 8 | code
    ArrayRef icmp6;        ///< uint16[65,536]
    ArrayRef rows;         ///< uint64[class_count * word_count]
};

inline constexpr std::uint64_t kSectionBytesMax = 512ULL << 20;  ///< cap per section, checked on both sides
inline constexpr std::uint64_t kGenerationBytesMax = 1024ULL << 20;

static_assert(std::is_trivially_copyable_v<Manifest> && std::is_trivially_copyable_v<RulesSection>);
static_assert(std::is_trivially_copyable_v<AddrClassSection> && std::is_trivially_copyable_v<TransportSection>);

}  // namespace sluice::abi
