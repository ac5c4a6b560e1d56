// SPDX-License-Identifier: MIT
/// An authority of the test's own, whose certificates can have any flaw.
#pragma once

#include <gossamer/transport/tcp/security.hpp>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <tests/support.hpp>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace tests {

struct CertificateFlaws {
  long begins_in = -3600;  ///< seconds from now
  long ends_in = 3600;
  std::string usage = "serverAuth,clientAuth";
  std::string names = {};  ///< alternative ones, as in "URI:gossamer:node:3"
};

class SmallAuthority {
 public:
  explicit SmallAuthority(const std::string& name = "test authority")
      : key_(EVP_EC_gen("P-256"), EVP_PKEY_free) {
    certificate_ = certify(name, *key_, {}, true);
    save(file(), [&](FILE* to) { return PEM_write_X509(to, certificate_.get()); });
  }

  [[nodiscard]] std::filesystem::path file() const { return folder_.path() / "ca.pem"; }

  /// A node's security; its files lie in a folder that lives as long as the authority.
  [[nodiscard]] gossamer::transport::Security node(const std::string& name,
                                                   const CertificateFlaws& flaws = {}) const {
    const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
    const auto certificate = certify(name, *key, flaws, false);
    const auto chain = folder_.path() / (name + ".pem");
    const auto secret = folder_.path() / (name + ".key");
    save(chain, [&](FILE* to) { return PEM_write_X509(to, certificate.get()); });
    save(secret, [&](FILE* to) {
      return PEM_write_PrivateKey(to, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
    return gossamer::transport::Security::certificates(file(), chain, secret);
  }

  /// A list of these nodes' certificates, revoked, as a file. `ends_in`: seconds from now.
  [[nodiscard]] std::filesystem::path revoke(
      const std::vector<gossamer::transport::Security>& nodes, long ends_in = 3600) const {
    const std::unique_ptr<X509_CRL, void (*)(X509_CRL*)> list(X509_CRL_new(), X509_CRL_free);
    const std::unique_ptr<ASN1_TIME, void (*)(ASN1_TIME*)> time(ASN1_TIME_new(), ASN1_TIME_free);
    X509_CRL_set_version(list.get(), 1);
    X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(certificate_.get()));
    X509_gmtime_adj(time.get(), -7200);
    X509_CRL_set1_lastUpdate(list.get(), time.get());
    for (const auto& node : nodes) {
      const std::unique_ptr<BIO, int (*)(BIO*)> file(BIO_new_file(node.chain().c_str(), "r"),
                                                     BIO_free);
      const Certificate one(PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr), X509_free);
      X509_REVOKED* entry = X509_REVOKED_new();
      X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(one.get()));
      X509_REVOKED_set_revocationDate(entry, time.get());
      require(X509_CRL_add0_revoked(list.get(), entry) == 1);
    }
    X509_gmtime_adj(time.get(), ends_in);
    X509_CRL_set1_nextUpdate(list.get(), time.get());
    require(X509_CRL_sign(list.get(), key_.get(), EVP_sha256()) > 0);
    const auto path = folder_.path() / "revoked.pem";
    save(path, [&](FILE* to) { return PEM_write_X509_CRL(to, list.get()); });
    return path;
  }

 private:
  using Certificate = std::unique_ptr<X509, void (*)(X509*)>;

  static void require(bool good) {
    if (!good) throw std::runtime_error("OpenSSL makes no certificate");
  }

  template <class Write>
  static void save(const std::filesystem::path& path, Write write) {
    FILE* file = std::fopen(path.c_str(), "w");
    require(file != nullptr && write(file) == 1 && std::fclose(file) == 0);
    std::filesystem::permissions(
        path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }

  [[nodiscard]] Certificate certify(const std::string& name, EVP_PKEY& key,
                                    const CertificateFlaws& flaws, bool authority) const {
    Certificate made(X509_new(), X509_free);
    X509* one = made.get();
    require(X509_set_version(one, 2) == 1);
    ASN1_INTEGER_set(X509_get_serialNumber(one), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(one), flaws.begins_in);
    X509_gmtime_adj(X509_getm_notAfter(one), flaws.ends_in);
    require(X509_set_pubkey(one, &key) == 1);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(one), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509* issuer = authority ? one : certificate_.get();
    X509_set_issuer_name(one, X509_get_subject_name(issuer));
    extend(one, issuer, "basicConstraints", authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    extend(one, issuer, "keyUsage",
           authority ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
    if (!authority && !flaws.usage.empty()) extend(one, issuer, "extendedKeyUsage", flaws.usage);
    if (!flaws.names.empty()) extend(one, issuer, "subjectAltName", flaws.names);
    require(X509_sign(one, key_.get(), EVP_sha256()) > 0);
    return made;
  }

  static void extend(X509* one, X509* issuer, const char* name, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, one, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf(nullptr, &context, name, value.c_str());
    require(extension != nullptr && X509_add_ext(one, extension, -1) == 1);
    X509_EXTENSION_free(extension);
  }

  TemporaryFolder folder_;
  std::shared_ptr<EVP_PKEY> key_;
  Certificate certificate_{nullptr, X509_free};
  mutable long serial_ = 0;
};

/// A shared key that no other `fill` has.
inline gossamer::transport::Security key_of(unsigned char fill) {
  std::vector<unsigned char> bytes(32);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<unsigned char>(fill + 7 * i);
  }
  return gossamer::transport::Security::shared_key_bytes(bytes);
}

}  // namespace tests
