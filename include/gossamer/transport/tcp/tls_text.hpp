// SPDX-License-Identifier: MIT
/// What OpenSSL's objects are called in a sentence. Needs OpenSSL 3 (libssl).
#pragma once

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include <cstddef>
#include <memory>
#include <string>

namespace gossamer::transport::tls_text {

/// What was printed to a BIO; unauthenticated peers choose such texts, so it is short and has no
/// control characters.
template <class Print>
std::string printed(Print print) {
  const std::unique_ptr<BIO, int (*)(BIO*)> bio(BIO_new(BIO_s_mem()), BIO_free);
  if (!bio || !print(bio.get())) return "?";
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  std::string text(data, static_cast<std::size_t>(size < 0 ? 0 : size));
  constexpr std::size_t longest = 100;
  if (text.size() > longest) text = text.substr(0, longest) + "...";
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

/// The subject of a certificate, in quotes: 'CN=node 3'.
inline std::string subject(const X509* certificate) {
  return "'" + printed([&](BIO* bio) {
           return X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >=
                  0;
         }) +
         "'";
}

/// A date as "2026-01-31 12:00:00 UTC".
inline std::string date(const ASN1_TIME* time) {
  std::string text =
      printed([&](BIO* bio) { return ASN1_TIME_print_ex(bio, time, ASN1_DTFLGS_ISO8601) == 1; });
  if (!text.empty() && text.back() == 'Z') text.replace(text.size() - 1, 1, " UTC");
  return text;
}

/// The reason of the first error in OpenSSL's queue, which is emptied.
inline std::string first_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "no reason given" : reason;
}

}  // namespace gossamer::transport::tls_text
