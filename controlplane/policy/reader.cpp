#include "controlplane/policy/reader.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <unordered_map>

#include "controlplane/policy/duration.hpp"
#include "controlplane/policy/names.hpp"
#include "controlplane/policy/schedule.hpp"
#include "controlplane/policy/shape.hpp"
#include "controlplane/policy/spelling.hpp"
#include "controlplane/policy/symbols.hpp"
#include "controlplane/policy/test_reader.hpp"
#include "controlplane/policy/version.hpp"

namespace sluice::cp {

namespace {

/// From a tree of the right shape, as far as it is, to the model. Reads on after errors, to find all of them.
class Reader {
public:
    Reader(const Node& root, const ReadOptions& options, Report& report)
        : root_{root}, options_{options}, report_{report}, symbols_{report} {}

    Policy read() {
        read_settings();
        read_sets();
        read_never_block();
        read_services();
        read_rules();
        read_tests_of({.has = [this](std::string_view id) { return rule_ids_.contains(id); },
                       .all =
                           [this] {
                               std::vector<std::string_view> ids;
                               for (const auto& rule : std::as_const(policy_.rules)) ids.push_back(rule.id);
                               return ids;
                           }});
        return std::move(policy_);
    }

    EditedRead read_edited(const Policy& base, std::span<const FreshRule> fresh, const RuleNames& names) {
        read_settings();
        policy_.sets = base.sets;
        policy_.never_block = base.never_block;
        policy_.services = base.services;
        std::uint16_t set = 0;
        for_each_member("sets", [&](const Node& key, const Node&, const Path& path) {
            symbols_.define(path, key, Symbols::Kind::set, set++);
        });
        std::size_t service = 0;
        for_each_member("services", [&](const Node& key, const Node&, const Path& path) {
            symbols_.define(path, key, Symbols::Kind::service, 0);
            symbols_.define_service(key.text, base.services[service++].terms);
        });
        EditedRead result;
        for (const FreshRule& rule : fresh) {
            if (report_.full()) break;
            result.fresh.push_back(read_rule(*rule.node, Path{Path{top_, rule.edit}, "rule"}));
        }
        read_tests_of(names);
        result.policy = std::move(policy_);
        return result;
    }

private:
    void read_settings() {
        policy_.name = word(root_, "name");
        read_approvals();
        read_default();
        read_wire();
        read_seq_check();
        policy_.on_change = on_change_of(word(root_, "on_change"));
        read_timeouts();
        read_syn_proxy();
        read_zones();
        check_every_port_has_a_zone();
        read_schedules();
    }

    void read_approvals() {
        const auto* node = root_.find("approvals");
        if (node == nullptr) return;
        if (const auto needed = count_of_word(*node, "needed"); needed <= kApprovalsMost)
            policy_.approvals.needed = static_cast<std::uint8_t>(needed);
        const auto within = word(*node, "within");
        if (const auto ms = parse_duration(within); !within.empty() && ms) policy_.approvals.within_ms = *ms;
    }

    void read_default() {
        const auto* node = root_.find("default");
        if (node == nullptr) return;
        policy_.default_action = action_of(word(*node, "action"));
        policy_.default_log = log_of(word(*node, "log"));
        policy_.default_limits = read_rule_limits(*node, Path{top_, "default"}, policy_.default_action);
    }

    void read_wire() {
        const auto* node = root_.find("wire");
        if (node == nullptr) return;
        const auto read = [&](std::string_view key, abi::WireAction& action) {
            if (const auto text = word(*node, key); !text.empty()) {
                action = text == "allow" ? abi::WireAction::allow : abi::WireAction::deny;
            }
        };
        read("arp", policy_.wire_arp);
        read("nd", policy_.wire_nd);
        read("other", policy_.wire_other);
    }

    void read_seq_check() {
        const auto text = word(root_, "seq_check");
        if (text == "log") policy_.seq_check = abi::SeqCheck::log;
        if (text == "off") policy_.seq_check = abi::SeqCheck::off;
    }

    void read_timeouts() {
        const auto* node = root_.find("timeouts");
        if (node == nullptr) return;
        for (const auto& [key, member] : kTimeoutKeys) {
            const auto text = word(*node, key);
            if (const auto ms = parse_duration(text); !text.empty() && ms) policy_.timeouts.*member = *ms;
        }
    }

    void read_syn_proxy() {
        const auto* node = root_.find("syn_proxy");
        if (node == nullptr) return;
        abi::SynProxySettings& s = policy_.syn_proxy;
        if (const auto mss = count_of_word(*node, "mss"); mss >= abi::kSynMssMin && mss <= abi::kSynMssMax) {
            s.mss = static_cast<std::uint16_t>(mss);
        }
        if (const auto wscale = count_of_word(*node, "wscale"); wscale != 0 && wscale <= abi::kSynWscaleMax) {
            s.wscale = static_cast<std::uint8_t>(wscale);
        }
        s.sack = promise_of(word(*node, "sack"), s.sack);
        s.timestamps = promise_of(word(*node, "timestamps"), s.timestamps);
    }

    /// 0: not there, or no number.
    static std::uint32_t count_of_word(const Node& map, std::string_view key) {
        const auto text = word(map, key);
        return text.empty() ? 0 : count_of(text, std::numeric_limits<std::uint32_t>::max());
    }

    /// The `limits` of `node`, as far as they are there.
    template <typename Limits, std::size_t N>
    Limits read_limits(const Node& node, const Path& path, const std::array<LimitKey<Limits>, N>& keys) {
        Limits limits{};
        const auto* map = node.find("limits");
        if (map == nullptr || map->kind != Node::Kind::map) return limits;
        if (map->children.empty()) {
            report_.add(Path{path, "limits"}, map->pos, "missing-key",
                        "this limits nothing; write a limit or remove it");
        }
        for (const auto& [key, member] : keys) {
            limits.*member = count_of_word(*map, key);
        }
        return limits;
    }

    abi::RuleLimits read_rule_limits(const Node& node, const Path& path, Action action) {
        auto limits = read_limits(node, path, kRuleLimitKeys);
        if (const auto* map = node.find("limits"); map != nullptr && word(*map, "over") == "syn-cookie") {
            limits.over = abi::HalfOpenOver::syn_cookie;
        } else if (map != nullptr && map->find("over") != nullptr && limits.half_open_max == 0) {
            report_.add(Path{Path{path, "limits"}, "half_open"}, map->find("over")->pos, "missing-key",
                        "nothing is over without a limit; write half_open, or remove over");
        }
        if (!limits.any() || action == Action::allow) return limits;
        report_.add(Path{path, "limits"}, node.find("limits")->pos, "limits-without-allow",
                    "only what is allowed can be limited; write action: allow, or remove limits");
        return {};
    }

    /// Members of a map from names that is there and is a map.
    template <typename Visit>
    void for_each_member(std::string_view key, Visit&& visit) {
        const auto* map = root_.find(key);
        if (map == nullptr || map->kind != Node::Kind::map) return;
        const Path path{top_, key};
        for (std::size_t i = 0; i < map->member_count() && !report_.full(); ++i) {
            visit(map->key(i), map->value(i), Path{path, map->key(i).text});
        }
    }

    /// Refuses what the tables can't count, once.
    bool fits(const Node& key, const Path& path, std::size_t count, std::size_t max, std::string_view what) {
        if (count < max) return true;
        if (count == max) {
            report_.add(path, key.pos, "too-many",
                        "more than " + std::to_string(max) + " " + std::string{what} + "; remove some");
        }
        return false;
    }

    void read_zones() {
        for_each_member("zones", [&](const Node& key, const Node& value, const Path& path) {
            if (!fits(key, path, policy_.zones.size(), abi::kZonesMax, "zones")) return;
            symbols_.define(path, key, Symbols::Kind::zone, static_cast<std::uint16_t>(policy_.zones.size()));
            Zone zone{std::string{key.text}, {}, read_limits(value, path, kZoneLimitKeys), key.pos};
            if (const auto* ports = value.find("ports")) {
                for_each_of(*ports, Path{path, "ports"}, [&](const Node& port, const Path& at) {
                    if (port.kind == Node::Kind::scalar) read_port(zone, port, at);
                });
            }
            policy_.zones.push_back(std::move(zone));
        });
    }

    void read_port(Zone& zone, const Node& port, const Path& path) {
        if (!is_port_name(port.text)) {
            return report_.add(
                path, port.pos, "bad-name",
                quoted(port.text) + " is no name of a port; write 1 to 31 letters, digits, dots, - and _");
        }
        const auto [taken, added] = port_zones_.try_emplace(port.text, port.pos, policy_.zones.size());
        if (!added) {
            return report_.add(path, port.pos, "port-in-two-zones",
                               "port " + quoted(port.text) + " stands here and at " + place(taken->second.first) +
                                   "; each port is in one zone, remove one");
        }
        if (options_.ports != nullptr && std::ranges::find(*options_.ports, port.text) == options_.ports->end()) {
            const std::vector<std::string_view> known{options_.ports->begin(), options_.ports->end()};
            report_.add(path, port.pos, "unknown-port",
                        "the dataplane has no port " + quoted(port.text) + ", it has " + port_list() +
                            did_you_mean(port.text, known));
        }
        zone.ports.emplace_back(port.text);
    }

    std::string port_list() const {
        constexpr std::size_t kShown = 16;
        std::string list;
        for (std::size_t i = 0; i < options_.ports->size() && i < kShown; ++i) {
            list += (i == 0 ? "" : ", ") + (*options_.ports)[i];
        }
        return options_.ports->size() > kShown ? list + ", ..." : list;
    }

    /// The dataplane refuses such a policy; here its author learns where to write the port.
    void check_every_port_has_a_zone() {
        const auto* zones = root_.find("zones");
        if (options_.ports == nullptr || zones == nullptr || zones->kind != Node::Kind::map) return;
        for (const auto& port : *options_.ports) {
            if (port_zones_.contains(port)) continue;
            report_.add(Path{top_, "zones"}, zones->pos, "port-without-zone",
                        "port " + quoted(port) + " of the dataplane is in no zone; add it to the ports of one");
        }
    }

    void read_sets() {
        for_each_member("sets", [&](const Node& key, const Node& value, const Path& path) {
            if (!fits(key, path, policy_.sets.size(), std::numeric_limits<std::uint16_t>::max(), "sets")) return;
            symbols_.define(path, key, Symbols::Kind::set, static_cast<std::uint16_t>(policy_.sets.size()));
            NetSet set{.name = std::string{key.text}, .nets = {}, .pos = key.pos};
            if (const auto* nets = value.find("nets")) set.nets = symbols_.prefixes(*nets, Path{path, "nets"});
            read_members(set, value, path);
            policy_.sets.push_back(std::move(set));
        });
    }

    /// Either `nets` or `members: api`.
    void read_members(NetSet& set, const Node& value, const Path& path) {
        if (value.kind != Node::Kind::map) return;
        const auto* nets = value.find("nets");
        const auto* members = value.find("members");
        const auto* max_ips = value.find("max_ips");
        if (value.member_count() == 0 || (nets == nullptr && members == nullptr && max_ips != nullptr)) {
            report_.add(path, value.pos, "missing-key",
                        "a set needs nets, or members: api if its members come over the API");
        } else if (nets != nullptr && members != nullptr) {
            report_.add(Path{path, "nets"}, nets->pos, "members-twice",
                        "members come over the API, or stand here; remove nets or members");
        } else if (nets != nullptr && max_ips != nullptr) {
            report_.add(Path{path, "max_ips"}, max_ips->pos, "never-used",
                        "max_ips is about members that come over the API; write members: api, or remove it");
        }
        set.by_api = members != nullptr;
        if (!set.by_api) return;
        const std::uint32_t most = count_of_word(value, "max_ips");
        set.members_max = most == 0 ? kSetMembersStandard : std::min(most, kSetMembersMost);
        const auto count = std::ranges::count(std::as_const(policy_.sets), true, &NetSet::by_api);
        if (count == static_cast<std::ptrdiff_t>(kSetsByApiMax)) {
            report_.add(path, value.pos, "too-many",
                        "more than " + std::to_string(kSetsByApiMax) + " sets with members over the API; remove some");
        }
    }

    /// Whoever may change a set must not be able to take somebody out of what protects from such sets.
    void read_never_block() {
        const auto* node = root_.find("never_block");
        if (node == nullptr) return;
        const Path path{top_, "never_block"};
        for_each_of(*node, path, [&](const Node& word, const Path& at) {
            if (word.kind != Node::Kind::scalar) return;
            const auto set = std::ranges::find(std::as_const(policy_.sets), word.text, &NetSet::name);
            if (set == std::as_const(policy_.sets).end() || !set->by_api) return;
            report_.add(at, word.pos, "members-by-api",
                        "the members of " + quoted(word.text) +
                            " come over the API, and whom never_block protects stands in the policy; write "
                            "addresses, or a set with nets");
        });
        Endpoint spared = symbols_.members(*node, path);
        policy_.never_block = {std::move(spared.sets), std::move(spared.nets)};
    }

    /// `when` alone names them: they share no names with zones, sets and services.
    void read_schedules() {
        for_each_member("schedules", [&](const Node& key, const Node& value, const Path& path) {
            if (!fits(key, path, policy_.schedules.size(), kSchedulesMax, "schedules")) return;
            Schedule schedule{std::string{key.text}, std::string{word(value, "tz")}, kEveryDay, 0, 0, key.pos};
            if (const auto first = parse_day_time(word(value, "from"))) schedule.first_minute = *first;
            if (const auto end = parse_day_time(word(value, "to"))) schedule.end_minute = *end;
            if (const auto* days = value.find("days")) {
                schedule.days = 0;
                for_each_of(*days, Path{path, "days"}, [&](const Node& day, const Path& at) {
                    if (day.kind == Node::Kind::scalar) schedule.days |= read_day(day, at);
                });
            }
            policy_.schedules.push_back(std::move(schedule));
        });
    }

    std::uint8_t read_day(const Node& day, const Path& path) {
        const std::uint8_t bit = day_bit(day.text);
        if (bit == 0) {
            const std::vector<std::string_view> known{std::begin(kDayNames), std::end(kDayNames)};
            auto hint = did_you_mean(day.text, known);
            if (hint.empty()) hint = "; write mon, tue, wed, thu, fri, sat or sun";
            report_.add(path, day.pos, "bad-choice", quoted(day.text) + " is no day of the week" + hint);
        }
        return bit;
    }

    std::optional<std::uint16_t> schedule_named(const Node& when, const Path& path) {
        std::vector<std::string_view> known;
        for (const Schedule& schedule : policy_.schedules) {
            if (schedule.name == when.text) return static_cast<std::uint16_t>(known.size());
            known.push_back(schedule.name);
        }
        auto hint = did_you_mean(when.text, known);
        if (hint.empty()) hint = "; define it in schedules";
        report_.add(path, when.pos, "undefined-name", "schedule " + quoted(when.text) + " is not defined" + hint);
        return std::nullopt;
    }

    void read_times(Rule& rule, const Node& node, const Path& path) {
        const auto* when = node.find("when");
        if (when != nullptr && when->kind == Node::Kind::scalar) rule.when = schedule_named(*when, Path{path, "when"});
        if (const auto at = parse_expiry(word(node, "expires"))) rule.expires = *at;
        RuleNotes notes{std::string{word(node, "owner")}, std::string{word(node, "ticket")},
                        std::string{word(node, "reason")}};
        if (notes != RuleNotes{}) rule.notes = std::make_shared<const RuleNotes>(std::move(notes));
    }

    void read_services() {
        for_each_member("services", [&](const Node& key, const Node& value, const Path& path) {
            symbols_.define(path, key, Symbols::Kind::service, 0);
            auto terms = symbols_.service_terms(value, path);
            policy_.services.push_back({std::string{key.text}, terms});
            symbols_.define_service(key.text, std::move(terms));
        });
    }

    void read_rules() {
        const auto* list = root_.find("rules");
        if (list == nullptr || list->kind != Node::Kind::list) return;
        const Path path{top_, "rules"};
        policy_.rules.reserve(list->children.size());
        std::uint8_t above = 0;
        for (std::size_t i = 0; i < list->children.size() && !report_.full(); ++i) {
            Rule rule = read_rule(list->children[i], Path{path, i});
            if (rule.layer < above) report_layer_order(list->children[i], rule, above, Path{path, i});
            above = std::max(above, rule.layer);
            policy_.rules.push_back(std::move(rule));
            policy_.rule_pos.push_back(list->children[i].pos);
        }
    }

    void report_layer_order(const Node& node, const Rule& rule, std::uint8_t above, const Path& path) {
        const auto* own = node.find("layer");
        report_.add(Path{path, "layer"}, own != nullptr ? own->pos : node.pos, "layer-order",
                    layer_order_text(rule, above));
    }

    Rule read_rule(const Node& node, const Path& path) {
        Rule rule;
        rule.id = word(node, "id");
        if (!rule.id.empty()) check_id(*node.find("id"), Path{path, "id"});
        if (const auto* from = node.find("from")) rule.from = symbols_.endpoints(*from, Path{path, "from"});
        if (const auto* to = node.find("to")) rule.to = symbols_.endpoints(*to, Path{path, "to"});
        if (const auto* service = node.find("service"))
            rule.service = symbols_.services(*service, Path{path, "service"});
        rule.action = action_of(word(node, "action"));
        rule.layer = layer_of(word(node, "layer")).value_or(standard_layer());
        rule.mode = word(node, "mode") == "observe" ? abi::RuleMode::observe : abi::RuleMode::enforce;
        rule.log = log_of(word(node, "log"));
        rule.limits = read_rule_limits(node, path, rule.action);
        read_times(rule, node, path);
        if (const auto* on_change = node.find("on_change")) {
            rule.on_change = on_change_of(on_change->text);
            if (rule.action == Action::allow) {
                report_.add(Path{path, "on_change"}, on_change->pos, "never-used",
                            "on_change is about live flows that a rule no longer lets pass, and this rule lets all "
                            "pass; write it in the rule that denies, or on top for the whole policy");
            }
        }
        return rule;
    }

    std::uint8_t standard_layer() const { return layer_of(word(root_, "layer")).value_or(kLayerStandard); }

    void check_id(const Node& id, const Path& path) {
        if (id.text == abi::kIdDefault || id.text == "builtin") {
            return report_.add(path, id.pos, "reserved-name",
                               "rule id " + quoted(id.text) + " is a word of the language; choose another id");
        }
        const auto [taken, added] = rule_ids_.try_emplace(id.text, id.pos);
        if (!added) {
            report_.add(path, id.pos, "duplicate-id",
                        "rule id " + quoted(id.text) + " stands here and at " + place(taken->second) +
                            "; ids are unique, rename one");
        }
    }

    void read_tests_of(const RuleNames& rules) {
        policy_.tests = read_tests(
            root_, {.symbols = symbols_, .policy = policy_, .rules = rules, .wires = options_.wires}, report_);
    }

    const Node& root_;
    const ReadOptions& options_;
    Report& report_;
    Symbols symbols_;
    Policy policy_;
    Path top_;
    std::unordered_map<std::string_view, std::pair<SourcePos, std::size_t>> port_zones_;
    std::unordered_map<std::string_view, SourcePos> rule_ids_;
};

/// False: its errors are in the report, and no rule may be spelt.
bool has_right_shape(const ParsedDocument& parsed, Report& report) {
    if (!parsed.whole) return false;
    check_object(parsed.document.root, document_schema(), Path{}, report);
    return report.empty() && parsed.errors.empty();
}

/// All but the version. `report`: what its shape is; it gets the rest.
Expected<Policy, PolicyErrors> read_model(const ParsedDocument& parsed, const ReadOptions& options, Report& report) {
    if (!parsed.whole) return Unexpected<PolicyErrors>{report.take(parsed.errors)};
    Policy policy = Reader{parsed.document.root, options, report}.read();
    if (!report.empty() || !parsed.errors.empty()) return Unexpected<PolicyErrors>{report.take(parsed.errors)};
    return policy;
}

}  // namespace

std::string layer_order_text(const Rule& rule, std::uint8_t above) {
    return "rule " + quoted(rule.id) + " is of layer " + std::to_string(rule.layer) +
           " and stands behind one of layer " + std::to_string(above) +
           "; rules stand layer by layer, those that are asked first on top: move it, or write " + "another layer";
}

Expected<ReadPolicy, PolicyErrors> read_written(ParsedDocument parsed, PolicyFormat format,
                                                const ReadOptions& options) {
    Report report;
    // Spelling 100,000 rules twice takes longest of all that reading does: it goes on beside.
    std::optional<WrittenRules> rules;
    if (has_right_shape(parsed, report)) rules.emplace(parsed.document, format);
    auto policy = read_model(parsed, options, report);
    if (!policy) return Unexpected<PolicyErrors>{std::move(policy.error())};
    auto written = written_policy(std::move(parsed.document), format, *rules);
    policy->version = written.version();
    return ReadPolicy{std::move(*policy), std::move(written)};
}

Expected<Policy, PolicyErrors> read_document(const ParsedDocument& parsed, const ReadOptions& options) {
    Report report;
    (void)has_right_shape(parsed, report);
    auto policy = read_model(parsed, options, report);
    if (policy) policy->version = version_of(parsed.document);
    return policy;
}

EditedRead read_edited(const Policy& base, const Document& head, std::span<const FreshRule> fresh,
                       const RuleNames& names, const ReadOptions& options, Report& report) {
    return Reader{head.root, options, report}.read_edited(base, fresh, names);
}

Expected<Policy, PolicyErrors> read_policy(std::string_view text, PolicyFormat format, const ReadOptions& options) {
    return read_document(parse_document(text, format), options);
}

}  // namespace sluice::cp
