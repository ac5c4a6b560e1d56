// SPDX-License-Identifier: MIT
/// The matrices of a graph: who sends to whom, and by how much models are mixed.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/topology/graph.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <c10/util/StringUtil.h>

#include <cstdint>
#include <vector>

namespace gossamer::topology {

/// A(i, j) = 1 if place i sends to place j in that turn, else 0; (members, members), double.
inline at::Tensor adjacency(const Graph& graph, Place members, std::uint64_t turn = 0) {
  if (members == 0) throw ConfigError("adjacency: needs at least 1 member, got 0");
  at::Tensor a = at::zeros({members, members}, at::kDouble);
  auto entry = a.accessor<double, 2>();
  std::vector<Place> out;
  for (Place i = 0; i < members; ++i) {
    graph.neighbours(i, members, turn % graph.period(members), out);
    for (const Place j : out) entry[i][j] = 1;
  }
  return a;
}

/// W(j, i) = 1 / (1 + number of neighbours of i) where i sends to j, and for j = i: i keeps as much
/// as it gives to each. Columns add up to 1, so x <- W x keeps the sum of x: what push-sum does. On
/// graphs in which all have equally many neighbours, either way, rows do so too.
inline at::Tensor uniform_mixing(const Graph& graph, Place members, std::uint64_t turn = 0) {
  at::Tensor w = adjacency(graph, members, turn);
  w.fill_diagonal_(1);
  return w.div(w.sum(1, true)).t().contiguous();
}

/// W(i, j) = 1 / (1 + max(d_i, d_j)) between neighbours, where d_i is the number of neighbours of
/// i, and on the diagonal what is left to 1. Symmetric, so rows and columns add up to 1: the
/// weights of Metropolis and Hastings, which each node knows from its neighbours' numbers alone.
/// Throws ConfigError if somebody sends to one who does not send back.
inline at::Tensor metropolis_mixing(const Graph& graph, Place members, std::uint64_t turn = 0) {
  const at::Tensor a = adjacency(graph, members, turn);
  if (!at::equal(a, a.t())) {
    throw ConfigError("metropolis_mixing: needs a graph without direction");
  }
  const at::Tensor degree = a.sum(1);
  const at::Tensor larger = degree.unsqueeze(0).maximum(degree.unsqueeze(1));
  at::Tensor w = a.div(larger.add(1));
  w.diagonal().copy_(w.sum(1).neg().add(1));
  return w;
}

}  // namespace gossamer::topology
