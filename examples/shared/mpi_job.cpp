// SPDX-License-Identifier: MIT
/// Begins and ends MPI, if there is MPI.
#include <gossamer/error.hpp>
#include <shared/mpi_job.hpp>

#include <cstdlib>

#ifdef GOSSAMER_HAS_MPI
#include <gossamer/transport/mpi.hpp>
#include <shared/run_folder.hpp>

#include <iostream>
#include <string>

namespace examples {

struct MpiJob::Environment {
  gossamer::transport::MpiRuntime mpi;
};

MpiJob::MpiJob(std::uint32_t& rank, std::size_t& size, std::filesystem::path& folder)
    : environment_(std::make_unique<Environment>()) {
  int own = 0;
  int all = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &own);
  MPI_Comm_size(MPI_COMM_WORLD, &all);
  rank = static_cast<std::uint32_t>(own);
  size = static_cast<std::size_t>(all);
  if (own > 0) std::cout.setstate(std::ios::failbit);
  if (!folder.empty()) return;
  std::string name = folder_named_by_time().string();
  auto length = static_cast<int>(name.size());
  MPI_Bcast(&length, 1, MPI_INT, 0, MPI_COMM_WORLD);
  name.resize(static_cast<std::size_t>(length));
  MPI_Bcast(name.data(), length, MPI_CHAR, 0, MPI_COMM_WORLD);
  folder = name;
}

void MpiJob::abort() {
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::abort();
}

}  // namespace examples

#else

namespace examples {

struct MpiJob::Environment {};

MpiJob::MpiJob(std::uint32_t&, std::size_t&, std::filesystem::path&) {
  throw gossamer::ConfigError(
      "--transport mpi: this program was built without MPI; install libopenmpi-dev and "
      "openmpi-bin, then configure and build it again");
}
void MpiJob::abort() { std::abort(); }

}  // namespace examples

#endif

namespace examples {

MpiJob::~MpiJob() = default;

}  // namespace examples
