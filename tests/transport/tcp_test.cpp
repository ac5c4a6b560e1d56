// SPDX-License-Identifier: MIT
/// Nodes on TCP over loopback: the contract, and what a network of strangers does to them.
#include <gossamer/error.hpp>
#include <gossamer/transport/tcp.hpp>

#include <tests/support.hpp>
#include <tests/transport/contract.hpp>
#include <tests/transport/tcp_group.hpp>

#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using namespace tests::tcp;
using gossamer::ConfigError;
using tests::Approx;

static_assert(Transport<Tcp>);

TEST_CASE("The tcp transport keeps the contract", "[transport][tcp][threads]") {
  for (const auto& claim : tests::contract::claims<Group>()) {
    DYNAMIC_SECTION(claim.name) { claim.check(); }
  }
}

}  // namespace
