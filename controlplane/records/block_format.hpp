/// The bytes of a segment file. All numbers are little-endian.
///
///     segment  = SegmentHeader, blocks, and once it is sealed: index entries, SegmentFooter
///     block    = BlockHeader, contexts, ring positions, records, zeros up to a multiple of 8
///     context  = ContextHead, then rule, from zone, to zone, port of arrival, drop reason: each a length byte and text
///     record   = RecordHead, then by its context: both addresses (4 or 16 bytes each), RecordTotals, u32 suppressed
///
/// A block needs no other: it brings the names that its records use, so that damage costs the records of the damaged
/// block and nothing else. It says where it stands (segment, offset), so that an old copy in the wrong place is none.
/// A change of these bytes changes kRecordFormat; a reader leaves segments of another format alone.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

namespace sluice::cp {

static_assert(std::endian::native == std::endian::little, "the structs below are the bytes of the file");

inline constexpr std::uint64_t kSegmentMagic = 0x31524c4643554c53ULL;  // "SLUCFLR1"
inline constexpr std::uint64_t kFooterMagic = 0x3158444943554c53ULL;   // "SLUCIDX1"
inline constexpr std::uint32_t kBlockMagic = 0x4b4c4246;               // "FBLK"
inline constexpr std::uint32_t kRecordFormat = 1;

/// A writer ends a block here; a reader believes no longer one.
inline constexpr std::uint32_t kBlockBytesWanted = 256 * 1024;
inline constexpr std::uint32_t kBlockBytesMax = 1024 * 1024;
/// A place of the index stands for so many bytes of blocks, or more.
inline constexpr std::uint64_t kIndexStrideBytes = 256 * 1024;

struct SegmentHeader {
    std::uint64_t magic{kSegmentMagic};
    std::uint32_t format{kRecordFormat};
    std::uint32_t crc{};  ///< of this header with 0 here
    std::uint64_t segment{};
    std::uint64_t first_record{};
    std::int64_t created_ns{};  ///< UTC
    std::uint64_t must_be_zero[3]{};
};
static_assert(sizeof(SegmentHeader) == 64 && std::has_unique_object_representations_v<SegmentHeader>);

struct BlockHeader {
    std::uint32_t magic{kBlockMagic};
    std::uint32_t crc{};      ///< of this header with 0 here
    std::uint64_t segment{};  ///< that it belongs to
    std::uint64_t offset{};   ///< of this header in the file
    std::uint64_t first_record{};
    std::int64_t time_min_ns{}, time_max_ns{};
    std::uint32_t payload_bytes{};  ///< a multiple of 8
    std::uint32_t payload_crc{};
    std::uint32_t record_count{};  ///< at least 1
    std::uint32_t context_count{};
    std::uint64_t boot_id{};     ///< of the dataplane process whose rings the positions are about
    std::uint32_t ring_count{};  ///< RingPlaces
    std::uint32_t must_be_zero{};
};
static_assert(sizeof(BlockHeader) == 80 && std::has_unique_object_representations_v<BlockHeader>);

struct RingPlace {
    std::uint64_t worker{};
    std::uint64_t next{};  ///< sequence of the first event that is not in this block or before
};
static_assert(sizeof(RingPlace) == 16);

inline constexpr std::uint8_t kHasTotals = 1;
inline constexpr std::uint8_t kHasSuppressed = 2;

struct ContextHead {
    std::uint64_t generation{};
    std::uint8_t kind{}, verdict{}, end{}, family{}, proto{};
    std::uint8_t parts{};  ///< bits: kHasTotals, kHasSuppressed
    std::uint16_t must_be_zero{};
};
static_assert(sizeof(ContextHead) == 16 && std::has_unique_object_representations_v<ContextHead>);

struct RecordHead {
    std::int64_t time_ns{};
    std::uint32_t context{};  ///< place in the block's list
    std::uint16_t sport{}, dport{};
};
static_assert(sizeof(RecordHead) == 16 && std::has_unique_object_representations_v<RecordHead>);

struct RecordTotals {
    std::int64_t started_ns{};
    std::uint64_t packets[2]{}, bytes[2]{};
};
static_assert(sizeof(RecordTotals) == 40);

/// Where to begin reading: stands for the blocks from `offset` up to the next entry's.
struct IndexEntry {
    std::uint64_t offset{};
    std::uint64_t first_record{};
    std::int64_t time_min_ns{}, time_max_ns{};
};
static_assert(sizeof(IndexEntry) == 32 && std::has_unique_object_representations_v<IndexEntry>);

/// The last bytes of a sealed segment.
struct SegmentFooter {
    std::uint64_t magic{kFooterMagic};
    std::uint32_t crc{};  ///< of the entries, then of this footer with 0 here
    std::uint32_t entry_count{};
    std::uint64_t segment{};
    std::uint64_t data_bytes{};  ///< header and blocks: here the entries begin
    std::uint64_t first_record{}, end_record{};
    std::int64_t time_min_ns{}, time_max_ns{};
};
static_assert(sizeof(SegmentFooter) == 64 && std::has_unique_object_representations_v<SegmentFooter>);

}  // namespace sluice::cp
