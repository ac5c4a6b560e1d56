// SPDX-License-Identifier: MIT
/// What all secured connections of a node share: OpenSSL's context with the node's keys. Needs
/// OpenSSL 3 (libssl).
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/transport/tcp/key_file.hpp>
#include <gossamer/transport/tcp/security.hpp>
#include <gossamer/transport/tcp/tls_text.hpp>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gossamer::transport {

/// TLS 1.3 and nothing else: mutual certificates or an external pre-shared key with (EC)DHE, no
/// tickets, no resumption, no early data, no renegotiation, no compression.
///
/// Threads  unsafe while made; then read-only, for any number of sessions and threads.
/// Throws   ConfigError from the constructor, with file and reason.
/// Source   RFC 8446; OpenSSL's call-backs for external keys.
class TlsContext {
 public:
  /// The usual way: checks `security` and the dates of the node's own certificate. Null for none.
  static std::shared_ptr<const TlsContext> make(const Security& security) {
    security.check();
    if (security.kind() == Security::Kind::none) return nullptr;
    auto made = std::make_shared<TlsContext>(security);
    made->check_dates();
    return made;
  }

  /// `security` must not be none.
  explicit TlsContext(const Security& security)
      : kind_(security.kind()), context_(SSL_CTX_new(TLS_method()), SSL_CTX_free) {
    ERR_clear_error();
    SSL_CTX* context = context_.get();
    require(context != nullptr, "cannot be used here");
    require(SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
                SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1,
            "has no TLS 1.3 here");
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    require(SSL_CTX_set_num_tickets(context, 0) == 1 &&
                SSL_CTX_set_max_early_data(context, 0) == 1 &&
                SSL_CTX_set_recv_max_early_data(context, 0) == 1,
            "cannot do without session tickets");
    SSL_CTX_set_mode(context, SSL_MODE_AUTO_RETRY | SSL_MODE_NO_AUTO_CHAIN |
                                  SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_app_data(context, this);
    if (kind_ == Security::Kind::certificates) {
      use_certificates(security);
    } else {
      use_shared_keys(security);
    }
    ERR_clear_error();
  }
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ~TlsContext() {
    for (auto& secret : secrets_) OPENSSL_cleanse(secret.data(), secret.size());
  }

  [[nodiscard]] Security::Kind kind() const noexcept { return kind_; }
  [[nodiscard]] SSL_CTX* native_handle() const noexcept { return context_.get(); }
  /// What a peer must have, for the sentences of failures.
  [[nodiscard]] const std::string& expected() const noexcept { return expected_; }

  /// Throws ConfigError if the node's own certificate is past or before its time.
  void check_dates() const {
    const X509* own = SSL_CTX_get0_certificate(context_.get());
    if (own == nullptr) return;
    if (X509_cmp_current_time(X509_get0_notAfter(own)) < 0) {
      throw ConfigError("Security: the certificate " + tls_text::subject(own) + " in " + chain_ +
                        " expired on " + tls_text::date(X509_get0_notAfter(own)) +
                        "; sign a new one");
    }
    if (X509_cmp_current_time(X509_get0_notBefore(own)) > 0) {
      throw ConfigError("Security: the certificate " + tls_text::subject(own) + " in " + chain_ +
                        " is valid from " + tls_text::date(X509_get0_notBefore(own)) +
                        " on; is this machine's clock right?");
    }
  }

 private:
  /// How members of a run begin the names of their keys; it is no secret.
  static constexpr std::string_view identity = "gossamer";

  static void require(bool good, const std::string& text) {
    if (!good) throw ConfigError("Security: OpenSSL " + text + ": " + tls_text::first_error());
  }

  template <class Object>
  using Owned = std::unique_ptr<Object, void (*)(Object*)>;

  /// What PEM text holds for OpenSSL to read.
  static Owned<BIO> reader(const KeyFile& file) {
    return {BIO_new_mem_buf(file.text().data(), static_cast<int>(file.text().size())),
            [](BIO* bio) { BIO_free(bio); }};
  }
  static int no_passphrase(char*, int, int, void*) { return -1; }
  /// The next certificate, null after the last.
  static Owned<X509> next_certificate(BIO* from) {
    return {PEM_read_bio_X509(from, nullptr, no_passphrase, nullptr), X509_free};
  }

  void use_certificates(const Security& security) {
    SSL_CTX* context = context_.get();
    const std::string authority = security.authority().string();
    chain_ = security.chain().string();
    expected_ = "a certificate signed by the authority in " + authority;
    require(SSL_CTX_set_ciphersuites(context,
                                     "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                     "TLS_CHACHA20_POLY1305_SHA256") == 1,
            "lacks the ciphers of TLS 1.3");
    const KeyFile authority_file = security.authority_text();
    const auto authorities = reader(authority_file);
    X509_STORE* store = SSL_CTX_get_cert_store(context);
    int count = 0;
    for (auto one = next_certificate(authorities.get()); one;
         one = next_certificate(authorities.get())) {
      count += X509_STORE_add_cert(store, one.get());
    }
    require(count > 0, "finds no certificate of an authority in " + authority);
    use_revocation_list(security);
    const KeyFile chain_file = security.chain_text();
    const auto chain = reader(chain_file);
    const auto own = next_certificate(chain.get());
    require(own && SSL_CTX_use_certificate(context, own.get()) == 1,
            "finds no usable certificate in " + chain_);
    for (auto one = next_certificate(chain.get()); one; one = next_certificate(chain.get())) {
      require(SSL_CTX_add1_chain_cert(context, one.get()) == 1,
              "finds no usable certificate in " + chain_);
    }
    use_private_key(security);
  }

  void use_revocation_list(const Security& security) {
    if (security.revocation_list().empty()) return;
    const KeyFile file = security.revocation_text();
    const auto from = reader(file);
    const auto next = [&] {
      return Owned<X509_CRL>(PEM_read_bio_X509_CRL(from.get(), nullptr, no_passphrase, nullptr),
                             X509_CRL_free);
    };
    X509_STORE* store = SSL_CTX_get_cert_store(context_.get());
    int count = 0;
    for (auto one = next(); one; one = next()) count += X509_STORE_add_crl(store, one.get());
    require(count > 0, "finds no revocation list in " + security.revocation_list().string());
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
  }

  void use_private_key(const Security& security) {
    const std::string name = security.key_file().string();
    const KeyFile file = security.key_text();
    const Owned<EVP_PKEY> key(
        PEM_read_bio_PrivateKey(reader(file).get(), nullptr, no_passphrase, nullptr),
        EVP_PKEY_free);
    require(key != nullptr, "finds no private key for " + chain_ + " in " + name +
                                " (it must be PEM, without passphrase)");
    ERR_clear_error();  // what ended the lists of certificates
    require(SSL_CTX_use_PrivateKey(context_.get(), key.get()) == 1 &&
                SSL_CTX_check_private_key(context_.get()) == 1,
            "says that " + name + " is not the key of " + chain_);
  }

  void use_shared_keys(const Security& security) {
    SSL_CTX* context = context_.get();
    secrets_ = security.secrets();
    for (const auto& secret : secrets_) identities_.push_back(identity_of(secret));
    expected_ = security.key_file().empty() ? "the same shared key"
                                            : "the shared key in " + security.key_file().string();
    // The key is bound to one hash, hence to one cipher.
    require(SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") == 1,
            "lacks TLS_AES_128_GCM_SHA256");
    SSL_CTX_set_psk_use_session_callback(context, offer_key);
    SSL_CTX_set_psk_find_session_callback(context, find_key);
  }

  /// Which of a run's keys it is; public, and tells nothing of the key.
  static std::string identity_of(const std::vector<unsigned char>& secret) {
    constexpr std::string_view what = "gossamer identity of a shared key";
    std::array<unsigned char, EVP_MAX_MD_SIZE> mac{};
    require(HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
                 reinterpret_cast<const unsigned char*>(what.data()), what.size(), mac.data(),
                 nullptr) != nullptr,
            "lacks SHA-256");
    std::string name(identity);
    name.append(mac.begin(), mac.begin() + 8);
    return name;
  }

  static const TlsContext& of(SSL* ssl) {
    return *static_cast<const TlsContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  }

  /// The key as OpenSSL wants it; null if it cannot.
  static SSL_SESSION* session_of(SSL* ssl, const std::vector<unsigned char>& secret) {
    constexpr std::array<unsigned char, 2> aes_128_gcm_sha256 = {0x13, 0x01};
    const SSL_CIPHER* cipher = SSL_CIPHER_find(ssl, aes_128_gcm_sha256.data());
    SSL_SESSION* session = SSL_SESSION_new();
    if (session != nullptr && cipher != nullptr &&
        SSL_SESSION_set1_master_key(session, secret.data(), secret.size()) == 1 &&
        SSL_SESSION_set_cipher(session, cipher) == 1 &&
        SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1) {
      return session;
    }
    SSL_SESSION_free(session);
    return nullptr;
  }

  static int offer_key(SSL* ssl, const EVP_MD* hash, const unsigned char** id, std::size_t* size,
                       SSL_SESSION** session) {
    *session = nullptr;
    if (hash != nullptr && EVP_MD_get_type(hash) != NID_sha256) return 0;
    *session = session_of(ssl, of(ssl).secrets_.front());
    if (*session == nullptr) return 0;
    const std::string& name = of(ssl).identities_.front();
    *id = reinterpret_cast<const unsigned char*>(name.data());
    *size = name.size();
    return 1;
  }

  static int find_key(SSL* ssl, const unsigned char* id, std::size_t size, SSL_SESSION** session) {
    *session = nullptr;
    // The name of a key is public, so comparing it may take a time of its own.
    const std::string_view name(reinterpret_cast<const char*>(id), size);
    if (!name.starts_with(identity)) return 1;
    const auto& names = of(ssl).identities_;
    const auto at = std::find(names.begin(), names.end(), name);
    // With a key that we lack, the first one fails, and the peer hears that its key is wrong.
    const auto which = static_cast<std::size_t>(at == names.end() ? 0 : at - names.begin());
    *session = session_of(ssl, of(ssl).secrets_[which]);
    return *session != nullptr ? 1 : 0;
  }

  Security::Kind kind_;
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_;
  std::string expected_;
  std::string chain_;
  std::vector<std::vector<unsigned char>> secrets_;  // the first is for dialing
  std::vector<std::string> identities_;
};

}  // namespace gossamer::transport
