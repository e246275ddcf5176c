/// libFuzzer target for the readers of dataplane.yaml and controlplane.yaml: config_fuzz [-max_total_time=60]
/// CORPUS_DIR. Input: one byte that picks the reader, then the text.
#include <algorithm>

#include "controlplane/lifecycle/config.hpp"
#include "dataplane/manager/config.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using sluice::test::must;

void check_errors(const std::vector<std::string>& errors) {
    must(!errors.empty(), "what is refused has a reason");
    must(std::ranges::all_of(errors, [](const auto& e) { return e.starts_with("x.yaml:"); }),
         "every error names its file");
}

void dataplane(std::string_view text) {
    const auto config = sluice::dp::parse_config(std::string{text}, "x.yaml");
    if (!config) return check_errors(config.error());
    must(!config->ports.empty() && config->ports.size() <= 16, "a dataplane has ports, and not too many");
    must(std::ranges::all_of(config->ports,
                             [](const auto& p) { return !p.name.empty() && p.name.size() < 32 && !p.device.empty(); }),
         "every port has a name that fits and a device");
    for (const auto& [a, b] : config->wires) {
        must(a != b && std::max(a, b) < config->ports.size(), "a wire joins two ports that are there");
    }
    must(!config->worker_lcores.empty() && config->worker_lcores.size() <= 64, "there are workers, and not too many");
    auto lcores = config->worker_lcores;
    std::ranges::sort(lcores);
    must(std::ranges::adjacent_find(lcores) == lcores.end(), "each worker has an lcore of its own");
}

void controlplane(std::string_view text) {
    const auto config = sluice::cp::parse_control_config(text, "x.yaml");
    if (!config) return check_errors(config.error());
    must(!config->listen.empty() && !config->state_dir.empty() && !config->tables_socket.empty(),
         "what is needed has a value");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    sluice::test::Input in{data, size};
    const bool which = (in.byte() & 1U) != 0;
    which ? dataplane(in.text()) : controlplane(in.text());
    return 0;
}
