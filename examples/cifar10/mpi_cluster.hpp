// SPDX-License-Identifier: MIT
/// The part of a cluster that is in this process, when its nodes are the ranks of an MPI job.
#pragma once

#include <cifar10/cluster.hpp>
#include <cifar10/options.hpp>
#include <gossamer/node/options.hpp>

#include <functional>
#include <memory>

namespace cifar10 {

/// MPI, from its beginning to its end.
class MpiJob {
 public:
  /// Begins MPI and gives the options this rank's number and the number of nodes. Only the first
  /// rank writes to standard output from then on. Throws ConfigError if this program was built
  /// without MPI.
  explicit MpiJob(Options& options);
  MpiJob(const MpiJob&) = delete;
  MpiJob& operator=(const MpiJob&) = delete;
  ~MpiJob();

  /// Ends all ranks: this one cannot take part. Does not return.
  [[noreturn]] static void abort();

 private:
  struct Environment;
  std::unique_ptr<Environment> environment_;
};

/// Makes this rank's node and brings it among the others. `leave_when` is asked, and `on_tick`
/// called, now and then while it trains.
std::unique_ptr<Cluster> make_mpi_cluster(const Options& options, const gossamer::NodeOptions& node,
                                          const Images& train, std::function<bool()> leave_when,
                                          std::function<void()> on_tick);

}  // namespace cifar10
