/// What is wrong with a policy, said so that its author can mend it: the place, the cause, the remedy. All errors at
/// once.
#pragma once

#include <string>
#include <vector>

#include "controlplane/policy/model.hpp"

namespace sluice::cp {

struct PolicyError {
    std::string code;     ///< stable, kebab-case: unknown-key, undefined-name, bad-cidr, not-supported-yet, ...
    std::string pointer;  ///< JSON pointer (RFC 6901) into the document, e.g. /rules/3/from
    SourcePos pos;
    std::string detail;  ///< sentence: cause, then remedy: `zone "dzm" is not defined; did you mean "dmz"?`
};
using PolicyErrors = std::vector<PolicyError>;

/// What is wrong with one value; who knows its place makes a PolicyError of it.
struct ValueError {
    std::string code;
    std::string detail;
};

}  // namespace sluice::cp
