#include "tests/bench/scene.hpp"

#include <utility>

namespace sluice::bench {

Expected<Scene, std::string> Scene::make(const Options& options, std::uint8_t proto) {
    Scene scene;
    scene.flows = whole_flows(options.flows);
    scene.rules = made_rules(options.rules, proto);
    scene.targets = targets_of(scene.rules);
    if (scene.flows > std::uint64_t{scene.targets.size()} * dp::MemorySource::kPerTargetMax)
        return Unexpected{std::string{"more flows than tuples"}};
    auto tables = Tables::make(policy_of(scene.rules), 1);
    if (!tables) return Unexpected{tables.error()};
    scene.tables = std::move(*tables);
    return scene;
}

dp::MemorySourceConfig Scene::source(const Options& options, const Machine& machine,
                                     dp::Conversation conversation) const {
    return {.pool = machine.pool,
            .conversation = conversation,
            .flow_count = flows,
            .targets = targets,
            .marked_good = !options.sw_csum,
            .seed = options.seed};
}

void add_watched_cost(Result& result, const std::vector<Run>& unwatched, const std::vector<Run>& watched) {
    const double slower = median(ratios(each(watched, nanoseconds_each), each(unwatched, nanoseconds_each)));
    result.number("watched_cost_percent", 100 * (slower - 1));
}

void add_stages(Result& result, RealWorker& worker, std::uint64_t packets) {
    const auto cycles = worker.run_by_stage(packets);
    for (std::size_t s = 0; s < cycles.size(); ++s) {
        result.number("stage_" + std::string{dp::kStageNames[s]},
                      static_cast<double>(cycles[s]) / static_cast<double>(packets));
    }
}

}  // namespace sluice::bench
