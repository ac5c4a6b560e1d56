// SPDX-License-Identifier: MIT
/// Two secured sessions: what they say when they cannot agree, on both sides, and what becomes of
/// bytes that are repeated or changed.
#include <gossamer/transport/tcp/secure_error.hpp>
#include <gossamer/transport/tcp/tls_context.hpp>
#include <gossamer/transport/tcp/tls_session.hpp>

#include <openssl/ssl.h>
#include <tests/support.hpp>
#include <tests/transport/tcp/small_authority.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <sys/socket.h>
#include <sys/types.h>
#include <system_error>
#include <tuple>
#include <unistd.h>
#include <utility>
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

/// A session or a foreigner on a socket, and the other end of that socket.
class Wire {
 public:
  Wire() { REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends_) == 0); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  ~Wire() {
    close(ends_[0]);
    close(ends_[1]);
  }
  [[nodiscard]] int end() const { return ends_[0]; }
  /// All that was said and not yet taken.
  [[nodiscard]] Bytes said() const {
    Bytes bytes(1'000'000);
    const ssize_t size = recv(ends_[1], bytes.data(), bytes.size(), 0);
    bytes.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return bytes;
  }
  void tell(const Bytes& bytes) const {
    REQUIRE(send(ends_[1], bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(bytes.size()));
  }
  /// Says no more, or hears no more either.
  void end_with(int how) const { shutdown(ends_[1], how); }

 private:
  int ends_[2] = {-1, -1};
};

struct Speaker {
  Speaker(std::shared_ptr<const TlsContext> ours, TlsRole role, std::string peer,
          std::uint64_t rekey_after = TlsSession::records_per_key)
      : session(std::move(ours), role, wire.end(), std::move(peer), rekey_after) {}
  TlsNext tell(const Bytes& bytes) {
    session.handshake();  // who dials speaks first
    wire.tell(bytes);
    return session.handshake();
  }
  Wire wire;
  TlsSession session;
};

/// A client and a server, and who carries their bytes.
struct Pair {
  Pair(const std::shared_ptr<const TlsContext>& ours,
       const std::shared_ptr<const TlsContext>& theirs,
       std::uint64_t rekey_after = TlsSession::records_per_key)
      : one(ours, TlsRole::client, "the server", rekey_after),
        two(theirs, TlsRole::server, "the client", rekey_after) {}
  Pair(const Security& ours, const Security& theirs) : Pair(context(ours), context(theirs)) {}

  /// Until nothing moves.
  Pair& talk() {
    for (bool moves = true; moves;) {
      client.handshake();
      flights_to_server.push_back(one.wire.said());
      two.wire.tell(flights_to_server.back());
      server.handshake();
      const Bytes back = two.wire.said();
      one.wire.tell(back);
      moves = !back.empty() || !flights_to_server.back().empty();
    }
    return *this;
  }
  [[nodiscard]] bool is_open() {
    return client.handshake() == TlsNext::nothing && server.handshake() == TlsNext::nothing;
  }

  Speaker one;
  Speaker two;
  TlsSession& client = one.session;
  TlsSession& server = two.session;
  std::vector<Bytes> flights_to_server;
};

/// The client writes, the server reads.
Bytes carry(
    Pair& pair, const Bytes& bytes, const std::function<void(Bytes&)>& tamper = [](Bytes&) {}) {
  Bytes got;
  Bytes wire;
  for (std::span<const unsigned char> left = bytes; !left.empty();) {
    const auto [next, size] = pair.client.write(left);
    REQUIRE(next == TlsNext::nothing);
    const Bytes said = pair.one.wire.said();
    wire.insert(wire.end(), said.begin(), said.end());
    left = left.subspan(size);
  }
  tamper(wire);
  pair.two.wire.tell(wire);
  Bytes part(TlsSession::record_bytes);
  for (;;) {
    const auto [next, size] = pair.server.read(part);
    if (next != TlsNext::nothing) return got;
    got.insert(got.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(size));
  }
}

Bytes noise(std::size_t size) {
  std::minstd_rand random(tests::seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<unsigned char>(random());
  return bytes;
}

/// Lets a peer that is no Gossamer node, OpenSSL as `prepare` wants it, talk until nothing moves.
template <class Prepare>
void talk_to_foreigner(Speaker& with, TlsRole role, Prepare prepare) {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> made(SSL_CTX_new(TLS_method()), SSL_CTX_free);
  prepare(made.get());
  const std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(made.get()), SSL_free);
  const Wire wire;
  SSL_set_fd(ssl.get(), wire.end());
  for (bool moves = true; moves;) {
    role == TlsRole::client ? SSL_connect(ssl.get()) : SSL_accept(ssl.get());
    const Bytes there = wire.said();
    with.wire.tell(there);
    with.session.handshake();
    const Bytes back = with.wire.said();
    wire.tell(back);
    moves = !there.empty() || !back.empty();
  }
}

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

TEST_CASE("Nothing of what is said can be read on the wire", "[transport][tcp]") {
  Pair pair(key_of(1), key_of(1));
  pair.talk();
  const Bytes secret(1000, 'w');
  Bytes wire;
  CHECK(carry(pair, secret, [&](Bytes& bytes) { wire = bytes; }) == secret);
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

TEST_CASE("A certificate that its authority has revoked is refused on both sides",
          "[transport][tcp][parse]") {
  const SmallAuthority authority;
  auto member = authority.node("member");
  const auto evicted = authority.node("evicted");
  CHECK(Pair(evicted, member).talk().is_open());
  member.revocation_list(authority.revoke({evicted}));
  CHECK(Pair(authority.node("other"), member).talk().is_open());
  Pair pair(evicted, member);
  pair.talk();
  check(pair.server, SecureError::revoked, "the client",
        {"the peer's certificate is revoked ('CN=evicted'"});
  check(pair.client, SecureError::revoked, "the server",
        {"the peer says that our certificate is revoked"});
  member.revocation_list(
      authority.revoke({}, /*ends_in=*/-3600));  // who knows what a newer one says
  Pair late(evicted, member);
  late.talk();
  check(late.server, SecureError::bad_certificate, "the client", {"CRL has expired"});
}

TEST_CASE("A certificate that names nodes is of no other", "[transport][tcp]") {
  const SmallAuthority authority;
  const auto none = authority.node("none", {.names = "DNS:alpha,URI:https://gossamer:node:7"});
  const auto two = authority.node("two", {.names = "URI:gossamer:node:3,URI:gossamer:node:70000"});
  Pair certified(none, two);
  REQUIRE(certified.talk().is_open());
  for (const std::uint64_t number : {3, 70'000, 0, 7, 30, 4}) {
    CAPTURE(number);
    CHECK(certified.client.may_be_node(number) == (number == 3 || number == 70'000));
    CHECK(certified.server.may_be_node(number));
  }
  Pair odd(none, authority.node("odd", {.names = "URI:gossamer:node:three"}));
  REQUIRE(odd.talk().is_open());
  CHECK_FALSE(odd.client.may_be_node(3));
  Pair keyed(key_of(1), key_of(1));
  REQUIRE(keyed.talk().is_open());
  CHECK(keyed.client.may_be_node(3));
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

TEST_CASE("While keys change, who dials with any of them is let in", "[transport][tcp]") {
  const tests::TemporaryFolder folder;
  const auto keys = [&](const std::string& name, const std::string& lines) {
    const auto path = folder.path() / name;
    std::ofstream(path) << lines;
    std::filesystem::permissions(path, std::filesystem::perms::owner_read);
    return Security::shared_key(path);
  };
  const std::string a = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef\n";
  const std::string b = "ff112233445566778899aabbccddeeff0123456789abcdef0123456789abcdee\n";
  const auto before = keys("a", a);
  const auto between = keys("ab", a + b);
  const auto after = keys("ba", b + a);
  const auto end = keys("b", b);
  const auto meet = [](const Security& client, const Security& server) {
    return Pair(client, server).talk().is_open();
  };
  CHECK(meet(before, between));
  CHECK(meet(between, before));
  CHECK(meet(before, after));
  CHECK(meet(between, after));
  CHECK(meet(after, between));
  CHECK(meet(end, after));
  CHECK_FALSE(meet(before, end));
  CHECK_FALSE(meet(after, before));  // it dials with the new key, which is not there yet
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
      Speaker plain(ours, role, "10.0.0.3:4000");
      CHECK(plain.tell(Bytes(text.begin(), text.end())) == TlsNext::failed);
      check(plain.session, SecureError::not_tls, "10.0.0.3:4000",
            {"the peer sends plain bytes, expected the same shared key; start it with the same "
             "kind of security"});
    }
    Speaker garbled(ours, role, "10.0.0.3:4000");
    CHECK(garbled.tell({22, 3, 3, 0, 8, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}) == TlsNext::failed);
    check(garbled.session, SecureError::damaged, "10.0.0.3:4000",
          {"bytes came that cannot be the peer's"});
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
  Speaker server(context(ours), TlsRole::server, "an old client");
  talk_to_foreigner(server, TlsRole::client, old);
  check(server.session, SecureError::other_version, "an old client",
        {"the peer offers no TLS 1.3"});
  Speaker client(context(ours), TlsRole::client, "an old server");
  talk_to_foreigner(client, TlsRole::server, old);
  check(client.session, SecureError::other_version, "an old server", {"TLS 1.3"});
}

TEST_CASE("A client without a certificate, or with a key of another name, is refused",
          "[transport][tcp][parse]") {
  const SmallAuthority authority;
  Speaker certified(context(authority.node("node 1")), TlsRole::server, "a browser");
  talk_to_foreigner(certified, TlsRole::client, [](SSL_CTX*) {});
  check(certified.session, SecureError::no_certificate, "a browser",
        {"the peer shows no certificate"});

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
  Speaker keyed(context(key_of(1)), TlsRole::server, "a stranger");
  talk_to_foreigner(keyed, TlsRole::client, other_name);
  check(keyed.session, SecureError::other_kind, "a stranger",
        {"the peer offers no way of securing the connection that we accept"});
}

TEST_CASE("A recorded client is refused by a new session", "[transport][tcp][parse]") {
  const SmallAuthority authority;
  for (const Security& security : {key_of(1), authority.node("node 1")}) {
    const auto ours = context(security);
    Pair pair(ours, ours);
    REQUIRE(pair.talk().is_open());
    REQUIRE(pair.flights_to_server.size() >= 2);
    Speaker again(ours, TlsRole::server, "an echo");
    CHECK(again.tell(pair.flights_to_server[0]) == TlsNext::readable);
    CHECK(again.tell(pair.flights_to_server[1]) == TlsNext::failed);
    check(again.session, SecureError::damaged, "an echo",
          {"bytes came that cannot be the peer's", "changes, repeats or makes up bytes"});
    CHECK(again.session.secured_by() == "nothing yet");
  }
}

TEST_CASE("A record that is repeated or changed ends the session", "[transport][tcp][parse]") {
  const auto ours = context(key_of(1));
  const Bytes bytes = noise(40'000);
  const auto change = GENERATE(0, 1, 2);
  Pair pair(ours, ours);
  pair.talk();
  const Bytes got = carry(pair, bytes, [&](Bytes& wire) {
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
  Pair pair(ours, ours, /*rekey_after=*/2);
  REQUIRE(pair.talk().is_open());
  // The third record, the fifth, ... are preceded by a change of keys, which takes bytes.
  const Bytes bytes = noise(TlsSession::record_bytes);
  std::size_t changes = 0;
  for (int i = 0; i < 300; ++i) {
    const Bytes got = carry(pair, bytes, [&](const Bytes& wire) {
      changes += wire.size() > bytes.size() + 22 ? 1 : 0;
    });
    REQUIRE(got == bytes);
  }
  CHECK(changes == 149);
}

TEST_CASE("A session goes on where a full socket stopped it, and reads meanwhile",
          "[transport][tcp]") {
  const auto ours = context(key_of(1));
  Pair pair(ours, ours, /*rekey_after=*/2);
  REQUIRE(pair.talk().is_open());
  const Bytes bytes = noise(5'000'000);
  Bytes got;
  Bytes part(TlsSession::record_bytes);
  std::span<const unsigned char> left = bytes;
  int stops = 0;
  while (got.size() < bytes.size()) {
    TlsNext next = TlsNext::nothing;
    while (!left.empty() && next == TlsNext::nothing) {
      const Bytes moved(left.begin(), left.begin() + std::min(left.size(), part.size()));
      std::size_t size = 0;  // tried again from another place
      std::tie(next, size) = pair.client.write(moved);
      left = left.subspan(size);
    }
    stops += next == TlsNext::writable ? 1 : 0;
    REQUIRE((next == TlsNext::writable) == !left.empty());
    const Bytes word = noise(100);
    REQUIRE(pair.server.write(word).first == TlsNext::nothing);
    pair.one.wire.tell(pair.two.wire.said());
    const auto [heard, size] = pair.client.read(part);  // between two tries of one record
    REQUIRE(heard == TlsNext::nothing);
    REQUIRE(Bytes(part.begin(), part.begin() + static_cast<std::ptrdiff_t>(size)) == word);
    for (Bytes said = pair.one.wire.said(); !said.empty(); said = pair.one.wire.said()) {
      for (std::size_t at = 0; at < said.size(); at += 50'000) {
        pair.two.wire.tell({said.begin() + at, said.begin() + std::min(said.size(), at + 50'000)});
        for (;;) {
          const auto [there, count] = pair.server.read(part);
          if (there != TlsNext::nothing) break;
          got.insert(got.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(count));
        }
      }
    }
  }
  CHECK(got == bytes);
  CHECK(stops > 3);
}

TEST_CASE("An end without a goodbye is named, before the handshake and after it, and no signal",
          "[transport][tcp]") {
  const auto ours = context(key_of(1));
  for (const bool open : {false, true}) {
    for (const int how : {SHUT_WR, SHUT_RDWR}) {
      Pair pair(ours, ours);
      if (open) REQUIRE(pair.talk().is_open());
      pair.one.wire.end_with(how);
      unsigned char byte = 0;
      if (how == SHUT_RDWR && open) pair.client.write({&byte, 1});
      if (open) CHECK(pair.client.read({&byte, 1}).first == TlsNext::failed);
      if (!open) CHECK(pair.client.handshake() == TlsNext::failed);
      check(pair.client, SecureError::cut, "the server",
            {open ? "the connection ended without a goodbye"
                  : "the connection ended in the middle of the handshake"});
    }
  }
}
