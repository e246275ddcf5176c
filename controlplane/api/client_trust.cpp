#include "controlplane/api/client_trust.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <system_error>

#include <fmt/format.h>

namespace sluice::cp::api {
namespace {

constexpr std::chrono::seconds kLookAtCrlEvery{1};
/// Of a chain below the authority: a client's certificate behind at most two that its authority has signed.
constexpr int kDepthMax = 3;
constexpr std::size_t kSubjectBytesMax = 200;

using BioPtr = std::unique_ptr<BIO, OpensslFree<&BIO_free_all>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, OpensslFree<&GENERAL_NAMES_free>>;
using CrlPtr = std::unique_ptr<X509_CRL, OpensslFree<&X509_CRL_free>>;
using ContextPtr = std::unique_ptr<X509_STORE_CTX, OpensslFree<&X509_STORE_CTX_free>>;

/// Of certificates that somebody else owns.
struct StackFree {
    void operator()(STACK_OF(X509) * stack) const noexcept { sk_X509_free(stack); }
};
using StackPtr = std::unique_ptr<STACK_OF(X509), StackFree>;

BioPtr open_file(const std::filesystem::path& path) { return BioPtr{BIO_new_file(path.c_str(), "r")}; }

std::string with_reason(std::string_view what, const std::filesystem::path& path) {
    const auto code = ERR_peek_last_error();
    const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
    ERR_clear_error();
    return fmt::format("cannot use {} as {}: {}", path.string(), what, reason == nullptr ? "it holds none" : reason);
}

/// Unix seconds of an ASN.1 time; 0 if it can't be read.
std::int64_t unix_s(const ASN1_TIME* time) {
    std::tm t{};
    return time == nullptr || ASN1_TIME_to_tm(time, &t) != 1 ? 0 : static_cast<std::int64_t>(::timegm(&t));
}

std::string text_of(const ASN1_STRING* text) {
    return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
            static_cast<std::size_t>(std::max(ASN1_STRING_length(text), 0))};
}

std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return text;
}

/// The end of its serial number: tells two certificates of one name apart.
std::string serial_of(const X509& certificate) {
    const auto* number = X509_get0_serialNumber(&certificate);
    std::string hex;
    for (const unsigned char byte : text_of(number)) hex += fmt::format("{:02x}", byte);
    return hex.size() > 8 ? hex.substr(hex.size() - 8) : hex;
}

AuthResult result_of(int error) {
    switch (error) {
        case X509_V_OK: return AuthResult::granted;
        case X509_V_ERR_CERT_HAS_EXPIRED:
        case X509_V_ERR_CERT_NOT_YET_VALID: return AuthResult::certificate_expired;
        case X509_V_ERR_CERT_REVOKED: return AuthResult::certificate_revoked;
        case X509_V_ERR_UNABLE_TO_GET_CRL:
        case X509_V_ERR_CRL_HAS_EXPIRED:
        case X509_V_ERR_CRL_NOT_YET_VALID:
        case X509_V_ERR_CRL_SIGNATURE_FAILURE: return AuthResult::certificate_unchecked;
        default: return AuthResult::certificate_wrong;
    }
}

}  // namespace

std::string subject_of(const X509& certificate) {
    const BioPtr out{BIO_new(BIO_s_mem())};
    if (!out || X509_NAME_print_ex(out.get(), X509_get_subject_name(&certificate), 0,
                                   XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0)
        return {};
    char* bytes = nullptr;
    const auto length = BIO_get_mem_data(out.get(), &bytes);
    return length > 0 ? std::string(bytes, static_cast<std::size_t>(length)) : std::string{};
}

std::vector<std::string> names_of(const X509& certificate) {
    std::vector<std::string> out;
    const NamesPtr names{
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr))};
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
        const auto* name = sk_GENERAL_NAME_value(names.get(), i);
        if (name->type == GEN_DNS) out.push_back("dns:" + lower(text_of(name->d.dNSName)));
        if (name->type == GEN_EMAIL) out.push_back("email:" + text_of(name->d.rfc822Name));
        if (name->type == GEN_URI) out.push_back("uri:" + text_of(name->d.uniformResourceIdentifier));
    }
    return out;
}

Expected<std::unique_ptr<ClientTrust>, std::string> ClientTrust::open(ClientTlsConfig config) {
    std::unique_ptr<ClientTrust> trust{new ClientTrust{std::move(config)}};
    if (auto loaded = trust->load(); !loaded) return Unexpected(loaded.error());
    return trust;
}

Expected<void, std::string> ClientTrust::load() {
    ERR_clear_error();
    StorePtr store{X509_STORE_new()};
    const auto ca = open_file(config_.ca);
    std::size_t authorities = 0;
    while (ca && store) {
        const CertificatePtr one{PEM_read_bio_X509(ca.get(), nullptr, nullptr, nullptr)};
        if (!one || X509_STORE_add_cert(store.get(), one.get()) != 1) break;
        ++authorities;
    }
    if (authorities == 0) return Unexpected(with_reason("an authority of clients (client_ca)", config_.ca));
    ERR_clear_error();  // the end of the file
    std::int64_t next = 0;
    if (!config_.crl.empty()) {
        std::error_code error;
        const auto written = std::filesystem::last_write_time(config_.crl, error);
        const auto file = open_file(config_.crl);
        std::size_t lists = 0;
        while (file) {
            const CrlPtr one{PEM_read_bio_X509_CRL(file.get(), nullptr, nullptr, nullptr)};
            if (!one || X509_STORE_add_crl(store.get(), one.get()) != 1) break;
            const auto promised = unix_s(X509_CRL_get0_nextUpdate(one.get()));
            next = lists++ == 0 ? promised : std::min(next, promised);
        }
        if (lists == 0) return Unexpected(with_reason("a list of revoked certificates (crl)", config_.crl));
        ERR_clear_error();
        X509_STORE_set_flags(store.get(), X509_V_FLAG_CRL_CHECK);
        if (!error) crl_written_ = written;
    }
    crl_next_unix_s_ = next;
    store_ = std::move(store);
    return {};
}

void ClientTrust::look_at_crl() {
    const auto now = std::chrono::steady_clock::now();
    if (config_.crl.empty() || now - looked_ < kLookAtCrlEvery) return;
    looked_ = now;
    std::error_code error;
    const auto written = std::filesystem::last_write_time(config_.crl, error);
    if (!error && written == crl_written_) return;
    const auto loaded = error ? Expected<void, std::string>{Unexpected(
                                    fmt::format("cannot read {}: {}", config_.crl.string(), error.message()))}
                              : load();
    if (loaded) return;
    if (crl_failures_++ == 0) {
        std::fprintf(stderr, "sluice-controlplane: %s; the list that was read before stays in force\n",
                     loaded.error().c_str());
    }
}

AuthResult ClientTrust::verify(const PeerCertificate& peer) const {
    const ContextPtr context{X509_STORE_CTX_new()};
    const StackPtr chain{sk_X509_new_null()};
    if (!context || !chain) return AuthResult::certificate_unchecked;
    for (const auto& one : peer.chain) {
        if (sk_X509_push(chain.get(), one.get()) == 0) return AuthResult::certificate_unchecked;
    }
    if (X509_STORE_CTX_init(context.get(), store_.get(), peer.certificate.get(), chain.get()) != 1)
        return AuthResult::certificate_unchecked;
    X509_STORE_CTX_set_depth(context.get(), kDepthMax);
    X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_CLIENT);
    const bool good = X509_verify_cert(context.get()) == 1;
    const auto result = result_of(X509_STORE_CTX_get_error(context.get()));
    ERR_clear_error();
    if (good) return AuthResult::granted;
    return result == AuthResult::granted ? AuthResult::certificate_wrong : result;
}

AuthDecision ClientTrust::judge(const PeerCertificate* peer) {
    AuthDecision decision{.result = AuthResult::certificate_missing};
    if (peer == nullptr) return decision;
    look_at_crl();
    decision.result = verify(*peer);
    // Whom another authority, or nobody, vouches for has no name here.
    if (decision.result == AuthResult::certificate_wrong || decision.result == AuthResult::certificate_unchecked)
        return decision;
    const auto subject = subject_of(*peer->certificate);
    decision.actor = "certificate:" + subject.substr(0, kSubjectBytesMax) + "/" + serial_of(*peer->certificate);
    if (decision.result != AuthResult::granted) return decision;
    const auto names = names_of(*peer->certificate);
    const auto fits = [&](const ClientName& client) {
        if (client.kind == ClientName::Kind::subject) return client.text == subject;
        return std::ranges::find(names, client.text) != names.end();
    };
    const auto found = std::ranges::find_if(config_.clients, fits);
    if (found == config_.clients.end()) {
        decision.result = AuthResult::certificate_unknown;
    } else {
        decision.roles = found->roles;
        decision.by_certificate = true;
    }
    return decision;
}

}  // namespace sluice::cp::api
