/// What the dataplane takes as a generation, against a hostile or broken sender.
#include "dataplane/manager/attach.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sluice/abi/layout.hpp>

#include "tests/unit/dataplane/manager/rig.hpp"

namespace sluice::test {
namespace {

using abi::RefuseReason;
constexpr int kAllSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

class Attach : public testing::Test {
protected:
    RefuseReason reason(dp::GenerationFds fds) {
        const auto attached = attacher.attach(std::move(fds));
        if (attached) return RefuseReason::none;
        EXPECT_FALSE(attached.error().where.empty());
        return attached.error().reason;
    }
    /// The generation with one section replaced.
    RefuseReason with_section(abi::SectionKind kind, dp::UniqueFd fd) {
        auto fds = sealed_generation(*tables);
        fds.sections[static_cast<std::size_t>(kind) - 1] = std::move(fd);
        return reason(std::move(fds));
    }
    RefuseReason with_manifest(const abi::Manifest& manifest) {
        auto fds = sealed_generation(*tables);
        fds.manifest = sealed(std::as_bytes(std::span{&manifest, 1}));
        return reason(std::move(fds));
    }
    std::span<const std::byte> section(abi::SectionKind kind) const {
        return tables->compiled().section_bytes()[static_cast<std::size_t>(kind) - 1];
    }

    std::unique_ptr<CompiledTables> tables = tables_for(1);
    dp::Attacher attacher{{"p0", "p1"}, 1024, {geteuid()}};
};

/// A memfd with `content`, mode and seals as wanted.
dp::UniqueFd memfd_with(std::span<const std::byte> content, int seals, mode_t mode = 0600) {
    dp::UniqueFd fd{memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    EXPECT_EQ(pwrite(fd.get(), content.data(), content.size(), 0), static_cast<ssize_t>(content.size()));
    EXPECT_EQ(fchmod(fd.get(), mode), 0);
    EXPECT_EQ(fcntl(fd.get(), F_ADD_SEALS, seals), 0);
    return fd;
}

TEST_F(Attach, TakesASealedGeneration) { EXPECT_EQ(reason(sealed_generation(*tables)), RefuseReason::none); }

TEST_F(Attach, KeepsTheMappingOfAnUnchangedSection) {
    const auto first = attacher.attach(sealed_generation(*tables));
    const auto second = attacher.attach(sealed_generation(*tables_for(2, cp::Action::deny)));
    ASSERT_TRUE(first && second);
    const auto rules = static_cast<std::size_t>(abi::SectionKind::rules) - 1;
    for (std::size_t i = 0; i < abi::kSectionKindCount; ++i) {
        EXPECT_EQ((*first)->sections[i] == (*second)->sections[i], i != rules) << i;
    }
}

// S3: an unsealed or partly sealed descriptor.
TEST_F(Attach, S3RefusesMissingSeals) {
    const auto rules = section(abi::SectionKind::rules);
    for (const int missing : {F_SEAL_WRITE, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL, kAllSeals}) {
        EXPECT_EQ(with_section(abi::SectionKind::rules, memfd_with(rules, kAllSeals & ~missing)),
                  RefuseReason::seals_missing)
            << missing;
    }
    // FUTURE_WRITE alone leaves the sender's own mapping writable.
    EXPECT_EQ(with_section(abi::SectionKind::rules,
                           memfd_with(rules, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)),
              RefuseReason::seals_missing);
}

// S3: a descriptor that is no memfd.
TEST_F(Attach, S3RefusesWhatIsNoMemfd) {
    const TempDir dir;
    const auto rules = section(abi::SectionKind::rules);
    dp::UniqueFd file{open(dir.path("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    ASSERT_EQ(write(file.get(), rules.data(), rules.size()), static_cast<ssize_t>(rules.size()));
    EXPECT_EQ(with_section(abi::SectionKind::rules, std::move(file)), RefuseReason::not_a_memfd);
    EXPECT_EQ(with_section(abi::SectionKind::rules, dp::UniqueFd{open("/dev/shm", O_TMPFILE | O_RDWR, 0600)}),
              RefuseReason::not_a_memfd);
    EXPECT_EQ(with_section(abi::SectionKind::rules, dp::UniqueFd{open("/dev/zero", O_RDONLY)}),
              RefuseReason::not_a_memfd);
    EXPECT_EQ(with_section(abi::SectionKind::rules, dp::UniqueFd{open("/proc/self/status", O_RDONLY)}),
              RefuseReason::not_a_memfd);
    int pipes[2];
    ASSERT_EQ(pipe(pipes), 0);
    EXPECT_EQ(with_section(abi::SectionKind::rules, dp::UniqueFd{pipes[0]}), RefuseReason::not_a_memfd);
    close(pipes[1]);
}

// S3: a hole passes every seal.
TEST_F(Attach, S3RefusesASparseMemfd) {
    const auto transport = section(abi::SectionKind::transport);
    dp::UniqueFd fd{memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    ASSERT_EQ(ftruncate(fd.get(), static_cast<off_t>(transport.size())), 0);
    ASSERT_EQ(pwrite(fd.get(), transport.data(), 4096, 0), 4096);
    fchmod(fd.get(), 0600);
    ASSERT_EQ(fcntl(fd.get(), F_ADD_SEALS, kAllSeals), 0);
    EXPECT_EQ(with_section(abi::SectionKind::transport, std::move(fd)), RefuseReason::sparse);
}

// S3: what was handed over can't change any more, by any way that the sender has.
TEST_F(Attach, S3NothingCanBeWrittenAfterwards) {
    auto fds = sealed_generation(*tables);
    const dp::UniqueFd kept = fds.sections[2].duplicate();
    const dp::UniqueFd reopened{open(("/proc/self/fd/" + std::to_string(kept.get())).c_str(), O_RDWR | O_CLOEXEC)};
    ASSERT_TRUE(attacher.attach(std::move(fds)).has_value());
    for (const int fd : {kept.get(), reopened.get()}) {
        EXPECT_EQ(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
        EXPECT_EQ(pwrite(fd, "x", 1, 0), -1);
        EXPECT_EQ(ftruncate(fd, 0), -1);
        EXPECT_EQ(ftruncate(fd, 1 << 24), -1);
        EXPECT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
    }
}

// S3: a writable mapping that is still there keeps the seal from being set at all.
TEST_F(Attach, S3AWritableMappingKeepsItFromBeingSealed) {
    const auto rules = section(abi::SectionKind::rules);
    dp::UniqueFd fd = memfd_with(rules, 0);
    void* const mapping = mmap(nullptr, rules.size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    ASSERT_NE(mapping, MAP_FAILED);
    EXPECT_EQ(fcntl(fd.get(), F_ADD_SEALS, kAllSeals), -1);
    EXPECT_EQ(with_section(abi::SectionKind::rules, std::move(fd)), RefuseReason::seals_missing);
    munmap(mapping, rules.size());
}

// S1: truncated, of another kind, longer than announced, or much too long.
TEST_F(Attach, S1RefusesWrongLengths) {
    const auto transport = section(abi::SectionKind::transport);
    EXPECT_EQ(with_section(abi::SectionKind::transport, sealed(transport.first(transport.size() / 2))),
              RefuseReason::size_wrong);
    EXPECT_NE(with_section(abi::SectionKind::rules, sealed(section(abi::SectionKind::dst_v6))), RefuseReason::none);
    auto fds = sealed_generation(*tables);
    fds.manifest = sealed(tables->compiled().manifest_bytes().first(100));
    // A page long all the same: the bytes behind are zero, and the digest notices.
    EXPECT_NE(reason(std::move(fds)), RefuseReason::none);
    std::vector<std::byte> huge(std::size_t{8} << 20);
    std::copy(transport.begin(), transport.end(), huge.begin());
    EXPECT_EQ(with_section(abi::SectionKind::transport, sealed(huge)), RefuseReason::size_wrong);
}

// S1: wrong magic, wrong ABI, wrong digest, in the manifest and in a section.
TEST_F(Attach, S1RefusesWrongMagicAbiAndDigest) {
    abi::Manifest manifest = tables->compiled().manifest;
    manifest.magic ^= 1;
    EXPECT_EQ(with_manifest(manifest), RefuseReason::magic_wrong);
    manifest = tables->compiled().manifest;
    manifest.abi_version += 1;
    EXPECT_EQ(with_manifest(manifest), RefuseReason::abi_mismatch);
    manifest = tables->compiled().manifest;
    manifest.layout_hash ^= 1;
    EXPECT_EQ(with_manifest(manifest), RefuseReason::abi_mismatch);
    manifest = tables->compiled().manifest;
    manifest.generation += 1;
    EXPECT_EQ(with_manifest(manifest), RefuseReason::digest_wrong);

    const auto rules = section(abi::SectionKind::rules);
    std::vector<std::byte> changed{rules.begin(), rules.end()};
    changed.back() ^= std::byte{1};
    EXPECT_EQ(with_section(abi::SectionKind::rules, sealed(changed)), RefuseReason::digest_wrong);
    // Sound in itself, but not what the manifest names.
    const auto other = tables_for(1, cp::Action::reject);
    const auto rules_index = static_cast<std::size_t>(abi::SectionKind::rules) - 1;
    EXPECT_EQ(with_section(abi::SectionKind::rules, sealed(other->compiled().section_bytes()[rules_index])),
              RefuseReason::digest_wrong);
}

TEST_F(Attach, S1RefusesWrongMode) {
    const auto rules = section(abi::SectionKind::rules);
    for (const mode_t mode : {0777U, 0644U, 0620U, 0700U}) {
        EXPECT_EQ(with_section(abi::SectionKind::rules, memfd_with(rules, kAllSeals, mode)), RefuseReason::permissions);
    }
}

TEST_F(Attach, S1RefusesWrongOwner) {
    if (geteuid() != 0) GTEST_SKIP() << "changing the owner needs root";
    const auto rules = section(abi::SectionKind::rules);
    dp::UniqueFd foreign = memfd_with(rules, 0);
    ASSERT_EQ(fchown(foreign.get(), 65534, 65534), 0);
    ASSERT_EQ(fcntl(foreign.get(), F_ADD_SEALS, kAllSeals), 0);
    EXPECT_EQ(with_section(abi::SectionKind::rules, std::move(foreign)), RefuseReason::permissions);
}

TEST_F(Attach, RefusesASectionThatIsNeitherSentNorHeld) {
    auto fds = sealed_generation(*tables);
    fds.sections[3] = dp::UniqueFd{};
    EXPECT_EQ(reason(std::move(fds)), RefuseReason::section_not_held);
}

// S3: any byte changed before sealing is refused; nothing crashes, and the right bytes are still taken afterwards.
TEST_F(Attach, S3RefusesEveryFlippedBitOfASection) {
    const auto zones = section(abi::SectionKind::zones);
    const std::vector<std::byte> original{zones.begin(), zones.end()};
    for (std::size_t at = 0; at < original.size(); ++at) {
        auto changed = original;
        changed[at] ^= std::byte{static_cast<unsigned char>(1U << (at % 8))};
        EXPECT_NE(with_section(abi::SectionKind::zones, sealed(changed)), RefuseReason::none) << at;
    }
    EXPECT_EQ(reason(sealed_generation(*tables)), RefuseReason::none);
}

}  // namespace
}  // namespace sluice::test
