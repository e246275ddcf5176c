/// Policies in a few lines of code, and their compiled tables, for tests that are not about the policy language.
///
///     Policy p = PolicyBuilder{}.zone("outside", {"p0"}).zone("inside", {"p1"})
///                    .set("web", {"198.51.100.80/32", "2001:db8:51::80/128"})
///                    .rule({.id = "web-in", .from = {"outside"}, .to = {"web"}, .service = {"tcp/443"},
///                           .action = cp::Action::allow})
///                    .build();
///     CompiledTables tables{p};          // compiled, validated; tables.view() is what a worker gets
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/compiler/compiler.hpp"
#include "controlplane/policy/model.hpp"
#include "dataplane/acl/lookup.hpp"
#include "dataplane/acl/table_view.hpp"

namespace sluice::test {

/// `from` and `to`: a zone, a set, `any`, a prefix or address, or `zone&set`, `zone&prefix`;
/// `!set` behind it leaves a set out. `service`: `tcp/443`,
/// `tcp/8000-8100`, `udp/53`, `icmp`, `icmp/8`, `icmp/3/13`, `icmp6/128`, `proto/47`; empty = any.
struct RuleSpec {
    std::string id;
    std::vector<std::string> from{"any"}, to{"any"}, service{};
    cp::Action action{cp::Action::deny};
    abi::RuleMode mode{};
    abi::RuleLog log{};
    std::uint8_t layer{cp::kLayerStandard};
};

/// A mistake in a test's own text ends the program with a sentence: it is no case to go on from.
class PolicyBuilder {
public:
    PolicyBuilder& zone(std::string name, std::vector<std::string> ports);
    PolicyBuilder& set(std::string name, const std::vector<std::string>& nets);
    /// A set whose members come over the API.
    PolicyBuilder& set_by_api(std::string name);
    /// Sets and prefixes.
    PolicyBuilder& never_block(const std::vector<std::string>& words);
    PolicyBuilder& rule(const RuleSpec& spec);
    PolicyBuilder& default_action(cp::Action action, abi::RuleLog log = abi::RuleLog::none);
    PolicyBuilder& wire(abi::WireAction arp, abi::WireAction nd, abi::WireAction other);
    PolicyBuilder& timeouts(const abi::FlowTimeouts& timeouts);
    /// The version is a digest of all the rest, so that different policies have different versions.
    cp::Policy build() const;

    cp::Policy policy;  ///< for what has no helper

private:
    cp::Endpoint endpoint(std::string_view text) const;
};

/// `198.51.100.0/24`, `2001:db8::/32`; a bare address is a /32 or /128.
cp::Prefix prefix(std::string_view text);
abi::IpAddr address(std::string_view text);
cp::ServiceTerm service(std::string_view text);

/// A key as the pipeline would ask. `src` and `dst` are of one family. `dport_or_icmp` as in dp::LookupKey.
dp::LookupKey key(std::uint16_t from_zone, std::string_view src, std::uint16_t to_zone, std::string_view dst,
                  abi::L4Proto proto, std::uint16_t dport_or_icmp = 0);

/// Sections and the view into them. Ports are those of the policy's zones, in the order in which they stand there,
/// unless given. A policy that does not compile or a generation that does not validate ends the program.
class CompiledTables {
public:
    explicit CompiledTables(const cp::Policy& policy, std::uint64_t generation = 1,
                            const std::vector<std::string>& ports = {});
    /// As above, with slots that go on from an earlier generation; `slots` is updated.
    CompiledTables(const cp::Policy& policy, cp::SlotMap& slots, std::uint64_t generation,
                   const std::vector<std::string>& ports = {});
    /// `after`, an edit of `before` that shares what it leaves alone, beside the tables of that. It has to fit.
    CompiledTables(const cp::Policy& before, const cp::Policy& after, cp::SlotMap& slots, std::uint64_t generation,
                   const std::vector<std::string>& ports = {});

    CompiledTables(const CompiledTables&) = delete;
    CompiledTables& operator=(const CompiledTables&) = delete;

    /// They name that change of sets (Manifest).
    void ask_for_sets_after(std::uint64_t epoch, std::uint64_t delta);
    /// The same tables as another generation.
    void renumber(std::uint64_t generation);

    const dp::TableView& view() const noexcept { return view_; }
    const cp::CompiledGeneration& compiled() const noexcept { return compiled_; }

    dp::LookupResult lookup(const dp::LookupKey& key) const noexcept;
    /// Id of the enforced rule.
    std::string_view rule_for(const dp::LookupKey& key) const noexcept;

private:
    void make(const cp::Policy& policy, cp::SlotMap& slots, std::uint64_t generation,
              const std::vector<std::string>& ports);
    void take(cp::CompiledGeneration compiled, const cp::Policy& policy, const cp::SlotMap& slots,
              const std::vector<std::string>& ports);

    cp::CompiledGeneration compiled_;
    dp::TableView view_;
};

}  // namespace sluice::test
