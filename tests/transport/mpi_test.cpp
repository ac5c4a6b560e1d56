// SPDX-License-Identifier: MIT
/// Nodes on MPI, all on one rank: the contract, and what is this transport's own.
#include <gossamer/error.hpp>
#include <gossamer/transport/mpi.hpp>

#include <tests/support.hpp>
#include <tests/transport/contract.hpp>
#include <tests/transport/mpi_group.hpp>

namespace {

using namespace tests::mpi;

TEST_CASE("The mpi transport keeps the contract", "[transport][mpi]") {
  for (const auto& claim : tests::contract::claims<Group>()) {
    DYNAMIC_SECTION(claim.name) { claim.check(); }
  }
}

}  // namespace
