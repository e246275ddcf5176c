#include "dataplane/manager/memfd.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include <sluice/sealed_memfd.hpp>

namespace sluice::dp {
namespace {

struct stat stat_of(int fd) {
    struct stat st {};
    EXPECT_EQ(fstat(fd, &st), 0);
    return st;
}
bool is_open(int fd) { return fcntl(fd, F_GETFD) != -1; }

TEST(UniqueFd, ClosesOnceAndTheDuplicateLivesOn) {
    int first = -1, second = -1;
    {
        UniqueFd a{memfd_create("a", MFD_CLOEXEC)};
        first = a.get();
        UniqueFd b{std::move(a)};
        EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move): empty is what it promises
        EXPECT_EQ(b.get(), first);
        UniqueFd copy = b.duplicate();
        second = copy.get();
        EXPECT_NE(second, first);
        EXPECT_NE(fcntl(second, F_GETFD) & FD_CLOEXEC, 0);
        b = UniqueFd{};
        EXPECT_TRUE(is_open(second));
    }
    EXPECT_FALSE(is_open(first));
    EXPECT_FALSE(is_open(second));
    EXPECT_FALSE(UniqueFd{}.duplicate());
}

TEST(Memfd, IsOursAloneOfWholePagesAndZero) {
    const auto fd = create_memfd("m", 5000, PageSize::normal);
    ASSERT_TRUE(fd) << fd.error();
    EXPECT_EQ(stat_of(fd->get()).st_size, 8192);
    EXPECT_EQ(stat_of(fd->get()).st_mode & 0777U, 0600U);
    const auto mapping = map_writable(fd->get());
    ASSERT_TRUE(mapping) << mapping.error();
    EXPECT_EQ(mapping->size(), 8192U);
    for (const std::byte b : mapping->bytes()) ASSERT_EQ(b, std::byte{});
    mapping->data()[8191] = std::byte{7};
    EXPECT_EQ((*map_writable(fd->get())).bytes()[8191], std::byte{7}) << "shared, not private";
    EXPECT_EQ(fcntl(fd->get(), F_ADD_SEALS, F_SEAL_GROW), 0);
}

TEST(Memfd, SealingGoesOnOnceNobodyHoldsIt) {
    const auto fd = create_memfd("m", 4096, PageSize::normal);
    ASSERT_TRUE(fd) << fd.error();
    std::optional<Mapping> held = std::move(*map_writable(fd->get()));
    int waits = 0;
    EXPECT_FALSE(seal_memfd(fd->get(), [&] { ++waits; }));
    EXPECT_EQ(errno, EBUSY);
    EXPECT_GT(waits, 1);
    EXPECT_TRUE(seal_memfd(fd->get(), [&] { held.reset(); }));
    EXPECT_FALSE(held);
    EXPECT_EQ(fcntl(fd->get(), F_GET_SEALS), kAllSeals);
    EXPECT_FALSE(seal_memfd(fd->get(), [] { FAIL() << "what is sealed stays so: no cause to wait"; }));
}

TEST(Memfd, ASealedCopyHoldsItsContentAndNeverChanges) {
    std::vector<std::byte> content(5000);
    for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<std::byte>(i * 7);
    const auto fd = sealed_copy("s", content);
    ASSERT_TRUE(fd) << fd.error();
    EXPECT_FALSE(map_writable(fd->get()));
    EXPECT_EQ(pwrite(fd->get(), "x", 1, 0), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(ftruncate(fd->get(), 4096), -1);
    EXPECT_EQ(ftruncate(fd->get(), 1 << 20), -1);
    EXPECT_EQ(fcntl(fd->get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
    ASSERT_TRUE(check_sealed(fd->get(), 5000, 8192, {geteuid()}, "it"));
    const auto mapping = map_sealed(fd->get(), "it");
    ASSERT_TRUE(mapping);
    ASSERT_GE(mapping->size(), content.size());
    EXPECT_EQ(std::memcmp(mapping->bytes().data(), content.data(), content.size()), 0);
    for (const std::byte b : mapping->bytes().subspan(content.size())) ASSERT_EQ(b, std::byte{});
}

/// Why a descriptor is refused; `none` if it is not.
abi::RefuseReason refusal_of(int fd, std::uint64_t bytes_min = 1, std::uint64_t bytes_max = 4096) {
    const auto checked = check_sealed(fd, bytes_min, bytes_max, {geteuid()}, "it");
    return checked ? abi::RefuseReason::none : checked.error().reason;
}

TEST(Memfd, WhatIsNotSealedWholeIsRefused) {
    using abi::RefuseReason;
    constexpr int kAll = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    for (const int missing : {F_SEAL_WRITE, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL}) {
        const auto fd = create_memfd("m", 4096, PageSize::normal);
        { (void)map_writable(fd->get()); }  // so that its page is there
        ASSERT_EQ(fcntl(fd->get(), F_ADD_SEALS, kAll & ~missing), 0);
        EXPECT_EQ(refusal_of(fd->get()), RefuseReason::seals_missing) << missing;
    }
    const auto hole = create_memfd("m", 4096, PageSize::normal);
    ASSERT_EQ(fcntl(hole->get(), F_ADD_SEALS, kAll), 0);
    EXPECT_EQ(refusal_of(hole->get()), RefuseReason::sparse);
    const UniqueFd device{open("/dev/null", O_RDONLY | O_CLOEXEC)};
    EXPECT_EQ(refusal_of(device.get()), RefuseReason::not_a_memfd);

    const auto good = sealed_copy("s", std::vector<std::byte>(4096));
    EXPECT_EQ(refusal_of(good->get()), RefuseReason::none);
    EXPECT_EQ(refusal_of(good->get(), 4097, 8192), RefuseReason::size_wrong);
    const auto stranger = check_sealed(good->get(), 1, 4096, {geteuid() + 1}, "it");
    ASSERT_FALSE(stranger);
    EXPECT_EQ(stranger.error().reason, RefuseReason::permissions);
    EXPECT_EQ(stranger.error().where.find("it: owner is uid "), 0U) << stranger.error().where;
}

}  // namespace
}  // namespace sluice::dp
