#include "tools/sluicectl/event_stream.hpp"

namespace sluice::ctl {

std::vector<ServerEvent> EventStreamReader::feed(std::string_view piece) {
    std::vector<ServerEvent> out;
    rest_.append(piece);
    std::size_t start = 0;
    for (auto end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n', start)) {
        auto line = std::string_view{rest_}.substr(start, end - start);
        if (line.ends_with('\r')) line.remove_suffix(1);
        take_line(line, out);
        start = end + 1;
    }
    rest_.erase(0, start);
    return out;
}

void EventStreamReader::take_line(std::string_view line, std::vector<ServerEvent>& out) {
    if (line.empty()) {
        if (has_data_ || !current_.id.empty()) out.push_back(std::move(current_));
        current_ = {};
        has_data_ = false;
        return;
    }
    const auto colon = line.find(':');
    const auto field = line.substr(0, colon);
    auto value = colon == std::string_view::npos ? std::string_view{} : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (field == "id") current_.id = std::string{value};
    if (field == "event") current_.type = std::string{value};
    if (field == "data") {
        if (has_data_) current_.data.push_back('\n');
        current_.data.append(value);
        has_data_ = true;
    }
}

}  // namespace sluice::ctl
