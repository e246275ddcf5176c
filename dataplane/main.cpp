/// sluice-dataplane: puts the parts together and runs them. Order of start: everything that can be refused without
/// touching the network (configuration, last-good directory), then DPDK and memory, then, as the successor of a planned
/// restart, the wait for the old process, then ports, tables, workers.
#include <fmt/format.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <memory>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "dataplane/manager/config.hpp"
#include "dataplane/manager/flow_memory.hpp"
#include "dataplane/manager/log.hpp"
#include "dataplane/manager/manager.hpp"
#include "dataplane/pipeline/hand_over.hpp"
#include "dataplane/port/device.hpp"
#include "dataplane/port/dpdk_io.hpp"
#include "dataplane/port/eal.hpp"
#include "dataplane/port/worker_loop.hpp"

namespace sluice::dp {
namespace {

constexpr int kExitConfig = 2;  // a mistake in what we were given: starting again does not help

struct Options {
    std::string config_path;
    bool check_only{};
};

std::optional<Options> parse_options(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (argument == "--check") {
            options.check_only = true;
        } else if (argument == "--config" && i + 1 < argc) {
            options.config_path = argv[++i];
        } else {
            return std::nullopt;
        }
    }
    if (options.config_path.empty()) return std::nullopt;
    return options;
}

/// SIGTERM and SIGINT become readable on a descriptor that the manager polls; no handler runs anywhere.
UniqueFd stop_signal() {
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);  // inherited by every thread that starts later
    return UniqueFd{signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
}

template <typename T>
T random_bits() {
    T value{};
    if (getrandom(&value, sizeof value, 0) != sizeof value) {
        log_error("no random numbers: getrandom failed");
        abort();
    }
    return value;
}

/// CPUs of the manager: those that no worker polls on, or, where there is none, all. Call before DPDK pins this thread.
cpu_set_t manager_cpus(const Config& config) {
    cpu_set_t all, rest;
    CPU_ZERO(&all);
    sched_getaffinity(0, sizeof all, &all);
    rest = all;
    for (const std::uint32_t lcore : config.worker_lcores) CPU_CLR(lcore, &rest);
    return CPU_COUNT(&rest) == 0 ? all : rest;
}

TrustedOwners trusted_uids(const Config& config) {
    TrustedOwners owners{0, geteuid()};
    owners.insert(owners.end(), config.publisher_uids.begin(), config.publisher_uids.end());
    return owners;
}

/// One worker with what it writes to and reads from.
struct WorkerUnit {
    std::unique_ptr<DpdkIo> io;
    std::unique_ptr<Worker> worker;
    abi::WorkerCounters* counters{};
    IdleSleep idle{0, 0};
    TscRate tsc;
    const std::atomic<bool>* stop{};

    static int run(void* self) {
        auto& unit = *static_cast<WorkerUnit*>(self);
        run_worker(*unit.worker, *unit.counters, unit.idle, unit.tsc, *unit.stop);
        return 0;
    }
};

WorkerConfig worker_config(const Config& config, const TscRate& tsc) {
    WorkerConfig wc;
    wc.worker_count = static_cast<std::uint32_t>(config.worker_lcores.size());
    wc.port_count = static_cast<std::uint32_t>(config.ports.size());
    wc.wire_partner.fill(kNoPort);
    for (const auto& [a, b] : config.wires) {
        wc.wire_partner[a] = PortIndex{static_cast<std::uint8_t>(b)};
        wc.wire_partner[b] = PortIndex{static_cast<std::uint8_t>(a)};
    }
    wc.flow_entries_max = config.flow_entries_max / wc.worker_count;
    wc.half_open_percent = config.half_open_percent;
    wc.proxies_max = config.proxies_max / wc.worker_count;
    wc.fragments = config.fragments;
    wc.fail_open = config.fail_open;
    wc.tsc = tsc;
    wc.times.clock = []() noexcept { return tsc_now().cycles; };
    return wc;
}

/// Where no device decides, a keyed hash does; by the secret of the process before if there was one, so that its flows
/// can stay in their tables. Nothing: there is one worker.
std::unique_ptr<Steering> make_steering(const Config& config, const Devices& devices, const StoredFds& stored,
                                        FlowMemoryShape& flows, abi::ManagerCounters& counters) {
    if (config.worker_lcores.size() < 2) return nullptr;
    if (devices.rss_owners() != nullptr) {
        flows.owners = *devices.rss_owners();
    } else {
        const auto kept = FlowMemory::kept_owner_secret(stored, abi::MonoTime::now());
        flows.owner_secret = kept ? *kept : random_bits<HashSecret>();
        flows.owners = Owners::software(flows.owner_secret, flows.worker_count);
    }
    counters.steering.set(static_cast<std::uint64_t>(flows.owners->mode()));
    return std::make_unique<Steering>(*flows.owners);
}

FlowMemoryShape flow_shape(const Config& config) {
    FlowMemoryShape shape;
    shape.worker_count = static_cast<std::uint32_t>(config.worker_lcores.size());
    shape.entries = config.flow_entries_max / shape.worker_count;
    shape.proxies = config.proxies_max / shape.worker_count;
    for (const auto& port : config.ports) shape.ports.push_back(port.name);
    shape.wires = config.wires;
    shape.rule_slots = config.rule_slots_max;
    // What DPDK is going to take is not free.
    const bool has_huge = free_huge_bytes() >= eal_memory_bytes(config) + FlowMemory::bytes(shape);
    shape.pages = has_huge ? PageSize::huge_if_free : PageSize::normal;
    return shape;
}

struct Workers {
    FlowMemory flows;  // outlives the units
    std::vector<WorkerUnit> units;
    KeptFlows kept;
};

/// With the flows that the process before left in `stored`; that process has ended.
Expected<Workers, std::string> make_workers(const Config& config, const FlowMemoryShape& shape, const StoredFds& stored,
                                            const TscRate& tsc, const TelemetrySegments& telemetry, TablesQsbr& tables,
                                            Steering* steering, const std::atomic<bool>& stop) {
    auto flows = FlowMemory::open(shape, stored, abi::MonoTime::now());
    if (!flows) return Unexpected<std::string>{std::move(flows.error())};
    WorkerConfig wc = worker_config(config, tsc);
    // A new one for every process: the index is made anew too, so none has to be kept.
    wc.hash_secret = random_bits<decltype(wc.hash_secret)>();
    wc.steering = steering;
    std::vector<WorkerUnit> units;
    RecoveryCount recovered;
    for (std::uint32_t w = 0; w < wc.worker_count; ++w) {
        wc.index = w;
        wc.flow_home = flows->home(w, tsc.origin_mono);
        WorkerUnit unit;
        const WorkerTelemetry memory = telemetry.worker(w);
        unit.io = std::make_unique<DpdkIo>(telemetry.manager());
        unit.worker = std::make_unique<Worker>(wc, *unit.io, memory, tables);
        unit.counters = memory.counters;
        unit.idle = IdleSleep{config.sleep_us, config.sleep_us_max};
        unit.tsc = tsc;
        unit.stop = &stop;
        for (const auto& source : flows->sources(w, tsc.origin_mono)) unit.worker->take_over(source.slab, source.move);
        recovered += unit.worker->recovered();
        units.push_back(std::move(unit));
    }
    KeptFlows kept = flows->finish(recovered);
    return Workers{std::move(*flows), std::move(units), std::move(kept)};
}

ManagerOptions manager_options(const Config& config, std::uint64_t boot_id, const Devices& devices, KeptFlows flows) {
    ManagerOptions options;
    options.flows = std::move(flows);
    options.tables_socket = config.tables_socket;
    options.tables_socket_gid = config.tables_socket_gid;
    options.publishers = trusted_uids(config);
    for (const auto& port : config.ports) options.port_names.push_back(port.name);
    options.wires = config.wires;
    options.worker_count = static_cast<std::uint32_t>(config.worker_lcores.size());
    options.rule_slots_max = config.rule_slots_max;
    options.flow_capacity = config.flow_entries_max;
    options.half_open_percent = config.half_open_percent;
    options.boot_id = boot_id;
    options.fail_open = config.fail_open;
    options.watchdog_period_ns = watchdog_period_ns();
    options.pickup_ns = std::uint64_t{config.pickup_s} * 1'000'000'000;
    options.read_ports = [&devices](abi::ManagerCounters& counters) { devices.read(counters); };
    return options;
}

/// Worker 0 runs on this thread, the main lcore; the others on theirs; the manager beside them.
void run_threads(std::vector<WorkerUnit>& units, const Config& config, Manager& manager, const cpu_set_t& cpus,
                 int stop_fd, std::atomic<bool>& stop) {
    std::thread manager_thread{[&] {
        pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
        pthread_setname_np(pthread_self(), "sluice-manager");
        manager.run(stop_fd);
        stop.store(true, std::memory_order_relaxed);
    }};
    for (std::size_t w = 1; w < units.size(); ++w) {
        rte_eal_remote_launch(&WorkerUnit::run, &units[w], config.worker_lcores[w]);
    }
    WorkerUnit::run(units.data());
    rte_eal_mp_wait_lcore();
    manager_thread.join();
}

/// Milliseconds of each step of the start, for the log: after a crash they are time without forwarding.
class Stopwatch {
public:
    std::uint64_t lap_ms() {
        const abi::MonoTime now = abi::MonoTime::now();
        return (now.ns - std::exchange(last_, now).ns) / 1'000'000;
    }

private:
    abi::MonoTime last_{abi::MonoTime::now()};
};

Expected<void, std::string> run(const Config& config) {
    using Failed = Unexpected<std::string>;
    Stopwatch watch;
    const TscCalibration calibration;
    const UniqueFd stop_fd = stop_signal();
    const cpu_set_t cpus = manager_cpus(config);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

    auto takeover = Takeover::from_environment();
    StoredFds stored = inherited_descriptors();
    TrustedOwners writers = trusted_uids(config);
    if (config.last_good_uid) writers.push_back(*config.last_good_uid);
    const auto last_good = LastGood::open(config.last_good, writers);
    if (!last_good) return Failed{last_good.error()};

    const auto boot_id = random_bits<std::uint64_t>();
    const auto telemetry =
        TelemetrySegments::create({.boot_id = boot_id,
                                   .worker_count = static_cast<std::uint32_t>(config.worker_lcores.size()),
                                   .port_count = static_cast<std::uint32_t>(config.ports.size()),
                                   .rule_slots = config.rule_slots_max});
    if (!telemetry) return Failed{telemetry.error()};
    TablesQsbr tables;
    std::atomic<bool> stop{false};
    FlowMemoryShape flows = flow_shape(config);
    std::unique_ptr<Steering> steering;
    const auto make = [&] {
        return make_workers(config, flows, stored, calibration.finish(), **telemetry, tables, steering.get(), stop);
    };
    // Beside DPDK's start, which waits for most of its time: flow memory has every page touched or every entry looked
    // at, 0.05 s per million. A successor can't before the flows are his; then beside the opening of the ports. Several
    // workers can't before the devices have said who owns which flow.
    const bool alone = config.worker_lcores.size() == 1;
    std::future<Expected<Workers, std::string>> making;
    if (alone && !takeover) making = std::async(std::launch::async, make);
    if (auto ok = start_eal(config); !ok) return ok;
    const auto eal_ms = watch.lap_ms();
    const auto own_pool = create_own_pool();
    if (!own_pool) return Failed{own_pool.error()};
    if (takeover) {
        auto handed_over = takeover->stand_by();
        if (!handed_over) return Failed{"planned restart: " + handed_over.error()};
        stored = std::move(*handed_over);
        watch.lap_ms();
        if (alone) making = std::async(std::launch::async, make);
    }
    auto devices = Devices::open(config);
    if (!devices) return Failed{devices.error()};
    devices->read((*telemetry)->manager());
    const auto ports_ms = watch.lap_ms();
    steering = make_steering(config, *devices, stored, flows, (*telemetry)->manager());
    auto made = alone ? making.get() : make();
    if (!made) return Failed{made.error()};
    auto& units = made->units;
    (*telemetry)->manager().tsc_hz.set(units.front().tsc.hz);
    const auto memory_ms = watch.lap_ms();
    std::vector<FlowDumpMailbox*> mailboxes;
    for (std::uint32_t w = 0; w < units.size(); ++w) {
        units[w].io->attach(devices->queues_of(w), *own_pool);
        mailboxes.push_back(&units[w].worker->dump_mailbox());
    }
    auto sets = SetMemory::open(stored);
    if (!sets) return Failed{sets.error()};
    auto store = DescriptorStore::open(Notifier::from_environment(), std::move(stored));
    if (!store) return Failed{store.error()};
    ManagerOptions options = manager_options(config, boot_id, *devices, std::move(made->kept));
    options.sets = std::make_shared<SetMemory>(std::move(*sets));
    Manager manager{std::move(options), **telemetry, tables, std::move(*store), mailboxes};
    manager.restore(*last_good);
    if (auto ok = manager.listen(); !ok) return ok;
    log_info("started; ports={} workers={} eal_ms={} ports_ms={} memory_ms={} tables_ms={}", config.ports.size(),
             units.size(), eal_ms, ports_ms, memory_ms, watch.lap_ms());

    run_threads(units, config, manager, cpus, stop_fd.get(), stop);
    // First of all the devices: a successor waits for them.
    devices->close();
    log_info("stopped");
    return {};
}

int main_with(const Options& options) {
    const auto config = read_config(options.config_path);
    if (!config) {
        for (const auto& error : config.error()) fmt::print(stderr, "{}\n", error);
        return kExitConfig;
    }
    if (options.check_only) {
        fmt::print("{}: {} ports, {} wires, {} workers: ok\n", options.config_path, config->ports.size(),
                   config->wires.size(), config->worker_lcores.size());
        return 0;
    }
    if (const auto ok = run(*config); !ok) {
        log_error("{}", ok.error());
        return 1;
    }
    return 0;
}

}  // namespace
}  // namespace sluice::dp

int main(int argc, char** argv) {
    const auto options = sluice::dp::parse_options(argc, argv);
    if (!options) {
        fmt::print(stderr, "usage: sluice-dataplane --config dataplane.yaml [--check]\n");
        return sluice::dp::kExitConfig;
    }
    return sluice::dp::main_with(*options);
}
