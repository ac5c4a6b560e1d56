// SPDX-License-Identifier: MIT
/// A linear flow of six vectors: its matrix, the exponential of it, and what that does to them.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>

namespace dadao {

/// A with s' = A s for the six numbers s of each coordinate.
using FlowMatrix = std::array<std::array<double, 6>, 6>;

/// A B.
inline FlowMatrix product(const FlowMatrix& a, const FlowMatrix& b) {
  FlowMatrix c{};
  for (std::size_t i = 0; i < 6; ++i) {
    for (std::size_t k = 0; k < 6; ++k) {
      for (std::size_t j = 0; j < 6; ++j) c[i][j] += a[i][k] * b[k][j];
    }
  }
  return c;
}

/// exp(A t): Taylor's series of a part of t so short that 14 terms are exact, squared up again.
inline FlowMatrix exponential(const FlowMatrix& a, double t) {
  double norm = 0;
  for (const auto& row : a) {
    double sum = 0;
    for (const double value : row) sum += std::abs(value * t);
    norm = std::max(norm, sum);
  }
  int halvings = 0;
  for (; norm > 0.5; norm /= 2) ++halvings;
  FlowMatrix part = a;
  for (auto& row : part) {
    for (double& value : row) value *= std::ldexp(t, -halvings);
  }
  FlowMatrix sum{};
  for (int term = 14; term >= 0; --term) {  // Horner: I + (A / 1) (I + (A / 2) (I + ...))
    for (auto& row : sum) {
      for (double& value : row) value /= term + 1;
    }
    sum = product(part, sum);
    for (std::size_t i = 0; i < 6; ++i) sum[i][i] += 1;
  }
  for (; halvings > 0; --halvings) sum = product(sum, sum);
  return sum;
}

/// s <- P s for each coordinate; `state` is six vectors of equal length, one after the other.
inline void let_flow(const FlowMatrix& p, std::span<double> state) {
  const std::size_t d = state.size() / 6;
  for (std::size_t k = 0; k < d; ++k) {
    std::array<double, 6> s{};
    for (std::size_t i = 0; i < 6; ++i) s[i] = state[i * d + k];
    for (std::size_t i = 0; i < 6; ++i) {
      double value = 0;
      for (std::size_t j = 0; j < 6; ++j) value += p[i][j] * s[j];
      state[i * d + k] = value;
    }
  }
}

}  // namespace dadao
