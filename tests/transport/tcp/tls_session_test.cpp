// SPDX-License-Identifier: MIT
/// Two secured sessions without sockets: what they say when they cannot agree, on both sides, and
/// what becomes of bytes that are repeated or changed.
#include <gossamer/transport/tcp/secure_error.hpp>
#include <gossamer/transport/tcp/tls_context.hpp>
#include <gossamer/transport/tcp/tls_session.hpp>

#include <openssl/ssl.h>
#include <tests/support.hpp>
#include <tests/transport/tcp/small_authority.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <system_error>
#include <vector>

namespace {

using gossamer::transport::SecureError;
using gossamer::transport::Security;
using gossamer::transport::TlsContext;
using gossamer::transport::TlsNext;
using gossamer::transport::TlsRole;
using gossamer::transport::TlsSession;
using tests::CertificateFlaws;
using tests::contains;
using tests::key_of;
using tests::SmallAuthority;

using Bytes = std::vector<unsigned char>;

std::shared_ptr<const TlsContext> context(const Security& security) {
  return std::make_shared<TlsContext>(security);
}

/// What a session has to say.
Bytes said_by(TlsSession& session) {
  const auto output = session.output();
  return {output.begin(), output.end()};
}

/// Tells a session `bytes`, in pieces that fit, and lets it go on.
TlsNext tell(TlsSession& session, const Bytes& bytes) {
  TlsNext next = session.handshake();
  for (std::size_t at = 0; at < bytes.size() && next == TlsNext::input;) {
    const auto room = session.input();
    const auto size = std::min(room.size(), bytes.size() - at);
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), size, room.begin());
    session.received(size);
    at += size;
    next = session.handshake();
  }
  return next;
}

/// A client and a server that talk until both are done or nothing moves.
struct Pair {
  Pair(const std::shared_ptr<const TlsContext>& ours,
       const std::shared_ptr<const TlsContext>& theirs)
      : client(ours, TlsRole::client, "the server"),
        server(theirs, TlsRole::server, "the client") {}
  Pair(const Security& ours, const Security& theirs) : Pair(context(ours), context(theirs)) {}

  Pair& talk() {
    client_next = client.handshake();
    server_next = server.handshake();
    for (;;) {
      const Bytes from_client = said_by(client);
      server_next = tell(server, from_client);
      const Bytes from_server = said_by(server);
      client_next = tell(client, from_server);
      flights_to_server.push_back(from_client);
      if (from_client.empty() && from_server.empty()) return *this;
    }
  }

  TlsSession client;
  TlsSession server;
  TlsNext client_next{};
  TlsNext server_next{};
  std::vector<Bytes> flights_to_server;
};

/// Writes on one side, reads on the other.
Bytes carry(
    TlsSession& from, TlsSession& to, const Bytes& bytes,
    const std::function<void(Bytes&)>& tamper = [](Bytes&) {}) {
  REQUIRE(from.write(bytes) == TlsNext::nothing);
  Bytes wire = said_by(from);
  tamper(wire);
  Bytes got;
  Bytes part(TlsSession::record_bytes);
  std::size_t at = 0;
  for (;;) {
    const auto [next, size] = to.read(part);
    if (next == TlsNext::nothing) {
      got.insert(got.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(size));
    } else if (next == TlsNext::input && at < wire.size()) {
      const auto room = to.input();
      const auto now = std::min(room.size(), wire.size() - at);
      std::copy_n(wire.begin() + static_cast<std::ptrdiff_t>(at), now, room.begin());
      to.received(now);
      at += now;
    } else {
      return got;
    }
  }
}

Bytes noise(std::size_t size) {
  std::minstd_rand random(tests::seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<unsigned char>(random());
  return bytes;
}

/// A peer that is no Gossamer node: OpenSSL as `prepare` wants it.
class Foreigner {
 public:
  template <class Prepare>
  Foreigner(TlsRole role, Prepare prepare)
      : context_(SSL_CTX_new(TLS_method()), SSL_CTX_free), ssl_(nullptr, SSL_free) {
    prepare(context_.get());
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if (role == TlsRole::client) {
      SSL_set_connect_state(ssl_.get());
    } else {
      SSL_set_accept_state(ssl_.get());
    }
  }
  /// Talks with a session until nothing moves; what became of the session.
  TlsNext talk(TlsSession& with) {
    for (;;) {
      SSL_do_handshake(ssl_.get());
      Bytes bytes(static_cast<std::size_t>(BIO_pending(SSL_get_wbio(ssl_.get()))));
      if (!bytes.empty()) {
        BIO_read(SSL_get_wbio(ssl_.get()), bytes.data(), static_cast<int>(bytes.size()));
      }
      const TlsNext next = tell(with, bytes);
      const Bytes answer = said_by(with);
      if (bytes.empty() && answer.empty()) return next;
      BIO_write(SSL_get_rbio(ssl_.get()), answer.data(), static_cast<int>(answer.size()));
    }
  }

 private:
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_;
  std::unique_ptr<SSL, void (*)(SSL*)> ssl_;
};

void check(TlsSession& session, SecureError kind, const std::string& peer,
           const std::vector<std::string>& parts) {
  CHECK(session.error() == make_error_code(kind));
  const std::string text = session.failure();
  CAPTURE(text, session.error().message());
  CHECK(text.rfind(peer + ": ", 0) == 0);
  for (const std::string& part : parts) CHECK_THAT(text, contains(part));
  CHECK(text.find('\n') == std::string::npos);
}

}  // namespace

TEST_CASE("Two members agree and name what secures them", "[transport][tcp][parse]") {
  const SmallAuthority authority;
  Pair certified(authority.node("node 1"), authority.node("node 2"));
  certified.talk();
  CHECK(certified.client.secured_by() == "TLS 1.3, certificate 'CN=node 2'");
  CHECK(certified.server.secured_by() == "TLS 1.3, certificate 'CN=node 1'");

  Pair keyed(key_of(1), key_of(1));
  CHECK(keyed.client.secured_by() == "nothing yet");
  keyed.talk();
  CHECK(keyed.client.secured_by() == "TLS 1.3, shared key");
  CHECK(keyed.server.secured_by() == "TLS 1.3, shared key");

  for (Pair* pair : {&certified, &keyed}) {
    CHECK(pair->client_next == TlsNext::nothing);
    CHECK(pair->server_next == TlsNext::nothing);
    CHECK(pair->client.failure().empty());
    for (const std::size_t size : {std::size_t{1}, std::size_t{16'384}, std::size_t{1'000'000}}) {
      const Bytes bytes = noise(size);
      CHECK(carry(pair->client, pair->server, bytes) == bytes);
      CHECK(carry(pair->server, pair->client, bytes) == bytes);
    }
  }
}

TEST_CASE("Nothing of what is said can be read on the wire", "[transport][tcp]") {
  Pair pair(key_of(1), key_of(1));
  pair.talk();
  const Bytes secret(1000, 'w');
  Bytes wire;
  carry(pair.client, pair.server, secret, [&](Bytes& bytes) { wire = bytes; });
  CHECK(wire.size() > secret.size());
  const Bytes part(secret.begin(), secret.begin() + 8);
  CHECK(std::search(wire.begin(), wire.end(), part.begin(), part.end()) == wire.end());
}

TEST_CASE("Another authority is refused, and both sides say so", "[transport][tcp][parse]") {
  const SmallAuthority ours("ours");
  const bool same_name = GENERATE(false, true);
  const SmallAuthority theirs(same_name ? "ours" : "theirs");
  Pair pair(ours.node("node 1"), theirs.node("node 2"));
  pair.talk();
  check(pair.client, SecureError::unknown_authority, "the server",
        {"signed by an authority that we do not know", "CN=node 2",
         "expected a certificate signed by the authority in " + ours.file().string(),
         "sign all certificates of a run with one authority"});
  check(pair.server, same_name ? SecureError::bad_certificate : SecureError::unknown_authority,
        "the client",
        {same_name ? "the peer refuses our certificate"
                   : "the peer does not know the authority that signed our certificate"});
  CHECK(pair.server.refused_by_peer());
}

TEST_CASE("A server refuses a client in words that the client hears", "[transport][tcp][parse]") {
  const SmallAuthority authority;
  const SmallAuthority other("other");
  // The client trusts the server's authority, but has its own certificate from another one.
  const auto own = other.node("stranger");
  const auto client = Security::certificates(authority.file(), own.chain(), own.key_file());
  Pair pair(client, authority.node("node 2"));
  pair.talk();
  check(pair.server, SecureError::unknown_authority, "the client",
        {"signed by an authority that we do not know", "'CN=stranger'"});
  check(pair.client, SecureError::unknown_authority, "the server",
        {"the peer does not know the authority that signed our certificate"});
}

TEST_CASE("Certificates past, before or beside their purpose are refused on both sides",
          "[transport][tcp][parse]") {
  struct Case {
    CertificateFlaws flaws;
    SecureError kind;
    std::string here;
    SecureError kind_there;
    std::string there;
  };
  const auto one = GENERATE(values<Case>({
      {{-7200, -3600, "serverAuth,clientAuth"},
       SecureError::expired,
       "the peer's certificate expired ('CN=flawed', valid from ",
       SecureError::expired,
       "the peer says that our certificate expired"},
      {{3600, 7200, "serverAuth,clientAuth"},
       SecureError::not_yet_valid,
       "the peer's certificate is not valid yet ('CN=flawed', valid from ",
       SecureError::bad_certificate,
       "the peer refuses our certificate"},
      {{-3600, 3600, "emailProtection"},
       SecureError::wrong_usage,
       "the peer's certificate is meant for something else ('CN=flawed'",
       SecureError::wrong_usage,
       "the peer says that our certificate is meant for something else"},
  }));
  const SmallAuthority authority;
  const auto good = authority.node("good");
  const auto flawed = authority.node("flawed", one.flaws);
  Pair client_flawed(flawed, good);
  client_flawed.talk();
  check(client_flawed.server, one.kind, "the client", {one.here});
  check(client_flawed.client, one.kind_there, "the server", {one.there});
  Pair server_flawed(good, flawed);
  server_flawed.talk();
  check(server_flawed.client, one.kind, "the server", {one.here});
  check(server_flawed.server, one.kind_there, "the client", {one.there});
}

TEST_CASE("An own certificate past or before its time is refused at the start",
          "[transport][tcp]") {
  const SmallAuthority authority;
  const auto text = [](const Security& security) {
    return tests::message_of<gossamer::ConfigError>([&] { TlsContext::make(security); });
  };
  CHECK_THAT(text(authority.node("old", {.begins_in = -7200, .ends_in = -3600})),
             contains("the certificate 'CN=old' in ") && contains(" expired on 2"));
  CHECK_THAT(text(authority.node("young", {.begins_in = 3600, .ends_in = 7200})),
             contains("'CN=young'") && contains("is this machine's clock right?"));
  CHECK(TlsContext::make(authority.node("good")) != nullptr);
  CHECK(TlsContext::make(Security::none()) == nullptr);
}

TEST_CASE("Another shared key is refused on both sides", "[transport][tcp][parse]") {
  Pair pair(key_of(1), key_of(2));
  pair.talk();
  check(pair.server, SecureError::wrong_shared_key, "the client",
        {"the peer has another shared key", "expected the same shared key",
         "copy one key file to all members"});
  check(pair.client, SecureError::wrong_shared_key, "the server",
        {"the peer has another shared key"});
  CHECK(pair.client.refused_by_peer());
}

TEST_CASE("A key against certificates is refused on both sides", "[transport][tcp][parse]") {
  const SmallAuthority authority;
  const auto certified = authority.node("node 1");
  Pair key_asks(key_of(1), certified);
  key_asks.talk();
  check(key_asks.client, SecureError::other_kind, "the server",
        {"the peer offers no way of securing the connection that we accept",
         "start both with certificates, or both with a shared key"});
  CHECK(key_asks.server.error());
  CHECK_THAT(key_asks.server.failure(), contains("the client: "));
  Pair key_answers(certified, key_of(1));
  key_answers.talk();
  check(
      key_answers.server, SecureError::other_kind, "the client",
      {"expected the same shared key", "start both with certificates, or both with a shared key"});
  check(key_answers.client, SecureError::other_kind, "the server",
        {"the peer refuses all ways of securing the connection that we offer"});
}

TEST_CASE("A peer that sends plain bytes is told from one that is damaged",
          "[transport][tcp][parse]") {
  const auto ours = context(key_of(1));
  for (const TlsRole role : {TlsRole::client, TlsRole::server}) {
    for (const std::string text : {"GET / HTTP/1.1\r\n\r\n", "GOSSAMER frames", "\x16\x05ZZZZZZ",
                                   "SSH-2.0-OpenSSH_9.2\r\n"}) {
      TlsSession session(ours, role, "10.0.0.3:4000");
      CHECK(tell(session, Bytes(text.begin(), text.end())) == TlsNext::failed);
      check(session, SecureError::not_tls, "10.0.0.3:4000",
            {"the peer sends plain bytes, expected the same shared key; start it with the same "
             "kind of security"});
    }
    TlsSession session(ours, role, "10.0.0.3:4000");
    const Bytes garbage = {22, 3, 3, 0, 8, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9};
    CHECK(tell(session, garbage) == TlsNext::failed);
    check(session, SecureError::damaged, "10.0.0.3:4000", {"bytes came that cannot be the peer's"});
  }
}

TEST_CASE("Another version of TLS is refused and named", "[transport][tcp][parse]") {
  const SmallAuthority authority;
  const auto ours = authority.node("node 1");
  const auto old = [&](SSL_CTX* ssl) {
    SSL_CTX_set_max_proto_version(ssl, TLS1_2_VERSION);
    SSL_CTX_use_certificate_chain_file(ssl, ours.chain().c_str());
    SSL_CTX_use_PrivateKey_file(ssl, ours.key_file().c_str(), SSL_FILETYPE_PEM);
  };
  TlsSession server(context(ours), TlsRole::server, "an old client");
  CHECK(Foreigner(TlsRole::client, old).talk(server) == TlsNext::failed);
  check(server, SecureError::other_version, "an old client", {"the peer offers no TLS 1.3"});
  TlsSession client(context(ours), TlsRole::client, "an old server");
  CHECK(Foreigner(TlsRole::server, old).talk(client) == TlsNext::failed);
  check(client, SecureError::other_version, "an old server", {"TLS 1.3"});
}

TEST_CASE("A client without a certificate, or with a key of another name, is refused",
          "[transport][tcp][parse]") {
  const SmallAuthority authority;
  TlsSession certified(context(authority.node("node 1")), TlsRole::server, "a browser");
  CHECK(Foreigner(TlsRole::client, [](SSL_CTX*) {}).talk(certified) == TlsNext::failed);
  check(certified, SecureError::no_certificate, "a browser", {"the peer shows no certificate"});

  const auto other_name = [](SSL_CTX* ssl) {
    SSL_CTX_set_psk_use_session_callback(ssl, [](SSL* s, const EVP_MD*, const unsigned char** id,
                                                 std::size_t* size, SSL_SESSION** session) {
      *session = SSL_SESSION_new();
      const unsigned char cipher[] = {0x13, 0x01};
      const unsigned char key[32] = {1, 2, 3};
      SSL_SESSION_set1_master_key(*session, key, sizeof key);
      SSL_SESSION_set_cipher(*session, SSL_CIPHER_find(s, cipher));
      SSL_SESSION_set_protocol_version(*session, TLS1_3_VERSION);
      *id = reinterpret_cast<const unsigned char*>("another");
      *size = 7;
      return 1;
    });
  };
  TlsSession keyed(context(key_of(1)), TlsRole::server, "a stranger");
  CHECK(Foreigner(TlsRole::client, other_name).talk(keyed) == TlsNext::failed);
  check(keyed, SecureError::other_kind, "a stranger",
        {"the peer offers no way of securing the connection that we accept"});
}

TEST_CASE("A recorded client is refused by a new session", "[transport][tcp][parse]") {
  const SmallAuthority authority;
  for (const Security& security : {key_of(1), authority.node("node 1")}) {
    const auto ours = context(security);
    Pair pair(ours, ours);
    pair.talk();
    REQUIRE(pair.client_next == TlsNext::nothing);
    REQUIRE(pair.flights_to_server.size() >= 2);
    TlsSession again(ours, TlsRole::server, "an echo");
    CHECK(tell(again, pair.flights_to_server[0]) == TlsNext::input);
    (void)again.output();
    CHECK(tell(again, pair.flights_to_server[1]) == TlsNext::failed);
    check(again, SecureError::damaged, "an echo",
          {"bytes came that cannot be the peer's", "changes, repeats or makes up bytes"});
    CHECK(again.secured_by() == "nothing yet");
  }
}

TEST_CASE("A record that is repeated or changed ends the session", "[transport][tcp][parse]") {
  const auto ours = context(key_of(1));
  const Bytes bytes = noise(40'000);
  const auto change = GENERATE(0, 1, 2);
  Pair pair(ours, ours);
  pair.talk();
  const Bytes got = carry(pair.client, pair.server, bytes, [&](Bytes& wire) {
    if (change == 0) wire[wire.size() - 20] ^= 1;                           // a bit
    if (change == 1) wire.insert(wire.end(), wire.begin(), wire.end());     // all again
    if (change == 2) wire.erase(wire.begin(), wire.begin() + 16'384 + 22);  // a record is gone
  });
  CHECK(got.size() == (change == 0 ? 32'768 : change == 1 ? 40'000 : 0));
  check(pair.server, SecureError::damaged, "the client", {"bytes came that cannot be the peer's"});
  CHECK(pair.server.read({}).first == TlsNext::failed);  // and stays so
}

TEST_CASE("No session is resumed and no ticket is given", "[transport][tcp]") {
  const SmallAuthority authority;
  const auto ours = context(authority.node("node 1"));
  const std::uint64_t options = SSL_CTX_get_options(ours->native_handle());
  CHECK((options & SSL_OP_NO_TICKET) != 0);
  CHECK((options & SSL_OP_NO_RENEGOTIATION) != 0);
  CHECK((options & SSL_OP_NO_COMPRESSION) != 0);
  CHECK((options & SSL_OP_ALLOW_NO_DHE_KEX) == 0);
  CHECK(SSL_CTX_get_num_tickets(ours->native_handle()) == 0);
  CHECK(SSL_CTX_get_max_early_data(ours->native_handle()) == 0);
  CHECK(SSL_CTX_get_min_proto_version(ours->native_handle()) == TLS1_3_VERSION);
  CHECK(SSL_CTX_get_max_proto_version(ours->native_handle()) == TLS1_3_VERSION);
}

TEST_CASE("Keys change under way, as often as need be", "[transport][tcp]") {
  const auto ours = context(key_of(1));
  Pair pair(ours, ours);
  pair.talk();
  TlsSession client(ours, TlsRole::client, "the server", /*rekey_after=*/2);
  TlsSession server(ours, TlsRole::server, "the client", /*rekey_after=*/2);
  TlsNext next = client.handshake();
  while (next == TlsNext::input) {
    tell(server, said_by(client));
    next = tell(client, said_by(server));
  }
  REQUIRE(next == TlsNext::nothing);
  const Bytes bytes = noise(16'384);
  for (int i = 0; i < 300; ++i) {
    REQUIRE(carry(client, server, bytes) == bytes);
    REQUIRE(carry(server, client, bytes) == bytes);
  }
  // Every third record is preceded by a change of keys, which takes bytes of its own.
  Bytes wire;
  std::size_t with_change = 0;
  std::size_t without = 0;
  for (int i = 0; i < 30; ++i) {
    carry(client, server, bytes, [&](Bytes& all) { wire = all; });
    ++(wire.size() > bytes.size() + 22 ? with_change : without);
  }
  CHECK(with_change == 10);
  CHECK(without == 20);
}

TEST_CASE("A goodbye is told from an end without one", "[transport][tcp]") {
  const auto ours = context(key_of(1));
  Pair pair(ours, ours);
  pair.talk();
  pair.client.goodbye();
  const Bytes wire = said_by(pair.client);
  REQUIRE_FALSE(wire.empty());
  unsigned char byte = 0;
  CHECK(pair.server.read({&byte, 1}).first == TlsNext::input);
  std::copy(wire.begin(), wire.end(), pair.server.input().begin());
  pair.server.received(wire.size());
  CHECK(pair.server.read({&byte, 1}).first == TlsNext::goodbye);
  CHECK(pair.server.failure().empty());
  CHECK(pair.server.write({&byte, 1}) == TlsNext::nothing);  // the other direction goes on

  pair.client.cut(std::make_error_code(std::errc::connection_reset), false);
  check(pair.client, SecureError::cut, "the server", {"the connection ended without a goodbye"});
}
