// SPDX-License-Identifier: MIT
/// Turns names into topologies and schedules.
#include <cifar10/meetings.hpp>
#include <gossamer/error.hpp>
#include <gossamer/schedule/bandwidth.hpp>
#include <gossamer/schedule/bernoulli.hpp>
#include <gossamer/schedule/every.hpp>
#include <gossamer/schedule/poisson.hpp>
#include <gossamer/topology/complete.hpp>
#include <gossamer/topology/edge_list.hpp>
#include <gossamer/topology/exponential.hpp>
#include <gossamer/topology/graphml.hpp>
#include <gossamer/topology/permutation.hpp>
#include <gossamer/topology/preferential_attachment.hpp>
#include <gossamer/topology/random_regular.hpp>
#include <gossamer/topology/ring.hpp>
#include <gossamer/topology/small_world.hpp>
#include <gossamer/topology/torus.hpp>
#include <gossamer/topology/trees.hpp>
#include <gossamer/topology/two_choices.hpp>
#include <gossamer/topology/uniform.hpp>
#include <gossamer/topology/weighted.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <utility>
#include <vector>

namespace cifar10 {
namespace {

using gossamer::ConfigError;
using gossamer::PeerId;
namespace schedule = gossamer::schedule;
namespace topology = gossamer::topology;

/// The parameters behind a name: "3,0.1".
class Parameters {
 public:
  Parameters(std::string usage, const std::string& text) : usage_(std::move(usage)) {
    std::istringstream words(text);
    for (std::string word; std::getline(words, word, ',');) words_.push_back(word);
  }

  [[nodiscard]] const std::string& text(std::size_t i) const { return words_[i]; }
  [[nodiscard]] double number(std::size_t i) const {
    try {
      std::size_t read = 0;
      const double value = std::stod(words_[i], &read);
      if (read == words_[i].size()) return value;
    } catch (const std::exception&) {  // not a number: the same sentence
    }
    throw ConfigError(usage_ + ": must have a number, got " + words_[i]);
  }
  [[nodiscard]] std::uint32_t count(std::size_t i) const {
    const double value = number(i);
    if (value >= 0 && value <= std::numeric_limits<std::uint32_t>::max() &&
        value == std::floor(value)) {
      return static_cast<std::uint32_t>(value);
    }
    throw ConfigError(usage_ + ": must have a whole number, got " + words_[i]);
  }
  void require(std::size_t wanted) const {
    if (words_.size() == wanted) return;
    throw ConfigError(usage_ + ": needs " + std::to_string(wanted) + " parameter" +
                      (wanted == 1 ? "" : "s") + ", got " + std::to_string(words_.size()));
  }

 private:
  std::string usage_;
  std::vector<std::string> words_;
};

/// One thing that can be named.
template <class Made>
struct Named {
  std::string usage;  // NAME or NAME:PARAMETER,...
  std::string what;
  std::function<Made(const Parameters&, const MeetingOptions&)> make;

  [[nodiscard]] std::string name() const { return usage.substr(0, usage.find(':')); }
  [[nodiscard]] std::size_t parameters() const {
    if (name() == usage) return 0;
    return 1 + static_cast<std::size_t>(std::count(usage.begin(), usage.end(), ','));
  }
};
template <class Made>
using Names = std::vector<Named<Made>>;

Names<topology::Any> topologies() {
  using P = const Parameters&;
  using O = const MeetingOptions&;
  return {
      {"uniform", "everybody else", [](P, O) { return topology::Uniform(); }},
      {"two_choices", "the lighter of two random peers",
       [](P, O) { return topology::TwoChoices(); }},
      {"permutation", "another permutation at each step, from the seed",
       [](P, O o) { return topology::Permutation(o.seed); }},
      {"complete", "everybody else, as a graph", [](P, O) { return topology::Complete(); }},
      {"ring", "the next one", [](P, O) { return topology::Ring(); }},
      {"two_way_ring", "the next one or the one before",
       [](P, O) { return topology::Ring(topology::Ring::Way::both); }},
      {"path", "the next one or the one before, without closing the ring",
       [](P, O) { return topology::Path(); }},
      {"torus", "four neighbours in a grid", [](P, O) { return topology::Torus(); }},
      {"star", "the lowest number, which meets everybody", [](P, O) { return topology::Star(); }},
      {"tree", "parent and children of a binary tree", [](P, O) { return topology::BinaryTree(); }},
      {"hypercube", "those whose number differs in one bit",
       [](P, O) { return topology::Hypercube(); }},
      {"exponential", "1, 2, 4, ... places on", [](P, O) { return topology::Exponential(); }},
      {"one_peer_exponential", "1, then 2, then 4, ... places on",
       [](P, O o) { return topology::OnePeerExponential(o.steps_per_turn); }},
      {"n_peer_exponential:N", "places on at powers of N + 1, in turns",
       [](P p, O o) { return topology::NPeerExponential(p.count(0), o.steps_per_turn); }},
      {"bipartite_exponential", "pairs of an odd and an even one, in turns",
       [](P, O o) { return topology::BipartiteExponential(o.steps_per_turn); }},
      {"random_regular:DEGREE", "DEGREE neighbours in a random graph, from the seed",
       [](P p, O o) { return topology::RandomRegular(p.count(0), o.seed); }},
      {"small_world:NEAR,REWIRED", "NEAR neighbours on a ring, a share of them rewired",
       [](P p, O o) { return topology::SmallWorld(p.count(0), p.number(1), o.seed); }},
      {"preferential:LINKS", "a random graph in which old nodes become hubs",
       [](P p, O o) { return topology::PreferentialAttachment(p.count(0), o.seed); }},
      {"edges:FILE", "neighbours in a list of edges: two node numbers a line",
       [](P p, O) { return topology::read_edge_list(p.text(0)); }},
      {"graphml:FILE", "neighbours in a GraphML file",
       [](P p, O) { return topology::read_graphml(p.text(0)); }},
      {"near:EXPONENT", "by distance between the numbers to the power of -EXPONENT",
       [](P p, O) {
         return topology::Weighted(topology::by_distance(
             [](PeerId a, PeerId b) { return a < b ? b - a : a - b; }, p.number(0)));
       }},
      {"fast", "by the measured speed of the links",
       [](P, O) { return topology::Weighted(topology::by_speed()); }},
      {"healthy", "by the share of messages that did not come back",
       [](P, O) { return topology::Weighted(topology::by_health()); }},
  };
}

Names<schedule::Any> schedules() {
  using P = const Parameters&;
  using O = const MeetingOptions&;
  return {
      {"bernoulli", "after a step with the given --probability",
       [](P, O o) { return schedule::Bernoulli(o.probability); }},
      {"every:TAU", "after every TAU-th step", [](P p, O) { return schedule::Every(p.count(0)); }},
      {"poisson:RATE", "at random times, RATE per second and node",
       [](P p, O) { return schedule::Poisson(p.number(0)); }},
      {"bandwidth:BYTES", "as often as BYTES per second and node allow",
       [](P p, O) { return schedule::Bandwidth(p.number(0)); }},
  };
}

template <class Made>
Made make(const char* what, const Names<Made>& all, const std::string& text,
          const MeetingOptions& options) {
  const std::string name = text.substr(0, text.find(':'));
  for (const auto& one : all) {
    if (one->name() != name) continue;
    const Parameters parameters(one.usage,
                                name == text ? std::string() : text.substr(name.size() + 1));
    parameters.require(one.parameters());
    return one.make(parameters, options);
  }
  std::string names;
  for (const auto& one : all) names += (names.empty() ? "" : ", ") + one.usage;
  throw ConfigError(std::string(what) + " must be one of " + names + ", got " + text);
}

template <class Made>
std::string table(const Names<Made>& all) {
  std::string text;
  for (const auto& one : all) {
    text += one.usage + std::string(one.usage.size() < 26 ? 26 - one.usage.size() : 1, ' ') +
            one.what + '\n';
  }
  return text;
}

}  // namespace

gossamer::topology::Any make_topology(const std::string& text, const MeetingOptions& options) {
  return make("--topology", topologies(), text, options);
}

gossamer::schedule::Any make_schedule(const std::string& text, const MeetingOptions& options) {
  return make("--schedule", schedules(), text, options);
}

std::uint64_t steps_between(const std::string& schedule) {
  const std::string every = "every:";
  if (!schedule.starts_with(every)) return 1;
  return Parameters(every + "TAU", schedule.substr(every.size())).count(0);
}

std::string topology_table() { return table(topologies()); }
std::string schedule_table() { return table(schedules()); }

}  // namespace cifar10
