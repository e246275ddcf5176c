/// Writes the fuzzer's first corpus: parse_seeds DIR.
#include <fstream>
#include <iostream>
#include <string>

#include "tests/harness/seed_frames.hpp"

using sluice::test::Bytes;
using sluice::test::operator+;

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: parse_seeds DIR\n";
        return 2;
    }
    int number = 0;
    for (const Bytes& frame : sluice::test::seed_frames()) {
        const Bytes input = Bytes{0, 0, 0} + frame;
        const std::string path = std::string{argv[1]} + "/seed-" + std::to_string(number++);
        std::ofstream out{path, std::ios::binary};
        out.write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
        if (!out) {
            std::cerr << "cannot write " << path << '\n';
            return 1;
        }
    }
    return 0;
}
