// SPDX-License-Identifier: MIT
/// What a method does at the two kinds of events, and the plain methods beside DADAO.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace dadao {

/// Writes the gradient of a node's own f at x to the last argument; both have d numbers.
using Gradient = std::function<void(std::size_t, std::span<const double>, std::span<double>)>;

/// A method on all nodes of a simulated network, told of events in the order of their times.
/// Threads: distinct objects: safe; one object from two threads: unsafe.
class Solver {
 public:
  virtual ~Solver() = default;
  /// In a word.
  [[nodiscard]] virtual std::string name() const = 0;
  /// A node takes a gradient.
  virtual void step(std::size_t node, double time) = 0;
  /// Two nodes exchange what they have, at once.
  virtual void exchange(std::size_t i, std::size_t j, double time) = 0;
  /// What a node takes for the solution, (d,); valid until the next call.
  [[nodiscard]] virtual std::span<const double> x(std::size_t node, double time) = 0;

 protected:
  Solver() = default;
  Solver(const Solver&) = default;
  Solver(Solver&&) noexcept = default;
  Solver& operator=(const Solver&) = default;
  Solver& operator=(Solver&&) noexcept = default;
};

/// The rows of all nodes, at first 0.
class Rows {
 public:
  Rows(std::size_t nodes, std::size_t length) : length_(length), all_(nodes * length) {}
  /// That of a node, (length,).
  [[nodiscard]] std::span<double> operator[](std::size_t node) {
    return std::span(all_).subspan(node * length_, length_);
  }

  /// Both rows become their mean.
  void average(std::size_t i, std::size_t j) {
    for (std::size_t k = 0; k < length_; ++k) {
      double& a = all_[i * length_ + k];
      double& b = all_[j * length_ + k];
      a = b = (a + b) / 2;
    }
  }

 private:
  std::size_t length_;
  std::vector<double> all_;
};

/// What the plain methods have in common: one vector a node is the solution, and steps of one size.
class Descent : public Solver {
 public:
  [[nodiscard]] std::span<const double> x(std::size_t node, double /*time*/) final {
    return x_[node];
  }

 protected:
  Descent(std::size_t nodes, std::size_t d, double step, Gradient gradient)
      : step_(step), gradient_(std::move(gradient)), x_(nodes, d) {}

  double step_;
  Gradient gradient_;
  Rows x_;
};

/// Gossip with a gradient step: x_i <- x_i - s grad f_i(x_i), and two that meet go to their middle.
/// With a constant s it ends near the optimum, not in it: the nodes' gradients do not vanish there.
/// Cost  d numbers each way per exchange.
class GossipDescent final : public Descent {
 public:
  GossipDescent(std::size_t nodes, std::size_t d, double step, Gradient gradient)
      : Descent(nodes, d, step, std::move(gradient)), g_(d) {}

  [[nodiscard]] std::string name() const override { return "gossip"; }
  void step(std::size_t node, double /*time*/) override {
    const auto x = x_[node];
    gradient_(node, x, g_);
    for (std::size_t k = 0; k < x.size(); ++k) x[k] -= step_ * g_[k];
  }
  void exchange(std::size_t i, std::size_t j, double /*time*/) override { x_.average(i, j); }

 private:
  std::vector<double> g_;
};

/// Gradient tracking by pairwise gossip: x_i <- x_i - s y_i, then y_i takes in by how much the
/// node's gradient has changed; two that meet go to the middle of x and of y. The sum of y is that
/// of the gradients, so it ends in the optimum, at a linear rate, but without acceleration.
/// Cost  2 d numbers each way per exchange, and one gradient a node at the beginning.
class GossipTracking final : public Descent {
 public:
  GossipTracking(std::size_t nodes, std::size_t d, double step, Gradient gradient)
      : Descent(nodes, d, step, std::move(gradient)), y_(nodes, d), g_(nodes, d) {
    for (std::size_t i = 0; i < nodes; ++i) {
      gradient_(i, x_[i], g_[i]);
      for (std::size_t k = 0; k < d; ++k) y_[i][k] = g_[i][k];
    }
    new_.resize(d);
  }

  [[nodiscard]] std::string name() const override { return "tracking"; }
  void step(std::size_t node, double /*time*/) override {
    const auto x = x_[node];
    const auto y = y_[node];
    const auto g = g_[node];
    for (std::size_t k = 0; k < x.size(); ++k) x[k] -= step_ * y[k];
    gradient_(node, x, new_);
    for (std::size_t k = 0; k < x.size(); ++k) {
      y[k] += new_[k] - g[k];
      g[k] = new_[k];
    }
  }
  void exchange(std::size_t i, std::size_t j, double /*time*/) override {
    x_.average(i, j);
    y_.average(i, j);
  }

 private:
  Rows y_;
  Rows g_;  // the last gradient of each node
  std::vector<double> new_;
};

}  // namespace dadao
