// SPDX-License-Identifier: MIT
/// The main function of the tests on MPI: all ranks run the same cases; the first one's report is
/// shown, and those of others in which something failed.
#ifdef GOSSAMER_CATCH2_V2
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#else
#include <catch2/catch_session.hpp>
#endif

#include <gossamer/transport/mpi/runtime.hpp>

#include <iostream>
#include <sstream>

int main(int argc, char** argv) {
  const gossamer::transport::MpiRuntime environment(gossamer::transport::MpiThreads::multiple);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  std::ostringstream report;
  std::streambuf* const screen = rank > 0 ? std::cout.rdbuf(report.rdbuf()) : nullptr;
  const int status = Catch::Session().run(argc, argv);
  if (screen != nullptr) {
    std::cout.rdbuf(screen);
    if (status != 0) std::cerr << "rank " << rank << ":\n" << report.str();
  }
  return status;
}
