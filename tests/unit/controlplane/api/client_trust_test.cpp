/// Names in certificates, and what is refused before any peer is there; certificates_test.py has the rest, at the real
/// server.
#include "controlplane/api/client_trust.hpp"

#include <gtest/gtest.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace sluice::cp::api {
namespace {

CertificatePtr named(std::initializer_list<std::pair<const char*, std::string>> subject, const char* names = nullptr) {
    CertificatePtr certificate{X509_new()};
    auto* name = X509_get_subject_name(certificate.get());
    for (const auto& [field, value] : subject) {
        EXPECT_EQ(
            X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.data()),
                                       static_cast<int>(value.size()), -1, 0),
            1);
    }
    if (names != nullptr) {
        X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names);
        EXPECT_EQ(X509_add_ext(certificate.get(), extension, -1), 1);
        X509_EXTENSION_free(extension);
    }
    return certificate;
}

TEST(ClientTrust, SubjectsAreWrittenAsRfc2253AndNoValueCanFakeAnother) {
    EXPECT_EQ(subject_of(*named({{"O", "Example"}, {"CN", "deploy"}})), "CN=deploy,O=Example");
    EXPECT_EQ(subject_of(*named({{"CN", "deploy,O=Example"}})), "CN=deploy\\,O=Example");
    EXPECT_EQ(subject_of(*named({{"CN", "a\nb"}})), "CN=a\\0Ab");
    EXPECT_EQ(subject_of(*named({{"CN", "放行"}})), "CN=放行");
    EXPECT_EQ(subject_of(*named({{"CN", std::string{"deploy\0x", 8}}})), "CN=deploy\\00x");
}

TEST(ClientTrust, OtherNamesSayTheirKind) {
    const auto certificate =
        named({{"CN", "x"}}, "DNS:Scraper.Example,email:Ops@example,URI:spiffe://a/B,IP:192.0.2.1");
    const std::vector<std::string> expected{"dns:scraper.example", "email:Ops@example", "uri:spiffe://a/B"};
    EXPECT_EQ(names_of(*certificate), expected);
    EXPECT_TRUE(names_of(*named({{"CN", "dns:x"}})).empty());
}

TEST(ClientTrust, FilesThatHoldNothingAreNamed) {
    const auto missing = ClientTrust::open({.ca = "/nonexistent/ca.pem"});
    ASSERT_FALSE(missing);
    EXPECT_TRUE(missing.error().starts_with("cannot use /nonexistent/ca.pem as an authority of clients"));
    std::string path = testing::TempDir() + "sluice-ca-XXXXXX";
    const int fd = ::mkstemp(path.data());
    ASSERT_GE(fd, 0);
    ::close(fd);
    std::ofstream{path} << "no certificate\n";
    EXPECT_FALSE(ClientTrust::open({.ca = path}));
    std::filesystem::remove(path);
}

}  // namespace
}  // namespace sluice::cp::api
