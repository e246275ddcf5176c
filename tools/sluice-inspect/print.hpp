/// What sluice-inspect prints. Each returns the exit status: 0, or 1 after a sentence on stderr.
#pragma once

#include "tools/sluice-inspect/connection.hpp"

namespace sluice::inspect {

int print_status(const Connection& connection, bool json);
int print_counters(const Connection& connection, bool json);
int print_generation(Connection& connection, bool json);

/// Quoted, with what JSON wants escaped.
std::string json_text(std::string_view text);

}  // namespace sluice::inspect
