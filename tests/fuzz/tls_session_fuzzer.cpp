// SPDX-License-Identifier: MIT
/// Fuzzes a secured session: whatever a stranger says, in whatever pieces, before or after a member
/// was let in, nothing is believed, little is answered, and the reason is one line.
#include <gossamer/transport/tcp/security.hpp>
#include <gossamer/transport/tcp/tls_context.hpp>
#include <gossamer/transport/tcp/tls_session.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>
#include <vector>

namespace {

using gossamer::transport::Security;
using gossamer::transport::TlsContext;
using gossamer::transport::TlsNext;
using gossamer::transport::TlsRole;
using gossamer::transport::TlsSession;

void require(bool good) {
  if (!good) std::abort();
}

std::shared_ptr<const TlsContext> shared_key() {
  std::vector<unsigned char> key(32);
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<unsigned char>(7 * i);
  return std::make_shared<TlsContext>(Security::shared_key_bytes(key));
}

/// Goes on, be it with the handshake or with reading.
TlsNext step(TlsSession& session, bool open) {
  if (!open) return session.handshake();
  std::array<unsigned char, 256> into;
  const auto [next, size] = session.read(into);
  require(size == 0);  // no stranger's byte gets through
  return next;
}

/// A session's socket, and a stranger's hand on the cable.
struct Wire {
  Wire() { require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  ~Wire() {
    close(ends[0]);
    close(ends[1]);
  }
  /// How much was said and not yet taken, which `to` is told.
  std::size_t pass(const Wire* to) const {
    std::array<unsigned char, 65'536> bytes;
    const ssize_t size = recv(ends[1], bytes.data(), bytes.size(), 0);
    if (size <= 0) return 0;
    if (to != nullptr) require(send(to->ends[1], bytes.data(), size, 0) == size);
    return static_cast<std::size_t>(size);
  }
  int ends[2] = {-1, -1};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  static const auto context = shared_key();  // takes longer to make than all that follows
  const bool open = (data[0] & 1U) != 0;
  const TlsRole role = (data[0] & 2U) != 0 ? TlsRole::client : TlsRole::server;
  const TlsRole other_role = role == TlsRole::client ? TlsRole::server : TlsRole::client;
  const Wire wire;
  TlsSession session(context, role, wire.ends[0], "peer");
  if (open) {
    const Wire other;
    TlsSession member(context, other_role, other.ends[0], "peer");
    TlsNext mine = TlsNext::readable;
    TlsNext its = TlsNext::readable;
    for (int turn = 0; mine == TlsNext::readable || its == TlsNext::readable; ++turn) {
      require(turn < 10);
      mine = session.handshake();
      wire.pass(&other);
      its = member.handshake();
      other.pass(&wire);
    }
    require(mine == TlsNext::nothing && its == TlsNext::nothing);
    wire.pass(nullptr);
  }
  TlsNext next = step(session, open);
  const std::size_t piece = std::size_t{1} + data[1];
  for (std::size_t at = 2; at < size && next == TlsNext::readable; at += piece) {
    const std::size_t part = std::min(piece, size - at);
    require(send(wire.ends[1], data + at, part, 0) == static_cast<ssize_t>(part));
    next = step(session, open);
  }
  require(next == TlsNext::readable || next == TlsNext::failed);
  require((next == TlsNext::failed) == static_cast<bool>(session.error()));
  require(wire.pass(nullptr) < TlsSession::record_bytes);
  const std::string text = session.failure();
  require(text.empty() == (next == TlsNext::readable));
  require(text.size() < 1000 && text.find('\n') == std::string::npos);
  return 0;
}
