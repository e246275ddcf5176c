#include "dataplane/flow/syn_cookie.hpp"

#include <algorithm>
#include <span>
#include <type_traits>

namespace sluice::dp {

namespace {

constexpr unsigned kKeyShift = 31, kMssShift = 28, kScaleShift = 24, kSackShift = 23;
constexpr std::uint32_t kMacMask = (1U << kSackShift) - 1;

/// All that the MAC covers, without padding.
struct Covered {
    std::array<std::uint8_t, 16> src, dst;
    std::uint32_t client_isn, told;
    std::uint16_t sport, dport;
    FlowDomain domain;
    std::uint8_t family, promised_wscale;
};
static_assert(std::has_unique_object_representations_v<Covered>, "hashed as bytes: no padding");

HashSecret derived(const HashSecret& secret, std::uint64_t purpose) noexcept {
    const auto half = [&](std::uint64_t n) {
        const std::array<std::uint64_t, 2> text{purpose, n};
        return siphash13(secret, std::as_bytes(std::span{text}));
    };
    return {half(0), half(1)};
}

constexpr std::uint64_t kChain = 1, kKey = 2;

}  // namespace

SynCookies::SynCookies(const HashSecret& secret) noexcept : chain_{derived(secret, kChain)} {
    next_key(0);
    next_key(1);
}

/// The chain goes on in one direction: keys that are over can't be made again from what is in memory.
void SynCookies::next_key(std::size_t which) noexcept {
    chain_ = derived(chain_, kChain);
    keys_[which] = derived(chain_, kKey);
}

void SynCookies::turn(std::uint32_t now_tick) noexcept {
    const std::uint32_t span = now_tick / kSpanTicks;
    if (!started_) {
        started_ = true;
        span_ = span;
    }
    if (span == span_) return;
    // Behind a pause both keys are too old.
    if (span - span_ > 1) next_key((span + 1) & 1);
    next_key(span & 1);
    span_ = span;
}

std::uint64_t SynCookies::mac(const CookieContext& c, std::uint32_t told) const noexcept {
    const Covered covered{.src = c.ends.src.bytes,
                          .dst = c.ends.dst.bytes,
                          .client_isn = c.client_isn,
                          .told = told,
                          .sport = c.ends.sport.wire(),
                          .dport = c.ends.dport.wire(),
                          .domain = c.domain,
                          .family = static_cast<std::uint8_t>(c.family),
                          .promised_wscale = c.promised_wscale};
    return siphash13(keys_[told >> kKeyShift], std::as_bytes(std::span{&covered, 1}));
}

std::optional<Cookie> SynCookies::make(const CookieContext& context, const CookieFacts& facts) const noexcept {
    const auto above = std::upper_bound(kMss.begin(), kMss.end(), facts.mss);
    if (above == kMss.begin()) return std::nullopt;
    const auto size = static_cast<std::uint32_t>(above - kMss.begin() - 1);
    const std::uint32_t told = (span_ & 1) << kKeyShift | size << kMssShift |
                               std::uint32_t{std::min(facts.wscale, kNoScale)} << kScaleShift |
                               (facts.sack ? 1U << kSackShift : 0U);
    const std::uint64_t tag = mac(context, told);
    return Cookie{told | (static_cast<std::uint32_t>(tag) & kMacMask), static_cast<std::uint32_t>(tag >> 32)};
}

CookieFacts SynCookies::facts_of(std::uint32_t number) noexcept {
    return {.mss = kMss[(number >> kMssShift) & 7],
            .wscale = static_cast<std::uint8_t>((number >> kScaleShift) & kNoScale),
            .sack = (number >> kSackShift & 1) != 0};
}

bool SynCookies::check(const CookieContext& context, std::uint32_t number,
                       std::optional<std::uint32_t> echo) const noexcept {
    const std::uint64_t tag = mac(context, number & ~kMacMask);
    if ((static_cast<std::uint32_t>(tag) & kMacMask) != (number & kMacMask)) return false;
    return !echo || *echo == static_cast<std::uint32_t>(tag >> 32);
}

}  // namespace sluice::dp
