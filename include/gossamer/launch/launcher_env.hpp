// SPDX-License-Identifier: MIT
/// A node's place in its run, as the launcher that started it says in the environment.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/fwd.hpp>
#include <gossamer/launch/run_identity.hpp>
#include <gossamer/launch/slurm_hosts.hpp>
#include <gossamer/launch/variables.hpp>

#include <c10/util/StringUtil.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace gossamer::launch {

/// What a launcher says.
struct LaunchInfo {
  std::string launcher;         ///< "torchrun", "Slurm", "OpenMPI", ...; for texts
  PeerId rank = 0;              ///< this node's number
  std::uint32_t size = 0;       ///< how many nodes the run begins with; 0: it does not say
  std::string first = {};       ///< the host of rank 0; empty: it does not say
  std::uint16_t port = 0;       ///< on which rank 0 is to listen; 0: it does not say
  bool is_one_machine = false;  ///< all nodes are known to be on this machine
  std::string identity = {};    ///< `run_identity()`
};

/// Reads what launchers write into the environment. The variables of a launcher that was started
/// within another one's job stay visible, hence the order of `find()`.
///
/// Threads  distinct objects are independent.
class LauncherEnvironment {
 public:
  explicit LauncherEnvironment(Variables variables)
      : variables_(std::move(variables)), read_(variables_) {}

  /// Nothing if no launcher is known to have started this process. Throws ConfigError as
  /// `launch_from()`.
  [[nodiscard]] std::optional<LaunchInfo> find() const {
    std::optional<LaunchInfo> found = place();
    if (!found) return found;
    take_master(*found);
    found->identity = run_identity(variables_);
    return found;
  }

 private:
  static constexpr std::uint32_t most_nodes = 65'535;  // later numbers are for those who come later
  static constexpr std::uint32_t most_ports = 65'535;

  [[nodiscard]] std::optional<LaunchInfo> place() const {
    if (read_.has("RANK")) return torch();
    if (read_.has("OMPI_COMM_WORLD_RANK")) return open_mpi();
    // srun sets PMI_RANK, too, if told so; Hydra's proxies, which may be tasks of Slurm, have
    // numbers of their own.
    if (is_slurm_task() && agrees_with_pmi()) return slurm();
    if (read_.has("PALS_RANKID")) return pmi("PALS", "PALS_RANKID");
    if (read_.has("PMI_RANK")) return pmi("MPICH or Intel MPI", "PMI_RANK");
    if (read_.has("JOB_COMPLETION_INDEX")) return indexed_job();
    return stateful_set();
  }

  [[nodiscard]] LaunchInfo ranked(const char* launcher, const char* rank, const char* size) const {
    LaunchInfo made;
    made.launcher = launcher;
    made.rank = whole_number(rank, read_.get(rank), most_nodes);
    made.size = whole_number(size, read_.need(size, rank), most_nodes);
    check(made, rank, size);
    return made;
  }
  static void check(const LaunchInfo& made, const char* rank, const char* size) {
    if (made.rank < made.size) return;
    throw ConfigError(
        c10::str(rank, " must be below ", size, ", got ", made.rank, " of ", made.size));
  }

  /// torchrun, and whoever sets the same variables: RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT.
  /// PyTorch, "torchrun (Elastic Launch)".
  [[nodiscard]] LaunchInfo torch() const {
    const bool elastic = read_.has("TORCHELASTIC_RUN_ID");
    LaunchInfo made = ranked(elastic ? "torchrun" : "RANK and WORLD_SIZE", "RANK", "WORLD_SIZE");
    made.is_one_machine = counts_all("LOCAL_WORLD_SIZE", made);
    return made;
  }

  /// Open MPI, "Environment variables set for MPI applications". It does not say where rank 0 is;
  /// in an allocation of Slurm that is the first host, unless mpirun was told another order.
  [[nodiscard]] LaunchInfo open_mpi() const {
    LaunchInfo made = ranked("OpenMPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE");
    made.is_one_machine = counts_all("OMPI_COMM_WORLD_LOCAL_SIZE", made);
    made.first = first_of_allocation();
    return made;
  }

  /// MPICH's and Intel MPI's Hydra (PMI_RANK, PMI_SIZE, MPI_LOCALNRANKS), and PALS (PALS_RANKID,
  /// PMI_SIZE, PMI_LOCAL_SIZE). Flux RFC 13, "Simple Process Manager Interface v1"; Slurm's plugin
  /// mpi/cray_shasta, which sets what PALS does; MPICH 4.0's own mpiexec.
  [[nodiscard]] LaunchInfo pmi(const char* launcher, const char* rank) const {
    LaunchInfo made = ranked(launcher, rank, "PMI_SIZE");
    made.is_one_machine = counts_all("MPI_LOCALNRANKS", made) || counts_all("PMI_LOCAL_SIZE", made);
    made.first = first_of_allocation();
    return made;
  }

  /// Whether srun has started this process. In the shells of salloc and sbatch SLURM_NTASKS is set,
  /// and in the latter SLURM_PROCID, too, although nobody starts others there; what they lack is a
  /// step, or its number is one of the highest, which stand for such shells (0xfffffffa: salloc's
  /// interactive step, 0xfffffffb: a batch script). Slurm's manual pages "srun", "salloc",
  /// "sbatch".
  [[nodiscard]] bool is_slurm_task() const {
    constexpr std::uint32_t no_step = 0xfffffff0U;
    if (!read_.has("SLURM_PROCID") || !read_.has("SLURM_STEP_ID")) return false;
    return whole_number("SLURM_STEP_ID", read_.get("SLURM_STEP_ID"), ~std::uint32_t{0}) < no_step;
  }
  [[nodiscard]] bool agrees_with_pmi() const {
    return !read_.has("PMI_RANK") || (read_.get("PMI_RANK") == read_.get("SLURM_PROCID") &&
                                      read_.get("PMI_SIZE") == read_.get(slurm_size()));
  }
  /// The step's number of tasks; SLURM_NTASKS may be the job's.
  [[nodiscard]] const char* slurm_size() const {
    return read_.has("SLURM_STEP_NUM_TASKS") ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS";
  }

  /// srun: task 0 is on the first host of the step. Slurm's manual page "srun".
  [[nodiscard]] LaunchInfo slurm() const {
    LaunchInfo made = ranked("Slurm", "SLURM_PROCID", slurm_size());
    made.is_one_machine = read_.get("SLURM_STEP_NUM_NODES") == "1";
    const std::string list = read_.first_of("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST");
    made.first =
        slurm_hosts(list.empty() ? read_.need("SLURM_NODELIST", "SLURM_PROCID") : list).front();
    return made;
  }
  [[nodiscard]] std::string first_of_allocation() const {
    const std::string list = read_.get("SLURM_JOB_NODELIST");
    return list.empty() ? std::string() : slurm_hosts(list).front();
  }

  /// A job of Kubernetes with completionMode Indexed. How many there are is not in the environment:
  /// WORLD_SIZE, or an option. Kubernetes, "Indexed Job for Parallel Processing with Static Work
  /// Assignment".
  [[nodiscard]] LaunchInfo indexed_job() const {
    return pods("JOB_COMPLETION_INDEX", read_.get("JOB_COMPLETION_INDEX"));
  }

  /// A StatefulSet of Kubernetes, whose pods are NAME-0, NAME-1, ... Its pods are like any other
  /// ones but for the name, so WORLD_SIZE must say that they belong together. Kubernetes,
  /// "StatefulSets", "Pod Hostname".
  [[nodiscard]] std::optional<LaunchInfo> stateful_set() const {
    if (!read_.has("KUBERNETES_SERVICE_HOST") || !read_.has("WORLD_SIZE")) return std::nullopt;
    const auto pod = PodName::parse(read_.get("HOSTNAME"));
    if (!pod) return std::nullopt;
    return pods("the number in HOSTNAME", pod->index);
  }

  [[nodiscard]] LaunchInfo pods(const char* rank, const std::string& index) const {
    LaunchInfo made;
    made.launcher = "Kubernetes";
    made.rank = whole_number(rank, index, most_nodes);
    if (read_.has("WORLD_SIZE")) {
      made.size = whole_number("WORLD_SIZE", read_.get("WORLD_SIZE"), most_nodes);
      check(made, rank, "WORLD_SIZE");
    }
    // Without a domain the name leads nowhere: that of the headless service belongs to it.
    const auto pod = PodName::parse(read_.get("HOSTNAME"));
    if (pod && !pod->domain.empty()) made.first = pod->set + "-0." + pod->domain;
    return made;
  }

  /// MASTER_ADDR and MASTER_PORT, which users set for other launchers, too. Where torchrun's own
  /// store listens on MASTER_PORT, all take the next one (of 65535, the one before).
  void take_master(LaunchInfo& made) const {
    if (read_.has("MASTER_ADDR")) made.first = read_.get("MASTER_ADDR");
    if (!read_.has("MASTER_PORT")) return;
    const std::uint32_t port = whole_number("MASTER_PORT", read_.get("MASTER_PORT"), most_ports);
    if (port == 0) throw ConfigError("MASTER_PORT must not be 0");
    const bool is_taken = read_.get("TORCHELASTIC_USE_AGENT_STORE") == "True";
    const std::uint32_t beside = port < most_ports ? port + 1 : port - 1;
    made.port = static_cast<std::uint16_t>(is_taken ? beside : port);
  }

  /// Whether as many as there are at all are on this machine.
  [[nodiscard]] bool counts_all(const char* local_size, const LaunchInfo& made) const {
    return read_.has(local_size) &&
           whole_number(local_size, read_.get(local_size), most_nodes) == made.size;
  }

  Variables variables_;
  VariableReader read_;
};

/// What the environment says of this process, or nothing if no launcher is known there. In this
/// order, since the variables of an outer one stay visible in an inner one:
///
///     torchrun, plain       RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT
///     OpenMPI               OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE
///     Slurm                 SLURM_PROCID, SLURM_STEP_NUM_TASKS, in a step (SLURM_STEP_ID)
///     PALS                  PALS_RANKID, PMI_SIZE
///     MPICH, Intel MPI      PMI_RANK, PMI_SIZE
///     Kubernetes            JOB_COMPLETION_INDEX, or HOSTNAME as NAME-N beside WORLD_SIZE
///
/// MASTER_ADDR and MASTER_PORT say with any of them where rank 0 listens. Under torchrun with
/// TORCHELASTIC_USE_AGENT_STORE=True the agent itself has MASTER_PORT, and rank 0 listens on
/// MASTER_PORT + 1.
///
/// Throws   ConfigError, naming the variable, if one is missing or makes no sense.
/// Threads  as the variables.
inline std::optional<LaunchInfo> launch_from(const Variables& variables) {
  return LauncherEnvironment(variables).find();
}

}  // namespace gossamer::launch
