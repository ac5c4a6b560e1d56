// SPDX-License-Identifier: MIT
/// Two streams over a loopback connection: all that goes in comes out, and what ends, ends with a
/// reason and not with a hang.
#include <gossamer/transport/tcp/secure_error.hpp>
#include <gossamer/transport/tcp/security.hpp>
#include <gossamer/transport/tcp/stream.hpp>
#include <gossamer/transport/tcp/tls_context.hpp>

#include <asio/awaitable.hpp>
#include <asio/buffer.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <tests/support.hpp>
#include <tests/transport/tcp/small_authority.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace {

using asio::ip::tcp;
using gossamer::transport::SecureError;
using gossamer::transport::Security;
using gossamer::transport::Stream;
using gossamer::transport::TlsContext;
using gossamer::transport::TlsRole;
using tests::contains;
using tests::key_of;
using tests::SmallAuthority;

using Bytes = std::vector<unsigned char>;

Bytes noise(std::size_t size) {
  std::minstd_rand random(tests::seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<unsigned char>(random());
  return bytes;
}

/// What an operation came to.
struct Outcome {
  std::optional<std::error_code> error;
  std::size_t bytes = 0;

  /// No error; of whatever category, which depends on how often Asio had to wait.
  [[nodiscard]] bool went_well() const { return error && !*error; }
  auto take() {
    return [this](std::error_code e, std::size_t n = 0) {
      CHECK_FALSE(error);  // called once
      error = e;
      bytes = n;
    };
  }
};

/// A connection with a stream at each end.
struct Scene {
  Scene(const Security& ours, const Security& theirs) {
    tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
    tcp::socket one(io);
    one.connect(acceptor.local_endpoint());
    tcp::socket two = acceptor.accept();
    client.emplace(std::move(one), TlsContext::make(ours));
    server.emplace(std::move(two), TlsContext::make(theirs));
  }
  explicit Scene(const Security& both) : Scene(both, both) {}

  /// Runs until nothing is outstanding. A hang fails the test.
  void run() {
    io.restart();
    asio::steady_timer deadline(io, std::chrono::seconds(60));
    bool late = false;
    deadline.async_wait([&](std::error_code e) {
      if (e) return;
      late = true;
      client->close();
      server->close();
    });
    const auto done = [&] {
      return outcomes.empty() ||
             std::all_of(outcomes.begin(), outcomes.end(), [](Outcome* o) { return o->error; });
    };
    while (!done() && io.run_one() > 0) {
    }
    outcomes.clear();
    REQUIRE_FALSE(late);
  }
  auto take(Outcome& outcome) {
    outcome = {};
    outcomes.push_back(&outcome);
    return outcome.take();
  }

  void open() {
    Outcome one;
    Outcome two;
    client->async_handshake(TlsRole::client, take(one));
    server->async_handshake(TlsRole::server, take(two));
    run();
    REQUIRE(one.went_well());
    REQUIRE(two.went_well());
  }

  asio::io_context io;
  std::optional<Stream> client;
  std::optional<Stream> server;
  std::vector<Outcome*> outcomes;
};

/// Sends `bytes` in pieces of these sizes, the last one as long as need be.
std::vector<asio::const_buffer> pieces(const Bytes& bytes, const std::vector<std::size_t>& sizes) {
  std::vector<asio::const_buffer> buffers;
  asio::const_buffer rest = asio::buffer(bytes);
  for (const std::size_t size : sizes) {
    buffers.push_back(asio::buffer(rest, size));
    rest += size;
  }
  buffers.push_back(rest);
  return buffers;
}

std::vector<std::pair<std::string, Security>> all_kinds(const SmallAuthority& authority) {
  return {{"nothing", Security::none()},
          {"TLS 1.3, certificate 'CN=node 1'", authority.node("node 1")},
          {"TLS 1.3, shared key", key_of(1)}};
}

}  // namespace

TEST_CASE("What goes into a stream comes out at the other end, both ways at once",
          "[transport][tcp]") {
  const SmallAuthority authority;
  for (const auto& [name, security] : all_kinds(authority)) {
    Scene scene(security);
    scene.open();
    CHECK(scene.client->secured_by() == name);
    CHECK(scene.server->secured_by() == name);
    for (const std::size_t size : {1, 100, 16'384, 16'385, 1'100'000, 10'000'000}) {
      CAPTURE(name, size);
      const Bytes there = noise(size);
      Bytes back(there.rbegin(), there.rend());
      // Pieces of all lengths: none, a byte, a header, less and more than a record.
      const auto cut = size < 200'000
                           ? std::vector<std::size_t>{0, size / 2}
                           : std::vector<std::size_t>{0, 1, 64, 16'383, 0, 16'384, 70'000};
      Bytes at_server(size);
      Bytes at_client(size);
      std::array<Outcome, 4> done;
      scene.client->async_write(pieces(there, cut), scene.take(done[0]));
      scene.server->async_write(asio::buffer(back), scene.take(done[1]));
      const std::array<asio::mutable_buffer, 3> into = {asio::buffer(at_server.data(), size / 3),
                                                        asio::mutable_buffer(),
                                                        asio::buffer(at_server) + size / 3};
      scene.server->async_read(into, scene.take(done[2]));
      scene.client->async_read(asio::buffer(at_client), scene.take(done[3]));
      scene.run();
      for (const Outcome& one : done) {
        CHECK(one.went_well());
        CHECK(one.bytes == size);
      }
      CHECK(at_server == there);
      CHECK(at_client == back);
    }
  }
}

TEST_CASE("A stream reads what there is", "[transport][tcp]") {
  const SmallAuthority authority;
  for (const auto& [name, security] : all_kinds(authority)) {
    CAPTURE(name);
    Scene scene(security);
    scene.open();
    const Bytes bytes = noise(1000);
    Outcome wrote;
    Outcome got;
    Bytes into(10'000);
    scene.client->async_write(asio::buffer(bytes), scene.take(wrote));
    scene.server->async_read_some(asio::buffer(into), scene.take(got));
    scene.run();
    CHECK(got.went_well());
    CHECK(got.bytes == 1000);
    // In two parts, the second of which is there already.
    scene.client->async_write(asio::buffer(bytes), scene.take(wrote));
    scene.server->async_read_some(asio::buffer(into, 600), scene.take(got));
    scene.run();
    CHECK(got.bytes == 600);
    scene.server->async_read_some(asio::buffer(into) + 600, scene.take(got));
    CHECK_FALSE(got.error);  // not before the call returns
    scene.run();
    CHECK(got.bytes == 400);
    into.resize(1000);
    CHECK(into == bytes);
    // Nothing is read and written at once.
    scene.server->async_read_some(asio::mutable_buffer(), scene.take(got));
    scene.client->async_write(asio::const_buffer(), scene.take(wrote));
    CHECK_FALSE(got.error);
    CHECK_FALSE(wrote.error);
    scene.run();
    CHECK(got.went_well());
    CHECK(wrote.went_well());
  }
}

TEST_CASE("A large read gets its last bytes, though nothing follows them", "[transport][tcp]") {
  const SmallAuthority authority;
  for (const auto& [name, security] : all_kinds(authority)) {
    CAPTURE(name);
    Scene scene(security);
    scene.open();
    const Bytes bytes = noise(300'000);
    for (const std::size_t first : {1, 20'000, 100'000, 131'072, 200'000, 262'144, 299'999}) {
      CAPTURE(first);
      Outcome wrote;
      Outcome rest;
      Outcome got;
      Bytes into(bytes.size());
      scene.client->async_write(asio::buffer(bytes, first), scene.take(wrote));
      scene.run();
      scene.server->async_read(asio::buffer(into), scene.take(got));
      scene.io.poll();  // it has what came, and waits for more
      CHECK_FALSE(got.error);
      scene.client->async_write(asio::buffer(bytes) + first, scene.take(rest));
      scene.run();
      CHECK_FALSE(*got.error);
      CHECK(into == bytes);
    }
    // And a small one after it is not kept waiting.
    Outcome wrote;
    Outcome got;
    unsigned char byte = 0;
    scene.client->async_write(asio::buffer(bytes, 1), scene.take(wrote));
    scene.server->async_read(asio::buffer(&byte, 1), scene.take(got));
    scene.run();
    CHECK(byte == bytes.front());
  }
}

#ifdef ASIO_HAS_CO_AWAIT  // Asio 1.22 has no coroutines with Clang and libstdc++
TEST_CASE("A stream serves coroutines", "[transport][tcp]") {
  Scene scene(key_of(1));
  Bytes into(5);
  bool done = false;
  asio::co_spawn(
      scene.io,
      [&]() -> asio::awaitable<void> {
        co_await scene.client->async_handshake(TlsRole::client, asio::use_awaitable);
        co_await scene.client->async_write(asio::buffer("hello", 5), asio::use_awaitable);
        co_await scene.client->async_shutdown(asio::use_awaitable);
      },
      asio::detached);
  asio::co_spawn(
      scene.io,
      [&]() -> asio::awaitable<void> {
        co_await scene.server->async_handshake(TlsRole::server, asio::use_awaitable);
        co_await scene.server->async_read(asio::buffer(into), asio::use_awaitable);
        done = true;
      },
      asio::detached);
  scene.io.run();
  CHECK(done);
  CHECK(std::string(into.begin(), into.end()) == "hello");
}
#endif

TEST_CASE("A refused handshake names the peer's address on both sides", "[transport][tcp]") {
  Scene scene(key_of(1), key_of(2));
  const auto at = [](const tcp::endpoint& one) {
    return one.address().to_string() + ":" + std::to_string(one.port());
  };
  Outcome one;
  Outcome two;
  scene.client->async_handshake(TlsRole::client, scene.take(one));
  scene.server->async_handshake(TlsRole::server, scene.take(two));
  scene.run();
  CHECK(one.error == make_error_code(SecureError::wrong_shared_key));
  CHECK(two.error == make_error_code(SecureError::wrong_shared_key));
  CHECK(scene.client->failure().rfind(at(scene.client->socket().remote_endpoint()) + ": the peer",
                                      0) == 0);
  CHECK(scene.server->failure().rfind(at(scene.server->socket().remote_endpoint()) + ": the peer",
                                      0) == 0);
  CHECK(scene.client->peer() == at(scene.client->socket().remote_endpoint()));
  // Whoever writes or reads nevertheless gets the same reason.
  Outcome wrote;
  Outcome got;
  Bytes byte(1);
  scene.client->async_write(asio::buffer(byte), scene.take(wrote));
  scene.server->async_read(asio::buffer(byte), scene.take(got));
  scene.run();
  CHECK(wrote.error == make_error_code(SecureError::wrong_shared_key));
  CHECK(got.error == make_error_code(SecureError::wrong_shared_key));
}

TEST_CASE("Plain against secured ends with a reason", "[transport][tcp]") {
  Scene scene(Security::none(), key_of(1));
  Outcome plain;
  Outcome secured;
  scene.client->async_handshake(TlsRole::client, scene.take(plain));
  scene.server->async_handshake(TlsRole::server, scene.take(secured));
  Outcome wrote;
  scene.client->async_write(asio::buffer("GOSSAMER", 8), scene.take(wrote));
  scene.run();
  CHECK(plain.went_well());
  CHECK(secured.error == make_error_code(SecureError::not_tls));
  CHECK_THAT(scene.server->failure(), contains("the peer sends plain bytes"));
}

TEST_CASE("A connection that ends in a handshake is cut, on either side", "[transport][tcp]") {
  for (const bool client_goes : {true, false}) {
    for (const bool reset : {true, false}) {
      Scene scene(key_of(1));
      Stream& goes = client_goes ? *scene.client : *scene.server;
      Stream& stays = client_goes ? *scene.server : *scene.client;
      Outcome outcome;
      stays.async_handshake(client_goes ? TlsRole::server : TlsRole::client, scene.take(outcome));
      if (reset) goes.socket().set_option(asio::socket_base::linger(true, 0));
      goes.close();
      scene.run();
      CHECK(outcome.error == make_error_code(SecureError::cut));
      CHECK_THAT(stays.failure(), contains("the connection ended in the middle of the handshake"));
      CHECK_THAT(stays.failure(), contains("expected the same shared key; see the peer's log"));
    }
  }
}

TEST_CASE("A handshake held open is cancelled by a timer", "[transport][tcp]") {
  for (const TlsRole role : {TlsRole::server, TlsRole::client}) {
    Scene scene(key_of(1));  // the other side never says a word
    Stream& waits = role == TlsRole::server ? *scene.server : *scene.client;
    Outcome outcome;
    waits.async_handshake(role, scene.take(outcome));
    asio::steady_timer timer(scene.io, std::chrono::milliseconds(1));
    timer.async_wait([&](std::error_code) { waits.cancel(); });
    scene.run();
    CHECK(outcome.error == make_error_code(asio::error::operation_aborted));
    CHECK(waits.failure().empty());
  }
}

TEST_CASE("What is outstanding ends when a stream is closed", "[transport][tcp]") {
  Scene scene(key_of(1));
  scene.open();
  Outcome got;
  Outcome wrote;
  Bytes into(1);
  const Bytes much(50'000'000);  // nobody reads it
  scene.server->async_read(asio::buffer(into), scene.take(got));
  scene.server->async_write(asio::buffer(much), scene.take(wrote));
  scene.io.poll();
  CHECK_FALSE(got.error);
  CHECK_FALSE(wrote.error);
  scene.server->close();
  scene.run();
  CHECK(got.error == make_error_code(asio::error::operation_aborted));
  CHECK(wrote.error == make_error_code(asio::error::operation_aborted));
  CHECK(wrote.bytes <= much.size());
}

TEST_CASE("A goodbye is an end, and an end without one is an error", "[transport][tcp]") {
  const SmallAuthority authority;
  for (const auto& [name, security] : all_kinds(authority)) {
    CAPTURE(name);
    for (const bool goodbye : {true, false}) {
      Scene scene(security);
      scene.open();
      Outcome got;
      Outcome wrote;
      Bytes into(200'000);
      const Bytes bytes = noise(100'000);
      scene.server->async_read(asio::buffer(into), scene.take(got));
      scene.client->async_write(asio::buffer(bytes), scene.take(wrote));
      const auto written = scene.outcomes.back();
      while (!written->error) scene.io.run_one();
      Outcome said;
      if (goodbye) {
        scene.client->async_shutdown(scene.take(said));
        scene.run();
        CHECK(said.went_well());
      } else {
        scene.client->close();
        scene.run();
      }
      CHECK(got.bytes == 100'000);
      if (goodbye || security.kind() == Security::Kind::none) {
        CHECK(got.error == make_error_code(asio::error::eof));
      } else {
        CHECK(got.error == make_error_code(SecureError::cut));
        CHECK_THAT(scene.server->failure(), contains("the connection ended without a goodbye"));
      }
    }
  }
}

TEST_CASE("A peer that is reset in the middle of a write is an error, not a signal",
          "[transport][tcp]") {
  const SmallAuthority authority;
  for (const auto& [name, security] : all_kinds(authority)) {
    CAPTURE(name);
    Scene scene(security);
    scene.open();
    const Bytes much(50'000'000);
    Outcome wrote;
    scene.client->async_write(asio::buffer(much), scene.take(wrote));
    scene.io.poll();
    REQUIRE_FALSE(wrote.error);
    scene.server->close();
    scene.run();
    CHECK(*wrote.error);
    CHECK(wrote.bytes < much.size());
  }
}

TEST_CASE("Bytes that a stranger puts into a secured stream end it by name", "[transport][tcp]") {
  Scene scene(key_of(1));
  scene.open();
  Outcome got;
  Bytes into(100);
  scene.server->async_read(asio::buffer(into), scene.take(got));
  asio::write(scene.client->socket(), asio::buffer(std::string(500, 'x')));  // beside TLS
  scene.run();
  CHECK(got.error == make_error_code(SecureError::damaged));
  CHECK_THAT(scene.server->failure(), contains("bytes came that cannot be the peer's"));
}

TEST_CASE("Two threads that share keys talk through streams of their own",
          "[transport][tcp][threads]") {
  const SmallAuthority authority;
  const auto context = TlsContext::make(authority.node("node 1"));
  constexpr std::size_t size = 3'000'000;
  asio::io_context here;
  tcp::acceptor acceptor(here, {asio::ip::address_v4::loopback(), 0});
  const tcp::endpoint place = acceptor.local_endpoint();
  // Each sends, then reads what the other sent; returns whether that was right.
  const auto talk = [](asio::io_context& io, Stream& stream, TlsRole role) {
    const Bytes out(size, role == TlsRole::client ? 'c' : 's');
    const Bytes expected(size, role == TlsRole::client ? 's' : 'c');
    Bytes in(size);
    bool good = true;
    const auto note = [&](std::error_code e, std::size_t) { good = good && !e; };
    stream.async_handshake(role, [&](std::error_code e) {
      good = good && !e;
      stream.async_write(asio::buffer(out), note);
      stream.async_read(asio::buffer(in), note);
    });
    io.run();
    return good && in == expected;
  };
  bool good_there = false;
  std::thread other([&] {
    asio::io_context io;
    tcp::socket socket(io);
    socket.connect(place);
    Stream stream(std::move(socket), context);
    good_there = talk(io, stream, TlsRole::client);
  });
  Stream stream(acceptor.accept(), context);
  CHECK(talk(here, stream, TlsRole::server));
  other.join();
  CHECK(good_there);
}
