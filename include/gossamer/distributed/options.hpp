// SPDX-License-Identifier: MIT
/// What a program tells `join_run` in code.
#pragma once

#include <gossamer/launch/variables.hpp>
#include <gossamer/node/options.hpp>
#include <gossamer/transport/tcp/security.hpp>

#include <torch/arg.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gossamer {

/// What `join_run` takes from code. What is set here wins over the environment.
struct RunOptions {
  TORCH_ARG(NodeOptions, node) = {};
  /// This process's number and how many the run begins with; else as the launcher says.
  TORCH_ARG(std::optional<PeerId>, rank) = std::nullopt;
  TORCH_ARG(std::optional<std::uint32_t>, world_size) = std::nullopt;
  /// "tcp" or "mpi"; the latter needs distributed/mpi.hpp.
  TORCH_ARG(std::string, transport) = "";
  /// See `transport::TcpOptions`.
  TORCH_ARG(std::vector<std::string>, contacts) = {};
  TORCH_ARG(std::string, listen) = "";
  TORCH_ARG(std::string, advertise) = "";
  TORCH_ARG(std::string, run) = "";
  TORCH_ARG(std::optional<transport::Security>, security) = std::nullopt;
  /// How long nodes wait for each other at the start, and a newcomer for a member; > 0.
  TORCH_ARG(std::optional<std::chrono::seconds>, rendezvous_timeout) = std::nullopt;
  /// [ADDRESS:]PORT of a live page: rank N's is at PORT + N. And what its viewers must know.
  TORCH_ARG(std::string, watch) = "";
  TORCH_ARG(std::string, watch_token) = "";
  /// The environment; another one in tests.
  TORCH_ARG(launch::Variables, variables) = launch::process_variables();
};

}  // namespace gossamer
