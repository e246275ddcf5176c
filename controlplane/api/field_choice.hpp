/// `fields=` of lists: which members each of their items has. The names are those of openapi.yaml, read from the
/// document that is built in, so that there is no second list of them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>
#include <sluice/expected.hpp>

#include "controlplane/api/http_message.hpp"

namespace sluice::cp::api {

inline constexpr std::string_view kFieldsParameter = "fields";

class FieldChoice {
public:
    /// `schema`: of an item, in components/schemas. Error: a sentence, with the nearest name.
    static Expected<FieldChoice, std::string> of(const Request& request, std::string_view schema);

    bool all() const noexcept { return names_.empty(); }
    /// What was not chosen goes; an item that has none of them is empty.
    void apply(boost::json::object& item) const;
    /// The same of an item that is text already.
    std::string apply(std::string line) const;

private:
    std::vector<std::string> names_;
};

}  // namespace sluice::cp::api
