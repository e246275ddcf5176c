#include "controlplane/api/http_message.hpp"

#include <algorithm>
#include <charconv>

namespace sluice::cp::api {
namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lowered(std::string_view text) {
    std::string out{text};
    std::ranges::transform(out, out.begin(), lower);
    return out;
}

std::string_view trimmed(std::string_view text) noexcept {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

int hex_digit(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::optional<std::string> percent_decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            if (i + 2 >= text.size()) return std::nullopt;
            const int high = hex_digit(text[i + 1]);
            const int low = hex_digit(text[i + 2]);
            if (high < 0 || low < 0) return std::nullopt;
            c = static_cast<char>(high * 16 + low);
            i += 2;
        }
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return std::nullopt;
        out.push_back(c);
    }
    return out;
}

/// Calls `each` with every trimmed, non-empty element of a comma-separated list.
template <typename Each>
void for_each_element(std::string_view list, Each each) {
    while (!list.empty()) {
        const auto comma = list.find(',');
        const auto element = trimmed(list.substr(0, comma));
        if (!element.empty()) each(element);
        if (comma == std::string_view::npos) return;
        list.remove_prefix(comma + 1);
    }
}

/// `q=0.8` -> 800; an unreadable weight counts as 0: what we can't read we don't take for consent.
int quality_of(std::string_view parameters) {
    while (!parameters.empty()) {
        const auto semicolon = parameters.find(';');
        const auto parameter = trimmed(parameters.substr(0, semicolon));
        if (parameter.size() >= 2 && lower(parameter[0]) == 'q' && parameter[1] == '=') {
            const auto value = parameter.substr(2);
            if (value.empty() || value.size() > 5 || (value[0] != '0' && value[0] != '1')) return 0;
            int thousandths = (value[0] - '0') * 1000;
            if (value.size() > 1 && value[1] != '.') return 0;
            int weight = 100;
            for (std::size_t i = 2; i < value.size(); ++i, weight /= 10) {
                if (value[i] < '0' || value[i] > '9') return 0;
                thousandths += (value[i] - '0') * weight;
            }
            return std::min(thousandths, 1000);
        }
        if (semicolon == std::string_view::npos) break;
        parameters.remove_prefix(semicolon + 1);
    }
    return 1000;
}

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
    return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

std::optional<std::string_view> find_header(const std::vector<Header>& headers, std::string_view name) {
    for (const auto& header : headers) {
        if (equals_ignoring_case(header.name, name)) return header.value;
    }
    return std::nullopt;
}

Response json_response(int status, std::string body) {
    body.push_back('\n');
    return {.status = status, .content_type = "application/json", .headers = {}, .body = std::move(body), .stream = {}};
}

std::optional<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view text) {
    std::vector<std::pair<std::string, std::string>> out;
    while (!text.empty()) {
        const auto end = text.find('&');
        const auto pair = text.substr(0, end);
        if (!pair.empty()) {
            const auto equals = pair.find('=');
            auto name = percent_decoded(pair.substr(0, equals));
            auto value =
                percent_decoded(equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1));
            if (!name || !value) return std::nullopt;
            out.emplace_back(std::move(*name), std::move(*value));
        }
        if (end == std::string_view::npos) break;
        text.remove_prefix(end + 1);
    }
    return out;
}

std::optional<std::string> media_type(std::string_view header) {
    const auto semicolon = header.find(';');
    const auto type = trimmed(header.substr(0, semicolon));
    if (type.find('/') == std::string_view::npos || type.find_first_of(" ,\"") != std::string_view::npos)
        return std::nullopt;
    auto parameters = semicolon == std::string_view::npos ? std::string_view{} : header.substr(semicolon + 1);
    while (!parameters.empty()) {
        const auto end = parameters.find(';');
        const auto parameter = trimmed(parameters.substr(0, end));
        const auto equals = parameter.find('=');
        if (equals_ignoring_case(trimmed(parameter.substr(0, equals)), "charset")) {
            auto value = equals == std::string_view::npos ? std::string_view{} : trimmed(parameter.substr(equals + 1));
            if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
                value = value.substr(1, value.size() - 2);
            if (!equals_ignoring_case(value, "utf-8") && !equals_ignoring_case(value, "us-ascii")) return std::nullopt;
        }
        if (end == std::string_view::npos) break;
        parameters.remove_prefix(end + 1);
    }
    return lowered(type);
}

int accept_quality(std::string_view accept, std::string_view type, bool explicitly) {
    const auto main_type = type.substr(0, type.find('/') + 1);
    int best_specificity = 0;
    int quality = 0;
    for_each_element(accept, [&](std::string_view element) {
        const auto semicolon = element.find(';');
        const auto range = lowered(trimmed(element.substr(0, semicolon)));
        int specificity = 0;
        if (range == type) {
            specificity = 3;
        } else if (!explicitly && range == std::string{main_type} + "*") {
            specificity = 2;
        } else if (!explicitly && range == "*/*") {
            specificity = 1;
        }
        if (specificity > best_specificity) {
            best_specificity = specificity;
            quality =
                quality_of(semicolon == std::string_view::npos ? std::string_view{} : element.substr(semicolon + 1));
        }
    });
    return quality;
}

std::optional<EntityTags> parse_entity_tags(std::string_view text) {
    EntityTags out;
    if (trimmed(text) == "*") {
        out.any = true;
        return out;
    }
    bool good = true;
    for_each_element(text, [&](std::string_view tag) {
        const bool weak = tag.starts_with("W/");
        if (weak) tag.remove_prefix(2);
        if (tag.size() < 2 || tag.front() != '"' || tag.back() != '"' ||
            tag.substr(1, tag.size() - 2).find('"') != std::string_view::npos) {
            good = false;
            return;
        }
        out.tags.emplace_back(tag.substr(1, tag.size() - 2));
        out.weak.push_back(weak);
    });
    if (!good || out.tags.empty()) return std::nullopt;
    return out;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
    if (text.empty() || (text.size() > 1 && text[0] == '0')) return std::nullopt;
    std::uint64_t value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace sluice::cp::api
