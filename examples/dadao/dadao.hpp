// SPDX-License-Identifier: MIT
/// DADAO: accelerated, without a barrier, gradients and exchanges at times of their own.
#pragma once

#include <gossamer/error.hpp>

#include <c10/util/StringUtil.h>
#include <dadao/flow.hpp>
#include <dadao/solver.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace dadao {

/// The numbers of DADAO. They follow from the problem and the network.
struct Constants {
  double nu = 0;           ///< half of mu
  double eta = 0;          ///< of the flow between x and x~, and of z~ to z
  double alpha = 0;        ///< of the flow of y to y~ and of z to z~
  double theta = 0;        ///< of the pull that x~, y and z have on y~
  double gamma = 0;        ///< step of x
  double gamma_tilde = 0;  ///< step of x~
  double delta = 0;        ///< step of y~
  double beta = 0;         ///< z's side of an exchange
  double beta_tilde = 0;   ///< z~'s side of it

  /// For f that are mu-strongly convex and L-smooth, and exchanges at such rates that 1 / chi1 is
  /// the second smallest eigenvalue of their Laplacian (`Network`). Throws ConfigError unless
  /// 0 < mu <= L and chi1 > 0, all finite.
  static Constants of(double mu, double smoothness, double chi1) {
    if (!(mu > 0 && mu <= smoothness && std::isfinite(smoothness))) {
      throw gossamer::ConfigError(
          c10::str("Constants: needs 0 < mu <= L, got mu = ", mu, " and L = ", smoothness));
    }
    if (!(chi1 > 0 && std::isfinite(chi1))) {
      throw gossamer::ConfigError(c10::str("Constants: needs a finite chi1 above 0, got ", chi1));
    }
    const double nu = mu / 2;
    const double root = std::sqrt(nu / smoothness);
    return {.nu = nu,
            .eta = root / 8,
            .alpha = root / 4,
            .theta = 1 / (2 * root),
            .gamma = 1 / (4 * smoothness),
            .gamma_tilde = 1 / (4 * std::sqrt(smoothness * nu)),
            .delta = root / 4 + 1,
            .beta = 0.5,
            .beta_tilde = 2 * chi1 / root};
  }
  /// Of d(x, x~, y, y~, z, z~)/dt between events.
  [[nodiscard]] FlowMatrix flow() const {
    return {{{-eta, eta, 0, 0, 0, 0},
             {eta, -eta, 0, 0, 0, 0},
             {0, 0, -alpha, alpha, 0, 0},
             {0, -theta * nu, -theta, 0, -theta, 0},
             {0, 0, 0, 0, -alpha, alpha},
             {0, 0, 0, 0, eta, -eta}}};
  }
};

/// By how much the mean of |x_i - x*|^2 falls per unit of time at least: exp(-rate t).
inline double guaranteed_rate(double mu, double smoothness) {
  return std::sqrt(mu / smoothness) / (8 * std::sqrt(2.0));
}

/// Minimises sum of f_i(x) over nodes that each know one f_i. The unit of time is that in which a
/// node takes one gradient on average. Six vectors a node flow along a linear differential equation
/// between its events; with r = sqrt(nu / L):
///
///     flow      x' = eta (x~ - x)       x~' = eta (x - x~)                     eta   = r / 8
///               y' = alpha (y~ - y)     y~' = -theta (nu x~ + y + z)           alpha = r / 4
///               z' = alpha (z~ - z)     z~' = eta (z - z~)                     theta = 1 / (2 r)
///     gradient  g = grad f_i(x) - nu x - y~                 Poisson, rate 1 a node
///               x -= g / (4 L),  x~ -= g / (4 sqrt(L nu)),  y~ += (r / 4 + 1) g
///     exchange  m = (y + z)_i - (y + z)_j                   Poisson, rate by the network
///               z_i -= m / 2,  z~_i -= 2 chi1 / r m,        and the opposite at j
///
/// Where exchanges are so frequent that chi1 chi2 <= 1/2 (`topology::Resistance` at their rates),
///
///     E |x_i - x*|^2  falls as  exp(-t sqrt(mu / L) / (8 sqrt(2)))
///
/// so it takes O(sqrt(L / mu)) gradients a node, and sqrt(chi1 chi2) times as many exchanges, by a
/// number of digits; plain descent needs O(L / mu).
///
/// Invariant  the sums of z and of z~ over nodes, both 0; from anywhere else eta times the first
///            plus alpha times the second.
/// Cost       six vectors a node; d numbers each way per exchange.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     nothing after construction; ConfigError by `Constants::of`.
/// Source     Nabli, Oyallon, "DADAO: Decoupled accelerated decentralized asynchronous
///            optimization", ICML 2023, arXiv:2208.00779; numbers as in the authors' code. The
///            paper's text was not at hand: the rate is quoted from memory, and the tests compute
///            the exact one of small networks, which is 1.4 to 2 times it.
/// Differs    an edge is drawn by a node that wakes up and calls a neighbour; by the authors, among
///            all edges alike. On graphs in which all have equally many neighbours it is the same.
///            Of a graph that changes, chi is that of its worst turn: our reading.
class Dadao final : public Solver {
 public:
  /// All start from 0; d numbers a vector.
  Dadao(std::size_t nodes, std::size_t d, const Constants& constants, Gradient gradient)
      : d_(d),
        constants_(constants),
        flow_(constants.flow()),
        gradient_(std::move(gradient)),
        state_(nodes, 6 * d),
        last_(nodes),
        g_(d) {}

  [[nodiscard]] std::string name() const override { return "dadao"; }
  void step(std::size_t node, double time) override {
    flow(node, time);
    const auto x = vector(node, 0);
    const auto x_tilde = vector(node, 1);
    const auto y_tilde = vector(node, 3);
    gradient_(node, x, g_);
    for (std::size_t k = 0; k < d_; ++k) {
      const double g = g_[k] - constants_.nu * x[k] - y_tilde[k];
      x[k] -= constants_.gamma * g;
      x_tilde[k] -= constants_.gamma_tilde * g;
      y_tilde[k] += constants_.delta * g;
    }
  }
  void exchange(std::size_t i, std::size_t j, double time) override {
    flow(i, time);
    flow(j, time);
    for (std::size_t k = 0; k < d_; ++k) {
      const double m = vector(i, 2)[k] + vector(i, 4)[k] - vector(j, 2)[k] - vector(j, 4)[k];
      vector(i, 4)[k] -= constants_.beta * m;
      vector(j, 4)[k] += constants_.beta * m;
      vector(i, 5)[k] -= constants_.beta_tilde * m;
      vector(j, 5)[k] += constants_.beta_tilde * m;
    }
  }
  [[nodiscard]] std::span<const double> x(std::size_t node, double time) override {
    flow(node, time);
    return vector(node, 0);
  }
  /// x, x~, y, y~, z or z~ (0 to 5) of a node as it was left by its last event, (d,).
  [[nodiscard]] std::span<double> vector(std::size_t node, std::size_t which) {
    return state_[node].subspan(which * d_, d_);
  }

 private:
  /// Lets all six flow until then. Two flows after each other are one.
  void flow(std::size_t node, double time) {
    const double passed = time - std::exchange(last_[node], time);
    if (passed > 0) let_flow(exponential(flow_, passed), state_[node]);
  }

  std::size_t d_;
  Constants constants_;
  FlowMatrix flow_;
  Gradient gradient_;
  Rows state_;
  std::vector<double> last_;  // when the node flowed last
  std::vector<double> g_;
};

}  // namespace dadao
