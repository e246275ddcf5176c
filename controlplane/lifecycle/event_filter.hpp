/// Which events of the live stream somebody means: the filter of records (record_filter.hpp), over lines of JSON.
#pragma once

#include <string_view>

#include "controlplane/lifecycle/record_filter.hpp"

namespace sluice::cp {

class EventFilter {
public:
    /// Blank text is the filter that every event fits.
    static Expected<EventFilter, FilterError> parse(std::string_view text);

    /// `line`: as event_json writes it. One that is no such line fits nothing.
    bool fits(std::string_view line) const;

private:
    RecordFilter filter_;
};

}  // namespace sluice::cp
