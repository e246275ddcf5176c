#include "controlplane/analysis/box.hpp"

#include <gtest/gtest.h>

#include "controlplane/analysis/box_cut.hpp"
#include "controlplane/analysis/box_index.hpp"
#include "controlplane/analysis/box_merge.hpp"
#include "controlplane/analysis/example.hpp"

namespace sluice::cp {
namespace {

using Lists = std::vector<Range<std::uint64_t>>;

std::shared_ptr<const AddressRanges> addresses(const Lists& lists) {
    AddressRanges ranges;
    for (const auto& range : lists) ranges.push_back({{0, range.first}, {0, range.last}});
    return std::make_shared<const AddressRanges>(std::move(ranges));
}

Box box(const Lists& src, const Lists& dst, ServiceRanges service, unsigned long from = 1, unsigned long to = 2) {
    return {abi::IpFamily::v4, PlaceBits{from}, PlaceBits{to},
            addresses(src),    addresses(dst),  std::make_shared<const ServiceRanges>(std::move(service))};
}

/// Packets of a box with one pair of places.
std::uint64_t size(const Box& b) {
    std::uint64_t src = 0, dst = 0, service = 0;
    for (const auto& r : *b.src) src += r.last.low - r.first.low + 1;
    for (const auto& r : *b.dst) dst += r.last.low - r.first.low + 1;
    for (const auto& r : *b.service) service += r.last - r.first + 1;
    return src * dst * service * b.from.count() * b.to.count();
}

std::uint64_t size(const std::vector<Box>& boxes) {
    std::uint64_t sum = 0;
    for (const Box& b : boxes) sum += size(b);
    return sum;
}

TEST(Box, WhatIsLeftAndWhatIsCommonMakeTheWhole) {
    const Box whole = box({{0, 9}}, {{0, 9}}, {{0, 9}}, 3, 3);
    const Box hole = box({{2, 3}, {7, 20}}, {{0, 4}}, {{5, 5}}, 1, 6);
    std::vector<Box> left;
    append_without(whole, hole, left);
    EXPECT_EQ(left.size(), 5U);
    const auto both = common(whole, hole);
    ASSERT_TRUE(both);
    EXPECT_EQ(size(*both), 5U * 5U);
    EXPECT_EQ(size(left) + size(*both), size(whole));
    for (std::size_t a = 0; a < left.size(); ++a) {
        EXPECT_FALSE(uncovered_sides(left[a], hole));
        for (std::size_t b = a + 1; b < left.size(); ++b) EXPECT_FALSE(uncovered_sides(left[a], left[b]));
    }
    EXPECT_EQ(uncovered_sides(whole, hole), 5U);
    EXPECT_EQ(uncovered_sides(*both, whole), 0U);
}

TEST(Box, BoxesOfOtherFamiliesPlacesAndServicesShareNothing) {
    const Box a = box({{0, 9}}, {{0, 9}}, {{0, 9}});
    Box b = a;
    b.family = abi::IpFamily::v6;
    EXPECT_FALSE(common(a, b));
    EXPECT_FALSE(common(a, box({{0, 9}}, {{0, 9}}, {{10, 10}})));
    EXPECT_FALSE(common(a, box({{0, 9}}, {{0, 9}}, {{0, 9}}, 2)));
    EXPECT_FALSE(common(a, box({{0, 9}}, {{0, 9}}, {{0, 9}}, 1, 1)));
    EXPECT_FALSE(common(a, box({{10, 11}}, {{0, 9}}, {{0, 9}})));
    EXPECT_FALSE(common(a, box({{0, 9}}, {{10, 11}}, {{0, 9}})));
    std::vector<Box> left;
    append_without(a, b, left);
    EXPECT_EQ(size(left), size(a));
}

TEST(BoxMerge, PiecesBecomeOneAgain) {
    const Box whole = box({{0, 9}}, {{0, 9}}, {{0, 9}}, 3, 3);
    std::vector<Box> pieces;
    append_without(whole, box({{2, 3}}, {{4, 4}}, {{5, 5}}, 1, 1), pieces);
    pieces.push_back(*common(whole, box({{2, 3}}, {{4, 4}}, {{5, 5}}, 1, 1)));
    ASSERT_EQ(pieces.size(), 6U);
    merge(pieces);
    ASSERT_EQ(pieces.size(), 1U);
    EXPECT_EQ(size(pieces), size(whole));
    EXPECT_EQ(*pieces[0].src, *whole.src);
    std::vector<Box> apart{box({{0, 1}}, {{0, 1}}, {{0, 1}}), box({{2, 3}}, {{2, 3}}, {{0, 1}})};
    merge(apart);
    EXPECT_EQ(apart.size(), 2U) << "they differ in two sides";
}

TEST(BoxIndex, FindsAllThatMayMeetAndMostOthersNot) {
    std::vector<Box> boxes;
    for (std::uint64_t i = 0; i < 1000; ++i) {
        const Lists any{{0, 0xffffffff}}, one{{i * 10, i * 10 + 9}};
        boxes.push_back(box(i % 3 == 0 ? any : one, i % 3 == 1 ? any : one, {{0, 65'535}}));
    }
    const BoxIndex index{boxes};
    for (std::uint64_t at = 0; at < 10'000; at += 77) {
        const Box asked = box({{at, at}}, {{at + 20, at + 20}}, {{443, 443}});
        std::vector<std::uint32_t> found, due;
        index.find(asked, 700, found);
        for (std::uint32_t b = 0; b < 700; ++b) {
            if (uncovered_sides(asked, boxes[b])) due.push_back(b);
        }
        EXPECT_EQ(found, due) << at;  // boxes without long lists are their hulls
    }
    std::vector<std::uint32_t> found;
    EXPECT_LT(index.find(box({{5, 5}}, {{25, 25}}, {{443, 443}}), 1000, found), 150U) << "it walked over everything";
}

TEST(BoxIndex, ALongListIsFoundByEachOfItsParts) {
    Lists many;
    for (std::uint64_t i = 0; i < 1000; ++i) many.push_back({i * 100, i * 100 + 1});
    const BoxIndex index{{box(many, {{0, 9}}, {{0, 9}})}};
    for (std::uint64_t i = 0; i < 1000; ++i) {
        std::vector<std::uint32_t> found;
        index.find(box({{i * 100, i * 100}}, {{0, 0}}, {{0, 0}}), 1, found);
        ASSERT_EQ(found, std::vector<std::uint32_t>{0}) << i;
    }
}

TEST(BoxCut, HalvesALongList) {
    std::vector<Box> boxes;
    std::vector<std::uint32_t> list;
    for (std::uint32_t i = 0; i < 64; ++i) {
        boxes.push_back(box({{0, 0xffffffff}}, {{i * 10ULL, i * 10ULL + 5}}, {{0, 65'535}}));
        list.push_back(i);
    }
    const Box whole = box({{0, 0xffff}}, {{0, 0xffff}}, {{0, 65'535}});
    const auto halves = cut_for(whole, boxes, list);
    ASSERT_TRUE(halves);
    EXPECT_EQ(size(halves->first) + size(halves->second), size(whole));
    EXPECT_FALSE(uncovered_sides(halves->first, halves->second));
    std::size_t below = 0;
    for (const Box& b : boxes) below += uncovered_sides(halves->first, b) ? 1 : 0;
    EXPECT_NEAR(static_cast<double>(below), 32, 3);
    EXPECT_FALSE(cut_for(whole, {whole, whole, whole}, {0, 1, 2})) << "nothing tells them apart";
}

TEST(Example, ListsAreWrittenAsPeopleWriteThem) {
    using Texts = std::vector<std::string>;
    const auto v4 = [](const Lists& lists) { return to_texts(*addresses(lists), abi::IpFamily::v4); };
    EXPECT_EQ(v4({{0, 0xffffffff}}), Texts{"any"});
    EXPECT_EQ(v4({{0x0a000000, 0x0affffff}, {0xc6336450, 0xc6336450}}), (Texts{"10.0.0.0/8", "198.51.100.80"}));
    EXPECT_EQ(v4({{0x0a000001, 0x0a000006}}), Texts{"10.0.0.1-10.0.0.6"});
    EXPECT_EQ(to_texts({{{0x20010db800000000, 0}, {0x20010db8ffffffff, ~0ULL}}}, abi::IpFamily::v6),
              Texts{"2001:db8::/32"});
    EXPECT_TRUE(is_wide_open(*addresses({{0x80000000, 0xffffffff}}), abi::IpFamily::v4));
    EXPECT_FALSE(is_wide_open(*addresses({{0x80000000, 0xfffffffe}}), abi::IpFamily::v4));
    EXPECT_TRUE(is_wide_open({{{0x2000000000000000, 0}, {0x3fffffffffffffff, ~0ULL}}}, abi::IpFamily::v6));
    EXPECT_FALSE(is_wide_open({{{0x2000000000000000, 0}, {0x2fffffffffffffff, ~0ULL}}}, abi::IpFamily::v6));
}

}  // namespace
}  // namespace sluice::cp
