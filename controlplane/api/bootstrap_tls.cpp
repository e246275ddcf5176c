#include "controlplane/api/bootstrap_tls.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "controlplane/api/http_message.hpp"
#include "controlplane/api/wire_text.hpp"
#include "controlplane/identity/secret.hpp"

namespace sluice::cp::api {
namespace {
namespace fs = std::filesystem;

template <auto Free>
struct Freer {
    template <typename T>
    void operator()(T* object) const noexcept {
        Free(object);
    }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<&EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freer<&X509_free>>;
using Bio = std::unique_ptr<BIO, Freer<&BIO_free_all>>;

template <typename T>
using Result = Expected<T, std::string>;

Unexpected<std::string> failed(std::string sentence) { return Unexpected(std::move(sentence)); }

// Ten years: there is no renewal by itself yet, and a firewall must not become unmanageable on some night. To renew,
// remove the three files and restart.
constexpr long kValidSeconds = 10L * 365 * 24 * 3600;
constexpr long kClockSkewSeconds = 3600;
constexpr std::size_t kTokenTextMin = 32;
constexpr std::size_t kTokenTextMax = 512;

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    const std::unique_ptr<X509_EXTENSION, Freer<&X509_EXTENSION_free>> extension{
        X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str())};
    return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool set_random_serial(X509* certificate) {
    std::array<unsigned char, 16> bytes{};
    if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return false;
    bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7fU) | 0x40U);  // positive, and of full length
    const std::unique_ptr<BIGNUM, Freer<&BN_free>> number{
        BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr)};
    return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

Certificate new_certificate(EVP_PKEY* key, const std::string& common_name) {
    Certificate certificate{X509_new()};
    if (!certificate) return nullptr;
    auto* name = X509_get_subject_name(certificate.get());
    const auto add_name = [&](const char* field, const std::string& text) {
        return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                          reinterpret_cast<const unsigned char*>(text.c_str()), -1, -1, 0) == 1;
    };
    const bool good = X509_set_version(certificate.get(), 2) == 1 && set_random_serial(certificate.get()) &&
                      X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kClockSkewSeconds) != nullptr &&
                      X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kValidSeconds) != nullptr &&
                      X509_set_pubkey(certificate.get(), key) == 1 && add_name("O", "Sluice") &&
                      add_name("CN", common_name);
    return good ? std::move(certificate) : nullptr;
}

Certificate make_authority(EVP_PKEY* key, const std::string& host) {
    auto certificate = new_certificate(key, "Sluice on " + host.substr(0, 40));
    if (!certificate) return nullptr;
    auto* self = certificate.get();
    const bool good = X509_set_issuer_name(self, X509_get_subject_name(self)) == 1 &&
                      add_extension(self, self, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                      add_extension(self, self, NID_key_usage, "critical,keyCertSign,cRLSign") &&
                      add_extension(self, self, NID_subject_key_identifier, "hash") &&
                      X509_sign(self, key, EVP_sha256()) != 0;
    return good ? std::move(certificate) : nullptr;
}

Certificate make_server(EVP_PKEY* key, X509* authority, EVP_PKEY* authority_key, const std::string& names) {
    auto certificate = new_certificate(key, "sluice-controlplane");
    if (!certificate) return nullptr;
    auto* self = certificate.get();
    const bool good = X509_set_issuer_name(self, X509_get_subject_name(authority)) == 1 &&
                      add_extension(self, authority, NID_basic_constraints, "critical,CA:FALSE") &&
                      add_extension(self, authority, NID_key_usage, "critical,digitalSignature") &&
                      add_extension(self, authority, NID_ext_key_usage, "serverAuth") &&
                      add_extension(self, authority, NID_subject_alt_name, names) &&
                      add_extension(self, authority, NID_subject_key_identifier, "hash") &&
                      add_extension(self, authority, NID_authority_key_identifier, "keyid") &&
                      X509_sign(self, authority_key, EVP_sha256()) != 0;
    return good ? std::move(certificate) : nullptr;
}

std::string host_name() {
    std::array<char, 256> text{};
    if (gethostname(text.data(), text.size() - 1) != 0) return "localhost";
    std::string name = text.data();
    // It goes into a comma-separated list of names: anything that no host name holds would change the list.
    const bool plain =
        name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == std::string::npos;
    return plain && !name.empty() ? name : "localhost";
}

std::string subject_names(std::string_view listen_address) {
    std::string names = "IP:127.0.0.1,IP:::1,DNS:localhost";
    if (const auto host = host_name(); host != "localhost") names += ",DNS:" + host;
    const auto address = parse_address(listen_address);
    if (address) {
        const auto text = address_text(address->first, address->second);
        const bool known = text == "127.0.0.1" || text == "::1" || text == "0.0.0.0" || text == "::";
        if (!known) names += ",IP:" + text;
    }
    return names;
}

template <typename Write>
std::string as_pem(Write write) {
    const Bio bio{BIO_new(BIO_s_mem())};
    if (!bio || write(bio.get()) != 1) return {};
    char* bytes = nullptr;
    const long length = BIO_get_mem_data(bio.get(), &bytes);
    return length > 0 ? std::string(bytes, static_cast<std::size_t>(length)) : std::string{};
}

std::string system_error() { return std::strerror(errno); }

Result<void> sync_directory(const fs::path& directory) {
    const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return failed(fmt::format("cannot open {}: {}", directory.string(), system_error()));
    const int result = fsync(fd);
    const int error = errno;
    close(fd);
    if (result != 0) return failed(fmt::format("cannot sync {}: {}", directory.string(), std::strerror(error)));
    return {};
}

/// A new file, durable when this returns. An old one of that name is a rest of an interrupted start.
Result<void> write_new(const fs::path& path, std::string_view text, mode_t mode) {
    unlink(path.c_str());
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0) return failed(fmt::format("cannot create {}: {}", path.string(), system_error()));
    bool good = fchmod(fd, mode) == 0;
    while (good && !text.empty()) {
        const auto written = write(fd, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        good = written > 0;
        if (good) text.remove_prefix(static_cast<std::size_t>(written));
    }
    good = good && fsync(fd) == 0;
    const auto reason = system_error();
    close(fd);
    if (!good) return failed(fmt::format("cannot write {}: {}", path.string(), reason));
    return {};
}

/// Gives the file its name unless there is one already.
Result<void> put_in_place(const fs::path& from, const fs::path& to) {
    if (link(from.c_str(), to.c_str()) != 0) {
        return failed(fmt::format("cannot create {}: {}", to.string(), system_error()));
    }
    unlink(from.c_str());
    return {};
}

struct TlsFiles {
    fs::path ca, certificate, key;
};

fs::path unfinished(const fs::path& path) { return path.string() + ".new"; }

bool has_file(const fs::path& path) {
    struct stat info {};
    return lstat(path.c_str(), &info) == 0;
}

Result<void> make_tls_files(const fs::path& directory, const TlsFiles& files, std::string_view listen_address) {
    const Key authority_key{EVP_EC_gen("P-256")};
    const Key server_key{EVP_EC_gen("P-256")};
    if (!authority_key || !server_key) return failed("cannot make an EC P-256 key");
    const auto authority = make_authority(authority_key.get(), host_name());
    const auto server =
        authority ? make_server(server_key.get(), authority.get(), authority_key.get(), subject_names(listen_address))
                  : nullptr;
    if (!server) return failed("cannot make the server's certificate");
    const auto ca_text = as_pem([&](BIO* bio) { return PEM_write_bio_X509(bio, authority.get()); });
    const auto certificate_text = as_pem([&](BIO* bio) { return PEM_write_bio_X509(bio, server.get()); });
    const auto key_text = as_pem([&](BIO* bio) {
        return PEM_write_bio_PrivateKey(bio, server_key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
    if (ca_text.empty() || certificate_text.empty() || key_text.empty())
        return failed("cannot encode the server's certificate");

    return write_new(unfinished(files.ca), ca_text, 0644)
        .and_then([&] { return write_new(unfinished(files.certificate), certificate_text, 0644); })
        .and_then([&] { return write_new(unfinished(files.key), key_text, 0600); })
        .and_then([&] { return sync_directory(directory); });
}

/// ca, certificate, key, in this order: without its key a certificate serves nobody, so an interrupted start shows.
Result<void> finish_tls_files(const fs::path& directory, const TlsFiles& files) {
    for (const auto& path : {files.ca, files.certificate, files.key}) {
        if (has_file(path)) {
            unlink(unfinished(path).c_str());
            continue;
        }
        if (auto placed = put_in_place(unfinished(path), path); !placed) return placed;
    }
    return sync_directory(directory);
}

Result<bool> ensure_tls_files(const fs::path& directory, const TlsFiles& files, std::string_view listen_address) {
    const bool has_certificate = has_file(files.certificate);
    const bool has_key = has_file(files.key);
    if (has_certificate && has_key) return false;  // ca.pem may be kept elsewhere: only clients need it
    const bool none = !has_certificate && !has_key && !has_file(files.ca);
    const bool interrupted = !none && !has_key && has_file(files.ca) && has_file(unfinished(files.key));
    if (!none && !interrupted) {
        return failed(fmt::format(
            "{} has only some of ca.pem, server.pem and server.key: restore the missing ones or remove all three",
            directory.string()));
    }
    if (none) {
        if (auto made = make_tls_files(directory, files, listen_address); !made) return failed(made.error());
    }
    if (auto finished = finish_tls_files(directory, files); !finished) return failed(finished.error());
    return true;
}

Result<void> check_secret_file(const fs::path& path) {
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0)
        return failed(fmt::format("cannot read {}: {}", path.string(), system_error()));
    if (!S_ISREG(info.st_mode)) return failed(fmt::format("{} is no regular file", path.string()));
    if ((info.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0) {
        return failed(fmt::format(
            "{} can be read or changed by others: chmod 0600 it, and replace it if others had access", path.string()));
    }
    return {};
}

Result<std::string> read_token(const fs::path& path) {
    if (auto checked = check_secret_file(path); !checked) return failed(checked.error());
    const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return failed(fmt::format("cannot read {}: {}", path.string(), system_error()));
    std::array<char, kTokenTextMax + 2> bytes{};
    const auto length = read(fd, bytes.data(), bytes.size());
    close(fd);
    std::string token{bytes.data(), length > 0 ? static_cast<std::size_t>(length) : 0};
    while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
    const bool plain =
        token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=") ==
        std::string::npos;  // RFC 6750 section 2.1
    if (!plain || token.size() < kTokenTextMin || token.size() > kTokenTextMax) {
        return failed(
            fmt::format("{} holds no token of {} to {} characters: remove it, and the next start makes a new one",
                        path.string(), kTokenTextMin, kTokenTextMax));
    }
    return token;
}

Result<std::optional<std::string>> ensure_token(const fs::path& directory, const fs::path& path, bool make) {
    if (!has_file(path)) {
        if (!make) return std::optional<std::string>{};
        const auto token = new_secret();
        if (token.empty()) return failed("cannot draw random bytes for the token");
        auto made = write_new(unfinished(path), token + "\n", 0600)
                        .and_then([&] { return put_in_place(unfinished(path), path); })
                        .and_then([&] { return sync_directory(directory); });
        if (!made) return failed(made.error());
    }
    auto token = read_token(path);
    if (!token) return failed(token.error());
    return std::optional{std::move(*token)};
}

}  // namespace

Expected<ServerSecrets, std::string> ensure_secrets(const fs::path& state_dir, std::string_view listen_address,
                                                    bool make_token) {
    const TlsFiles files{state_dir / "ca.pem", state_dir / "server.pem", state_dir / "server.key"};
    const auto made = ensure_tls_files(state_dir, files, listen_address);
    if (!made) return failed(made.error());
    if (auto checked = check_secret_file(files.key); !checked) return failed(checked.error());
    auto token = ensure_token(state_dir, state_dir / "token", make_token);
    if (!token) return failed(token.error());
    return ServerSecrets{
        .certificate = files.certificate, .key = files.key, .token = std::move(*token), .made_now = *made};
}

}  // namespace sluice::cp::api
