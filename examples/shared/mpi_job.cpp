// SPDX-License-Identifier: MIT
/// Begins and ends MPI, if there is MPI.
#include <gossamer/error.hpp>
#include <shared/mpi_job.hpp>

#include <cstdlib>

#ifdef GOSSAMER_HAS_MPI
#include <gossamer/transport/mpi.hpp>

#include <iostream>
#include <string>

namespace examples {

struct MpiJob::Environment {
  gossamer::transport::MpiRuntime mpi;
};

MpiJob::MpiJob() : environment_(std::make_unique<Environment>()) {
  if (rank() > 0) std::cout.setstate(std::ios::failbit);
}

std::uint32_t MpiJob::rank() const {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return static_cast<std::uint32_t>(rank);
}

std::size_t MpiJob::size() const {
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return static_cast<std::size_t>(size);
}

std::filesystem::path MpiJob::agree_on(const std::filesystem::path& folder) const {
  std::string name = folder.string();
  auto length = static_cast<int>(name.size());
  MPI_Bcast(&length, 1, MPI_INT, 0, MPI_COMM_WORLD);
  name.resize(static_cast<std::size_t>(length));
  MPI_Bcast(name.data(), length, MPI_CHAR, 0, MPI_COMM_WORLD);
  return name;
}

void MpiJob::abort() {
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::abort();
}

}  // namespace examples

#else

namespace examples {

struct MpiJob::Environment {};

MpiJob::MpiJob() {
  throw gossamer::ConfigError(
      "--transport mpi: this program was built without MPI; install libopenmpi-dev and "
      "openmpi-bin, then configure and build it again");
}
std::uint32_t MpiJob::rank() const { return 0; }
std::size_t MpiJob::size() const { return 1; }
std::filesystem::path MpiJob::agree_on(const std::filesystem::path& folder) const { return folder; }
void MpiJob::abort() { std::abort(); }

}  // namespace examples

#endif

namespace examples {

MpiJob::~MpiJob() = default;

}  // namespace examples
