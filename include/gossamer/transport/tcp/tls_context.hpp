// SPDX-License-Identifier: MIT
/// What all secured connections of a node share: OpenSSL's context with the node's keys. Needs
/// OpenSSL 3 (libssl).
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/transport/tcp/security.hpp>
#include <gossamer/transport/tcp/tls_text.hpp>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <cstddef>
#include <cstring>
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
      use_shared_key(security);
    }
    ERR_clear_error();
  }
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ~TlsContext() { OPENSSL_cleanse(secret_.data(), secret_.size()); }

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
  /// What members of a run call their key; it is no secret.
  static constexpr std::string_view identity = "gossamer";

  static void require(bool good, const std::string& text) {
    if (!good) throw ConfigError("Security: OpenSSL " + text + ": " + tls_text::first_error());
  }

  void use_certificates(const Security& security) {
    SSL_CTX* context = context_.get();
    chain_ = security.chain().string();
    expected_ = "a certificate signed by the authority in " + security.authority().string();
    SSL_CTX_set_default_passwd_cb(context, [](char*, int, int, void*) { return -1; });
    require(SSL_CTX_set_ciphersuites(context,
                                     "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                     "TLS_CHACHA20_POLY1305_SHA256") == 1,
            "lacks the ciphers of TLS 1.3");
    require(SSL_CTX_load_verify_file(context, security.authority().c_str()) == 1,
            "finds no certificate of an authority in " + security.authority().string());
    require(SSL_CTX_use_certificate_chain_file(context, chain_.c_str()) == 1,
            "finds no usable certificate in " + chain_);
    require(
        SSL_CTX_use_PrivateKey_file(context, security.key_file().c_str(), SSL_FILETYPE_PEM) == 1,
        "finds no private key for " + chain_ + " in " + security.key_file().string() +
            " (it must be PEM, without passphrase)");
    require(SSL_CTX_check_private_key(context) == 1,
            "says that " + security.key_file().string() + " is not the key of " + chain_);
  }

  void use_shared_key(const Security& security) {
    SSL_CTX* context = context_.get();
    secret_ = security.secret();
    expected_ = security.key_file().empty() ? "the same shared key"
                                            : "the shared key in " + security.key_file().string();
    // The key is bound to one hash, hence to one cipher.
    require(SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") == 1,
            "lacks TLS_AES_128_GCM_SHA256");
    SSL_CTX_set_psk_use_session_callback(context, offer_key);
    SSL_CTX_set_psk_find_session_callback(context, find_key);
  }

  /// The key as OpenSSL wants it; null if it cannot.
  static SSL_SESSION* session_of(SSL* ssl) {
    const auto* self = static_cast<const TlsContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    constexpr std::array<unsigned char, 2> aes_128_gcm_sha256 = {0x13, 0x01};
    const SSL_CIPHER* cipher = SSL_CIPHER_find(ssl, aes_128_gcm_sha256.data());
    SSL_SESSION* session = SSL_SESSION_new();
    if (session != nullptr && cipher != nullptr &&
        SSL_SESSION_set1_master_key(session, self->secret_.data(), self->secret_.size()) == 1 &&
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
    *session = session_of(ssl);
    if (*session == nullptr) return 0;
    *id = reinterpret_cast<const unsigned char*>(identity.data());
    *size = identity.size();
    return 1;
  }

  static int find_key(SSL* ssl, const unsigned char* id, std::size_t size, SSL_SESSION** session) {
    *session = nullptr;
    // The name of a key is public, so comparing it may take a time of its own.
    if (size != identity.size() || std::memcmp(id, identity.data(), size) != 0) return 1;
    *session = session_of(ssl);
    return *session != nullptr ? 1 : 0;
  }

  Security::Kind kind_;
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_;
  std::string expected_;
  std::string chain_;
  std::vector<unsigned char> secret_;
};

}  // namespace gossamer::transport
