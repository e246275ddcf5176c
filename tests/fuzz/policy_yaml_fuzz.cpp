/// libFuzzer target for policies in YAML: policy_yaml_fuzz [-max_total_time=60] CORPUS_DIR policies/examples/...
#include "tests/fuzz/policy_fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    sluice::test::check_policy_text({reinterpret_cast<const char*>(data), size}, sluice::cp::PolicyFormat::yaml);
    return 0;
}
