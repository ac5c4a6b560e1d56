// SPDX-License-Identifier: MIT
/// From OpenSSL's codes to a kind of failure and one sentence. Needs OpenSSL 3 (libssl).
#pragma once

#include <gossamer/transport/tcp/secure_error.hpp>
#include <gossamer/transport/tcp/security.hpp>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/sslerr.h>
#include <openssl/x509_vfy.h>

#include <string>
#include <utility>

namespace gossamer::transport {

/// What went wrong with a session, and who found it.
struct TlsFailure {
  SecureError kind = SecureError::damaged;
  bool by_peer = false;  ///< the peer refused us, and said so in an alert
  std::string detail;    ///< what OpenSSL adds, such as a certificate and its date; may be empty
};

/// From the result of verifying a certificate.
inline SecureError kind_of_certificate(long result) {
  switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return SecureError::expired;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return SecureError::not_yet_valid;
    case X509_V_ERR_INVALID_PURPOSE:
    case X509_V_ERR_KEYUSAGE_NO_DIGITAL_SIGNATURE:
      return SecureError::wrong_usage;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:  // an authority of the same name with another key
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_AKID_SKID_MISMATCH:
    case X509_V_ERR_INVALID_CA:
      return SecureError::unknown_authority;
    default:
      return SecureError::bad_certificate;
  }
}

/// From the alert that a peer sent; `kind` is our own way.
inline SecureError kind_of_alert(int alert, Security::Kind kind) {
  const bool has_key = kind == Security::Kind::shared_key;
  switch (alert) {
    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_INSUFFICIENT_SECURITY:
    case SSL_AD_MISSING_EXTENSION:
      return SecureError::other_kind;
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
      return SecureError::bad_certificate;
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
      return SecureError::wrong_usage;
    case SSL_AD_CERTIFICATE_EXPIRED:
      return SecureError::expired;
    case SSL_AD_UNKNOWN_CA:
      return has_key ? SecureError::other_kind : SecureError::unknown_authority;
    case SSL_AD_CERTIFICATE_REQUIRED:
      return SecureError::no_certificate;
    case SSL_AD_PROTOCOL_VERSION:
      return SecureError::other_version;
    case SSL_AD_UNKNOWN_PSK_IDENTITY:
      return SecureError::wrong_shared_key;
    case SSL_AD_ILLEGAL_PARAMETER:
      return has_key ? SecureError::wrong_shared_key : SecureError::damaged;
    case SSL_AD_DECRYPT_ERROR:  // a signature or, in other implementations, a key that is not right
      return has_key ? SecureError::wrong_shared_key : SecureError::bad_certificate;
    default:
      return SecureError::damaged;
  }
}

/// From the first error that OpenSSL queued; `verified` is the result of verifying a certificate.
inline TlsFailure failure_of(unsigned long code, long verified, Security::Kind kind) {
  TlsFailure failure;
  const int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
  if (const char* text = ERR_reason_error_string(code)) failure.detail = text;
  if (verified != X509_V_OK) {
    failure.kind = kind == Security::Kind::shared_key ? SecureError::other_kind
                                                      : kind_of_certificate(verified);
    failure.detail = X509_verify_cert_error_string(verified);
    return failure;
  }
  if (reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + 255) {
    failure.by_peer = true;
    failure.kind = kind_of_alert(reason - SSL_AD_REASON_OFFSET, kind);
    return failure;
  }
  switch (reason) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      failure.kind = SecureError::no_certificate;
      break;
    case SSL_R_BINDER_DOES_NOT_VERIFY:
      failure.kind = SecureError::wrong_shared_key;
      break;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_UNKNOWN_PROTOCOL:
      failure.kind = SecureError::other_version;
      break;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_CERTIFICATE_SET:
    case SSL_R_MISSING_SIGALGS_EXTENSION:
      failure.kind = SecureError::other_kind;
      break;
    default:
      failure.kind = SecureError::damaged;
  }
  return failure;
}

/// What happened, and what to do about it.
inline std::pair<const char*, const char*> words_of(SecureError kind, bool by_peer) {
  const auto by = [&](const char* them, const char* us) { return by_peer ? them : us; };
  switch (kind) {
    case SecureError::not_tls:
      return {"the peer sends plain bytes",
              "start it with the same kind of security, or see which program has that port"};
    case SecureError::other_version:
      return {by("the peer refuses TLS 1.3", "the peer offers no TLS 1.3"),
              "see which program has that port"};
    case SecureError::other_kind:
      return {by("the peer refuses all ways of securing the connection that we offer",
                 "the peer offers no way of securing the connection that we accept"),
              "start both with certificates, or both with a shared key"};
    case SecureError::no_certificate:
      return {by("the peer misses our certificate", "the peer shows no certificate"),
              "start both with certificates"};
    case SecureError::unknown_authority:
      return {by("the peer does not know the authority that signed our certificate",
                 "the peer's certificate is signed by an authority that we do not know"),
              "sign all certificates of a run with one authority"};
    case SecureError::expired:
      return {by("the peer says that our certificate expired", "the peer's certificate expired"),
              "sign a new one, or correct the clock that is wrong"};
    case SecureError::not_yet_valid:
      return {"the peer's certificate is not valid yet",
              "correct the clock that is wrong, or sign a new one"};
    case SecureError::wrong_usage:
      return {by("the peer says that our certificate is meant for something else",
                 "the peer's certificate is meant for something else"),
              "sign one with serverAuth and clientAuth in its extended key usage"};
    case SecureError::bad_certificate:
      return {by("the peer refuses our certificate", "the peer's certificate is refused"),
              "look at its authority, dates and usage with openssl x509 -text, and at both clocks"};
    case SecureError::wrong_shared_key:
      return {"the peer has another shared key", "copy one key file to all members"};
    case SecureError::cut:
      return {"the connection ended in the middle of the handshake",
              "see the peer's log; it may have no security, or be no Gossamer node"};
    case SecureError::damaged:
      if (by_peer) {
        return {"the peer does not accept what it gets from us",
                "see its log; something on the way may change, repeat or make up bytes"};
      }
      return {"bytes came that cannot be the peer's",
              "something on the way changes, repeats or makes up bytes"};
  }
  return {"the connection failed", "see the peer's log"};
}

/// One sentence: who, what, why, what was expected, and what to do. `open`: after the handshake.
inline std::string sentence(const TlsFailure& failure, const std::string& peer,
                            const std::string& expected, bool open) {
  if (open && failure.kind == SecureError::cut) {
    return peer + ": the connection ended without a goodbye";
  }
  const auto [what, remedy] = words_of(failure.kind, failure.by_peer);
  std::string text = peer + ": " + what;
  if (!failure.detail.empty()) text += " (" + failure.detail + ")";
  if (!open) text += ", expected " + expected;
  return text + "; " + remedy;
}

}  // namespace gossamer::transport
