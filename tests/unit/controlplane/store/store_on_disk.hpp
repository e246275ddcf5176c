/// A policy store in a folder of its own, on the kernel's files, that can be opened again.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "controlplane/store/policy_store.hpp"

namespace sluice::cp {

class StoreOnDisk : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "sluice-store-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        dir = name;
        open();
    }
    void TearDown() override {
        store.reset();
        std::filesystem::remove_all(dir);
    }
    void open() {
        store.reset();
        auto opened = PolicyStore::open(posix_file_ops(), dir);
        ASSERT_TRUE(opened) << opened.error().what;
        store = std::move(*opened);
    }
    static AuditRecord entry(const std::string& action, const std::string& reason) {
        AuditRecord record;
        record.actor = "token:anna/1";
        record.reason = reason;
        record.action = action;
        record.result = "done";
        return record;
    }

    std::string dir;
    std::unique_ptr<PolicyStore> store;
};

}  // namespace sluice::cp
