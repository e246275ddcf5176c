/// Which flow records somebody means: the grammar of filters for live flows, over what a record has. Fields: src dst
/// sport dport proto rule from_zone to_zone in_port generation event verdict reason end age_s. Names are not looked up
/// anywhere: a rule may be long gone, and its records are still there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "controlplane/lifecycle/filter_grammar.hpp"
#include "controlplane/records/flow_record.hpp"

namespace sluice::cp {

class RecordFilter {
public:
    /// Blank text is the filter that every record fits.
    static Expected<RecordFilter, FilterError> parse(std::string_view text);

    bool fits(const FlowRecord& record) const noexcept;

private:
    bool fits(const abi::FlowTerm& term, const FlowRecord& record) const noexcept;

    /// The shape in which filters travel to workers; this one never does, and has fields that those don't know.
    abi::FlowFilter filter_;
    std::vector<std::string> names_;  ///< a name's number is its place here
};

}  // namespace sluice::cp
