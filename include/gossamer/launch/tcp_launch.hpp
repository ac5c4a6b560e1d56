// SPDX-License-Identifier: MIT
/// A node's options on TCP from what its launcher says. Needs neither OpenSSL nor Asio.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/launch/launcher_env.hpp>
#include <gossamer/transport/tcp/host_port.hpp>
#include <gossamer/transport/tcp/options.hpp>

#include <c10/util/StringUtil.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace gossamer::launch {

/// The port of rank 0 under a launcher that names none, the one that torchrun's agents have.
inline constexpr std::uint16_t default_port = 29400;

/// Throws ConfigError if a node would wait for others of whom it knows nobody, and who could not
/// know where it listens. `remedy` ends the text.
inline void refuse_to_wait_for_nobody(const transport::TcpOptions& options,
                                      const std::string& remedy) {
  if (options.world_size() <= 1 || !options.contacts().empty()) return;
  if (transport::HostPort::parse(options.listen()).port != 0) return;  // others may be told
  throw ConfigError(c10::str("launch: node ", options.number(), " is one of ", options.world_size(),
                             ", but there is nobody to dial, and nobody knows its port: ", remedy));
}

/// What a launcher says, in place of number, world size, and, where these are not given, whom to
/// dial and the name of the run. Rank 0 listens on the launcher's port, or else on `port`, and the
/// others dial it there; where all are on one machine, over loopback. The run's name gets
/// `run_identity()`, so that two jobs that meet on one port refuse each other: "gossamer
/// SLURM_JOB_ID=1234". A newcomer from elsewhere must give that name.
///
/// Throws ConfigError, with what is missing, if nobody is to be dialed.
inline transport::TcpOptions tcp_options(const LaunchInfo& launch,
                                         std::uint16_t port = default_port,
                                         transport::TcpOptions options = transport::TcpOptions()) {
  options.number(launch.rank);
  if (launch.size > 0) options.world_size(launch.size);
  if (launch.rank >= options.world_size()) {
    throw ConfigError(c10::str("launch: WORLD_SIZE is not set, and ", launch.launcher,
                               " says only that this is node ", launch.rank, ", got ",
                               options.world_size(), " nodes"));
  }
  if (!launch.identity.empty() && options.run() == transport::TcpOptions().run()) {
    options.run(options.run() + " " + launch.identity);
  }
  const transport::HostPort listen = transport::HostPort::parse(options.listen());
  std::string first = launch.first;
  if (launch.is_one_machine) {
    first = listen.host == "0.0.0.0" ? "127.0.0.1" : listen.host == "::" ? "::1" : listen.host;
  }
  if (!first.empty()) {
    const std::uint16_t at = launch.port != 0 ? launch.port : port;
    if (launch.rank == 0) {
      options.listen(transport::HostPort{listen.host, at}.text());
    } else if (options.contacts().empty()) {
      options.contacts({transport::HostPort{first, at}.text()});
    }
  }
  const char* kubernetes = launch.launcher == "Kubernetes" ? ", such as NAME-0.SERVICE" : "";
  refuse_to_wait_for_nobody(
      options, c10::str("MASTER_ADDR is not set, and ", launch.launcher,
                        " does not say where rank 0 is; set it to that host's name", kubernetes,
                        ", or name a contact"));
  return options;
}

/// A process's place among others on TCP.
struct TcpPlace {
  transport::TcpOptions options;
  bool has_number = false;  ///< a launcher gave it; else it is a newcomer's, another one each time
};

/// The place of a process to which nobody has given a number by hand: its launcher's, as
/// `tcp_options()`; without one, and with contacts, that of a newcomer; without contacts it is
/// alone, and others may come. Throws ConfigError if more than one node is wanted
/// (`TcpOptions::world_size`), no launcher is known, and there is no contact.
inline TcpPlace tcp_place(const Variables& variables, std::uint16_t port = default_port,
                          transport::TcpOptions options = transport::TcpOptions()) {
  if (const std::optional<LaunchInfo> launch = launch_from(variables)) {
    return {tcp_options(*launch, port, std::move(options)), true};
  }
  if (options.contacts().empty() && options.world_size() > 1) {
    const bool in_slurm = VariableReader(variables).has("SLURM_JOB_ID");
    throw ConfigError(c10::str(
        "launch: ", options.world_size(), " nodes are wanted, but this process would be alone: ",
        in_slurm ? "SLURM_JOB_ID is set, but not SLURM_STEP_ID: start it with srun, or "
                 : "no launcher's variables are set (RANK and WORLD_SIZE, OMPI_COMM_WORLD_RANK, "
                   "PMI_RANK, SLURM_STEP_ID, JOB_COMPLETION_INDEX): start it with torchrun, mpirun "
                   "or srun, or ",
        "give it a number, and a contact or a port to listen on"));
  }
  options.number(transport::TcpOptions::newcomers_number());
  if (options.contacts().empty()) options.world_size(0);
  return {std::move(options), false};
}

}  // namespace gossamer::launch
