/// sluicectl: the policy and what the firewall does, over the REST interface and nothing else.
#include <iostream>

#include "tools/sluicectl/program.hpp"

int main(int argc, char** argv) {
    using namespace sluice::ctl;
    try {
        return Program{}.run(argc, argv);
    } catch (const CommandError& error) {
        // Lines with a position stand alone, so that editors find them; the sentence about the whole comes last.
        const std::string_view text = error.what();
        const auto last = text.rfind('\n') + 1;
        std::cerr << text.substr(0, last) << "sluicectl: " << text.substr(last) << '\n';
    } catch (const std::exception& error) {
        std::cerr << "sluicectl: the server's answer is not what this version expects (" << error.what()
                  << "); compare the versions\n";
    }
    return kExitError;
}
