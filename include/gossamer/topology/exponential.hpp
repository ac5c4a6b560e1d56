// SPDX-License-Identifier: MIT
/// Hops of 1, 2, 4, 8, ...: everybody is reached in log2(m) of them.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/topology/graph.hpp>

#include <bit>
#include <cstdint>
#include <vector>

namespace gossamer::topology {

/// The static exponential graph: i sends to i + 2^k mod m for k = 0, ..., ceil(log2 m) - 1.
/// With equal weights for itself and its neighbours, its spectral gap is 2 / (1 + ceil(log2 m)) for
/// even m.
/// Source   Ying, Yuan, Chen, Hu, Pan, Yin, "Exponential graph is provably efficient for
///          decentralized deep training", NeurIPS 2021, arXiv:2110.13363.
class Exponential final : public Graph {
 public:
  void neighbours(Place place, Place members, std::uint64_t /*turn*/,
                  std::vector<Place>& out) const override {
    out.clear();
    for (std::uint64_t hop = 1; hop < members; hop *= 2) {
      out.push_back(static_cast<Place>((place + hop) % members));
    }
    tidy(place, out);
  }
};

/// The places that differ from i in one binary digit. For m = 2^L the L-dimensional cube; for other
/// m, the part of the next larger cube that has members: still in one piece.
class Hypercube final : public Graph {
 public:
  void neighbours(Place place, Place members, std::uint64_t /*turn*/,
                  std::vector<Place>& out) const override {
    out.clear();
    for (std::uint64_t digit = 1; digit < members; digit *= 2) {
      const std::uint64_t other = place ^ digit;
      if (other < members) out.push_back(static_cast<Place>(other));
    }
    tidy(place, out);
  }
};

/// The exponential graph in turns: in turn k = 0, ..., floor(log_(n+1)(m - 1)), and again from 0, i
/// sends to the n places i + j (n + 1)^k mod m, j = 1, ..., n.
///
/// With n = 1 and m = 2^L, L turns of x_i <- (x_i + x_(i - 2^k)) / 2 give the exact mean. A turn
/// lasts `steps` of the node: with `schedule::Every(tau)` that is tau, lest the same turn come up
/// at each exchange. Nodes that are not in step are in different turns at a time. Throws
/// ConfigError for n = 0 and for 0 steps. Source   the same, and Assran, Loizou, Ballas, Rabbat,
/// "Stochastic gradient push for distributed
///          deep learning", ICML 2019, arXiv:1811.10792 (one peer, n peers).
class NPeerExponential : public Graph {
 public:
  explicit NPeerExponential(std::uint32_t peers, std::uint64_t steps = 1)
      : Graph(steps), peers_(peers) {
    if (peers == 0) throw ConfigError("NPeerExponential: needs at least 1 peer, got 0");
  }

  [[nodiscard]] std::uint64_t period(Place members) const override {
    std::uint64_t turns = 1;
    for (std::uint64_t hop = base(); hop < members; hop *= base()) ++turns;
    return turns;
  }
  void neighbours(Place place, Place members, std::uint64_t turn,
                  std::vector<Place>& out) const override {
    std::uint64_t hop = 1;
    for (std::uint64_t k = 0; k < turn; ++k) hop *= base();
    out.clear();
    for (std::uint64_t j = 1; j <= peers_ && j < members; ++j) {
      out.push_back(static_cast<Place>((place + j * hop) % members));
    }
    tidy(place, out);
  }

 private:
  [[nodiscard]] std::uint64_t base() const { return std::uint64_t{peers_} + 1; }

  std::uint32_t peers_;
};

/// The one-peer exponential graph: hop 1, then 2, then 4, ..., and again from 1.
///
/// With `schedule::Every(tau)` and turns of tau steps each node hears from log2(m) others at
/// regular times, also where steps take different times, which keeps the weights of GoSGD even
/// without knowing any: in simulation 6.6 effective nodes of 8 and 24 of 32, where steps vary by a
/// third.
class OnePeerExponential final : public NPeerExponential {
 public:
  explicit OnePeerExponential(std::uint64_t steps = 1) : NPeerExponential(1, steps) {}
};

/// Pairs that change with the turn, each of an odd and an even place: the odd place i and the even
/// place i + h mod m, where h takes the values 1, -1, 3, -3, 5, -5, 9, -9, ...,
/// 1 + 2^k and its negative up to k = floor(log2(m - 1)).
///
/// All partners of one kind are of the other, so a rule in which the odd ones ask and the even ones
/// answer has no deadlock.
/// Source   the graph of the authors' implementations of arXiv:1811.10792 for D-PSGD and AD-PSGD.
/// Differs  an odd number of members: one place after the other sits out while h takes all its
///          values, and the others take the places of m - 1.
/// Throws   ConfigError for 0 steps per turn; see `NPeerExponential` for what they are.
class BipartiteExponential final : public Graph {
 public:
  explicit BipartiteExponential(std::uint64_t steps = 1) : Graph(steps) {}

  [[nodiscard]] std::uint64_t period(Place members) const override {
    return members % 2 == 0 ? turns(members) : turns(members - 1) * members;
  }
  void neighbours(Place place, Place members, std::uint64_t turn,
                  std::vector<Place>& out) const override {
    out.clear();
    if (members < 2) return;
    if (members % 2 == 0) {
      out.push_back(partner(place, members, turn));
      return;
    }
    const auto idle = static_cast<Place>(turn / turns(members - 1));
    if (place == idle) return;
    const Place other =
        partner(place < idle ? place : place - 1, members - 1, turn % turns(members - 1));
    out.push_back(other < idle ? other : other + 1);
  }

 private:
  static std::uint64_t turns(Place members) {
    return members < 2 ? 1 : 2 * std::uint64_t(std::bit_width(members - 1U));
  }
  static Place partner(Place place, Place members, std::uint64_t turn) {
    const std::uint64_t k = turn / 2;
    std::uint64_t hop = (k == 0 ? 1 : 1 + (std::uint64_t{1} << k)) % members;
    const bool forward = (turn % 2 == 0) == (place % 2 == 1);
    return static_cast<Place>((place + (forward ? hop : members - hop)) % members);
  }
};

}  // namespace gossamer::topology
