// SPDX-License-Identifier: MIT
/// Why a connection could not be secured, or stopped being secure. No OpenSSL.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>
#include <type_traits>

namespace gossamer::transport {

/// The kinds of failure, of either side; in an `std::error_code` they compare as usual:
/// `error == SecureError::expired`. What exactly happened is in the stream's `failure()`.
enum class SecureError : std::uint8_t {
  not_tls = 1,        ///< the peer sends plain bytes
  other_version,      ///< the peer speaks another TLS than 1.3
  other_kind,         ///< certificates here, a shared key there, or nothing in common
  no_certificate,     ///< the peer shows none
  unknown_authority,  ///< a certificate signed by another authority
  expired,            ///< a certificate past its time
  not_yet_valid,      ///< a certificate before its time, or a clock that is wrong
  wrong_usage,        ///< a certificate that is not meant for this side of a connection
  revoked,            ///< a certificate that its authority has revoked
  bad_certificate,    ///< a certificate with another flaw
  wrong_shared_key,   ///< another key, or a key for something else
  cut,                ///< the connection ended midway
  damaged,            ///< bytes that do not belong here: changed, repeated or made up
};

/// How many kinds there are, to count them in an array by `std::size_t(kind)`.
inline constexpr std::size_t secure_error_kinds = 14;

/// What is said of a kind of failure.
struct SecureWords {
  const char* found;   ///< when this side finds it
  const char* told;    ///< when the peer found it, and said so
  const char* remedy;  ///< what to do
};

/// In the order of SecureError; [0] for what is none.
inline constexpr std::array<SecureWords, secure_error_kinds> secure_words = {{
    {"the connection failed", "the peer ended the connection", "see the peer's log"},
    {"the peer sends plain bytes", "the peer sends plain bytes",
     "start it with the same kind of security, or see which program has that port"},
    {"the peer offers no TLS 1.3", "the peer refuses TLS 1.3", "see which program has that port"},
    {"the peer offers no way of securing the connection that we accept",
     "the peer refuses all ways of securing the connection that we offer",
     "start both with certificates, or both with a shared key"},
    {"the peer shows no certificate", "the peer misses our certificate",
     "start both with certificates"},
    {"the peer's certificate is signed by an authority that we do not know",
     "the peer does not know the authority that signed our certificate",
     "sign all certificates of a run with one authority"},
    {"the peer's certificate expired", "the peer says that our certificate expired",
     "sign a new one, or correct the clock that is wrong"},
    {"the peer's certificate is not valid yet",
     "the peer says that our certificate is not valid yet",
     "correct the clock that is wrong, or sign a new one"},
    {"the peer's certificate is meant for something else",
     "the peer says that our certificate is meant for something else",
     "sign one with serverAuth and clientAuth in its extended key usage"},
    {"the peer's certificate is revoked", "the peer says that our certificate is revoked",
     "sign a new one, if it is still a member"},
    {"the peer's certificate is refused", "the peer refuses our certificate",
     "look at its authority, dates and usage with openssl x509 -text, and at both clocks"},
    {"the peer has another shared key", "the peer has another shared key",
     "copy one key file to all members"},
    {"the connection ended in the middle of the handshake",
     "the connection ended in the middle of the handshake",
     "see the peer's log; it may have no security, or be no Gossamer node"},
    {"bytes came that cannot be the peer's", "the peer does not accept what it gets from us",
     "something on the way changes, repeats or makes up bytes"},
}};

/// The category of SecureError.
inline const std::error_category& secure_category() {
  class Category final : public std::error_category {
   public:
    [[nodiscard]] const char* name() const noexcept override { return "gossamer.secure"; }
    [[nodiscard]] std::string message(int kind) const override {
      const auto at = static_cast<std::size_t>(kind);
      if (kind > 0 && at < secure_words.size()) return secure_words.at(at).found;
      return "unknown reason " + std::to_string(kind);
    }
  };
  static const Category category;
  return category;
}

/// For `std::error_code error = SecureError::cut`.
inline std::error_code make_error_code(SecureError kind) {
  return {static_cast<int>(kind), secure_category()};
}

}  // namespace gossamer::transport

template <>
struct std::is_error_code_enum<gossamer::transport::SecureError> : std::true_type {};
