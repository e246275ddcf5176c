/// Starting without a control plane: the last-good file, sound, broken, or planted by somebody else.
#include "dataplane/manager/last_good.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include <sluice/abi/last_good.hpp>
#include <sluice/abi/layout.hpp>

#include "tests/unit/dataplane/manager/rig.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::test {
namespace {

namespace fs = std::filesystem;

class LastGood : public testing::Test {
protected:
    LastGood() {
        fs::create_directory(path());
        fs::permissions(path(), fs::perms{0755});
    }
    std::string path() const { return dir.path("last-good"); }
    std::string file() const { return path() + "/" + abi::kLastGoodName; }
    void write(const std::string& bytes) const {
        std::ofstream{file(), std::ios::binary} << bytes;
        fs::permissions(file(), fs::perms{0644});
    }
    bool opens() const { return dp::LastGood::open(path(), {geteuid()}).has_value(); }
    std::uint64_t generation_after_start() const {
        Rig rig{{.last_good = path()}};
        Client client{rig.socket()};
        return client.expect(abi::MessageType::hello)->as<abi::Hello>().state.running_generation;
    }

    TempDir dir;
    std::string content = last_good_file(*tables_for(7));
};

// A3: nobody is there to publish; the tables with the right checksum are used.
TEST_F(LastGood, A3IsUsedAtStart) {
    write(content);
    EXPECT_EQ(generation_after_start(), 7U);
}

// A3: no directory, no file, or a broken one: nothing runs, so that nothing passes.
TEST_F(LastGood, A3WithoutAFileNothingRuns) {
    EXPECT_EQ(generation_after_start(), 0U);
    fs::remove(path());
    EXPECT_EQ(generation_after_start(), 0U);
}

TEST_F(LastGood, A3ABrokenFileIsNotUsed) {
    for (std::size_t at = 0; at < content.size(); at += at < 2'000 ? 7 : 4'001) {
        std::string changed = content;
        changed[at] = static_cast<char>(changed[at] ^ 0x10);
        write(changed);
        const auto opened = dp::LastGood::open(path(), {geteuid()});
        ASSERT_TRUE(opened.has_value());
        const auto loaded = opened->load();
        // The header's zeros are nobody's business; everything else is under the checksum.
        const bool in_unused = at >= offsetof(abi::LastGoodHeader, must_be_zero) && at < sizeof(abi::LastGoodHeader);
        EXPECT_EQ(loaded.has_value(), in_unused) << at;
    }
    for (const std::size_t length : {0UL, 10UL, 64UL, 500UL, content.size() - 1}) {
        write(content.substr(0, length));
        EXPECT_FALSE(dp::LastGood::open(path(), {geteuid()})->load().has_value()) << length;
    }
    EXPECT_EQ(generation_after_start(), 0U);
}

// A3: the checksum is right, the tables are not: the validator has the last word.
TEST_F(LastGood, A3TablesForOtherPortsAreNotUsed) {
    const auto policy = PolicyBuilder{}.zone("outside", {"p0"}).zone("inside", {"elsewhere"}).build();
    write(last_good_file(CompiledTables{policy, 3}));
    EXPECT_EQ(generation_after_start(), 0U);
}

// A3: the checksum is right, and a length in the manifest is made to wrap when it is rounded up.
TEST_F(LastGood, A3ImpossibleLengthsUnderARightChecksumAreCutOff) {
    for (const std::uint64_t length : {std::uint64_t{0}, ~std::uint64_t{0}, ~std::uint64_t{6},
                                       abi::kSectionBytesMax + 1, std::uint64_t{content.size()}}) {
        std::string changed = content;
        abi::LastGoodHeader header;
        std::memcpy(&header, changed.data(), sizeof header);
        char* const manifest = changed.data() + sizeof header;
        std::memcpy(manifest + offsetof(abi::Manifest, sections) + offsetof(abi::SectionRef, bytes), &length,
                    sizeof length);
        header.xxh3 = XXH3_64bits(manifest, changed.size() - sizeof header);
        std::memcpy(changed.data(), &header, sizeof header);
        write(changed);
        const auto loaded = dp::LastGood::open(path(), {geteuid()})->load();
        ASSERT_FALSE(loaded.has_value()) << length;
        EXPECT_NE(loaded.error().find("ends before its parts do"), std::string::npos) << loaded.error();
    }
}

// S6: planted before the start.
TEST_F(LastGood, S6ASymlinkIsAReasonNotToStart) {
    write(content);
    fs::rename(file(), dir.path("elsewhere"));
    fs::create_symlink(dir.path("elsewhere"), file());
    EXPECT_FALSE(opens());
    fs::remove(file());
    fs::rename(path(), dir.path("real"));
    fs::create_directory_symlink(dir.path("real"), path());
    EXPECT_FALSE(opens());
}

TEST_F(LastGood, S6WhatOthersCanWriteIsAReasonNotToStart) {
    write(content);
    ASSERT_TRUE(opens());
    fs::permissions(file(), fs::perms{0666});
    EXPECT_FALSE(opens());
    fs::permissions(file(), fs::perms{0664});
    EXPECT_FALSE(opens());
    fs::permissions(file(), fs::perms{0644});
    fs::permissions(path(), fs::perms{0777});
    const auto refused = dp::LastGood::open(path(), {geteuid()});
    ASSERT_FALSE(refused.has_value());
    EXPECT_NE(refused.error().find("has mode 0777, so others could write it; chmod go-w"), std::string::npos)
        << refused.error();
}

TEST_F(LastGood, S6WhatIsNoFileIsAReasonNotToStart) {
    fs::create_directory(file());
    EXPECT_FALSE(opens());
    fs::remove(file());
    ASSERT_EQ(mkfifo(file().c_str(), 0600), 0);
    EXPECT_FALSE(opens());
}

TEST_F(LastGood, S6AForeignOwnerIsAReasonNotToStart) {
    if (geteuid() != 0) GTEST_SKIP() << "changing the owner needs root";
    write(content);
    ASSERT_EQ(chown(file().c_str(), 65534, 65534), 0);
    EXPECT_FALSE(opens());
    EXPECT_TRUE(dp::LastGood::open(path(), {geteuid(), 65534}).has_value());
}

}  // namespace
}  // namespace sluice::test
