#include "tools/sluicectl/redact.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace sluice::ctl {
namespace {

constexpr std::string_view kGone = "<redacted>";
constexpr std::size_t kSecretMin = 6;  ///< shorter ones would cut words
constexpr std::array<std::string_view, 9> kSecretKeys{"password",   "passwd",     "passphrase", "secret",       "token",
                                                      "credential", "privatekey", "apikey",     "authorization"};

bool is_token_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-'; }
bool is_space(char c) { return c == ' ' || c == '\t'; }

std::string lower(std::string_view text) {
    std::string out{text};
    std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

/// `client_private-key` -> is one; `key: FILE` of TLS is a path and stays.
bool says_secret(std::string_view key) {
    std::string word;
    for (const char c : lower(key)) {
        if (c != '_' && c != '-' && c != '.') word += c;
    }
    if (word.ends_with("file") || word.ends_with("path") || word.ends_with("id")) return false;
    return std::ranges::any_of(kSecretKeys,
                               [&](std::string_view secret) { return word.find(secret) != std::string::npos; });
}

/// The end of a value that begins at `at`: behind its quote, or at what ends a plain one.
std::size_t end_of_value(std::string_view text, std::size_t at) {
    if (at < text.size() && (text[at] == '"' || text[at] == '\'')) {
        const char quote = text[at];
        for (std::size_t i = at + 1; i < text.size(); ++i) {
            if (text[i] == '\\' && quote == '"') {
                ++i;
            } else if (text[i] == quote) {
                return i + 1;
            }
        }
        return text.size();
    }
    // Of a plain value the rest of the line goes, but for what ends it in a flow map: a secret may have spaces.
    const auto end = text.find_first_of(",}]\r", at);
    return end == std::string_view::npos ? text.size() : end;
}

}  // namespace

void Redactor::replace(std::string& text, std::size_t at, std::size_t size, std::string_view with) {
    text.replace(at, size, with);
    ++count_;
}

void Redactor::cut_literals(std::string& text) {
    for (const auto& secret : secrets_) {
        if (secret.size() < kSecretMin) continue;
        for (auto at = text.find(secret); at != std::string::npos; at = text.find(secret, at + kGone.size()))
            replace(text, at, secret.size());
    }
}

void Redactor::cut_tokens(std::string& text) {
    constexpr std::string_view kBegin = "sluice_";
    constexpr std::size_t kIdDigits = 8, kSecretChars = 20;
    for (auto at = text.find(kBegin); at != std::string::npos; at = text.find(kBegin, at + 1)) {
        const auto secret = at + kBegin.size() + kIdDigits + 1;
        if (secret >= text.size() || text[secret - 1] != '_') continue;
        const auto id = std::string_view{text}.substr(at + kBegin.size(), kIdDigits);
        if (!std::ranges::all_of(id, [](unsigned char c) { return std::isxdigit(c) != 0; })) continue;
        auto end = secret;
        while (end < text.size() && is_token_char(text[end])) ++end;
        if (end - secret >= kSecretChars) replace(text, secret, end - secret);
    }
}

void Redactor::cut_behind_words(std::string& text) {
    for (const std::string_view word : {"bearer ", "basic "}) {
        auto small = lower(text);
        for (auto at = small.find(word); at != std::string::npos; at = small.find(word, at + word.size())) {
            auto begin = at + word.size();
            while (begin < text.size() && is_space(text[begin])) ++begin;
            auto end = begin;
            while (end < text.size() && !is_space(text[end]) && text[end] != '"' && text[end] != '\'') ++end;
            if (end - begin < kSecretMin || std::string_view{text}.substr(begin).starts_with(kGone)) continue;
            replace(text, begin, end - begin);
            small = lower(text);
        }
    }
}

/// `key: value`, `"key": "value"`, `key=value`.
void Redactor::cut_values(std::string& text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != ':' && text[i] != '=') continue;
        auto key_end = i;
        while (key_end > 0 && (is_space(text[key_end - 1]) || text[key_end - 1] == '"' || text[key_end - 1] == '\''))
            --key_end;
        auto key_begin = key_end;
        while (key_begin > 0 && (is_token_char(text[key_begin - 1]) || text[key_begin - 1] == '.')) --key_begin;
        // `token:ci/7f3a9c21` is a name: a key has a quote or a space somewhere, or an equals sign.
        const bool is_name = text[i] == ':' && key_end == i && i + 1 < text.size() && !is_space(text[i + 1]) &&
                             text[i + 1] != '"' && text[i + 1] != '\'';
        if (is_name || !says_secret(std::string_view{text}.substr(key_begin, key_end - key_begin))) continue;
        auto begin = i + 1;
        while (begin < text.size() && is_space(text[begin])) ++begin;
        const auto end = end_of_value(text, begin);
        if (begin >= end || text[begin] == '{' || text[begin] == '[') continue;
        const bool quotes = text[begin] == '"' || text[begin] == '\'';
        replace(text, begin, end - begin, quotes ? "\"<redacted>\"" : kGone);
        i = begin;
    }
}

void Redactor::cut_users(std::string& text) {
    for (auto at = text.find("://"); at != std::string::npos; at = text.find("://", at + 3)) {
        const auto end = text.find_first_of("/ \t\"'", at + 3);
        const auto user_end = text.rfind('@', end == std::string::npos ? text.size() : end);
        if (user_end == std::string::npos || user_end < at + 3) continue;
        replace(text, at + 3, user_end - at - 3);
    }
}

std::string Redactor::line(std::string_view text) {
    std::string out{text};
    cut_literals(out);
    cut_tokens(out);
    cut_behind_words(out);
    cut_values(out);
    cut_users(out);
    return out;
}

/// Private keys in PEM, over many lines, or in one with \n written out.
std::string Redactor::without_blocks(std::string_view text) {
    std::string out;
    while (true) {
        constexpr std::string_view kBegin = "-----BEGIN ", kEnd = "-----END ";
        const auto at = text.find(kBegin);
        if (at == std::string_view::npos) return out.append(text);
        const auto name_end = text.find("-----", at + kBegin.size());
        const auto end = text.find(kEnd, at);
        const bool is_key = name_end != std::string_view::npos &&
                            text.substr(at, name_end - at).find("PRIVATE KEY") != std::string_view::npos;
        const auto block_end = end == std::string_view::npos ? text.size() : text.find("-----", end + kEnd.size());
        const auto behind = block_end == std::string_view::npos ? text.size() : std::min(block_end + 5, text.size());
        out.append(text.substr(0, at));
        if (is_key) {
            out += "<redacted private key>";
            ++count_;
        } else {
            out.append(text.substr(at, behind - at));
        }
        text.remove_prefix(behind);
    }
}

std::string Redactor::apply(std::string_view text) {
    const auto rest = without_blocks(text);
    std::string out;
    std::string_view left{rest};
    while (!left.empty()) {
        const auto end = left.find('\n');
        out += line(left.substr(0, end));
        if (end == std::string_view::npos) break;
        out += '\n';
        left.remove_prefix(end + 1);
    }
    return out;
}

}  // namespace sluice::ctl
