// SPDX-License-Identifier: MIT
/// Several methods on the same events, and how far each is from the optimum.
#pragma once

#include <dadao/network.hpp>
#include <dadao/solver.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace dadao {

/// Mean over nodes of |x_i - x*|^2.
inline double distance(Solver& solver, std::size_t nodes, double time,
                       std::span<const double> optimum) {
  double sum = 0;
  for (std::size_t i = 0; i < nodes; ++i) {
    const auto x = solver.x(i, time);
    for (std::size_t k = 0; k < x.size(); ++k) sum += (x[k] - optimum[k]) * (x[k] - optimum[k]);
  }
  return sum / static_cast<double>(nodes);
}

/// r of exp(-r t), fitted by least squares to the logarithms of the second half of a curve, which
/// ends where the error is below 1e-24, since rounding is all that is left there. 0 where fewer
/// than three values are left, or one is not finite.
inline double fitted_rate(std::span<const double> times, std::span<const double> errors) {
  const auto end = std::find_if(errors.begin(), errors.end(), [](double e) { return e < 1e-24; });
  const auto last = static_cast<std::size_t>(end - errors.begin());
  const std::size_t first = last / 2;
  const auto count = static_cast<double>(last - first);
  if (count < 3) return 0;
  double t = 0;
  double y = 0;
  for (std::size_t i = first; i < last; ++i) {
    if (!std::isfinite(errors[i])) return 0;
    t += times[i] / count;
    y += std::log(errors[i]) / count;
  }
  double above = 0;
  double below = 0;
  for (std::size_t i = first; i < last; ++i) {
    above += (times[i] - t) * (std::log(errors[i]) - y);
    below += (times[i] - t) * (times[i] - t);
  }
  return -above / below;
}

/// What came of a race.
struct Curves {
  std::vector<double> times;                ///< gradients a node on average
  std::vector<std::vector<double>> errors;  ///< of each solver, to that at the beginning
  std::uint64_t gradients = 0;              ///< of all nodes
  std::uint64_t exchanges = 0;              ///< two messages each
};

/// Runs all of them on the same events until the first one's error is at most `tolerance`, or that
/// time is over. `seen` is told of each point, one per `interval`.
inline Curves race(const Network& network, std::span<const std::unique_ptr<Solver>> solvers,
                   std::span<const double> optimum, double limit, double interval, double tolerance,
                   std::uint64_t seed, const std::function<void(const Curves&)>& seen = {}) {
  Curves curves;
  curves.errors.resize(solvers.size());
  std::vector<double> at_first;
  const auto look = [&](double time) {
    curves.times.push_back(time);
    for (std::size_t s = 0; s < solvers.size(); ++s) {
      const double error = distance(*solvers[s], network.nodes(), time, optimum);
      if (at_first.size() <= s) at_first.push_back(error);
      curves.errors[s].push_back(error / at_first[s]);
    }
    if (seen) seen(curves);
    return curves.errors[0].back() <= tolerance;
  };
  look(0);
  Events events(network, seed);
  for (Event event = events.next();; event = events.next()) {
    for (double next = static_cast<double>(curves.times.size()) * interval; next <= event.time;
         next = static_cast<double>(curves.times.size()) * interval) {
      if (next > limit || look(next)) return curves;
    }
    ++(event.j ? curves.exchanges : curves.gradients);
    for (const auto& solver : solvers) {
      if (event.j) {
        solver->exchange(event.i, *event.j, event.time);
      } else {
        solver->step(event.i, event.time);
      }
    }
  }
}

}  // namespace dadao
