// SPDX-License-Identifier: MIT
/// One secured connection without a socket: bytes from the peer go in, bytes for the peer come out.
/// Needs OpenSSL 3 (libssl).
#pragma once

#include <gossamer/transport/tcp/secure_error.hpp>
#include <gossamer/transport/tcp/tls_context.hpp>
#include <gossamer/transport/tcp/tls_failure.hpp>
#include <gossamer/transport/tcp/tls_pipe.hpp>
#include <gossamer/transport/tcp/tls_text.hpp>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>

namespace gossamer::transport {

/// Which side of a handshake: who connected is the client.
enum class TlsRole : std::uint8_t { client, server };

/// What a session needs next.
enum class TlsNext : std::uint8_t {
  nothing,  ///< done
  input,    ///< bytes from the peer; first send it what `output()` has
  goodbye,  ///< nothing: the peer has said that it ends
  failed,   ///< nothing: see `error()`; `output()` may have an alert that tells the peer
};

/// TLS over two pieces of memory. In TLS 1.3 a client is done before the server has judged its
/// certificate; so the server says a byte when it is content, for which the client waits.
///
/// Threads  one at a time.
class TlsSession {
 public:
  /// As much data as a TLS record can have.
  static constexpr std::size_t record_bytes = 16'384;
  /// After how many records the keys for sending change: half of what RFC 8446, 5.5, allows.
  static constexpr std::uint64_t records_per_key = std::uint64_t{1} << 23U;

  /// `peer`: what failures call it. Throws std::bad_alloc.
  TlsSession(std::shared_ptr<const TlsContext> context, TlsRole role, std::string peer,
             std::uint64_t rekey_after = records_per_key)
      : context_(std::move(context)),
        peer_(std::move(peer)),
        rekey_after_(rekey_after),
        is_server_(role == TlsRole::server),
        ssl_(SSL_new(context_->native_handle()), SSL_free) {
    if (!ssl_) throw std::bad_alloc();
    SSL_set_app_data(ssl_.get(), this);
    BIO* bio = pipe_.new_bio();  // one reference for both directions
    if (bio == nullptr) throw std::bad_alloc();
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
      unsigned char byte = content;
      if (is_server_) {
        if (write({&byte, 1}) != TlsNext::nothing) return TlsNext::failed;
      } else {
        byte = 0;
        const auto [next, size] = read({&byte, 1});
        if (next == TlsNext::goodbye) return fail({SecureError::cut, true, {}});
        if (next != TlsNext::nothing) return next;
        if (byte != content) return fail({SecureError::damaged, false, "not a Gossamer node"});
      }
      state_ = State::open;
    }
    return TlsNext::nothing;
  }

  /// Decrypts into `into`, which must not be empty: at most a record, and how much.
  std::pair<TlsNext, std::size_t> read(std::span<unsigned char> into) {
    if (error_) return {TlsNext::failed, 0};
    std::size_t size = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_.get(), into.data(), into.size(), &size);
    return result == 1 ? std::pair(TlsNext::nothing, size) : std::pair(after(result), size);
  }

  /// Encrypts all of `from`, which must not be empty, into `output()`.
  TlsNext write(std::span<const unsigned char> from) {
    if (error_) return TlsNext::failed;
    ERR_clear_error();
    records_ += (from.size() + record_bytes - 1) / record_bytes;
    if (records_ > rekey_after_) {
      SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED);
      records_ = 0;
    }
    std::size_t size = 0;
    const int result = SSL_write_ex(ssl_.get(), from.data(), from.size(), &size);
    return result == 1 ? TlsNext::nothing : after(result);
  }

  /// Says that nothing more will be written.
  void goodbye() {
    if (error_ || state_ == State::shaking) return;
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
  }

  /// Where bytes from the peer go when `input` is wanted, and that `size` of them came. Small until
  /// the handshake is over: unauthenticated peers get no memory.
  std::span<unsigned char> input() { return pipe_.input(state_ == State::open); }
  void received(std::size_t size) { pipe_.received(size); }
  /// The peer ended the connection, or the network did, for the reason that is given.
  void cut(const std::error_code& reason, bool orderly) {
    if (!error_) fail({SecureError::cut, false, orderly ? std::string() : reason.message()});
  }

  /// How many bytes wait to be sent.
  [[nodiscard]] std::size_t output_size() const noexcept { return pipe_.output_size(); }
  /// Those bytes; valid until `output` is called again. New ones are gathered meanwhile.
  std::span<const unsigned char> output() { return pipe_.output(); }

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

  /// After a call to OpenSSL that did not succeed.
  TlsNext after(int result) {
    switch (SSL_get_error(ssl_.get(), result)) {
      case SSL_ERROR_WANT_READ:
        return TlsNext::input;
      case SSL_ERROR_ZERO_RETURN:
        return TlsNext::goodbye;
      default:
        break;
    }
    TlsFailure failure = failure_of(ERR_peek_error(), flaw_, context_->kind());
    ERR_clear_error();
    if (!flaw_text_.empty()) failure.detail = flaw_text_;
    if (state_ == State::shaking && !failure.by_peer && !pipe_.began_as_tls()) {
      failure = {SecureError::not_tls, false, {}};
    }
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
  std::optional<TlsFailure> error_;
  int flaw_ = X509_V_OK;
  std::string flaw_text_;
  TlsPipe pipe_;
  std::unique_ptr<SSL, void (*)(SSL*)> ssl_;
};

}  // namespace gossamer::transport
