// SPDX-License-Identifier: MIT
/// Why a connection could not be secured, or stopped being secure. No OpenSSL.
#pragma once

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
  bad_certificate,    ///< a certificate with another flaw
  wrong_shared_key,   ///< another key, or a key for something else
  cut,                ///< the connection ended midway
  damaged,            ///< bytes that do not belong here: changed, repeated or made up
};

/// How many kinds there are, to count them in an array by `std::size_t(kind)`.
inline constexpr std::size_t secure_error_kinds = 13;

/// The category of SecureError.
inline const std::error_category& secure_category() {
  class Category final : public std::error_category {
   public:
    [[nodiscard]] const char* name() const noexcept override { return "gossamer.secure"; }
    [[nodiscard]] std::string message(int kind) const override {
      switch (static_cast<SecureError>(kind)) {
        case SecureError::not_tls:
          return "the peer does not speak TLS";
        case SecureError::other_version:
          return "the peer speaks another version of TLS";
        case SecureError::other_kind:
          return "the peer is secured in another way";
        case SecureError::no_certificate:
          return "no certificate was shown";
        case SecureError::unknown_authority:
          return "certificate of an unknown authority";
        case SecureError::expired:
          return "certificate expired";
        case SecureError::not_yet_valid:
          return "certificate not yet valid";
        case SecureError::wrong_usage:
          return "certificate for another usage";
        case SecureError::bad_certificate:
          return "bad certificate";
        case SecureError::wrong_shared_key:
          return "another shared key";
        case SecureError::cut:
          return "the connection ended midway";
        case SecureError::damaged:
          return "bytes that the peer cannot have meant";
      }
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
