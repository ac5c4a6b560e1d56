// SPDX-License-Identifier: MIT
/// DADAO: its numbers, its events by hand, its sums, the exact rate of small networks, and that it
/// finds known optima as fast as theory says, on graphs that stand still and that change.
#include <gossamer/error.hpp>

#include <ATen/ATen.h>
#include <dadao/dadao.hpp>
#include <dadao/network.hpp>
#include <dadao/problem.hpp>
#include <dadao/race.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

using dadao::Constants;
using dadao::Dadao;
using dadao::Network;
using gossamer::ConfigError;
using gossamer::Generator;
using gossamer::topology::RegistryOptions;
using tests::Approx;

Network network_of(const std::string& graph, dadao::Place nodes) {
  return {*gossamer::topology::graph_from_text(graph, RegistryOptions().seed(3), dadao::graphs()),
          nodes, 1};
}

/// f_i(x) = h_i / 2 (x - c_i)^2 of one number.
dadao::Gradient parabolas(std::vector<double> h, std::vector<double> c) {
  return [h = std::move(h), c = std::move(c)](std::size_t node, std::span<const double> x,
                                              std::span<double> out) {
    out[0] = h[node] * (x[0] - c[node]);
  };
}

at::Tensor tensor_of(const dadao::FlowMatrix& a) {
  at::Tensor all = at::empty({6, 6}, at::kDouble);
  for (std::size_t i = 0; i < 6; ++i) {
    for (std::size_t j = 0; j < 6; ++j) {
      all[static_cast<std::int64_t>(i)][static_cast<std::int64_t>(j)] = a[i][j];
    }
  }
  return all;
}

/// What an event does to the 6 n numbers of n nodes of one number, as a matrix: 6 n columns.
template <class Event>
at::Tensor matrix_of(std::size_t nodes, const Constants& constants, const dadao::Gradient& f,
                     const Event& event) {
  const std::size_t size = 6 * nodes;
  at::Tensor all =
      at::empty({static_cast<std::int64_t>(size), static_cast<std::int64_t>(size)}, at::kDouble);
  auto entry = all.accessor<double, 2>();
  for (std::size_t column = 0; column < size; ++column) {
    Dadao dadao(nodes, 1, constants, f);
    dadao.vector(column / 6, column % 6)[0] = 1;
    event(dadao);
    for (std::size_t row = 0; row < size; ++row) {
      entry[static_cast<std::int64_t>(row)][static_cast<std::int64_t>(column)] =
          dadao.vector(row / 6, row % 6)[0];
    }
  }
  return all;
}

/// How fast E |state|^2 falls at least in the long run, for parabolas around 0 on a path whose
/// nodes call each other at the network's rate. From the class itself: with the flow's matrix B and
/// jumps J at rates l, the mean of s s^T obeys M' = B M + M B^T + sum of l (J M J^T - M).
double mean_square_rate(const std::vector<double>& h, double mu, double smoothness) {
  const std::size_t n = h.size();
  const Network network = network_of("path", static_cast<dadao::Place>(n));
  const Constants constants = Constants::of(mu, smoothness, network.chi1());
  const auto f = parabolas(h, std::vector<double>(n));
  const auto size = static_cast<std::int64_t>(6 * n);
  const at::Tensor one = at::eye(size, at::kDouble);
  const at::Tensor flow =
      at::kron(at::eye(static_cast<std::int64_t>(n), at::kDouble), tensor_of(constants.flow()));
  at::Tensor all = at::kron(flow, one) + at::kron(one, flow);
  const auto jump = [&](double rate, const auto& event) {
    const at::Tensor j = matrix_of(n, constants, f, event);
    all += rate * (at::kron(j, j) - at::eye(size * size, at::kDouble));
  };
  for (std::size_t i = 0; i < n; ++i) {
    jump(1, [&](Dadao& dadao) { dadao.step(i, 0); });
    for (const auto j : network.neighbours(i, 0)) {
      const double calls =
          network.rate() / 2 / static_cast<double>(network.neighbours(i, 0).size());
      jump(calls, [&](Dadao& dadao) { dadao.exchange(i, j, 0); });
    }
  }
  // The states with sums of z and of z~ that are 0, by an orthonormal basis.
  at::Tensor sums = at::zeros({2, size}, at::kDouble);
  for (std::int64_t i = 0; i < size; i += 6) {
    sums[0][i + 4] = 1;
    sums[1][i + 5] = 1;
  }
  const at::Tensor basis =
      std::get<2>(at::linalg_svd(sums, true)).slice(0, 2).t().contiguous();  // (size, size - 2)
  const at::Tensor both = at::kron(basis, basis);
  return -at::real(at::linalg_eigvals(both.t().mm(all).mm(both))).max().item<double>();
}

/// 0 - 1, 2 - 3, ...
class Pairs final : public gossamer::topology::Graph {
 public:
  void neighbours(dadao::Place place, dadao::Place /*members*/, std::uint64_t /*turn*/,
                  std::vector<dadao::Place>& out) const override {
    out = {place ^ 1U};
  }
};

dadao::Gradient gradient_of(const dadao::Problem& problem) {
  return [&problem](std::size_t node, std::span<const double> x, std::span<double> out) {
    problem.gradient(node, x, out);
  };
}

/// DADAO alone, or one that is given, until its error is 1e-10 or theory's time is over.
dadao::Curves run(const Network& network, const dadao::Problem& problem,
                  std::unique_ptr<dadao::Solver> solver) {
  const double limit =
      2 * std::log(1e10) / dadao::guaranteed_rate(problem.mu(), problem.smoothness());
  std::vector<std::unique_ptr<dadao::Solver>> solvers;
  solvers.push_back(std::move(solver));
  return dadao::race(network, solvers, problem.optimum(), limit, limit / 200, 1e-10, tests::seed);
}
dadao::Curves run(const Network& network, const dadao::Problem& problem,
                  const Constants& constants) {
  return run(network, problem,
             std::make_unique<Dadao>(network.nodes(), problem.optimum().size(), constants,
                                     gradient_of(problem)));
}

}  // namespace

TEST_CASE("DADAO's numbers are those of its authors, and others are refused", "[dadao]") {
  const Constants c = Constants::of(2, 16, 3);  // nu = 1, so the root of nu / L is 1/4
  CHECK(c.nu == 1);
  CHECK(c.eta == 1.0 / 32);
  CHECK(c.alpha == 1.0 / 16);
  CHECK(c.theta == 2);
  CHECK(c.gamma == 1.0 / 64);
  CHECK(c.gamma_tilde == 1.0 / 16);
  CHECK(c.delta == 17.0 / 16);
  CHECK(c.beta == 0.5);
  CHECK(c.beta_tilde == 24);
  CHECK(dadao::guaranteed_rate(1, 128) == Approx(1.0 / 128));
  CHECK(tests::message_of<ConfigError>([] { (void)Constants::of(2, 1, 1); }) ==
        "Constants: needs 0 < mu <= L, got mu = 2 and L = 1");
  CHECK(tests::message_of<ConfigError>([] { (void)Constants::of(1, 2, INFINITY); }) ==
        "Constants: needs a finite chi1 above 0, got inf");
}

TEST_CASE("The flow is the exponential of its matrix, and two flows are one", "[dadao]") {
  const auto a = Constants::of(0.01, 10, 1).flow();
  for (const double t : {0.0, 1e-3, 0.7, 40.0}) {
    const at::Tensor expected = at::linalg_matrix_exp(tensor_of(a) * t);
    const at::Tensor found = tensor_of(dadao::exponential(a, t));
    CHECK((found - expected).abs().max().item<double>() <
          1e-12 * std::max(1.0, expected.abs().max().item<double>()));
  }
  const auto f = parabolas({1}, {0});
  Dadao twice(1, 1, Constants::of(0.1, 1, 1), f);
  for (std::size_t which = 0; which < 6; ++which)
    twice.vector(0, which)[0] = 1 / (2.0 + static_cast<double>(which));
  Dadao once = twice;
  (void)once.x(0, 3.5);
  (void)twice.x(0, 1.25);
  (void)twice.x(0, 3.5);
  for (std::size_t which = 0; which < 6; ++which) {
    CHECK(twice.vector(0, which)[0] == Approx(once.vector(0, which)[0]).epsilon(1e-13));
  }
  CHECK(once.vector(0, 0)[0] != 0.5);
}

TEST_CASE("DADAO's events by hand", "[dadao]") {
  const Constants c = Constants::of(2, 16, 3);
  Dadao dadao(2, 1, c, parabolas({4, 4}, {1, 0}));
  const auto set = [&](std::size_t node, const std::vector<double>& values) {
    for (std::size_t which = 0; which < 6; ++which) dadao.vector(node, which)[0] = values[which];
  };
  const auto holds = [&](std::size_t node, const std::vector<double>& values) {
    for (std::size_t which = 0; which < 6; ++which) {
      CHECK(dadao.vector(node, which)[0] == values[which]);
    }
  };
  set(0, {3, 5, 7, 2, 1, 0});
  set(1, {0, 0, 1, 0, 2, 9});
  dadao.step(0, 0);  // g = 4 (3 - 1) - 3 - 2 = 3
  holds(0, {3 - 3.0 / 64, 5 - 3.0 / 16, 7, 2 + 3 * 17.0 / 16, 1, 0});
  holds(1, {0, 0, 1, 0, 2, 9});
  dadao.exchange(0, 1, 0);  // m = (7 + 1) - (1 + 2) = 5
  holds(0, {3 - 3.0 / 64, 5 - 3.0 / 16, 7, 2 + 3 * 17.0 / 16, 1 - 2.5, -120});
  holds(1, {0, 0, 1, 0, 2 + 2.5, 9 + 120});
}

TEST_CASE("DADAO keeps the sums of z and of z~ on a graph that changes", "[dadao]") {
  const Network network = network_of("walk:3", 10);
  const bool from_zero = GENERATE(true, false);
  const Constants c = Constants::of(0.1, 1, network.chi1());
  std::vector<double> centres;
  for (int i = 0; i < 10; ++i) centres.push_back(i * i - 20);
  Dadao dadao(10, 1, c, parabolas(std::vector<double>(10, 0.5), centres));
  Generator random(tests::seed, 9000);
  double largest = 1;
  for (std::size_t i = 0; i < 10 && !from_zero; ++i) {
    for (const std::size_t which : {4U, 5U}) dadao.vector(i, which)[0] = random.uniform();
  }
  const auto sums = [&] {
    std::pair<double, double> all;
    for (std::size_t i = 0; i < 10; ++i) {
      all.first += dadao.vector(i, 4)[0];
      all.second += dadao.vector(i, 5)[0];
      largest = std::max(largest, std::abs(dadao.vector(i, 5)[0]));
    }
    return all;
  };
  const auto [z, z_tilde] = sums();
  dadao::Events events(network, tests::seed);
  for (int count = 0; count < 3000; ++count) {
    const auto event = events.next();
    if (event.j) {
      dadao.exchange(event.i, *event.j, event.time);
    } else {
      dadao.step(event.i, event.time);
    }
    for (std::size_t i = 0; i < 10; ++i) (void)dadao.x(i, event.time);
    const auto [now, now_tilde] = sums();
    if (from_zero) {
      REQUIRE(std::abs(now) < 1e-12 * largest);
      REQUIRE(std::abs(now_tilde) < 1e-12 * largest);
    }
    REQUIRE(std::abs(c.eta * (now - z) + c.alpha * (now_tilde - z_tilde)) < 1e-12 * largest);
  }
  CHECK(largest > 10);
}

TEST_CASE("The exact mean-square rate of small networks is at least theory's", "[dadao]") {
  for (const double kappa : {4.0, 100.0, 1000.0}) {
    const double theory = dadao::guaranteed_rate(1, kappa);
    const std::vector<std::vector<double>> curvatures = {
        {1, 1}, {kappa, kappa}, {1, kappa}, {1, kappa / 2, kappa}};
    for (const auto& h : curvatures) {
      const double exact = mean_square_rate(h, 1, kappa);
      INFO("kappa " << kappa << ", " << h.size() << " nodes, h from " << h.front() << " to "
                    << h.back() << ": exact " << exact << ", theory " << theory);
      CHECK(exact > 1.4 * theory);
      CHECK(exact < 2.1 * theory);
    }
  }
}

TEST_CASE("DADAO finds the known optimum at least as fast as theory says", "[dadao]") {
  const std::string kind = GENERATE("ridge", "logistic");
  const dadao::Problem problem(
      {.kind = kind, .nodes = 8, .dimensions = 6, .samples = 4, .kappa = 50, .seed = tests::seed});
  const double theory = dadao::guaranteed_rate(problem.mu(), problem.smoothness());
  CHECK(theory == Approx(1 / std::sqrt(50) / (8 * std::sqrt(2.0))));
  for (const char* graph : {"two_way_ring", "complete", "random_regular:3", "walk:3", "star"}) {
    const Network network = network_of(graph, 8);
    const auto curves =
        run(network, problem, Constants::of(problem.mu(), problem.smoothness(), network.chi1()));
    INFO(kind << " on " << graph << ", rate " << dadao::fitted_rate(curves.times, curves.errors[0])
              << ", theory " << theory);
    CHECK(curves.errors[0].back() <= 1e-10);
    CHECK(dadao::fitted_rate(curves.times, curves.errors[0]) >= theory);
    CHECK(curves.errors[0].front() == 1);
    CHECK(static_cast<double>(curves.gradients) == Approx(8 * curves.times.back()).epsilon(0.2));
    CHECK(static_cast<double>(curves.exchanges) ==
          Approx(4 * network.rate() * curves.times.back()).epsilon(0.2));
  }
}

TEST_CASE("Without its momentum, or with plain gossip, the optimum is not reached", "[dadao]") {
  const dadao::Problem problem(
      {.nodes = 8, .dimensions = 6, .samples = 4, .kappa = 50, .seed = tests::seed});
  const Network network = network_of("two_way_ring", 8);
  Constants off = Constants::of(problem.mu(), problem.smoothness(), network.chi1());
  off.eta = 0;
  off.alpha = 0;
  const auto still = run(network, problem, off);
  CHECK(!(still.errors[0].back() < 1e-2));
  for (const double part : {1.0, 0.1, 0.01}) {
    const auto curves = run(network, problem,
                            std::make_unique<dadao::GossipDescent>(
                                8, 6, part / problem.smoothness(), gradient_of(problem)));
    CHECK(curves.errors[0].back() > 1e-7);
  }
  const auto tracked = run(network, problem,
                           std::make_unique<dadao::GossipTracking>(8, 6, 0.5 / problem.smoothness(),
                                                                   gradient_of(problem)));
  CHECK(tracked.errors[0].back() <= 1e-10);
}

TEST_CASE("A problem has the kappa that is wanted, and its optimum is one", "[dadao]") {
  const std::string kind = GENERATE("ridge", "logistic");
  const std::int64_t samples = GENERATE(3, 12);
  const dadao::Problem problem({.kind = kind,
                                .nodes = 5,
                                .dimensions = 4,
                                .samples = static_cast<std::size_t>(samples),
                                .kappa = 1000,
                                .seed = tests::seed});
  CHECK(problem.smoothness() / problem.mu() == Approx(1000));
  std::vector<double> sum(4);
  std::vector<double> g(4);
  Generator random(tests::seed, 9001);
  for (std::size_t node = 0; node < 5; ++node) {
    problem.gradient(node, problem.optimum(), g);
    for (std::size_t k = 0; k < 4; ++k) sum[k] += g[k];
    for (int pair = 0; pair < 50; ++pair) {  // mu |a - b|^2 <= <grad a - grad b, a - b> <= L ...
      std::vector<double> a(4);
      std::vector<double> b(4);
      for (double& value : a) value = 4 * random.uniform() - 2;
      for (double& value : b) value = 4 * random.uniform() - 2;
      std::vector<double> h(4);
      problem.gradient(node, a, g);
      problem.gradient(node, b, h);
      double inner = 0;
      double square = 0;
      for (std::size_t k = 0; k < 4; ++k) {
        inner += (g[k] - h[k]) * (a[k] - b[k]);
        square += (a[k] - b[k]) * (a[k] - b[k]);
      }
      REQUIRE(inner >= problem.mu() * square * (1 - 1e-9));
      REQUIRE(inner <= problem.smoothness() * square * (1 + 1e-9));
    }
  }
  for (const double value : sum) CHECK(std::abs(value) < 1e-10);
}

TEST_CASE("What is no problem of DADAO's is refused in a sentence", "[dadao]") {
  const auto message = [](const dadao::ProblemOptions& options) {
    return tests::message_of<ConfigError>([&] { (void)dadao::Problem(options); });
  };
  CHECK(message({.kind = "lasso"}) == "Problem: kind must be ridge or logistic, got lasso");
  CHECK(message({.kappa = 1}) == "Problem: kappa must be above 1, got 1");
  CHECK_THAT(message({.dimensions = 1, .samples = 1000, .kappa = 100}),
             tests::contains("Problem: these samples alone have a kappa of "));
  CHECK(tests::message_of<ConfigError>([] { (void)network_of("one_peer_exponential", 8); }) ==
        "resistance: needs a graph without direction");
  CHECK(tests::message_of<ConfigError>([] { (void)Network(Pairs(), 4, 1); }) ==
        "Network: needs a graph that is always in one piece; turn 0 of 1 is not, among 4 nodes");
}

TEST_CASE("Nodes call neighbours as often as theory wants", "[dadao]") {
  const Network network = network_of("two_way_ring", 8);
  CHECK(network.chi().chi1 == Approx(3.4142).epsilon(1e-4));
  CHECK(network.chi().chi2 == Approx(0.875).epsilon(1e-4));
  CHECK(network.rate() == Approx(std::sqrt(2 * 3.41421356 * 0.875)));
  CHECK(network.chi1() * network.chi().chi2 / network.rate() == Approx(0.5));
  dadao::Events events(network, tests::seed);
  std::vector<double> gradients(8);
  std::vector<double> exchanges(8);
  double last = 0;
  constexpr double end = 2000;
  for (auto event = events.next(); event.time < end; event = events.next()) {
    REQUIRE(event.time > last);
    last = event.time;
    if (!event.j) {
      ++gradients[event.i];
      continue;
    }
    const std::size_t between = (*event.j + 8 - event.i) % 8;
    REQUIRE((between == 1 || between == 7));
    ++exchanges[event.i];
    ++exchanges[*event.j];
  }
  for (std::size_t i = 0; i < 8; ++i) {  // five standard deviations
    CHECK(std::abs(gradients[i] - end) < 5 * std::sqrt(end));
    CHECK(std::abs(exchanges[i] - network.rate() * end) < 5 * std::sqrt(network.rate() * end));
  }
}

TEST_CASE("The rate of a curve is that of its second half, up to rounding", "[dadao]") {
  std::vector<double> times;
  std::vector<double> errors;
  for (int i = 0; i < 200; ++i) {
    times.push_back(i);
    errors.push_back(std::max(i < 50 ? 1.0 : std::exp(-0.5 * (i - 50)), 1e-30));
  }
  CHECK(dadao::fitted_rate(times, errors) == Approx(0.5));  // 1e-24 is reached at 160
  errors[100] = INFINITY;
  CHECK(dadao::fitted_rate(times, errors) == 0);
  CHECK(dadao::fitted_rate(std::span(times).first(4), std::span(errors).first(4)) == 0);
}

TEST_CASE("One edge walks per turn, and the graph stays in one piece", "[dadao]") {
  const dadao::EdgeWalk walk(3, 7);
  at::Tensor before;
  for (std::uint64_t turn = 0; turn < walk.period(12); ++turn) {
    const at::Tensor now = gossamer::topology::adjacency(walk, 12, turn);
    CHECK(at::equal(now, now.t()));
    CHECK(now.diagonal().abs().max().item<double>() == 0);
    CHECK(now.sum().item<double>() == 36);
    CHECK(std::isfinite(gossamer::topology::resistance(now).chi1));
    if (turn > 0) CHECK((now - before).abs().sum().item<double>() == 4);  // one gone, one new
    before = now;
  }
}
