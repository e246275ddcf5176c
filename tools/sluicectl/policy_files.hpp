/// A policy in one file or in several. Several are joined here: one of them is the base and has `default`; the others
/// bring rules of their layer, sets, services, schedules and tests. What is sent is one document, in which every rule
/// says its layer; where it was written is known for every place in it, so that an error is told with the file's name.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include <boost/json.hpp>

namespace sluice::ctl {

struct PolicyText {
    std::string text, content_type;
    std::string name;  ///< as it was given, for messages without a place

    /// Puts the file's name, and line and column in it, into every object of an answer that has a line and a column.
    void place(boost::json::value& answer) const;

    struct Written {
        std::uint32_t file{}, line{}, column{};
    };
    std::vector<std::string> files;                      ///< that were joined; empty = the text is as it was written
    std::unordered_map<std::uint64_t, Written> written;  ///< by line << 32 | column of the text
};

/// Of `-f`, once or more: a file, `-` for standard input, or a folder, which stands for its policy files in the order
/// of their names. Throws CommandError with all that keeps files from being joined.
PolicyText read_policy_files(const std::vector<std::string>& paths);

}  // namespace sluice::ctl
