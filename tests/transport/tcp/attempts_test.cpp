// SPDX-License-Identifier: MIT
/// Who may knock, how often, and where a node without security may be.
#include <gossamer/error.hpp>
#include <gossamer/transport/tcp/address_policy.hpp>
#include <gossamer/transport/tcp/security.hpp>
#include <gossamer/transport/tcp/unauthenticated_peers.hpp>

#include <asio/ip/address.hpp>
#include <tests/support.hpp>

#include <chrono>
#include <string>

namespace {

using asio::ip::make_address;
using gossamer::ConfigError;
using gossamer::transport::check_address;
using gossamer::transport::may_use;
using gossamer::transport::SecureError;
using gossamer::transport::Security;
using gossamer::transport::UnauthenticatedPeerLimits;
using gossamer::transport::UnauthenticatedPeers;
using tests::contains;
using namespace std::chrono_literals;

int begun(UnauthenticatedPeers& attempts, const std::string& address,
          UnauthenticatedPeers::Time now, int tries = 100) {
  int count = 0;
  for (int i = 0; i < tries; ++i) count += attempts.begin(make_address(address), now) ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("An address may begin a burst of handshakes, and then as many as time allows",
          "[transport][tcp]") {
  UnauthenticatedPeers attempts({.burst = 5, .per_second = 2});
  CHECK(begun(attempts, "10.0.0.1", 0s) == 5);
  CHECK(begun(attempts, "10.0.0.1", 499ms) == 0);
  CHECK(begun(attempts, "10.0.0.1", 500ms) == 1);
  CHECK(begun(attempts, "10.0.0.1", 1500ms) == 2);
  CHECK(begun(attempts, "10.0.0.1", 1h) == 5);  // never more than the burst
  CHECK(begun(attempts, "10.0.0.2", 1h) == 5);  // its neighbour has its own
}

TEST_CASE("Handshakes that succeed are not limited, those held open are", "[transport][tcp]") {
  UnauthenticatedPeers attempts({.burst = 3, .per_second = 0.001});
  const auto member = make_address("10.0.0.1");
  for (int i = 0; i < 100; ++i) {
    REQUIRE(attempts.begin(member, 0s));
    attempts.succeeded(member, 0s);
  }
  CHECK(begun(attempts, "10.0.0.1", 0s) == 3);  // and nothing follows
  attempts.succeeded(member, 0s);
  CHECK(begun(attempts, "10.0.0.1", 0s) == 1);
  for (int i = 0; i < 9; ++i) attempts.succeeded(member, 0s);
  CHECK(begun(attempts, "10.0.0.1", 0s) == 3);
}

TEST_CASE("Failures are counted by kind and by address", "[transport][tcp]") {
  UnauthenticatedPeers attempts({.burst = 2, .per_second = 1});
  const auto one = make_address("10.0.0.1");
  const auto two = make_address("2001:db8::1");
  CHECK(attempts.find(one) == nullptr);
  CHECK(begun(attempts, "10.0.0.1", 0s, 7) == 2);
  attempts.failed(one, SecureError::expired, 0s);
  attempts.failed(one, SecureError::not_tls, 0s);
  attempts.failed(two, SecureError::expired, 0s);
  attempts.failed(two, std::nullopt, 0s);
  REQUIRE(attempts.find(one) != nullptr);
  CHECK(attempts.find(one)->refused == 5);
  const auto count = [](const UnauthenticatedPeers::Record& record, SecureError kind) {
    return record.failed.at(static_cast<std::size_t>(kind));
  };
  CHECK(count(*attempts.find(one), SecureError::expired) == 1);
  CHECK(count(*attempts.find(one), SecureError::not_tls) == 1);
  CHECK(count(*attempts.find(one), SecureError::damaged) == 0);
  CHECK(attempts.find(two)->failed[0] == 1);
  CHECK(count(attempts.total(), SecureError::expired) == 2);
  CHECK(attempts.total().failed[0] == 1);
  CHECK(attempts.total().refused == 5);
  attempts.failed(one, SecureError::damaged, 0s);  // the last kind has a place too
  CHECK(count(attempts.total(), SecureError::damaged) == 1);
}

TEST_CASE("A host cannot multiply by its addresses", "[transport][tcp]") {
  UnauthenticatedPeers attempts({.burst = 4, .per_second = 1});
  CHECK(begun(attempts, "2001:db8:1:2::1", 0s, 3) == 3);
  CHECK(begun(attempts, "2001:db8:1:2:ffff::2", 0s) == 1);
  CHECK(begun(attempts, "2001:db8:1:3::1", 0s) == 4);  // the next network
  CHECK(begun(attempts, "10.0.0.1", 0s, 3) == 3);
  CHECK(begun(attempts, "::ffff:10.0.0.1", 0s) == 1);
  CHECK(begun(attempts, "127.0.0.1", 0s) == 4);
  CHECK(begun(attempts, "::1", 0s) == 4);
}

TEST_CASE("Memory is bounded, and who was seen longest ago goes first", "[transport][tcp]") {
  UnauthenticatedPeers attempts({.burst = 2, .per_second = 0.001, .addresses = 3});
  CHECK(begun(attempts, "10.0.0.1", 1s) == 2);
  CHECK(begun(attempts, "10.0.0.2", 2s) == 2);
  CHECK(begun(attempts, "10.0.0.3", 3s) == 2);
  CHECK(begun(attempts, "10.0.0.1", 4s) == 0);
  CHECK(begun(attempts, "10.0.0.4", 5s) == 2);  // in place of 10.0.0.2
  CHECK(attempts.addresses() == 3);
  CHECK(attempts.find(make_address("10.0.0.2")) == nullptr);
  CHECK(begun(attempts, "10.0.0.1", 6s) == 0);
  for (int i = 0; i < 2000; ++i) {
    const std::string address = "10.1." + std::to_string(i / 200) + "." + std::to_string(i % 200);
    REQUIRE(begun(attempts, address, 7s) == 2);
    REQUIRE(attempts.addresses() == 3);
  }
  CHECK(attempts.total().refused == 98 * 2004 + 100 * 2);
}

TEST_CASE("Limits of attempts that cannot work are refused", "[transport][tcp]") {
  const auto text = [](UnauthenticatedPeerLimits limits) {
    return tests::message_of<ConfigError>([&] { UnauthenticatedPeers{limits}; });
  };
  CHECK_THAT(text({.burst = 0.5}), contains("burst must be at least 1") && contains("0.5"));
  CHECK_THAT(text({.per_second = 0}), contains("per_second positive"));
  CHECK_THAT(text({.per_second = std::nan("")}), contains("per_second positive"));
  CHECK_THAT(text({.addresses = 0}), contains("addresses at least 1"));
}

TEST_CASE("Without security a node stays on its own machine, unless that is said aloud",
          "[transport][tcp]") {
  const auto key = Security::shared_key("some.key");
  auto aloud = Security::none();
  aloud.insecure(true);
  for (const char* local : {"127.0.0.1", "127.3.4.5", "::1", "::ffff:127.0.0.1"}) {
    CAPTURE(local);
    CHECK(may_use(Security::none(), make_address(local)));
  }
  for (const char* far : {"0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "fe80::1", "::ffff:10.0.0.1"}) {
    CAPTURE(far);
    CHECK_FALSE(may_use(Security::none(), make_address(far)));
    CHECK(may_use(aloud, make_address(far)));
    CHECK(may_use(key, make_address(far)));
    const auto text = tests::message_of<ConfigError>(
        [&] { check_address(Security::none(), make_address(far), "listen on"); });
    CHECK_THAT(text, contains(std::string("may not listen on ") + far + ", where others can"));
    CHECK_THAT(text, contains("examples/make_keys.sh") && contains("127.0.0.1 or ::1") &&
                         contains("insecure(true)"));
    CHECK_NOTHROW(check_address(aloud, make_address(far), "listen on"));
  }
}
