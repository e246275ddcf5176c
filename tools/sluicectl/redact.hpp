/// Takes secrets out of text that leaves the machine. What looks like one goes, rather once too often.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::ctl {

class Redactor {
public:
    /// `secrets`: texts that go wherever they stand, whatever they look like.
    explicit Redactor(std::vector<std::string> secrets) : secrets_{std::move(secrets)} {}

    /// Goes: those texts; tokens of ours (their id stays: it names them in the audit); what stands behind `Bearer` or
    /// `Basic`; private keys in PEM; what a line or a member gives to a key whose name says password, secret, token,
    /// key, credential or passphrase; the user part of a URL.
    std::string apply(std::string_view text);
    /// How many were taken out so far.
    std::size_t count() const noexcept { return count_; }

private:
    std::string without_blocks(std::string_view text);
    std::string line(std::string_view text);
    void cut_literals(std::string& text);
    void cut_tokens(std::string& text);
    void cut_behind_words(std::string& text);
    void cut_values(std::string& text);
    void cut_users(std::string& text);
    void replace(std::string& text, std::size_t at, std::size_t size, std::string_view with = "<redacted>");

    std::vector<std::string> secrets_;
    std::size_t count_{};
};

}  // namespace sluice::ctl
