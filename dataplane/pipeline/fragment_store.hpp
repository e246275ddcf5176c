/// Fragments that wait until their datagram is whole.
///
/// Theory of operation. One store per worker, called by that worker only; all memory is there from the start. A
/// datagram is known by where it arrived, addresses, identification and, in IPv4, protocol. Its fragments stand in a
/// list in order of arrival and never overlap: what overlaps condemns the datagram. A condemned datagram holds nothing,
/// but its key is remembered with the reason until its timer ends, so that its later fragments share its fate (RFC
/// 5722, RFC 8200 section 4.5). Datagrams of one family stand in one queue, oldest first, which is also the order of
/// their deadlines: the timer runs from the first fragment and is never prolonged, so that nobody keeps a datagram
/// alive. When room is needed, the oldest goes, whoever it is (RFC 8900 section 3.7: there is no telling which of them
/// will ever be whole).
///
/// Limits of work: a key has kWays places in one bucket; a datagram has kFragmentsMax fragments, each compared with the
/// new one. The hash is keyed, so nobody can aim at a bucket.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <type_traits>

#include <sluice/abi/drop_reasons.hpp>
#include <sluice/abi/net_order.hpp>

#include "dataplane/flow/flow_hash.hpp"
#include "dataplane/flow/prefaulted.hpp"
#include "dataplane/pipeline/packet.hpp"
#include "dataplane/pipeline/tsc.hpp"
#include "dataplane/pipeline/worker.hpp"

namespace sluice::dp {

inline constexpr std::uint32_t kFragmentsMax = 64;  ///< of one datagram (CASES Q13)

struct FragmentKey {
    abi::IpAddr src{}, dst{};
    std::uint32_t id{};
    PortIndex in_port{};
    abi::IpFamily family{};
    abi::L4Proto proto{};  ///< IPv4; 0 in IPv6, where only the first fragment's counts (RFC 8200 section 4.5)
    std::uint8_t must_be_zero{};
    bool operator==(const FragmentKey&) const = default;
};
static_assert(std::has_unique_object_representations_v<FragmentKey>, "hashed as bytes: no padding");

/// A frame with one piece of a datagram; offsets from the first byte of the frame but offset_bytes.
struct Fragment {
    Packet packet{};
    std::uint16_t offset_bytes{};  ///< of the data in the datagram
    std::uint16_t data_offset{};
    std::uint16_t data_bytes{};   ///< never 0; a multiple of 8 if `more`
    std::uint16_t body_offset{};  ///< behind the fixed IP header: from here to the end of the data, copies are equal
    bool more{};

    std::uint32_t end_bytes() const noexcept { return std::uint32_t{offset_bytes} + data_bytes; }
};

/// Told of fragments that the store gives up; they are the callee's.
class FragmentDrops {
public:
    virtual void dropped(const FragmentKey& key, std::span<const Packet> packets, abi::DropReason why) noexcept = 0;

protected:
    ~FragmentDrops() = default;
};

class FragmentStore {
public:
    enum class Outcome : std::uint8_t {
        held,       ///< the packet is the store's
        whole,      ///< the packet is the store's, and with it `datagram` is whole and waits for `take`
        duplicate,  ///< a byte-exact copy of a held fragment; the packet is the caller's
        refused,    ///< for `reason`; the packet is the caller's
    };
    struct Added {
        Outcome outcome{};
        abi::DropReason reason{};
        std::uint32_t datagram{};
    };

    FragmentStore(const FragmentLimits& limits, const TscRate& tsc, const HashSecret& secret) noexcept;

    Added add(const FragmentKey& key, const Fragment& fragment, TscTime now, FragmentDrops& drops) noexcept;
    /// A fragment of this datagram was faulty: the datagram will never be whole. Held fragments are dropped.
    void condemn(const FragmentKey& key, abi::DropReason why, TscTime now, FragmentDrops& drops) noexcept;
    /// Drops what has waited too long, a bounded share per call.
    void expire(TscTime now, FragmentDrops& drops) noexcept;
    void drop_all(abi::DropReason why, FragmentDrops& drops) noexcept;

    /// The fragments of a whole datagram, in order of offset. Returns how many.
    std::size_t by_offset(std::uint32_t datagram, std::span<const Fragment*, kFragmentsMax> out) const noexcept;
    /// Gives a whole datagram's packets to the caller, in order of arrival, and forgets it. Returns how many.
    std::size_t take(std::uint32_t datagram, std::span<Packet, kFragmentsMax> out) noexcept;

    bool empty() const noexcept { return datagrams_ == 0; }
    std::uint32_t datagrams() const noexcept { return datagrams_; }  ///< condemned ones included
    std::uint32_t packets() const noexcept { return packets_; }
    std::uint64_t bytes() const noexcept { return bytes_; }  ///< frames of the held packets

private:
    static constexpr std::uint32_t kNone = 0xffffffff;
    static constexpr std::size_t kWays = 8;
    static constexpr std::uint32_t kExpiredPacketsPerCall = 256;  ///< and at most one datagram more

    struct Piece {
        Fragment fragment;
        std::uint32_t next{};
    };
    struct Datagram {
        FragmentKey key;
        std::uint64_t hash{};
        std::uint64_t number{};  ///< counts up: many begin in one moment, and the older of two must still be known
        TscTime deadline{};
        std::uint32_t older{}, newer{};  ///< in the family's queue; `newer` also links the free list
        std::uint32_t first_piece{}, last_piece{};
        std::uint32_t last_end{};  ///< where the datagram ends; 0 = its last fragment has not come
        std::uint32_t furthest_end{};
        std::uint32_t have_bytes{};
        std::uint16_t piece_count{};
        abi::DropReason reason{};  ///< of a condemned one
        bool condemned{};
    };
    /// A place is free if its datagram is 0; else it holds the number + 1.
    struct alignas(64) Bucket {
        std::array<std::uint32_t, kWays> tag;
        std::array<std::uint32_t, kWays> datagram;
    };
    struct Queue {
        std::uint32_t oldest{kNone}, newest{kNone};
    };
    enum class Fit : std::uint8_t { fits, duplicate, overlap, contradiction };

    std::uint64_t hash(const FragmentKey& key) const noexcept;
    Bucket& bucket(std::uint64_t h) noexcept { return buckets_[h & (buckets_.size() - 1)]; }
    Queue& queue(const FragmentKey& key) noexcept { return key.family == abi::IpFamily::v6 ? v6_ : v4_; }
    std::uint32_t find(const FragmentKey& key, std::uint64_t h) noexcept;
    /// `find`, but one whose time is over is dropped as such.
    std::uint32_t find_live(const FragmentKey& key, std::uint64_t h, TscTime now, FragmentDrops& drops) noexcept;
    std::uint32_t start(const FragmentKey& key, std::uint64_t h, TscTime now, FragmentDrops& drops) noexcept;
    Fit fit(const Datagram& d, const Fragment& f) const noexcept;
    void append(Datagram& d, const Fragment& f) noexcept;
    std::uint32_t oldest() const noexcept;
    bool has_room(std::uint32_t frame_bytes) const noexcept {
        return packets_ < limits_.packets_max && bytes_ + frame_bytes <= limits_.memory_bytes_max;
    }
    std::size_t collect(Datagram& d, std::span<Packet, kFragmentsMax> out) noexcept;
    void drop_held(Datagram& d, abi::DropReason why, FragmentDrops& drops) noexcept;
    void condemn(Datagram& d, abi::DropReason why, FragmentDrops& drops) noexcept;
    void abandon(std::uint32_t datagram, abi::DropReason why, FragmentDrops& drops) noexcept;
    void unlink(std::uint32_t datagram) noexcept;
    void give_back(std::uint32_t datagram) noexcept;

    FragmentLimits limits_;
    HashSecret secret_;
    TscSpan timeout_v4_, timeout_v6_;
    PrefaultedArray<Bucket> buckets_;
    PrefaultedArray<Datagram> slab_;
    PrefaultedArray<Piece> pieces_;
    std::uint32_t free_datagram_{kNone}, free_piece_{kNone};
    Queue v4_, v6_;
    std::uint32_t datagrams_{}, packets_{};
    std::uint64_t bytes_{}, started_{};
};

}  // namespace sluice::dp
