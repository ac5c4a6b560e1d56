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
#include <span>
#include <string>
#include <vector>

namespace {

using gossamer::transport::Security;
using gossamer::transport::TlsContext;
using gossamer::transport::TlsNext;
using gossamer::transport::TlsRole;
using gossamer::transport::TlsSession;

using Bytes = std::span<const unsigned char>;

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

TlsNext tell(TlsSession& session, Bytes bytes, std::size_t piece, bool open) {
  TlsNext next = step(session, open);
  while (next == TlsNext::input && !bytes.empty()) {
    const auto room = session.input();
    const auto size = std::min({room.size(), bytes.size(), piece});
    std::copy_n(bytes.begin(), size, room.begin());
    session.received(size);
    bytes = bytes.subspan(size);
    next = step(session, open);
  }
  return next;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  static const auto context = shared_key();  // takes longer to make than all that follows
  const bool open = (data[0] & 1U) != 0;
  const TlsRole role = (data[0] & 2U) != 0 ? TlsRole::client : TlsRole::server;
  const TlsRole other_role = role == TlsRole::client ? TlsRole::server : TlsRole::client;
  TlsSession session(context, role, "peer");
  if (open) {
    TlsSession member(context, other_role, "peer");
    while (session.handshake() == TlsNext::input || member.handshake() == TlsNext::input) {
      tell(member, session.output(), 4096, false);
      tell(session, member.output(), 4096, false);
    }
    (void)session.output();
  }
  const TlsNext next = tell(session, {data + 2, size - 2}, std::size_t{1} + data[1], open);
  require(next == TlsNext::input || next == TlsNext::failed);
  require((next == TlsNext::failed) == static_cast<bool>(session.error()));
  require(session.output_size() < TlsSession::record_bytes);
  const std::string text = session.failure();
  require(text.empty() == (next == TlsNext::input));
  require(text.size() < 1000 && text.find('\n') == std::string::npos);
  return 0;
}
