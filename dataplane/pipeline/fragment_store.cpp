#include "dataplane/pipeline/fragment_store.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace sluice::dp {

namespace {

using abi::DropReason;

constexpr std::uint32_t tag_of(std::uint64_t hash) noexcept { return static_cast<std::uint32_t>(hash >> 32); }

/// Extension headers, options and data of both, to the last byte. What can't be read can't be called equal.
bool same_body(const Fragment& a, const Fragment& b) noexcept {
    const auto readable = [](const Fragment& f) { return f.data_offset + f.data_bytes <= f.packet.contiguous_bytes; };
    if (a.more != b.more || a.data_bytes != b.data_bytes) return false;
    const int before = a.data_offset - a.body_offset;
    if (before != b.data_offset - b.body_offset || !readable(a) || !readable(b)) return false;
    return std::memcmp(a.packet.data + a.body_offset, b.packet.data + b.body_offset,
                       static_cast<std::size_t>(before) + a.data_bytes) == 0;
}

}  // namespace

FragmentStore::FragmentStore(const FragmentLimits& limits, const TscRate& tsc, const HashSecret& secret) noexcept
    : limits_{limits},
      secret_{secret},
      timeout_v4_{tsc.of_ms(limits.timeout_v4_ms)},
      timeout_v6_{tsc.of_ms(limits.timeout_v6_ms)},
      // Two of a bucket's eight places in use on average: one datagram in five thousand finds its bucket full.
      buckets_{std::bit_ceil(std::max<std::size_t>(1, limits.packets_max / 2))},
      slab_{limits.packets_max},
      pieces_{limits.packets_max} {
    for (std::uint32_t i = limits.packets_max; i-- != 0;) {
        slab_[i].newer = free_datagram_;
        free_datagram_ = i;
        pieces_[i].next = free_piece_;
        free_piece_ = i;
    }
}

std::uint64_t FragmentStore::hash(const FragmentKey& key) const noexcept {
    return siphash13(secret_, std::as_bytes(std::span{&key, 1}));
}

std::uint32_t FragmentStore::find(const FragmentKey& key, std::uint64_t h) noexcept {
    const Bucket& b = bucket(h);
    for (std::size_t way = 0; way < kWays; ++way) {
        if (b.tag[way] != tag_of(h) || b.datagram[way] == 0) continue;
        if (slab_[b.datagram[way] - 1].key == key) return b.datagram[way] - 1;
    }
    return kNone;
}

std::uint32_t FragmentStore::find_live(const FragmentKey& key, std::uint64_t h, TscTime now,
                                       FragmentDrops& drops) noexcept {
    const std::uint32_t found = find(key, h);
    if (found == kNone || slab_[found].deadline > now) return found;
    abandon(found, DropReason::frag_timeout, drops);
    return kNone;
}

std::uint32_t FragmentStore::oldest() const noexcept {
    if (v4_.oldest == kNone) return v6_.oldest;
    if (v6_.oldest == kNone) return v4_.oldest;
    return slab_[v4_.oldest].number < slab_[v6_.oldest].number ? v4_.oldest : v6_.oldest;
}

/// A new datagram, in the queue and in its bucket; kNone if all are whole and waiting to be taken.
std::uint32_t FragmentStore::start(const FragmentKey& key, std::uint64_t h, TscTime now,
                                   FragmentDrops& drops) noexcept {
    if (free_datagram_ == kNone) {
        if (oldest() == kNone) return kNone;
        abandon(oldest(), DropReason::frag_nomem, drops);
    }
    Bucket& b = bucket(h);
    auto place = std::find(b.datagram.begin(), b.datagram.end(), 0U);
    if (place == b.datagram.end()) {
        place = std::min_element(b.datagram.begin(), b.datagram.end(), [&](std::uint32_t x, std::uint32_t y) {
            return slab_[x - 1].number < slab_[y - 1].number;
        });
        abandon(*place - 1, DropReason::frag_nomem, drops);
    }
    const std::uint32_t i = free_datagram_;
    Datagram& d = slab_[i];
    free_datagram_ = d.newer;
    Queue& q = queue(key);
    d = Datagram{};
    d.key = key;
    d.hash = h;
    d.number = started_++;
    d.deadline = now + (key.family == abi::IpFamily::v6 ? timeout_v6_ : timeout_v4_);
    d.older = q.newest;
    d.newer = d.first_piece = d.last_piece = kNone;
    (q.newest == kNone ? q.oldest : slab_[q.newest].newer) = i;
    q.newest = i;
    *place = i + 1;
    b.tag[static_cast<std::size_t>(place - b.datagram.begin())] = tag_of(h);
    ++datagrams_;
    return i;
}

/// Held fragments never overlap each other, so the first that the new one meets tells.
FragmentStore::Fit FragmentStore::fit(const Datagram& d, const Fragment& f) const noexcept {
    for (std::uint32_t i = d.first_piece; i != kNone; i = pieces_[i].next) {
        const Fragment& held = pieces_[i].fragment;
        if (f.offset_bytes >= held.end_bytes() || held.offset_bytes >= f.end_bytes()) continue;
        return f.offset_bytes == held.offset_bytes && same_body(f, held) ? Fit::duplicate : Fit::overlap;
    }
    // Data behind the end, be it by a last fragment that came before or by this one; two ends are that, too.
    if (d.last_end != 0 && f.end_bytes() > d.last_end) return Fit::contradiction;
    return !f.more && d.furthest_end > f.end_bytes() ? Fit::contradiction : Fit::fits;
}

void FragmentStore::append(Datagram& d, const Fragment& f) noexcept {
    const std::uint32_t i = free_piece_;
    free_piece_ = pieces_[i].next;
    pieces_[i] = {f, kNone};
    (d.last_piece == kNone ? d.first_piece : pieces_[d.last_piece].next) = i;
    d.last_piece = i;
    ++d.piece_count;
    d.have_bytes += f.data_bytes;
    d.furthest_end = std::max(d.furthest_end, f.end_bytes());
    if (!f.more) d.last_end = f.end_bytes();
    ++packets_;
    bytes_ += f.packet.total_bytes;
}

FragmentStore::Added FragmentStore::add(const FragmentKey& key, const Fragment& f, TscTime now,
                                        FragmentDrops& drops) noexcept {
    const auto refused = [](DropReason why) { return Added{Outcome::refused, why, kNone}; };
    const std::uint64_t h = hash(key);
    std::uint32_t i = find_live(key, h, now, drops);
    if (i != kNone) {
        Datagram& d = slab_[i];
        if (d.condemned) return refused(d.reason);
        switch (fit(d, f)) {
            case Fit::fits: break;
            case Fit::duplicate: return {Outcome::duplicate, {}, i};
            case Fit::overlap: condemn(d, DropReason::frag_overlap, drops); return refused(d.reason);
            case Fit::contradiction: condemn(d, DropReason::frag_malformed, drops); return refused(d.reason);
        }
        if (d.piece_count == kFragmentsMax) {
            condemn(d, DropReason::frag_nomem, drops);
            return refused(d.reason);
        }
    }
    while (!has_room(f.packet.total_bytes)) {
        const std::uint32_t victim = oldest();
        if (victim == kNone) return refused(DropReason::frag_nomem);
        if (victim == i) {
            condemn(slab_[i], DropReason::frag_nomem, drops);
            return refused(DropReason::frag_nomem);
        }
        abandon(victim, DropReason::frag_nomem, drops);
    }
    if (i == kNone) i = start(key, h, now, drops);
    if (i == kNone) return refused(DropReason::frag_nomem);
    Datagram& d = slab_[i];
    append(d, f);
    if (d.last_end == 0 || d.have_bytes != d.last_end) return {Outcome::held, {}, i};
    unlink(i);  // from here on nobody finds it, and it is not in anybody's way
    return {Outcome::whole, {}, i};
}

void FragmentStore::condemn(const FragmentKey& key, DropReason why, TscTime now, FragmentDrops& drops) noexcept {
    const std::uint64_t h = hash(key);
    std::uint32_t i = find_live(key, h, now, drops);
    if (i == kNone) i = start(key, h, now, drops);
    if (i != kNone && !slab_[i].condemned) condemn(slab_[i], why, drops);
}

void FragmentStore::condemn(Datagram& d, DropReason why, FragmentDrops& drops) noexcept {
    drop_held(d, why, drops);
    d.condemned = true;
    d.reason = why;
}

void FragmentStore::expire(TscTime now, FragmentDrops& drops) noexcept {
    const std::uint32_t until = packets_ - std::min(packets_, kExpiredPacketsPerCall);
    std::uint32_t datagrams = kExpiredPacketsPerCall;
    for (Queue* q : {&v4_, &v6_}) {
        while (q->oldest != kNone && slab_[q->oldest].deadline <= now) {
            if (packets_ < until || datagrams-- == 0) return;
            abandon(q->oldest, DropReason::frag_timeout, drops);
        }
    }
}

void FragmentStore::drop_all(DropReason why, FragmentDrops& drops) noexcept {
    while (oldest() != kNone) abandon(oldest(), why, drops);
}

std::size_t FragmentStore::by_offset(std::uint32_t datagram,
                                     std::span<const Fragment*, kFragmentsMax> out) const noexcept {
    std::size_t count = 0;
    for (std::uint32_t i = slab_[datagram].first_piece; i != kNone; i = pieces_[i].next) {
        const Fragment& f = pieces_[i].fragment;
        std::size_t at = count++;
        for (; at != 0 && out[at - 1]->offset_bytes > f.offset_bytes; --at) out[at] = out[at - 1];
        out[at] = &f;
    }
    return count;
}

/// Empties the datagram's list of fragments.
std::size_t FragmentStore::collect(Datagram& d, std::span<Packet, kFragmentsMax> out) noexcept {
    std::size_t count = 0;
    for (std::uint32_t i = d.first_piece; i != kNone;) {
        Piece& piece = pieces_[i];
        bytes_ -= piece.fragment.packet.total_bytes;
        out[count++] = piece.fragment.packet;
        const std::uint32_t next = piece.next;
        piece.next = free_piece_;
        free_piece_ = i;
        i = next;
    }
    packets_ -= static_cast<std::uint32_t>(count);
    d.first_piece = d.last_piece = kNone;
    d.piece_count = 0;
    return count;
}

std::size_t FragmentStore::take(std::uint32_t datagram, std::span<Packet, kFragmentsMax> out) noexcept {
    const std::size_t count = collect(slab_[datagram], out);
    give_back(datagram);
    return count;
}

void FragmentStore::drop_held(Datagram& d, DropReason why, FragmentDrops& drops) noexcept {
    std::array<Packet, kFragmentsMax> held;
    const std::size_t count = collect(d, held);
    if (count != 0) drops.dropped(d.key, std::span<const Packet>{held.data(), count}, why);
}

void FragmentStore::abandon(std::uint32_t datagram, DropReason why, FragmentDrops& drops) noexcept {
    drop_held(slab_[datagram], why, drops);
    unlink(datagram);
    give_back(datagram);
}

void FragmentStore::unlink(std::uint32_t datagram) noexcept {
    const Datagram& d = slab_[datagram];
    Queue& q = queue(d.key);
    (d.older == kNone ? q.oldest : slab_[d.older].newer) = d.newer;
    (d.newer == kNone ? q.newest : slab_[d.newer].older) = d.older;
    Bucket& b = bucket(d.hash);
    *std::find(b.datagram.begin(), b.datagram.end(), datagram + 1) = 0;
}

void FragmentStore::give_back(std::uint32_t datagram) noexcept {
    slab_[datagram].newer = free_datagram_;
    free_datagram_ = datagram;
    --datagrams_;
}

}  // namespace sluice::dp
