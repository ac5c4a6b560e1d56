// SPDX-License-Identifier: MIT
/// MPI for `join_run`: a program of which one file includes this takes GOSSAMER_TRANSPORT=mpi.
/// Needs MPI and xxHash (the target gossamer::mpi).
#pragma once

#include <gossamer/distributed/environment.hpp>
#include <gossamer/distributed/run_watch.hpp>
#include <gossamer/error.hpp>
#include <gossamer/launch/launcher_env.hpp>
#include <gossamer/node/options.hpp>
#include <gossamer/node/rendezvous.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/transport/mpi.hpp>

#include <c10/util/StringUtil.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace gossamer::detail {

/// This process among those that its mpirun has started.
struct MpiPlace {
  std::uint32_t rank = 0;
  std::uint32_t size = 1;

  static MpiPlace here() {
    int rank = 0;
    int size = 1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    return {static_cast<std::uint32_t>(rank), static_cast<std::uint32_t>(size)};
  }
  /// Throws ConfigError if code, or another launcher than MPI's, says something else: processes
  /// that MPI does not know of each other would all train alone.
  void refuse_another(const RunOptions& options) const {
    if (options.rank().value_or(rank) != rank || options.world_size().value_or(size) != size) {
      throw ConfigError(c10::str("RunOptions: rank and world_size must be MPI's, ", rank, " of ",
                                 size, ", got ", options.rank().value_or(rank), " of ",
                                 options.world_size().value_or(size)));
    }
    const auto launched = launch::launch_from(options.variables());
    if (!launched || launched->size == 0 || launched->size == size) return;
    throw ConfigError(c10::str("there are ", launched->size, " processes by ", launched->launcher,
                               ", but ", size,
                               " by MPI: start them with the mpirun of the MPI "
                               "that the program was built with"));
  }
};

/// Calls `prepare` at all ranks, and returns what it has made when all have. If it throws at one,
/// the others throw ConfigError: nobody waits for a rank that cannot take part.
template <class Prepare>
auto prepared_at_all_ranks(Prepare prepare) {
  std::exception_ptr error;
  decltype(prepare()) made;
  try {
    made = prepare();
  } catch (const std::exception&) {
    error = std::current_exception();
  }
  int is_well = error ? 0 : 1;
  int are_all_well = 0;
  MPI_Allreduce(&is_well, &are_all_well, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  if (error) std::rethrow_exception(error);
  if (are_all_well == 0) {
    throw ConfigError("join_run: another rank of this job cannot take part, and says why");
  }
  return made;
}

/// See `join_run`. Collective: all ranks call it.
///
/// MPI begins with the first call, if the program has not begun it, and ends with the process.
/// Nobody comes later, no rank may die, and one that leaves waits for the others' end in the
/// destructor of its `Gossip`, as all do. There is no thread behind it: a node answers within the
/// calls of its `Gossip`, so others wait while this one does something else between them.
inline Context join_run_over_mpi(const rule::AnyRule& rule, const RunEnvironment& environment) {
  static const transport::MpiRuntime until_the_process_ends;
  const RunOptions& options = environment.options();
  const MpiPlace place = MpiPlace::here();
  const auto page = prepared_at_all_ranks([&] {
    environment.refuse_what_is_for_tcp();
    place.refuse_another(options);
    return RunWatch::make(environment, place.rank, rule, "mpi");
  });
  const std::chrono::milliseconds within = environment.rendezvous_timeout();
  const auto mpi_options = transport::MpiOptions().logger(options.node().logger());
  transport::Mpi mpi(transport::MpiCommunicator::make(), agreed(mpi_options, rule));
  gather(mpi, place.size - 1, within);
  if (page) page->look_at(mpi.endpoint(), c10::str("rank ", place.rank));
  return {std::move(mpi),    rule,  RunWatch::watched(options.node(), page), 1.0 / place.size,
          leave_on_signal(), within};
}

/// Before `main`, since it is included.
inline const bool can_join_over_mpi = (join_over_mpi = &join_run_over_mpi) != nullptr;

}  // namespace gossamer::detail
