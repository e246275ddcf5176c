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
/// Classification model. Four numbers tell all that rules can ask of a packet: the *class* of its source, of its
/// destination, of its protocol and port, of its pair of zones. Two packets with the same four classes match the same
/// rules. Address classes come from compressed tables (`AddressSection`), the others from direct ones. Sets with
/// changing members are asked beside the tables; their answers are part of the question about zones. Classes are
/// numbered so that what one prefix covers is one range of classes; a set of any size is a short list of ranges. The
/// four numbers then go down a few cut trees (`TreesSection`) whose leaves hold a handful of rules or a block of bit
/// rows. Everything is bounded by the tables alone, never by traffic, and the tables say by how much.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <sluice/abi/verdict.hpp>

namespace sluice::abi {

inline constexpr std::uint32_t kAbiVersion = 15;

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
    rules = 3,      ///< RulesSection: one record per rule in evaluation order, the default last
    src_v4 = 4,     ///< AddressSection
    dst_v4 = 5,     ///< AddressSection
    src_v6 = 6,     ///< AddressSection
    dst_v6 = 7,     ///< AddressSection
    transport = 8,  ///< TransportSection: protocol, destination port, ICMP type and code -> class
    trees = 9,      ///< TreesSection: classes -> rule
    overlay = 10,   ///< OverlaySection: rules that changed since the sections before were compiled
};
inline constexpr std::uint32_t kSectionKindCount = 10;  ///< each kind stands exactly once in a generation

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
    std::uint32_t rule_slots{};  ///< highest slot in use + 1
    /// Whose set changes the control plane had sent when it made this, and the last one's number (set_messages.hpp).
    /// Not run before those are applied: a rule that asks for a set needs its members.
    std::uint64_t set_epoch{};
    std::uint64_t set_delta{};
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

/// A set whose members come and go without a generation. What names it in every generation and every change: the first
/// eight bytes of the SHA-256 of its name, as a little-endian number; 0 is none.
enum class SetId : std::uint64_t {};
inline constexpr SetId kNoSet{0};

struct SetRecord {
    TextRef name;
    SetId id{};
};

struct ZonesSection {
    SectionHeader header{};
    ArrayRef zones;     ///< ZoneRecord
    ArrayRef bindings;  ///< ZoneBinding; (port, vlan, vni) unique
    ArrayRef sets;      ///< SetRecord, ascending by id
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
    std::uint8_t turns_to_observe{};  ///< 1: it expires; from then on the trees name it as an observe rule
    std::array<std::uint8_t, 2> must_be_zero{};
};
static_assert(sizeof(RuleRecord) == 44);

/// Index of a rule in evaluation order; the last record is the default and always matches.
using RuleIndex = std::uint32_t;
inline constexpr RuleIndex kNoRule = 0xffffffff;

/// A term is one AND of zones, sources, destinations and services; most rules are one.
inline constexpr std::uint32_t kTermsMax = 1U << 22;

struct RulesSection {
    SectionHeader header{};
    ArrayRef rules;  ///< RuleRecord, evaluation order, default last
    ArrayRef text;   ///< char
};

// -------------------------------------------------------------------------------------------------------------------
// addresses
/// Address -> class, one side and family. An address is read in *chunks* of 16 bits, two of IPv4 and eight of IPv6,
/// most significant first. Chunk 0 indexes `root`; every cell found is a class or a reference to a node that looks at a
/// later chunk (or at the whole address). A node is one cache line, or begins with the line that must be read first.
///
/// A cell: bit 31 clear = a class. Set = a node: bits 30..28 AddressNode, 27..25 the chunk it looks at, 24..0 its first
/// line. A node's nodes stand before it, so no walk can go round in circles.
struct AddressSection {
    SectionHeader header{};
    std::uint32_t class_count{};      ///< the same in both families of a side
    std::uint32_t node_visits_max{};  ///< nodes on the longest way from the root to a class
    ArrayRef root;                    ///< uint32[65,536], cells
    ArrayRef lines;                   ///< AddressLine; `offset` is a multiple of 64
};
inline constexpr std::uint32_t kAddressRootCount = 65'536;
inline constexpr std::uint32_t kAddressIsNode = 1U << 31;
inline constexpr std::uint32_t kAddressLinesMax = 1U << 25;
inline constexpr std::uint32_t kAddressVisitsMax = 16;

/// Keys divide the values of a chunk into `keys + 1` pieces: piece i holds the values v with keys[i - 1] <= v <
/// keys[i], and has cell i.
enum class AddressNode : std::uint32_t {
    small = 0,   ///< AddressSmall: up to 9 keys
    medium = 1,  ///< AddressMedium: up to 28 keys, then 2 lines of cells
    large = 2,   ///< AddressLarge: separators, then lines of 32 keys, then cells
    bitmap = 3,  ///< 1,024 AddressBits, then cells
    tail = 4,    ///< AddressTail: up to 3 whole addresses (IPv6)
    span = 5,    ///< AddressSpan: a range that has a node of its own (IPv6)
};
inline constexpr std::uint32_t kAddressNodeCount = 6;

struct AddressLine {
    std::array<std::uint64_t, 8> words{};
};
/// Keys and cells behind the last one in use repeat 0xffff and the last cell, in all nodes.
struct AddressSmall {
    std::uint16_t must_be_zero{};
    std::uint16_t key_count{};
    std::array<std::uint16_t, 9> keys{};
    std::uint16_t must_be_zero_too{};
    std::array<std::uint32_t, 10> cells{};
};
struct AddressMedium {
    std::uint32_t key_count{};
    std::uint32_t must_be_zero{};
    std::array<std::uint16_t, 28> keys{};
};
inline constexpr std::uint32_t kAddressMediumLines = 3;
/// Line g of the keys that follow holds the values from separators[g - 1] on.
struct AddressLarge {
    std::uint32_t group_count{};  ///< 2 to 29: lines of keys
    std::uint32_t key_count{};
    std::array<std::uint16_t, 28> separators{};
};
inline constexpr std::uint32_t kAddressGroupKeys = 32;
inline constexpr std::uint32_t kAddressGroupsMax = 29;
/// Word w of a bitmap: bit b stands for the key 64 w + b.
struct AddressBits {
    std::uint64_t bits{};
    std::uint32_t before{};  ///< keys in the words before this one
    std::uint32_t must_be_zero{};
};
inline constexpr std::uint32_t kAddressBitmapWords = 1024;
/// IPv6 addresses as two numbers in host order.
struct AddressTail {
    std::array<std::array<std::uint64_t, 2>, 3> keys{};  ///< ascending
    std::array<std::uint32_t, 4> cells{};
};
struct AddressSpan {
    std::array<std::uint64_t, 2> first{}, last{};
    std::uint32_t before{}, behind{}, inside{};  ///< cells
    std::array<std::uint32_t, 5> must_be_zero{};
};
static_assert(sizeof(AddressLine) == 64 && sizeof(AddressSmall) == 64 && sizeof(AddressMedium) == 64);
static_assert(sizeof(AddressLarge) == 64 && sizeof(AddressTail) == 64 && sizeof(AddressSpan) == 64);

// ---------------------------------------------------------------------------------------------------------------
// transport
/// Class of (protocol, destination port | ICMP type << 8 | code). Protocols with a table of their own are not looked up
/// in `proto_class`, except ICMP in IPv6 and ICMPv6 in IPv4, which are no ICMP: their entries hold any-service terms.
/// Protocols are those of the packet; SCTP ports are not matched in this version (class by protocol).
struct TransportSection {
    SectionHeader header{};
    std::uint32_t class_count{};
    std::uint32_t must_be_zero{};
    ArrayRef proto_class;  ///< uint16[256]
    ArrayRef tcp_dport;    ///< uint16[65,536], index = port in host order
    ArrayRef udp_dport;    ///< uint16[65,536]
    ArrayRef icmp;         ///< uint16[65,536], index = type << 8 | code
    ArrayRef icmp6;        ///< uint16[65,536]
};

// ---------------------------------------------------------------------------------------------------------------
// trees
/// What a packet's class can be asked in.
enum class Dimension : std::uint8_t { source = 0, destination = 1, transport = 2, zones = 3 };
inline constexpr std::size_t kDimensionCount = 4;
using ClassPoint = std::array<std::uint32_t, kDimensionCount>;

inline constexpr std::uint32_t kTreesMax = 4;

/// A place of a tree, half a cache line. A cut: child = base + min((class - first) >> shift, count - 1). A leaf:
/// `count` records from `base` on. A block: `base`. Children stand behind their node. Or, where `kind` is below
/// kTreeCut, a leaf of one record, in place: a LeafRecord, whose `rule` and `condition` stand where `best` and `kind`
/// do.
struct TreeNode {
    std::uint32_t base{};
    std::uint32_t first{};
    std::uint32_t count{};
    std::uint32_t shift{};  ///< at most 31
    std::array<std::uint32_t, 2> must_be_zero{};
    std::uint32_t best{};  ///< no rule below has a smaller index; kNoRule where there is none
    std::uint32_t kind{};  ///< kTreeCut + the Dimension to cut in, or one of the following
};
inline constexpr std::uint32_t kTreeCut = 1U << 31;
inline constexpr std::uint32_t kTreeLeaf = kTreeCut + 4;   ///< LeafRecord[count], ascending by rule
inline constexpr std::uint32_t kTreeBlock = kTreeCut + 5;  ///< Block
inline constexpr std::uint32_t kLeafRecordsMax = 16;

/// Matches where every class is within its range, both ends inside, and the condition holds. Classes of transport and
/// of zones fit 16 bits: the sections that give them hold them so.
struct LeafRecord {
    std::array<std::uint32_t, 2> first{}, last{};                ///< source, destination
    std::array<std::uint16_t, 2> narrow_first{}, narrow_last{};  ///< transport, zones
    std::uint32_t rule{};                                        ///< RuleIndex; kObserveBit set for observe mode
    std::uint32_t condition{};                                   ///< index into conditions; 0 always holds
    bool operator==(const LeafRecord&) const = default;
};
static_assert(sizeof(TreeNode) == 32 && sizeof(LeafRecord) == 32);
static_assert(offsetof(TreeNode, best) == offsetof(LeafRecord, rule));
static_assert(offsetof(TreeNode, kind) == offsetof(LeafRecord, condition));
inline constexpr std::uint32_t kObserveBit = 1U << 31;

/// For rules that name more than one range of classes: the class must be inside one of `count` ranges from `first` on.
/// A count of 0 asks nothing.
struct Condition {
    std::array<std::uint32_t, kDimensionCount> first{};
    std::array<std::uint32_t, kDimensionCount> count{};
};
struct ClassRange {
    std::uint32_t first{}, last{};  ///< both inside
    bool operator==(const ClassRange&) const = default;
};

/// Rules that no cut tells apart any more, all together. Per dimension, a class gives a row: `row = map[min(class -
/// first, width - 1)]`, or, where `width` is 0, the row of the last of `start_count` starts that is not above the
/// class. `bits`: AND the four rows, bit i = rule i of `rules` may match. `pairs`: the first two rows name a cell of
/// `pairs`, which with the last two names a cell of `finals`. Offsets count in 8-byte words of TreesSection::words.
///
/// A side with one row tells no rules apart: it has no map, and its row needs no AND. Only where no side tells any
/// apart, the first has a row.
enum class BlockKind : std::uint32_t { bits = 0, pairs = 1 };
struct BlockSide {
    std::uint32_t first{};
    std::uint32_t width{};
    std::uint32_t start_count{};  ///< 0 where `width` is not
    std::uint32_t map{};          ///< uint16[width]; or uint32[start_count], ascending, then, on a word, as many uint16
    std::uint32_t row_count{};
    std::uint32_t rows{};  ///< bits: uint64[row_count * word_count]
    bool tells_apart() const noexcept { return row_count > 1; }
};
struct Block {
    BlockKind kind{};
    std::uint32_t rule_count{};
    std::uint32_t word_count{};  ///< bits: (rule_count + 63) / 64
    std::uint32_t rules{};       ///< uint32[rule_count]: as LeafRecord::rule, ascending by rule
    std::uint32_t observe{};     ///< bits: uint64[word_count]: which rules are in observe mode
    std::uint32_t pairs{};       ///< pairs: uint32[rows of source * rows of destination], below pair_count
    std::uint32_t pair_count{};  ///< pairs
    std::uint32_t finals{};      ///< pairs: BlockAnswer[pair_count * rows of transport * rows of zones]
    std::array<BlockSide, kDimensionCount> sides{};
};
struct BlockAnswer {
    std::uint32_t rule{kNoRule}, observe{kNoRule};
};
static_assert(sizeof(Block) == 128 && sizeof(BlockAnswer) == 8);

/// A question about a packet that sets with changing members answer: is its source (side 0), or its destination (1), a
/// member of the set?
struct SetUse {
    std::uint16_t set{};  ///< index into ZonesSection::sets
    std::uint8_t side{};
    std::uint8_t must_be_zero{};
    bool operator==(const SetUse&) const = default;
};
inline constexpr std::uint32_t kSetUsesMax = 16;

/// From `at_unix_s` (UTC, seconds) on, until the next transition, `period` is in force.
///
/// Rules that are not always in force: time is cut into *periods*, in each of which the same rules are in force. Every
/// period has its own table of pairs of zones, so that a class of zones tells which rules can match now; all other
/// tables know nothing of time, and a lookup does not look at a clock. A transition is the switch to another table.
struct Transition {
    std::uint64_t at_unix_s{};
    std::uint32_t period{};
    std::uint32_t must_be_zero{};
    bool operator==(const Transition&) const = default;
};
static_assert(sizeof(Transition) == 16);
inline constexpr std::uint32_t kTransitionsMax = 1U << 18;
/// Periods times pairs of zones times combinations of answers.
inline constexpr std::uint32_t kZonePlacesMax = 1U << 20;

struct TreesSection {
    SectionHeader header{};
    ClassPoint class_count{};  ///< as the sections that give the classes say
    std::uint32_t zone_count{};
    std::uint32_t rule_count{};       ///< RulesSection::rules.count
    std::uint32_t node_visits_max{};  ///< all trees together: nodes, leaves included, on the longest ways
    std::uint32_t block_words_max{};  ///< widest row of a block that has bits
    std::uint32_t period_count{};     ///< 1 where nothing depends on time
    std::uint32_t must_be_zero{};
    ArrayRef transitions;  ///< Transition, ascending, the first at 0
    ArrayRef set_uses;     ///< SetUse, ascending, at most kSetUsesMax
    /// uint16[period_count * zone_count * zone_count << uses]: class of (from, to, answers) in a period, index =
    /// ((period * zone_count + from) * zone_count + to) << uses | answers; bit i of the answers is that to use i.
    ArrayRef zone_pairs;
    ArrayRef roots;       ///< uint32[at most kTreesMax], nodes
    ArrayRef nodes;       ///< TreeNode; `offset` of this and the next is a multiple of 64
    ArrayRef records;     ///< LeafRecord; a leaf's begin on a line, and the last of an odd number stands there twice
    ArrayRef conditions;  ///< Condition; the first asks nothing
    ArrayRef ranges;      ///< ClassRange; those of a condition ascend and do not touch
    ArrayRef blocks;      ///< Block; `offset` of this and the next is a multiple of 64
    ArrayRef words;       ///< uint64
};

// ---------------------------------------------------------------------------------------------------------------
// overlay
/// A rule of the overlay's tables. They number rules by their place in this array, which is their order of evaluation.
struct OverlayPlace {
    /// It is asked before this rule of the rules section and behind the one in front of that; of places with the same,
    /// the first comes first. A rule of the rules section stands before itself.
    RuleIndex before{};
    /// In the rules section; or, from RulesSection::rules.count on, in OverlaySection::rules.
    RuleIndex rule{};
};
static_assert(sizeof(OverlayPlace) == 8);

/// Rules that changed since the other sections were compiled. To change one rule of 100,000 is to write this one:
/// rules that no longer stand are *hidden*, and beside the large tables stand small ones, of rules that are new, and of
/// those behind a hidden one that can match where it did. A packet is looked up in both; whichever of the two rules is
/// asked first decides, unless the large tables' one is hidden. Everything empty: nothing changed.
struct OverlaySection {
    SectionHeader header{};
    ArrayRef hidden;  ///< RuleIndex, ascending: rules of the rules section; neither the default nor one that passes on
    ArrayRef rules;   ///< RuleRecord: rules that the rules section does not have
    ArrayRef places;  ///< OverlayPlace, in order of evaluation
    /// std::byte, at a multiple of 64: whole sections of the kinds kOverlayTables over `places`, the default standing
    /// for "none of them". Periods, entries, zones and uses of sets are those of the large tables.
    std::array<ArrayRef, 6> tables;
    ArrayRef text;  ///< char
};
inline constexpr std::array<SectionKind, 6> kOverlayTables{SectionKind::src_v4,    SectionKind::dst_v4,
                                                           SectionKind::src_v6,    SectionKind::dst_v6,
                                                           SectionKind::transport, SectionKind::trees};
inline constexpr std::uint32_t kOverlayHiddenMax = 4096;
inline constexpr std::uint32_t kOverlayRulesMax = 4096;
inline constexpr std::uint32_t kOverlayPlacesMax = 65'536;

inline constexpr std::uint64_t kSectionBytesMax = 512ULL << 20;  ///< cap per section, checked on both sides
inline constexpr std::uint64_t kGenerationBytesMax = 1024ULL << 20;

static_assert(std::is_trivially_copyable_v<Manifest> && std::is_trivially_copyable_v<RulesSection>);
static_assert(std::is_trivially_copyable_v<AddressSection> && std::is_trivially_copyable_v<TransportSection>);
static_assert(std::is_trivially_copyable_v<TreesSection> && std::is_trivially_copyable_v<OverlaySection>);

}  // namespace sluice::abi
