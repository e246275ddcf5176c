/// Server-sent events (WHATWG HTML, 9.2.6), as far as our server uses them: pieces of text in, events out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice::ctl {

struct ServerEvent {
    std::string id;  ///< empty = none
    std::string type{"message"};
    std::string data;
};

class EventStreamReader {
public:
    /// Events that this piece completes.
    std::vector<ServerEvent> feed(std::string_view piece);

private:
    void take_line(std::string_view line, std::vector<ServerEvent>& out);

    std::string rest_;
    ServerEvent current_;
    bool has_data_{};
};

}  // namespace sluice::ctl
