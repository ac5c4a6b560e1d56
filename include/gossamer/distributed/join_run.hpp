// SPDX-License-Identifier: MIT
/// How `join_run` finds this process's place. distributed.hpp includes it, unless it is compiled
/// apart.
#pragma once

#include <gossamer/distributed.hpp>
#include <gossamer/distributed/environment.hpp>
#include <gossamer/distributed/options.hpp>
#include <gossamer/distributed/run_watch.hpp>
#include <gossamer/error.hpp>
#include <gossamer/launch/tcp_launch.hpp>
#include <gossamer/node/options.hpp>
#include <gossamer/node/rendezvous.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/transport/tcp.hpp>
#include <gossamer/transport/threads.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

namespace gossamer {

namespace detail {

/// See `join_run`.
inline Context join_over_tcp(const rule::AnyRule& rule, const RunEnvironment& environment) {
  const RunOptions& options = environment.options();
  const std::uint16_t port = environment.port();
  const std::chrono::milliseconds within = environment.rendezvous_timeout();
  transport::TcpOptions tcp_options = environment.tcp();
  if (options.rank()) {
    tcp_options.number(*options.rank());
    launch::refuse_to_wait_for_nobody(tcp_options, "give contacts, or listen on a port");
  } else {
    const auto launched = launch::launch_from(options.variables());
    const bool is_alone = !launched && tcp_options.contacts().empty() &&
                          tcp_options.world_size() <= 1 && !environment.says_where();
    if (is_alone) {
      return {transport::ThreadHub::make(1)->endpoint(0), rule,
              RunWatch::watched(options.node(), RunWatch::make(environment, 0, rule, "none")), 1,
              leave_on_signal()};
    }
    environment.listen_for(launched && launched->size > 1 && !launched->is_one_machine,
                           tcp_options);
    tcp_options = launch::tcp_place(options.variables(), port, std::move(tcp_options)).options;
  }
  const auto page = RunWatch::make(environment, tcp_options.number(), rule, "tcp");
  transport::Tcp tcp(agreed(tcp_options, rule));
  const bool begins =
      rendezvous(tcp, tcp_options.world_size(), !tcp_options.contacts().empty(), within);
  const double nodes = std::max<std::uint32_t>(tcp_options.world_size(), 1);
  if (page) page->look_at(tcp.endpoint(), tcp.endpoint().address());
  return {std::move(tcp),    rule,  RunWatch::watched(options.node(), page), begins ? 1 / nodes : 0,
          leave_on_signal(), within};
}

}  // namespace detail

// Inline, or not, as distributed.hpp has declared it.
Context join_run(const rule::AnyRule& rule, const RunOptions& options) {
  const detail::RunEnvironment environment(options);
  const auto chosen = environment.transport();
  if (chosen.value == "tcp") return detail::join_over_tcp(rule, environment);
  if (detail::join_over_mpi != nullptr) return detail::join_over_mpi(rule, environment);
  throw ConfigError(chosen.name +
                    " is mpi, but this program was built without MPI: include "
                    "<gossamer/distributed/mpi.hpp> in one of its files, and link gossamer::mpi");
}

}  // namespace gossamer
