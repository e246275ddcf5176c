/// freeze: set, lift and show when policies are not to be changed.
#include <iostream>

#include <fmt/format.h>

#include "tools/sluicectl/command.hpp"
#include "tools/sluicectl/output.hpp"

namespace sluice::ctl {
namespace json = boost::json;
namespace {

int show(const Context& context, const json::value& answer) {
    if (context.machine()) {
        print_value(context, answer);
        return 0;
    }
    const auto& window = answer.at("window");
    if (!window.is_object()) {
        std::cout << "policies may be changed\n";
        return 0;
    }
    std::cout << fmt::format("policies {} changed from {} until {}: {} ({})\n",
                             flag_of(answer, "frozen") ? "must not be" : "will not be", text_of(window, "from"),
                             text_of(window, "until"), text_of(window, "reason"), text_of(window, "set_by"));
    return 0;
}

}  // namespace

int freeze_show(const Context& context) {
    return show(context, fetch(context, {.method = "GET", .target = "/v1/freeze", .headers = {}, .body = {}}));
}

int freeze_set(const Context& context, const std::string& from, const std::string& until) {
    json::object wanted{{"until", until}};
    if (!from.empty()) wanted["from"] = from;
    return show(context, fetch(context, {.method = "PUT",
                                         .target = "/v1/freeze",
                                         .headers = {{"Content-Type", "application/json"}},
                                         .body = json::serialize(wanted)}));
}

int freeze_lift(const Context& context) {
    return show(context, fetch(context, {.method = "DELETE", .target = "/v1/freeze", .headers = {}, .body = {}}));
}

}  // namespace sluice::ctl
