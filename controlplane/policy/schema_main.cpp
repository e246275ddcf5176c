// Prints the JSON Schema of the policy language, as it is committed in policies/schema/.
#include <cstdio>
#include <string>

#include "controlplane/policy/schema.hpp"

int main() {
    const auto text = sluice::cp::policy_json_schema();
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? 0 : 1;
}
