/// sluicectl(1), made of the same table of commands and options that the parser has.
#pragma once

#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace sluice::ctl {

/// Text for troff with its man macros (man(7)).
std::string man_page(const CLI::App& app, std::string_view version);

}  // namespace sluice::ctl
