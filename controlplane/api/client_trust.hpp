/// Who a client is by its certificate (mTLS), and whether that still holds.
///
/// Theory of operation. The TLS handshake proves that the peer has the certificate's key and judges nothing else: so a
/// client whose certificate has run out, was revoked or is another authority's gets an answer that says so, and an
/// entry in the audit, not a broken handshake. Every request is judged here: against the authorities of `client_ca`,
/// the list of revoked ones as it is on the disk now (looked at once a second at most), the clock, and the list of
/// names that have roles, in which the first that fits decides. A list of revoked ones that can't be read any more
/// leaves the last good one in force; one that has run out lets nobody in (RFC 5280 section 6.3). Used by the I/O
/// thread alone.
#pragma once

#include <openssl/x509.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <sluice/expected.hpp>

#include "controlplane/api/authenticator.hpp"
#include "controlplane/identity/client_name.hpp"

namespace sluice::cp::api {

template <auto function>
struct OpensslFree {
    template <typename T>
    void operator()(T* object) const noexcept {
        function(object);
    }
};
using CertificatePtr = std::unique_ptr<X509, OpensslFree<&X509_free>>;

struct ClientTlsConfig {
    std::filesystem::path ca;   ///< PEM, the authorities of clients; empty = certificates of clients are not asked for
    std::filesystem::path crl;  ///< PEM, one list per authority; empty = none is looked at
    bool required{};            ///< without a good certificate nobody is let in, whatever the token
    std::vector<ClientName> clients;  ///< the first that fits decides
};

/// What a peer showed in its handshake.
struct PeerCertificate {
    CertificatePtr certificate;
    std::vector<CertificatePtr> chain;  ///< that it sent besides
};

/// As in RFC 2253, for the audit and for `subject:`; what is not printable is escaped.
std::string subject_of(const X509& certificate);
/// `dns:NAME` in lower case, `email:NAME`, `uri:TEXT`.
std::vector<std::string> names_of(const X509& certificate);

class ClientTrust {
public:
    /// Error: a sentence.
    static Expected<std::unique_ptr<ClientTrust>, std::string> open(ClientTlsConfig config);

    /// Null: the peer showed none.
    AuthDecision judge(const PeerCertificate* peer);
    /// Of an answer that goes on for long.
    bool still_live(const PeerCertificate& peer) { return judge(&peer).result == AuthResult::granted; }

    bool required() const noexcept { return config_.required; }
    const std::filesystem::path& ca() const noexcept { return config_.ca; }
    /// Of the list of revoked ones: when its authority promises the next; 0 = there is none.
    std::int64_t crl_next_unix_s() const noexcept { return crl_next_unix_s_; }
    std::uint64_t crl_failures() const noexcept { return crl_failures_; }

private:
    using StorePtr = std::unique_ptr<X509_STORE, OpensslFree<&X509_STORE_free>>;
    explicit ClientTrust(ClientTlsConfig config) : config_{std::move(config)} {}
    Expected<void, std::string> load();
    void look_at_crl();
    AuthResult verify(const PeerCertificate& peer) const;

    const ClientTlsConfig config_;
    StorePtr store_;
    std::filesystem::file_time_type crl_written_{};
    std::chrono::steady_clock::time_point looked_{};
    std::int64_t crl_next_unix_s_{};
    std::uint64_t crl_failures_{};
};

}  // namespace sluice::cp::api
