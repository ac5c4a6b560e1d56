// SPDX-License-Identifier: MIT
/// One node of an MPI job, if there is MPI.
#include <cifar10/mpi_cluster.hpp>
#include <gossamer/error.hpp>

#include <cstdlib>

#ifdef GOSSAMER_HAS_MPI
#include <cifar10/process_cluster.hpp>
#include <gossamer/node/mpi_group.hpp>
#include <shared/run_folder.hpp>

#include <chrono>
#include <cstdint>
#include <iostream>
#include <string>
#include <utility>

namespace cifar10 {
namespace {

class Mpi final : public ProcessCluster<gossamer::MpiGroup<CifarNode>> {
 public:
  using ProcessCluster::ProcessCluster;
  std::string address() const override { return "rank " + std::to_string(member().node().id()); }
};

}  // namespace

struct MpiJob::Environment {
  gossamer::transport::MpiRuntime mpi;
};

MpiJob::MpiJob(Options& options) : environment_(std::make_unique<Environment>()) {
  int rank = 0;
  int size = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  options.tcp.number = static_cast<std::uint32_t>(rank);
  options.nodes = static_cast<std::size_t>(size);
  if (rank > 0) std::cout.setstate(std::ios::failbit);
  if (!options.out.empty()) return;
  // One folder for all, whatever their clocks say.
  std::string folder = examples::folder_named_by_time().string();
  auto length = static_cast<int>(folder.size());
  MPI_Bcast(&length, 1, MPI_INT, 0, MPI_COMM_WORLD);
  folder.resize(static_cast<std::size_t>(length));
  MPI_Bcast(folder.data(), length, MPI_CHAR, 0, MPI_COMM_WORLD);
  options.out = folder;
}

void MpiJob::abort() {
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::abort();
}

std::unique_ptr<Cluster> make_mpi_cluster(const Options& options, const gossamer::NodeOptions& node,
                                          const Images& train, std::function<bool()> leave_when,
                                          std::function<void()> on_tick) {
  const gossamer::MpiGroupOptions member =
      gossamer::MpiGroupOptions()
          .node(node)
          .rendezvous_timeout(std::chrono::milliseconds(
              static_cast<std::int64_t>(1000 * options.tcp.gather_seconds)))
          .leave_when(std::move(leave_when))
          .on_tick(std::move(on_tick));
  return std::make_unique<Mpi>(options, train, gossamer::transport::MpiCommunicator::make(),
                               member);
}

}  // namespace cifar10

#else

namespace cifar10 {

struct MpiJob::Environment {};

MpiJob::MpiJob(Options& /*options*/) {
  throw gossamer::ConfigError(
      "--transport mpi: this program was built without MPI; install libopenmpi-dev and "
      "openmpi-bin, then configure and build it again");
}

void MpiJob::abort() { std::abort(); }

std::unique_ptr<Cluster> make_mpi_cluster(const Options& /*options*/,
                                          const gossamer::NodeOptions& /*node*/,
                                          const Images& /*train*/,
                                          std::function<bool()> /*leave_when*/,
                                          std::function<void()> /*on_tick*/) {
  throw gossamer::ConfigError("--transport mpi: this program was built without MPI");
}

}  // namespace cifar10

#endif

namespace cifar10 {

MpiJob::~MpiJob() = default;

}  // namespace cifar10
