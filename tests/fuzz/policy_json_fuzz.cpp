/// libFuzzer target for policies in JSON and for edits: policy_json_fuzz [-max_total_time=60] CORPUS_DIR.
#include "tests/fuzz/policy_fuzz.hpp"

namespace {

constexpr std::string_view kBase = R"({"sluice": 1, "name": "n", "default": {"action": "deny"},
 "zones": {"a": {"ports": ["p"]}, "b": {"ports": ["q"]}},
 "rules": [{"id": "r", "from": "a", "to": "b", "action": "allow"}]})";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using sluice::cp::PolicyFormat;
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    sluice::test::check_policy_text(text, PolicyFormat::json);
    if (const auto edited = sluice::cp::apply_edits(kBase, PolicyFormat::json, text)) {
        const auto again = sluice::cp::read_policy(edited->text, PolicyFormat::json);
        sluice::test::must(again && again->version == edited->policy.version, "an edited policy does not read back");
    }
    return 0;
}
