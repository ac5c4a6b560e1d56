// SPDX-License-Identifier: MIT
/// One node of a run over many processes that meet over TCP. Needs OpenSSL and xxHash, hence not
/// part of gossamer.hpp.
#pragma once

#include <gossamer/node/process_group.hpp>
#include <gossamer/node/rendezvous.hpp>
#include <gossamer/transport/tcp.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace gossamer {

/// Options of a node on TCP. `launch::tcp_place()` makes its `TcpOptions` from what torchrun,
/// Slurm, MPI or Kubernetes say of this process.
struct TcpGroupOptions : ProcessGroupOptions<transport::TcpOptions> {
  using ProcessGroupOptions::ProcessGroupOptions;
  TcpGroupOptions(
      ProcessGroupOptions options)  // NOLINT(google-explicit-constructor): so they chain
      : ProcessGroupOptions(std::move(options)) {}

  /// `TcpOptions::newcomers_number()`.
  static PeerId newcomers_number() { return transport::TcpOptions::newcomers_number(); }
};

/// The node of this process, in its place among others. How it begins follows from what it finds:
///
///     one of those that the run begins with      waits for the others; weight 1 / world_size,
///     (its number is below `world_size`)         parameters of the first from its first run on
///     one of whom a member has met an earlier    weight 0; asks a member for half of its weight,
///     incarnation, or with a higher number       with its model
///     alone (no world_size, no contacts)         weight 1; others may come
///
/// Threads  as `Group`.
/// Throws   ConfigError if nobody is there in time, with the last reason, and at once if a member
///          refuses the node, since they disagree on what all must have in common: the run, the
///          world size, the rule with its numbers, limits (`transport::Agreement`); NodeError if a
///          hook threw, and if founders turn out to have different models, at all of them.
template <class Node>
class TcpGroup final : public ProcessGroup<Node, transport::Tcp> {
  using Base = ProcessGroup<Node, transport::Tcp>;

 public:
  /// `make` is called with the node's context and returns `std::unique_ptr<Node>`.
  template <class Factory>
  TcpGroup(const TcpGroupOptions& options, const rule::AnyRule& rule, Factory make)
      : Base(options) {
    transport::Tcp tcp(detail::agreed(options.transport(), rule));
    const bool is_first_start =
        detail::rendezvous(tcp, options.transport().world_size(),
                           !options.transport().contacts().empty(), options.rendezvous_timeout());
    this->make_node(std::move(tcp), rule, options.node(),
                    std::max<std::uint32_t>(options.transport().world_size(), 1), is_first_start,
                    std::move(make));
  }

  /// Strangers, and what came of them. Any thread.
  [[nodiscard]] transport::UnauthenticatedPeers::Record attempts() const {
    return this->endpoint().attempts();
  }
  /// Where others dial this node.
  [[nodiscard]] std::string address() const override { return this->endpoint().address(); }
};

}  // namespace gossamer
