// SPDX-License-Identifier: MIT
/// One secured connection on a socket of which OpenSSL reads and to which it writes. Needs OpenSSL
/// 3 (libssl).
#pragma once

#include <gossamer/transport/tcp/secure_error.hpp>
#include <gossamer/transport/tcp/tls_context.hpp>
#include <gossamer/transport/tcp/tls_failure.hpp>
#include <gossamer/transport/tcp/tls_socket.hpp>
#include <gossamer/transport/tcp/tls_text.hpp>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>

namespace gossamer::transport {

/// Which side of a handshake: who connected is the client.
enum class TlsRole : std::uint8_t { client, server };

/// What a session needs before the same call is made again.
enum class TlsNext : std::uint8_t {
  nothing,   ///< it is done
  readable,  ///< that the socket can be read
  writable,  ///< that it can be written
  goodbye,   ///< nothing: the peer has said that it ends
  failed,    ///< nothing: see `error()`
};

/// In TLS 1.3 a client is done before the server has judged its certificate; so the server says a
/// byte when it is content, for which the client waits.
///
/// Threads  one at a time. A read may be tried between the tries of a write, and the other way.
class TlsSession {
 public:
  /// As much data as a TLS record can have.
  static constexpr std::size_t record_bytes = 16'384;
  /// After how many records the keys for sending change: half of what RFC 8446, 5.5, allows.
  static constexpr std::uint64_t records_per_key = std::uint64_t{1} << 23U;

  /// `socket`: a descriptor that stays another's. `peer`: what failures call it. Throws
  /// std::bad_alloc.
  TlsSession(std::shared_ptr<const TlsContext> context, TlsRole role, int socket, std::string peer,
             std::uint64_t rekey_after = records_per_key)
      : context_(std::move(context)),
        peer_(std::move(peer)),
        rekey_after_(rekey_after),
        is_server_(role == TlsRole::server),
        socket_(socket),
        ssl_(SSL_new(context_->native_handle()), SSL_free) {
    if (!ssl_) throw std::bad_alloc();
    SSL_set_app_data(ssl_.get(), this);
    BIO* bio = socket_.new_bio();  // one reference for both directions
    SSL_set_bio(ssl_.get(), bio, bio);
    // With a shared key nobody shows a certificate: a server that would rather do so is refused,
    // since its client trusts no authority.
    const bool certified = context_->kind() == Security::Kind::certificates;
    SSL_set_verify(ssl_.get(),
                   certified     ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                   : !is_server_ ? SSL_VERIFY_PEER
                                 : SSL_VERIFY_NONE,
                   remember_flaw);
    if (is_server_) {
      SSL_set_accept_state(ssl_.get());
    } else {
      SSL_set_connect_state(ssl_.get());
    }
  }
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  ~TlsSession() = default;

  /// Goes on with the handshake as far as it can.
  TlsNext handshake() {
    if (error_) return TlsNext::failed;
    if (state_ == State::shaking) {
      ERR_clear_error();
      const int result = SSL_do_handshake(ssl_.get());
      if (result != 1) return after(result);
      if (context_->kind() == Security::Kind::shared_key && SSL_session_reused(ssl_.get()) != 1) {
        return fail({SecureError::other_kind, false, "no key was used"});
      }
      state_ = State::confirming;
    }
    if (state_ == State::confirming) {
      unsigned char byte = is_server_ ? content : 0;
      const TlsNext next = (is_server_ ? write({&byte, 1}) : read({&byte, 1})).first;
      if (next == TlsNext::goodbye) return fail({SecureError::cut, true, {}});
      if (next != TlsNext::nothing) return next;
      if (byte != content) return fail({SecureError::damaged, false, "not a Gossamer node"});
      state_ = State::open;
    }
    return TlsNext::nothing;
  }

  /// Reads into `into`, which must not be empty: at most a record, and how much.
  std::pair<TlsNext, std::size_t> read(std::span<unsigned char> into) {
    if (error_) return {TlsNext::failed, 0};
    std::size_t size = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_.get(), into.data(), into.size(), &size);
    return {result == 1 ? TlsNext::nothing : after(result), size};
  }

  /// Writes of `from`, which must not be empty: at most a record, and how much. Tried again, it
  /// must begin with the same bytes, of which there may be more.
  std::pair<TlsNext, std::size_t> write(std::span<const unsigned char> from) {
    if (error_) return {TlsNext::failed, 0};
    std::size_t size = 0;
    ERR_clear_error();
    // Only when that goes out at once: until then nothing is read, either.
    if (records_ >= rekey_after_ && !is_writing_ && socket_.has_room()) {
      SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED);
      records_ = 0;
    }
    const int result = SSL_write_ex(ssl_.get(), from.data(), from.size(), &size);
    is_writing_ = result != 1;
    if (result == 1) {
      ++records_;
      return {TlsNext::nothing, size};
    }
    const TlsNext next = after(result);  // who has said goodbye may hang up on us
    return {next == TlsNext::goodbye ? cut() : next, 0};
  }

  /// Says that nothing more will be written.
  TlsNext goodbye() {
    if (error_ || state_ != State::open) return TlsNext::nothing;
    ERR_clear_error();
    const int result = SSL_shutdown(ssl_.get());
    return result >= 0 ? TlsNext::nothing : after(result);
  }

  /// Why the session failed.
  [[nodiscard]] std::error_code error() const { return error_ ? error_->kind : std::error_code(); }
  /// The same as a sentence; empty if it did not fail.
  [[nodiscard]] std::string failure() const {
    return error_ ? sentence(*error_, peer_, context_->expected(), state_ == State::open)
                  : std::string();
  }
  /// Whether it was the peer who refused.
  [[nodiscard]] bool refused_by_peer() const noexcept { return error_ && error_->by_peer; }

  /// The subject of the peer's certificate, in quotes; empty if it has none.
  [[nodiscard]] std::string peer_subject() const {
    const std::unique_ptr<X509, void (*)(X509*)> one(SSL_get1_peer_certificate(ssl_.get()),
                                                     X509_free);
    return one ? tls_text::subject(one.get()) : std::string();
  }
  /// Whether the peer's certificate lets it be that node: it names that one or none, as a URI among
  /// its alternative names.
  [[nodiscard]] bool may_be_node(std::uint64_t number) const {
    const std::unique_ptr<X509, void (*)(X509*)> one(SSL_get1_peer_certificate(ssl_.get()),
                                                     X509_free);
    if (!one) return true;
    const std::unique_ptr<GENERAL_NAMES, void (*)(GENERAL_NAMES*)> names(
        static_cast<GENERAL_NAMES*>(
            X509_get_ext_d2i(one.get(), NID_subject_alt_name, nullptr, nullptr)),
        GENERAL_NAMES_free);
    const std::string prefix = "gossamer:node:";
    bool names_none = true;
    for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
      const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
      if (name->type != GEN_URI) continue;
      const ASN1_STRING* text = name->d.uniformResourceIdentifier;
      const std::string uri(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                            static_cast<std::size_t>(ASN1_STRING_length(text)));
      if (uri == prefix + std::to_string(number)) return true;
      names_none = names_none && !uri.starts_with(prefix);
    }
    return names_none;
  }
  /// For logs.
  [[nodiscard]] std::string secured_by() const {
    if (state_ != State::open) return "nothing yet";
    return context_->kind() == Security::Kind::shared_key
               ? "TLS 1.3, shared key"
               : "TLS 1.3, certificate " + peer_subject();
  }

 private:
  enum class State : std::uint8_t { shaking, confirming, open };
  static constexpr unsigned char content = 0x06;  // ASCII's "acknowledge"

  TlsNext fail(TlsFailure failure) {
    error_ = std::move(failure);
    return TlsNext::failed;
  }

  /// The connection ended without a goodbye.
  TlsNext cut() {
    const std::error_code error = socket_.error();
    return fail({SecureError::cut, false, error ? error.message() : std::string()});
  }

  /// After a call to OpenSSL that did not succeed.
  TlsNext after(int result) {
    const int what = SSL_get_error(ssl_.get(), result);
    if (what == SSL_ERROR_WANT_READ) return TlsNext::readable;
    if (what == SSL_ERROR_WANT_WRITE) return TlsNext::writable;
    if (what == SSL_ERROR_ZERO_RETURN) return TlsNext::goodbye;
    const unsigned long code = ERR_peek_error();
    ERR_clear_error();
    if (state_ == State::shaking && !socket_.began_as_tls()) {
      return fail({SecureError::not_tls, false, {}});
    }
    if (what == SSL_ERROR_SYSCALL || ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
      return cut();
    }
    TlsFailure failure = failure_of(code, flaw_, context_->kind());
    if (!flaw_text_.empty()) failure.detail = flaw_text_;
    if (state_ == State::open && !failure.by_peer) failure.kind = SecureError::damaged;
    return fail(std::move(failure));
  }

  /// Called by OpenSSL for each certificate of the peer's chain.
  static int remember_flaw(int good, X509_STORE_CTX* store) {
    const auto* ssl = static_cast<const SSL*>(
        X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    auto* self = static_cast<TlsSession*>(SSL_get_app_data(ssl));
    if (good != 1 && self->flaw_text_.empty()) {
      self->flaw_ = X509_STORE_CTX_get_error(store);
      self->flaw_text_ = X509_verify_cert_error_string(self->flaw_);
      const X509* own = X509_STORE_CTX_get0_cert(store);  // the peer's, or above it in its chain:
      const X509* one = X509_STORE_CTX_get_current_cert(store);
      if (own != nullptr && one != nullptr) {
        self->flaw_text_ = tls_text::subject(own) +
                           (own == one ? "" : " by " + tls_text::subject(one)) + ", valid from " +
                           tls_text::date(X509_get0_notBefore(one)) + " to " +
                           tls_text::date(X509_get0_notAfter(one)) + ": " + self->flaw_text_;
      }
    }
    return good;
  }

  std::shared_ptr<const TlsContext> context_;
  std::string peer_;
  std::uint64_t rekey_after_;
  std::uint64_t records_ = 0;
  State state_ = State::shaking;
  bool is_server_;
  bool is_writing_ = false;  // a record waits until it can be written
  std::optional<TlsFailure> error_;
  int flaw_ = X509_V_OK;
  std::string flaw_text_;
  TlsSocket socket_;
  std::unique_ptr<SSL, void (*)(SSL*)> ssl_;
};

}  // namespace gossamer::transport
