// SPDX-License-Identifier: MIT
/// From OpenSSL's codes to a kind of failure and one sentence. Needs OpenSSL 3 (libssl).
#pragma once

#include <gossamer/transport/tcp/secure_error.hpp>
#include <gossamer/transport/tcp/security.hpp>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/sslerr.h>
#include <openssl/x509_vfy.h>

#include <cstddef>
#include <initializer_list>
#include <string>

namespace gossamer::transport {

/// What went wrong with a session, and who found it.
struct TlsFailure {
  SecureError kind = SecureError::damaged;
  bool by_peer = false;  ///< the peer refused us, and said so in an alert
  std::string detail;    ///< what OpenSSL adds, such as a certificate and its date; may be empty
};

/// A code of OpenSSL and what it means.
struct TlsCode {
  long code;
  SecureError kind;
};

/// What `code` means by that list, or `otherwise`.
inline SecureError kind_of(long code, std::initializer_list<TlsCode> list, SecureError otherwise) {
  for (const TlsCode& one : list) {
    if (one.code == code) return one.kind;
  }
  return otherwise;
}

/// From the result of verifying a certificate.
inline SecureError kind_of_certificate(long result) {
  using enum SecureError;
  return kind_of(result,
                 {{X509_V_ERR_CERT_HAS_EXPIRED, expired},
                  {X509_V_ERR_CERT_NOT_YET_VALID, not_yet_valid},
                  {X509_V_ERR_CERT_REVOKED, revoked},
                  {X509_V_ERR_INVALID_PURPOSE, wrong_usage},
                  {X509_V_ERR_KEYUSAGE_NO_DIGITAL_SIGNATURE, wrong_usage},
                  {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, unknown_authority},
                  {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, unknown_authority},
                  {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, unknown_authority},
                  {X509_V_ERR_CERT_SIGNATURE_FAILURE, unknown_authority},  // of the same name
                  {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, unknown_authority},
                  {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, unknown_authority},
                  {X509_V_ERR_AKID_SKID_MISMATCH, unknown_authority},
                  {X509_V_ERR_INVALID_CA, unknown_authority}},
                 bad_certificate);
}

/// From the alert that a peer sent; `has_key`: we have a shared key.
inline SecureError kind_of_alert(int alert, bool has_key) {
  using enum SecureError;
  return kind_of(alert,
                 {{SSL_AD_HANDSHAKE_FAILURE, other_kind},
                  {SSL_AD_INSUFFICIENT_SECURITY, other_kind},
                  {SSL_AD_MISSING_EXTENSION, other_kind},
                  {SSL_AD_BAD_CERTIFICATE, bad_certificate},
                  {SSL_AD_CERTIFICATE_REVOKED, revoked},
                  {SSL_AD_CERTIFICATE_UNKNOWN, bad_certificate},
                  {SSL_AD_UNSUPPORTED_CERTIFICATE, wrong_usage},
                  {SSL_AD_CERTIFICATE_EXPIRED, expired},
                  {SSL_AD_UNKNOWN_CA, has_key ? other_kind : unknown_authority},
                  {SSL_AD_CERTIFICATE_REQUIRED, no_certificate},
                  {SSL_AD_PROTOCOL_VERSION, other_version},
                  {SSL_AD_UNKNOWN_PSK_IDENTITY, wrong_shared_key},
                  {SSL_AD_ILLEGAL_PARAMETER, has_key ? wrong_shared_key : damaged},
                  {SSL_AD_DECRYPT_ERROR, has_key ? wrong_shared_key : bad_certificate}},
                 damaged);
}

/// From the first error that OpenSSL queued; `verified` is the result of verifying a certificate.
inline TlsFailure failure_of(unsigned long code, long verified, Security::Kind kind) {
  using enum SecureError;
  const bool has_key = kind == Security::Kind::shared_key;
  if (verified != X509_V_OK) {
    return {has_key ? other_kind : kind_of_certificate(verified), false,
            X509_verify_cert_error_string(verified)};
  }
  const int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
  const char* text = ERR_reason_error_string(code);
  const std::string detail = text == nullptr ? "" : text;
  if (reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + 255) {
    return {kind_of_alert(reason - SSL_AD_REASON_OFFSET, has_key), true, detail};
  }
  return {kind_of(reason,
                  {{SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, no_certificate},
                   {SSL_R_BINDER_DOES_NOT_VERIFY, wrong_shared_key},
                   {SSL_R_UNSUPPORTED_PROTOCOL, other_version},
                   {SSL_R_WRONG_SSL_VERSION, other_version},
                   {SSL_R_WRONG_VERSION_NUMBER, other_version},
                   {SSL_R_VERSION_TOO_LOW, other_version},
                   {SSL_R_UNKNOWN_PROTOCOL, other_version},
                   {SSL_R_NO_SHARED_CIPHER, other_kind},
                   {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, other_kind},
                   {SSL_R_NO_SUITABLE_KEY_SHARE, other_kind},
                   {SSL_R_NO_CERTIFICATE_SET, other_kind},
                   {SSL_R_MISSING_SIGALGS_EXTENSION, other_kind}},
                  damaged),
          false, detail};
}

/// One sentence: who, what, why, what was expected, and what to do. `open`: after the handshake.
inline std::string sentence(const TlsFailure& failure, const std::string& peer,
                            const std::string& expected, bool open) {
  if (open && failure.kind == SecureError::cut) {
    return peer + ": the connection ended without a goodbye";
  }
  const SecureWords& words = secure_words.at(static_cast<std::size_t>(failure.kind));
  std::string text = peer + ": " + (failure.by_peer ? words.told : words.found);
  if (!failure.detail.empty()) text += " (" + failure.detail + ")";
  if (!open) text += ", expected " + expected;
  return text + "; " + words.remedy;
}

}  // namespace gossamer::transport
