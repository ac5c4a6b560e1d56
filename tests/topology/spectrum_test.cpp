// SPDX-License-Identifier: MIT
/// Mixing matrices and their spectra beside what is known of them in closed form.
#include <gossamer/error.hpp>
#include <gossamer/topology/complete.hpp>
#include <gossamer/topology/edge_list.hpp>
#include <gossamer/topology/exponential.hpp>
#include <gossamer/topology/mixing.hpp>
#include <gossamer/topology/random_regular.hpp>
#include <gossamer/topology/ring.hpp>
#include <gossamer/topology/spectrum.hpp>
#include <gossamer/topology/torus.hpp>
#include <gossamer/topology/trees.hpp>

#include <tests/support.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <string>

namespace {

using gossamer::ConfigError;
using gossamer::topology::adjacency;
using gossamer::topology::Graph;
using gossamer::topology::metropolis_mixing;
using gossamer::topology::Place;
using gossamer::topology::resistance;
using gossamer::topology::spectral_gap;
using gossamer::topology::uniform_mixing;
using tests::Approx;
using tests::message_of;
namespace topology = gossamer::topology;

constexpr double pi = 3.14159265358979323846;
const topology::Ring both_ways(topology::Ring::Way::both);

/// Approx with an absolute margin, for values near 0.
Approx near(double value) { return Approx(value).margin(1e-12); }

bool adds_up_to_one(const at::Tensor& sums) {
  return at::allclose(sums, at::ones_like(sums), 0, 1e-14);
}

TEST_CASE("The entries of a mixing matrix are those of its definition", "[topology]") {
  // A path of three: 0 - 1 - 2.
  const auto wanted = [](std::vector<double> entries) {
    return torch::tensor(entries, torch::kDouble).reshape({3, 3});
  };
  const topology::Path path;
  CHECK(torch::equal(adjacency(path, 3), wanted({0, 1, 0, 1, 0, 1, 0, 1, 0})));
  const double third = 1.0 / 3;
  CHECK(torch::allclose(uniform_mixing(path, 3),
                        wanted({.5, third, 0, .5, third, .5, 0, third, .5}), 0, 1e-15));
  CHECK(torch::allclose(metropolis_mixing(path, 3),
                        wanted({2 * third, third, 0, third, third, third, 0, third, 2 * third}), 0,
                        1e-15));
  // A step of a graph that changes.
  const auto second = uniform_mixing(topology::OnePeerExponential(), 3, 1);
  CHECK(torch::equal(second, wanted({.5, .5, 0, 0, .5, .5, .5, 0, .5})));  // 0 -> 2 -> 1 -> 0
  CHECK(message_of<ConfigError>([] { metropolis_mixing(topology::Ring(), 3); }) ==
        "metropolis_mixing: needs a graph without direction");
  CHECK(message_of<ConfigError>([] { adjacency(topology::Ring(), 0); }) ==
        "adjacency: needs at least 1 member, got 0");
}

TEST_CASE("Uniform mixing keeps sums, and that of Metropolis and Hastings means too",
          "[topology]") {
  const auto check = [](const Graph& graph, Place members, bool directed) {
    CAPTURE(members);
    const auto uniform = uniform_mixing(graph, members);
    CHECK(adds_up_to_one(uniform.sum(0)));
    if (directed) return;
    const auto metropolis = metropolis_mixing(graph, members);
    CHECK(adds_up_to_one(metropolis.sum(0)));
    CHECK(adds_up_to_one(metropolis.sum(1)));
    CHECK(torch::equal(metropolis, metropolis.t()));
    CHECK(metropolis.min().item<double>() >= 0);
  };
  for (const Place m : {1U, 2U, 3U, 5U, 8U, 16U}) {
    check(topology::Ring(), m, m > 2);
    check(topology::Star(), m, false);
    check(topology::BinaryTree(), m, false);
    check(topology::Torus(), m, false);
    check(topology::Exponential(), m, m > 2);
    check(topology::RandomRegular(3, tests::seed), m, false);
  }
}

TEST_CASE("The spectral gap of each graph is what is known in closed form", "[topology]") {
  for (const Place m : {2U, 3U, 5U, 8U, 16U}) {
    CAPTURE(m);
    CHECK(spectral_gap(uniform_mixing(topology::Complete(), m)) == near(1));
    // A circulant matrix: (1 + 2 cos(2 pi / m)) / 3, for two the mean.
    const double ring = m == 2 ? 1 : 1 - std::abs(1 + 2 * std::cos(2 * pi / m)) / 3;
    if (m != 3 && m != 5) CHECK(spectral_gap(uniform_mixing(both_ways, m)) == near(ring));
    // 1 - 1/3 (2 - 2 cos(pi k / m)) along a path, where ends keep 2/3.
    if (m > 2) {
      CHECK(spectral_gap(metropolis_mixing(topology::Path(), m)) ==
            near((2 - 2 * std::cos(pi / m)) / 3));
    }
    // The star's Laplacian has the eigenvalues 0, 1 (m - 2 times) and m.
    CHECK(spectral_gap(metropolis_mixing(topology::Star(), m)) == near(m == 2 ? 1 : 1.0 / m));
    // The directed ring: |1 + exp(2 pi i / m)| / 2 = cos(pi / m).
    CHECK(spectral_gap(uniform_mixing(topology::Ring(), m)) == near(1 - std::cos(pi / m)));
  }
  // A torus of r x c: (1 + 2 cos(2 pi / r) + 2 cos(2 pi / c)) / 5 with one of the two at 0.
  CHECK(spectral_gap(uniform_mixing(topology::Torus(), 16)) == near(1 - 3.0 / 5));
  CHECK(spectral_gap(uniform_mixing(topology::Torus(), 36)) ==
        near((2 - 2 * std::cos(2 * pi / 6)) / 5));
  // The cube of L dimensions: (L + 1 - 2) / (L + 1).
  for (const Place digits : {1U, 2U, 3U, 4U, 5U}) {
    CHECK(spectral_gap(uniform_mixing(topology::Hypercube(), 1U << digits)) ==
          near(digits == 1 ? 1 : 2.0 / (digits + 1)));
  }
  CHECK(spectral_gap(uniform_mixing(topology::Complete(), 1)) == 1);
  // In two pieces; swapping only.
  CHECK(spectral_gap(torch::eye(4, torch::kDouble)) == near(0));
  CHECK(spectral_gap(torch::tensor({{0., 1.}, {1., 0.}}, torch::kDouble)) == near(0));
}

TEST_CASE("The exponential graph's spectral gap is 2 / (1 + ceil(log2 m)) for even m",
          "[topology]") {
  for (const Place m : {2U, 4U, 6U, 8U, 10U, 16U, 22U, 32U, 64U}) {
    CAPTURE(m);
    CHECK(spectral_gap(uniform_mixing(topology::Exponential(), m)) ==
          near(2.0 / (1 + std::bit_width(m - 1))));
  }
  // And no less for odd m.
  for (const Place m : {3U, 5U, 7U, 9U, 17U, 33U}) {
    CHECK(spectral_gap(uniform_mixing(topology::Exponential(), m)) >
          2.0 / (1 + std::bit_width(m - 1)) - 1e-12);
  }
}

TEST_CASE("All turns of the one-peer exponential graph give the exact mean for powers of two only",
          "[topology]") {
  const topology::OnePeerExponential graph;
  for (const Place m : {2U, 3U, 4U, 5U, 8U, 12U, 16U, 32U}) {
    CAPTURE(m);
    at::Tensor product = torch::eye(m, torch::kDouble);
    for (std::uint64_t step = 0; step < graph.period(m); ++step) {
      product = uniform_mixing(graph, m, step).mm(product);
    }
    const auto mean = torch::full({m, m}, 1.0 / m, torch::kDouble);
    CHECK(torch::allclose(product, mean, 0, 1e-15) == std::has_single_bit(m));
  }
}

TEST_CASE("chi1 and chi2 are what is known of ring, complete graph, path, star and cube",
          "[topology]") {
  // The numbers of the authors' code.
  const auto eight = resistance(both_ways, 8);
  CHECK(eight.chi1 == Approx(3.4142).margin(5e-5));
  CHECK(eight.chi2 == near(0.875));
  const auto sixteen = resistance(both_ways, 16);
  CHECK(sixteen.chi1 == Approx(13.137).margin(5e-4));
  CHECK(sixteen.chi2 == near(0.9375));
  // There, i and i + 2^k and i - 2^k are neighbours, for m / 2 twice.
  const auto hops = adjacency(topology::Exponential(), 16);
  CHECK(resistance(hops + hops.t()).chi1 == Approx(2));
  CHECK(resistance(hops + hops.t()).chi2 == Approx(1.0097).margin(5e-5));
  for (const Place m : {3U, 4U, 8U, 16U, 33U}) {
    CAPTURE(m);
    // Ring: lambda = 1/2 per edge; 1 and m - 1 edges in parallel.
    const auto ring = resistance(both_ways, m);
    CHECK(ring.chi1 == Approx(1 / (1 - std::cos(2 * pi / m))));
    CHECK(ring.chi2 == Approx((m - 1.0) / m));
    // Complete: lambda = 1 / (m - 1), lambda_2 = m / (m - 1), resistance 2 / (m lambda).
    const auto complete = resistance(topology::Complete(), m);
    CHECK(complete.chi1 == Approx((m - 1.0) / m));
    CHECK(complete.chi2 == Approx((m - 1.0) / m));
    // Star: lambda = (1 + 1 / (m - 1)) / 2, lambda_2 = lambda, a bridge of 1 / lambda.
    const double star_rate = (1 + 1 / (m - 1.0)) / 2;
    const auto star = resistance(topology::Star(), m);
    CHECK(star.chi1 == Approx(1 / star_rate));
    CHECK(star.chi2 == Approx(1 / (2 * star_rate)));
    // A path's edges are bridges, of 1/2 inside and 3/4 at the ends (1 for both where m = 3).
    CHECK(resistance(topology::Path(), m).chi2 == Approx(m == 3 ? 2.0 / 3 : 1.0));
    CHECK(resistance(both_ways, m, 3).chi1 == Approx(ring.chi1 / 3));
  }
  for (const Place digits : {2U, 3U, 4U}) {  // lambda = 1 / L, lambda_2 = 2 / L, symmetric
    const Place m = 1U << digits;
    const auto cube = resistance(topology::Hypercube(), m);
    CHECK(cube.chi1 == Approx(digits / 2.0));
    CHECK(cube.chi2 == Approx(digits / 2.0 * (m - 1.0) / (m * digits / 2.0)));
  }
  CHECK(resistance(topology::Complete(), 2).chi1 == Approx(0.5));
}

TEST_CASE("A graph that falls apart has infinite chi, and one with a direction none",
          "[topology]") {
  class Pairs final : public Graph {
   public:
    void neighbours(Place place, Place members, std::uint64_t /*step*/,
                    std::vector<Place>& out) const override {
      out.clear();
      if ((place ^ 1U) < members) out.push_back(place ^ 1U);
    }
  };
  CHECK(std::isinf(resistance(Pairs(), 4).chi1));
  CHECK(std::isinf(resistance(Pairs(), 4).chi2));
  CHECK(std::isinf(resistance(Pairs(), 3).chi1));
  CHECK(resistance(Pairs(), 2).chi1 == Approx(0.5));
  CHECK(message_of<ConfigError>([] { resistance(topology::Ring(), 4); }) ==
        "resistance: needs a graph without direction");
  CHECK(message_of<ConfigError>([] { resistance(topology::Ring(), 1); }) ==
        "resistance: needs 2 members, got 1");
}

}  // namespace
