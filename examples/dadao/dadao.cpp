// SPDX-License-Identifier: MIT
/// Nodes on a graph minimise a strongly convex function of which each knows a part: DADAO beside
/// its theory and beside plain gossip, on the same gradients and exchanges.
#include <gossamer/error.hpp>
#include <gossamer/version.hpp>
#include <shared/validators.hpp>

#include <CLI/CLI.hpp>
#include <c10/util/StringUtil.h>
#include <dadao/dadao.hpp>
#include <dadao/network.hpp>
#include <dadao/problem.hpp>
#include <dadao/race.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace {

using Json = nlohmann::ordered_json;

struct Options {
  dadao::ProblemOptions problem;
  std::string graph = "two_way_ring";
  double turn = 1;
  double tolerance = 1e-10;
  double time = 0;
  std::uint64_t seed = 1;
  std::string out;
  bool quiet = false;
};

/// A method with the step size that it has.
struct Contender {
  std::string name;
  double step = 0;  // 0: theory's
};

std::optional<int> parse(CLI::App& app, Options& o, int argc, char** argv) {
  examples::let_the_last_win(app);
  const examples::Adder problem{app, "Problem"};
  problem("--problem", o.problem.kind, "What is minimised",
          examples::one_of({"ridge", "logistic"}));
  problem("--nodes", o.problem.nodes, "Nodes; each knows samples of its own",
          examples::within(2, 1000));
  problem("--dimensions", o.problem.dimensions, "Unknowns", examples::within(1, 1000));
  problem("--samples", o.problem.samples, "Samples of a node", examples::within(1, 1e5));
  problem("--kappa", o.problem.kappa, "L / mu, above 1", examples::positive(1e8));
  problem("--data-seed", o.problem.seed, "Of the samples");
  const examples::Adder network{app, "Network"};
  network("--graph", o.graph, "A graph of the library by name, or walk:DEGREE",
          examples::not_empty("a graph"));
  network("--turn", o.turn, "How long a turn of a graph lasts that changes, in gradients a node",
          examples::positive());
  network("--seed", o.seed, "Of graph and events");
  const examples::Adder run{app, "Run"};
  run("--tolerance", o.tolerance, "Ends where DADAO's squared error has fallen by that factor",
      examples::within(1e-24, 0.1));
  run("--time", o.time, "Ends after so many gradients a node; 0: when theory says, at the latest",
      examples::within(0, 1e9));
  run("--out", o.out, "File that gets a line of JSON more", {}, false);
  run.flag("--quiet", o.quiet, "No progress");
  app.set_version_flag("--version", GOSSAMER_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::cerr << "dadao: " << error.what() << '\n';
    return 2;
  }
  return std::nullopt;
}

/// Six digits of each.
Json rounded(std::span<const double> values) {
  Json all = Json::array();
  for (const double value : values) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", value);
    all.push_back(std::isfinite(value) ? Json(std::stod(text)) : Json());
  }
  return all;
}

/// Which of these has come nearest; one that has diverged is the last.
std::size_t best_of(const dadao::Curves& curves, std::size_t first, std::size_t last) {
  std::size_t best = first;
  for (std::size_t s = first; s < last; ++s) {
    const double error = curves.errors[s].back();
    if (error < curves.errors[best].back() || !std::isfinite(curves.errors[best].back())) best = s;
  }
  return best;
}

class Run {
 public:
  explicit Run(const Options& options)
      : o_(options),
        graph_(gossamer::topology::graph_from_text(
            o_.graph, gossamer::topology::RegistryOptions().seed(o_.seed), dadao::graphs())),
        network_(*graph_, static_cast<dadao::Place>(o_.problem.nodes), o_.turn),
        problem_(o_.problem),
        guaranteed_(dadao::guaranteed_rate(problem_.mu(), problem_.smoothness())) {}

  Json operator()() {
    contend();
    // Theory's bound has a factor before the exponential that is not known.
    const double limit = o_.time > 0 ? o_.time : 2 * std::log(1 / o_.tolerance) / guaranteed_;
    std::printf(
        "%s, %zu nodes on %s, kappa %g: chi1 %.4g, chi2 %.4g, %.4g exchanges a node and "
        "gradient\n",
        o_.problem.kind.c_str(), o_.problem.nodes, o_.graph.c_str(), o_.problem.kappa,
        network_.chi().chi1, network_.chi().chi2, network_.rate());
    const dadao::Curves curves =
        race(network_, solvers_, problem_.optimum(), limit, limit / 400, o_.tolerance, o_.seed,
             [&](const dadao::Curves& now) { show(now, limit); });
    const std::size_t steps = (solvers_.size() - 1) / 2;
    const std::vector<std::size_t> chosen = {0, best_of(curves, 1, 1 + steps),
                                             best_of(curves, 1 + steps, solvers_.size())};
    return report(curves, chosen);
  }

 private:
  /// DADAO, and its rivals with step sizes of 4 / L and each the half of the one before.
  void contend() {
    const std::size_t nodes = o_.problem.nodes;
    const std::size_t d = o_.problem.dimensions;
    const dadao::Gradient gradient = [this](std::size_t node, std::span<const double> x,
                                            std::span<double> out) {
      problem_.gradient(node, x, out);
    };
    const auto constants =
        dadao::Constants::of(problem_.mu(), problem_.smoothness(), network_.chi1());
    add(std::make_unique<dadao::Dadao>(nodes, d, constants, gradient), 0);
    for (int halvings = 0; halvings < 14; ++halvings) {
      const double step = std::ldexp(4 / problem_.smoothness(), -halvings);
      add(std::make_unique<dadao::GossipDescent>(nodes, d, step, gradient), step);
    }
    for (int halvings = 0; halvings < 14; ++halvings) {
      const double step = std::ldexp(4 / problem_.smoothness(), -halvings);
      add(std::make_unique<dadao::GossipTracking>(nodes, d, step, gradient), step);
    }
  }
  void add(std::unique_ptr<dadao::Solver> solver, double step) {
    contenders_.push_back({solver->name(), step});
    solvers_.push_back(std::move(solver));
  }

  void show(const dadao::Curves& now, double limit) const {
    if (o_.quiet || now.times.size() % 20 != 0) return;
    const std::size_t steps = (solvers_.size() - 1) / 2;
    std::fprintf(stderr,
                 "%.0f of at most %.0f gradients a node: error %.2e, gossip %.2e, "
                 "tracking %.2e\n",
                 now.times.back(), limit, now.errors[0].back(),
                 now.errors[best_of(now, 1, 1 + steps)].back(),
                 now.errors[best_of(now, 1 + steps, solvers_.size())].back());
  }

  Json report(const dadao::Curves& curves, const std::vector<std::size_t>& chosen) const {
    Json line = {{"problem", o_.problem.kind},
                 {"graph", o_.graph},
                 {"nodes", o_.problem.nodes},
                 {"dimensions", o_.problem.dimensions},
                 {"samples", o_.problem.samples},
                 {"kappa", problem_.smoothness() / problem_.mu()},
                 {"data_seed", o_.problem.seed},
                 {"seed", o_.seed},
                 {"chi1", network_.chi().chi1},
                 {"chi2", network_.chi().chi2},
                 {"exchanges_per_node_and_gradient", network_.rate()},
                 {"gradients", curves.gradients},
                 {"messages", 2 * curves.exchanges},
                 {"tolerance", o_.tolerance},
                 {"guaranteed_rate", guaranteed_},
                 {"times", rounded(curves.times)}};
    std::printf("%-9s %12s %12s %12s %12s %12s\n", "method", "step", "error", "rate", "theory",
                "reached");
    for (const std::size_t s : chosen) {
      const auto& errors = curves.errors[s];
      const double rate = dadao::fitted_rate(curves.times, errors);
      const std::string theory = s == 0 ? c10::str(guaranteed_) : "";
      std::printf("%-9s %12.4g %12.3e %12.4g %12s %12s\n", contenders_[s].name.c_str(),
                  contenders_[s].step, errors.back(), rate, theory.c_str(),
                  errors.back() <= o_.tolerance ? "yes" : "no");
      line["methods"][contenders_[s].name] = {{"step", contenders_[s].step},
                                              {"error", errors.back()},
                                              {"rate", rate},
                                              {"errors", rounded(errors)}};
    }
    std::printf(
        "%.0f gradients a node, %.0f messages a node, of %zu numbers (tracking: twice as "
        "many)\n",
        static_cast<double>(curves.gradients) / static_cast<double>(o_.problem.nodes),
        2 * static_cast<double>(curves.exchanges) / static_cast<double>(o_.problem.nodes),
        o_.problem.dimensions);
    return line;
  }

  Options o_;
  std::shared_ptr<const gossamer::topology::Graph> graph_;
  dadao::Network network_;
  dadao::Problem problem_;
  double guaranteed_;
  std::vector<std::unique_ptr<dadao::Solver>> solvers_;
  std::vector<Contender> contenders_;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Minimises a strongly convex function over nodes on a graph: DADAO beside its theory, and\n"
      "beside gossip with gradient steps, plain and with tracking, of the best step sizes.\n\n"
      "  dadao                                    ridge regression, 16 nodes on a ring\n"
      "  dadao --problem logistic --graph walk:3  a graph whose edges walk\n",
      "dadao");
  if (const auto status = parse(app, options, argc, argv)) return *status;
  try {
    std::ofstream out;
    if (!options.out.empty()) {
      out.open(options.out, std::ios::app);
      if (!out) throw gossamer::ConfigError("--out: cannot write to " + options.out);
    }
    Json line = {{"name", c10::str(options.problem.kind, "/", options.graph, "/",
                                   options.problem.kappa, "/", options.seed)}};
    line.update(Run(options)());
    if (out.is_open() && !(out << line << std::endl)) {
      throw gossamer::ConfigError("--out: cannot write to " + options.out);
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "dadao: " << error.what() << '\n';
    return 1;
  }
}
