// SPDX-License-Identifier: MIT
/// Which run this is among all runs of a cluster: the number that its launcher gave it.
#pragma once

#include <gossamer/launch/variables.hpp>

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace gossamer::launch {

/// A pod's name as StatefulSets and indexed jobs make it, NAME-N, with the domain if there is one.
struct PodName {
  std::string set;     ///< NAME, of the StatefulSet or the job
  std::string index;   ///< N, digits
  std::string domain;  ///< what follows the first dot; often empty

  /// Nothing if `host` is not of this kind.
  static std::optional<PodName> parse(std::string_view host) {
    const std::size_t dot = std::min(host.find('.'), host.size());
    const std::string_view name = host.substr(0, dot);
    const std::size_t dash = name.rfind('-');
    if (dash == std::string_view::npos || dash == 0 || dash + 1 == name.size()) return std::nullopt;
    const std::string_view index = name.substr(dash + 1);
    const bool is_number = std::all_of(index.begin(), index.end(),
                                       [](unsigned char c) { return std::isdigit(c) != 0; });
    if (!is_number || (index.size() > 1 && index.front() == '0')) return std::nullopt;
    return PodName{std::string(name.substr(0, dash)), std::string(index),
                   std::string(host.substr(std::min(dot + 1, host.size())))};
  }
};

/// The launcher's own name for the run, as "VARIABLE=value"; empty if no variable is known that
/// tells two runs apart. It is the same in all processes of a run, also after one was restarted:
///
///     torchrun          TORCHELASTIC_RUN_ID (--rdzv-id), unless it is "none", its default
///     Slurm             SLURM_JOB_ID, also for what was started with another launcher in a job
///     PBS, LSF          PBS_JOBID, LSB_JOBID
///     PALS              PALS_APID
///     OpenMPI           PMIX_NAMESPACE, another one for each mpirun
///     Kubernetes        the name of the job or StatefulSet
///
/// MPICH's and Intel's mpiexec tell nothing.
///
/// Sources  PyTorch, "torchrun (Elastic Launch)"; Slurm's manual pages "srun" and "salloc"; IBM,
///          "Environment variables set for job execution" (LSF); Slurm's plugin mpi/cray_shasta for
///          PALS_APID; OpenMPI 4.1's own mpirun for PMIX_NAMESPACE; Kubernetes, "Job with
///          Pod-to-Pod Communication" and "Pod Hostname".
inline std::string run_identity(const Variables& variables) {
  const VariableReader read(variables);
  if (const std::string id = read.get("TORCHELASTIC_RUN_ID"); !id.empty() && id != "none") {
    return "TORCHELASTIC_RUN_ID=" + id;
  }
  for (const char* name : {"SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "PALS_APID"}) {
    if (read.has(name)) return std::string(name) + "=" + read.get(name);
  }
  if (read.has("OMPI_COMM_WORLD_RANK") && read.has("PMIX_NAMESPACE")) {
    return "PMIX_NAMESPACE=" + read.get("PMIX_NAMESPACE");
  }
  if (read.has("KUBERNETES_SERVICE_HOST") || read.has("JOB_COMPLETION_INDEX")) {
    if (const auto pod = PodName::parse(read.get("HOSTNAME"))) return "HOSTNAME=" + pod->set + "-*";
  }
  return {};
}

}  // namespace gossamer::launch
