// SPDX-License-Identifier: MIT
/// A newcomer's address is looked at before it is let in; what may pass is tried again.
#include <gossamer/transport/membership/membership.hpp>

#include <tests/support.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace {

using namespace gossamer::transport;
using namespace std::chrono_literals;

MembershipOptions options_of(gossamer::PeerId number, std::vector<std::string> contacts = {}) {
  MembershipOptions options;
  options.number = number;
  options.address = "host:" + std::to_string(number + 1);
  options.contacts = std::move(contacts);
  return options;
}
wire::Hello hello_of(gossamer::PeerId number, const std::string& address) {
  wire::Hello hello;
  hello.node = number;
  hello.incarnation = 5;
  hello.address = address;
  return hello;
}
template <class Body>
Body said(Membership& member, LineId line, Time now) {
  while (auto body = member.next(line, now)) {
    if (const auto* found = std::get_if<Body>(&*body)) return *found;
  }
  FAIL("nothing of the kind was said");
  return {};
}

/// A member that has been asked in by node 1 at "late:1", and dials it to see whether it is there.
struct Asked {
  Membership member{options_of(0)};
  DialAttempt probe;
  Asked() {
    member.connected(1, nullptr, 1s);
    member.received(1, hello_of(1, "late:1"), 1s);
    for (const DialAttempt& dial : member.dials(1s)) probe = dial;
    REQUIRE(probe.address == "late:1");
  }
};

TEST_CASE("An address at which nobody is found is the newcomer's to mend", "[transport][member]") {
  Asked asked;
  asked.member.dial_failed(asked.probe, false, "Host not found", 2s);
  const auto refusal = said<wire::Refusal>(asked.member, 1, 2s);
  CHECK(refusal.code == wire::Refusal::Code::address);
  CHECK_THAT(refusal.text, tests::contains("late:1") && tests::contains("Host not found") &&
                               tests::contains("let it advertise one"));
}

TEST_CASE("A member that cannot dial anybody does not blame the newcomer's address",
          "[transport][member]") {
  Asked asked;
  asked.member.dial_failed(asked.probe, false, "no descriptor is left", 2s, /*is_local=*/true);
  const auto refusal = said<wire::Refusal>(asked.member, 1, 2s);
  CHECK(refusal.code != wire::Refusal::Code::address);
  CHECK_THAT(refusal.text, tests::contains("cannot look whether node 1 is at late:1") &&
                               tests::contains("no descriptor is left"));
  CHECK(refusal.text.find("advertise") == std::string::npos);
}

TEST_CASE("A newcomer whose address was not found asks again, and is let in",
          "[transport][member]") {
  Membership newcomer(options_of(1, {"host:1"}));
  const std::vector<DialAttempt> first = newcomer.dials(1s);
  REQUIRE(first.size() == 1);
  newcomer.connected(1, first.data(), 1s);
  CHECK(said<wire::Hello>(newcomer, 1, 1s).address == "host:2");
  newcomer.received(1, wire::Refusal{wire::Refusal::Code::address, "not found"}, 1s);
  CHECK(newcomer.trouble().empty());
  CHECK_FALSE(newcomer.is_welcome(1));
  CHECK_THAT(newcomer.last_refusal(), tests::contains("not found"));
  REQUIRE(newcomer.must_close(1));
  newcomer.disconnected(1, "closed", 1s);
  const std::vector<DialAttempt> again = newcomer.dials(12s);
  REQUIRE(again.size() == 1);
  CHECK(again[0].address == "host:1");
  newcomer.connected(2, again.data(), 12s);
  newcomer.received(2, hello_of(0, "host:1"), 12s);
  CHECK(newcomer.is_welcome(2));
}

}  // namespace
