/// Writes the first inputs of the targets that take frames: seeds DIR, which has the folders parse and worker.
#include <fstream>
#include <iostream>
#include <string>

#include "tests/harness/seed_frames.hpp"

using sluice::test::Bytes;
using sluice::test::operator+;

namespace {

bool write(const std::string& path, const Bytes& input) {
    std::ofstream out{path, std::ios::binary};
    out.write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
    if (!out) std::cerr << "cannot write " << path << '\n';
    return static_cast<bool>(out);
}

/// worker_fuzz's step "a frame as raw bytes", on one port or the other.
Bytes raw_step(const Bytes& frame, bool other_port) {
    return Bytes{static_cast<std::uint8_t>(other_port ? 8 : 0), static_cast<std::uint8_t>(frame.size()),
                 static_cast<std::uint8_t>(frame.size() >> 8)} +
           frame;
}

/// worker_fuzz's step "a segment of a conversation": who, flags, sequence, acknowledgement, length, window.
Bytes segment_step(bool reply, std::uint8_t flags, std::uint8_t length) {
    return {1, static_cast<std::uint8_t>(reply ? 1 : 0), flags, 0, 0, 0, 0, length, 0xff, 0xff};
}

Bytes connection() {
    using namespace sluice::test;
    const Bytes minute{5 | 0x10, 0x70, 0x17};
    return segment_step(false, kSyn, 0) + segment_step(true, kSyn | kAck, 0) + segment_step(false, kAck, 0) +
           segment_step(false, kAck | kPsh, 100) + segment_step(true, kAck, 200) + segment_step(false, kAck | kFin, 0) +
           segment_step(true, kAck | kFin, 0) + segment_step(false, kAck, 0) + minute;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: seeds DIR\n";
        return 2;
    }
    const std::string dir{argv[1]};
    int number = 0;
    bool good = true;
    for (const Bytes& frame : sluice::test::seed_frames()) {
        const std::string name = "/seed-" + std::to_string(number++);
        good = good && write(dir + "/parse" + name, Bytes{0, 0, 0} + frame) &&
               write(dir + "/worker" + name, raw_step(frame, false) + raw_step(frame, true));
    }
    return good && write(dir + "/worker/seed-connection", connection()) ? 0 : 1;
}
