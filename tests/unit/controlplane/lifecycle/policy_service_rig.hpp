/// The policy service as it ships, with a store in a folder of its own and a dataplane that can be told what to answer.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>

#include <sluice/abi/last_good.hpp>

#include "controlplane/lifecycle/policy_service_impl.hpp"
#include "controlplane/policy/sha256.hpp"
#include "dataplane/acl/validator.hpp"
#include "tests/unit/controlplane/publish/test_dataplane.hpp"
#include "tests/unit/controlplane/store/kernel_files.hpp"
#include "tests/unit/controlplane/store/power_cut_vfs.hpp"

namespace sluice::cp {

using namespace std::chrono_literals;

/// A policy whose only difference is the rule list.
inline std::string policy_text(const std::string& rules, const std::string& more = "") {
    return "sluice: 1\nname: edge\ndefault: {action: deny, log: start}\n"
           "zones:\n  internet: {ports: [outside]}\n  servers: {ports: [inside]}\n"
           "sets:\n  web: {nets: [198.51.100.80, \"2001:db8:51::80\"]}\n"
           "rules:\n" +
           rules + more;
}
inline const std::string kWebIn =
    "  - {id: web-in, from: internet, to: web, service: https, action: allow, log: both}\n";
inline const std::string kSshOut = "  - {id: ssh-closed, from: internet, to: web, service: ssh, action: reject}\n";
inline const std::string kTrial =
    "  - {id: trial, from: internet, to: any, service: tcp/5432, action: allow, mode: observe}\n";

/// The kernel's files, until told that the disk is full.
class FullableDisk final : public KernelFiles {
public:
    std::atomic<bool> full{false};

    Expected<std::size_t, Errno> write(int h, std::span<const std::byte> b) override {
        if (full) return Unexpected<Errno>(ENOSPC);
        return KernelFiles::write(h, b);
    }
};

template <typename Condition>
bool soon(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

class PolicyServiceTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "sluice-service-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        dir = name;
        config.state_dir = dir + "/state";
        config.tables_socket = dir + "/tables.sock";
        config.last_good = dir + "/last-good";
        config.flow_log_path = dir + "/flows.jsonl";
        config.flow_records_path = dir + "/records";
        start_dataplane();
    }
    void TearDown() override {
        service.reset();
        dataplane.reset();
        std::filesystem::remove_all(dir);
    }

    /// Accepts what the real validator accepts, with the ports of this lab.
    void start_dataplane(test::TestDataplane::State state = {}, std::uint64_t boot_id = 1) {
        test::TestDataplane::Options options;
        options.boot_id = boot_id;
        options.validate = [](const abi::Manifest& manifest,
                              const test::TestDataplane::Sections& sections) -> std::optional<std::string> {
            static constexpr std::array<std::string_view, 2> kPorts{"outside", "inside"};
            const auto view =
                dp::validate(std::as_bytes(std::span{&manifest, 1}), sections, {.rule_slots_max = 64, .ports = kPorts});
            if (view) return std::nullopt;
            return view.error().where;
        };
        dataplane = std::make_unique<test::TestDataplane>(config.tables_socket, options, std::move(state));
    }
    void open_service() {
        auto opened = PolicyServiceImpl::open(config, {.files = &disk,
                                                       .vfs = database_in_memory ? vfs.name() : nullptr,
                                                       .unused_after = unused_after,
                                                       .change_late_max = change_late_max});
        ASSERT_TRUE(opened) << opened.error();
        service = std::move(*opened);
        service->start();
    }
    void start_service() {
        open_service();
        ASSERT_TRUE(soon([&] { return connected(); })) << "never connected";
    }
    bool connected() {
        for (const auto& why : service->status().not_ready) {
            if (why.find("dataplane is not there") != std::string::npos || why.find("publishes") != std::string::npos) {
                return false;
            }
        }
        return true;
    }
    bool ready() { return service->status().not_ready.empty(); }

    Expected<CommitResult, Problem> put(const std::string& text, CommitOptions options = {}) {
        const auto now = service->current();
        if (!options.if_match && !options.if_none_match_any) {
            if (now) {
                options.if_match = now->hash;
            } else {
                options.if_none_match_any = true;
            }
        }
        return service->put(text, PolicyFormat::yaml, options);
    }
    CommitResult must_put(const std::string& text, CommitOptions options = {}) {
        auto result = put(text, std::move(options));
        EXPECT_TRUE(result.has_value()) << result.error().code << ": " << result.error().detail;
        return result ? *result : CommitResult{};
    }
    void fill_disk(bool full) {
        disk.full = full;
        vfs.bytes_max = full ? 1 : static_cast<std::size_t>(-1);
    }
    /// The newest entry of the audit of this action, if there is one.
    std::optional<AuditRecord> audited(const std::string& action) {
        const auto page = service->audit().page({.action = action, .count_max = 1});
        EXPECT_TRUE(page);
        if (!page || page->entries.empty()) return std::nullopt;
        return page->entries.front().record;
    }
    /// What somebody does to the database while the service does not run.
    void in_database(std::string_view sql) {
        auto database = Database::open(config.state_dir + "/state.db");
        ASSERT_TRUE(database) << database.error().what;
        const auto lock = (*database)->lock();
        const auto done = (*database)->run(sql);
        ASSERT_TRUE(done) << done.error().what;
    }
    /// Of the file for a dataplane that starts with nobody to ask; 0: there is none.
    std::uint64_t last_good_generation() const {
        std::ifstream in{config.last_good + "/" + abi::kLastGoodName, std::ios::binary};
        const std::string file{std::istreambuf_iterator<char>{in}, {}};
        abi::Manifest manifest;
        if (file.size() <= sizeof(abi::LastGoodHeader) + sizeof manifest) return 0;
        std::memcpy(&manifest, file.data() + sizeof(abi::LastGoodHeader), sizeof manifest);
        return manifest.generation;
    }
    std::string running_hash() { return to_hex(dataplane->state().process.running_policy_version); }
    std::uint64_t running_generation() { return dataplane->state().process.running_generation; }

    std::string dir;
    ControlConfig config;
    FullableDisk disk;
    std::chrono::steady_clock::duration unused_after{std::chrono::hours{24}};
    std::chrono::nanoseconds change_late_max{std::chrono::minutes{5}};
    test::PowerCutVfs vfs;  ///< of the database, with `database_in_memory`: it can run full as well
    bool database_in_memory{};
    std::unique_ptr<test::TestDataplane> dataplane;
    std::unique_ptr<PolicyServiceImpl> service;
};

}  // namespace sluice::cp
