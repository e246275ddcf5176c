/// libFuzzer target for the file that a dataplane starts with when nobody publishes: last_good_fuzz
/// [-max_total_time=60] CORPUS_DIR. Input: one byte of choice (1: length and checksum are put right, or nothing behind
/// them is ever reached; 2: the file is cut off; 4: the manifest alone is hit; 128: what follows is the file), then
/// patches of a sound file: offset (4 bytes), count (1), bytes. Whatever stands there: it is refused with a sentence,
/// or a validated generation comes out, and no descriptor stays open.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include <sluice/abi/last_good.hpp>

#include "dataplane/manager/attach.hpp"
#include "dataplane/manager/last_good.hpp"
#include "dataplane/manager/log.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/unit/dataplane/manager/rig.hpp"

// The library's, which is not instrumented: it hashes a megabyte for each input.
#include <xxhash.h>

namespace sluice::dp {
void log_line(LogLevel, std::string_view) {}
}  // namespace sluice::dp

namespace {

using namespace sluice;
using test::must;

/// Of what is fuzzed: sealed memory, and files of `dir`. The fuzzer's own threads open and close others meanwhile.
std::size_t open_descriptors(const std::string& dir) {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
        std::error_code gone;
        const std::string what = std::filesystem::read_symlink(entry.path(), gone).string();
        if (what.starts_with("/memfd:") || what.starts_with(dir)) ++count;
    }
    return count;
}

void put_right(std::string& file) {
    if (file.size() < sizeof(abi::LastGoodHeader)) return;
    abi::LastGoodHeader header;
    std::memcpy(&header, file.data(), sizeof header);
    header.bytes = file.size();
    header.xxh3 = XXH3_64bits(file.data() + sizeof header, file.size() - sizeof header);
    std::memcpy(file.data(), &header, sizeof header);
}

const test::CompiledTables& sound_tables() {
    static const auto tables = test::tables_for(7);
    return *tables;
}

const std::string& file_of(test::Input in, std::uint8_t choice) {
    static const std::string sound = test::last_good_file(sound_tables());
    static std::string file;  // its megabyte is not asked of the kernel each time
    file = sound;
    if ((choice & 0x80U) != 0) {
        file = in.text();
    } else {
        if ((choice & 2U) != 0) file.resize(in.take<std::uint32_t>() % (file.size() + 1));
        const std::size_t reach =
            (choice & 4U) != 0 ? sizeof(abi::LastGoodHeader) + sizeof(abi::Manifest) : file.size();
        while (!in.empty() && !file.empty()) {
            const std::size_t at = in.take<std::uint32_t>() % std::min(reach, file.size());
            const auto bytes = in.bytes(std::min<std::size_t>(in.byte(), file.size() - at));
            std::copy(bytes.begin(), bytes.end(), file.begin() + static_cast<std::ptrdiff_t>(at));
        }
    }
    if ((choice & 1U) != 0) put_right(file);
    return file;
}

/// Cut to its length behind the write: a file that was cut to nothing before is flushed to the disk by ext4.
void write(const std::string& path, const std::string& file) {
    const dp::UniqueFd fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)};
    must(fd && ::write(fd.get(), file.data(), file.size()) == static_cast<ssize_t>(file.size()) &&
             ::ftruncate(fd.get(), static_cast<off_t>(file.size())) == 0,
         "the file is written");
}

const dp::TrustedOwners& owners() {
    static const dp::TrustedOwners us{::geteuid()};
    return us;
}

/// One that holds the sound sections, for good: where the manifest alone is hit, those that it still names need not be
/// validated again, which is most of the work.
dp::Attacher& one_that_holds() {
    static dp::Attacher attacher{{"p0", "p1"}, 1024, owners()};
    static const auto held = attacher.attach(test::sealed_generation(sound_tables()));
    must(held.has_value(), "the sound tables are sound");
    return attacher;
}

void start_with(const std::string& dir, dp::Attacher& attacher) {
    const auto last_good = dp::LastGood::open(dir, owners());
    must(last_good.has_value(), "an own regular file is no reason not to start");
    auto parts = last_good->load();
    if (!parts) {
        must(parts.error().find(" is broken: ") != std::string::npos, "a broken file is called broken");
        return;
    }
    must(parts->has_value(), "there is a file");
    const auto attached = attacher.attach(std::move(**parts));
    must(attached ? (*attached)->view.rules.size() != 0 : !attached.error().where.empty(),
         "a generation with rules, or a refusal that says where");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const test::TempDir dir;
    static dp::Attacher& holding = one_that_holds();
    test::Input in{data, size};
    const std::uint8_t choice = in.byte();
    write(dir.path(abi::kLastGoodName), file_of(in, choice));
    const std::size_t before = open_descriptors(dir.path());
    dp::Attacher fresh{{"p0", "p1"}, 1024, owners()};
    start_with(dir.path(), (choice & 4U) != 0 ? holding : fresh);
    must(open_descriptors(dir.path()) == before, "no descriptor stays open");
    return 0;
}
