// SPDX-License-Identifier: MIT
/// The table of rules: what --list-rules prints, and how each is made of the options.
#include <cifar10/meetings.hpp>
#include <cifar10/rules.hpp>
#include <gossamer/gossamer.hpp>

#include <algorithm>
#include <array>
#include <iomanip>
#include <stdexcept>

namespace cifar10 {
namespace {

namespace rule = gossamer::rule;
namespace topology = gossamer::topology;
using rule::AnyRule;

MeetingOptions meeting(const Options& o) {
  return {o.probability, o.seed, steps_between(o.schedule)};
}
topology::Any whom(const Options& o) { return make_topology(o.topology, meeting(o)); }
gossamer::schedule::Any when(const Options& o) { return make_schedule(o.schedule, meeting(o)); }

topology::Ring two_way_ring() { return topology::Ring(topology::Ring::Way::both); }

/// The graph that is asked for; `own` if none is.
rule::Graph graph(const Options& o, rule::Graph own) {
  if (o.graph == "exponential") return topology::NPeerExponential(o.peers);
  if (o.graph == "ring") return two_way_ring();
  if (o.graph == "complete") return topology::Complete();
  return own;
}

AnyRule make_slowmo(const Options& o) {
  return rule::SlowMo(named_rule(o.base).make(o), o.period(), o.slow_rate, o.beta);
}

rule::EasgdOptions centred(const Options& o) {
  return rule::EasgdOptions().tau(o.period()).alpha(o.alpha).drop(o.drop);
}

}  // namespace

const std::vector<NamedRule>& named_rules() {
  static const std::vector<NamedRule> rules = {
      {"single", "", "", "one node", [](const Options&) -> AnyRule { return rule::None(); }},
      {"none", "", "", "nothing", [](const Options&) -> AnyRule { return rule::None(); }},
      {"sync", "GoSGD slides 2017 (map-reduce)", "all nodes equal", "waits for all, every step",
       [](const Options& o) -> AnyRule { return rule::Sync().chunks(o.pieces()); }},
      {"persyn", "arXiv:1804.01852; local SGD", "sum of x", "waits for all, every tau steps",
       [](const Options& o) -> AnyRule { return rule::PerSyn(o.period()).chunks(o.pieces()); },
       true},
      {"gosgd", "arXiv:1804.01852", "weights, weighted sum of x", "nothing",
       [](const Options& o) -> AnyRule { return rule::GoSgd(when(o), whom(o)); }},
      {"gosgd_pull", "GoSGD slides 2017 (pull form)", "weights, weighted sum of x", "nothing",
       [](const Options& o) -> AnyRule { return rule::GoSgdPull(when(o), whom(o)); }},
      {"push_sum", "Kempe et al. 2003; arXiv:1811.10792", "weights, weighted sum of x", "nothing",
       [](const Options& o) -> AnyRule { return rule::PushSum(when(o), whom(o)); }},
      {"sgp", "arXiv:1811.10792", "weights, weighted sum of x", "waits for in-neighbours",
       [](const Options& o) -> AnyRule {
         return rule::Sgp(graph(o, topology::NPeerExponential(o.peers)));
       }},
      {"osgp", "arXiv:1811.10792 (overlap)", "weights, weighted sum of x",
       "waits for what is --staleness steps late",
       [](const Options& o) -> AnyRule {
         return rule::Sgp(graph(o, topology::NPeerExponential(o.peers)), o.staleness);
       }},
      {"d_psgd", "arXiv:1705.09056", "sum of x", "waits for neighbours, every step",
       [](const Options& o) -> AnyRule { return rule::DPsgd(graph(o, two_way_ring())); }},
      {"ad_psgd", "arXiv:1710.06952", "sum of x", "nothing",
       [](const Options& o) -> AnyRule { return rule::AdPsgd(when(o), whom(o)); }},
      {"gossiping_pull", "arXiv:1611.04581", "nothing", "nothing",
       [](const Options& o) -> AnyRule { return rule::GossipingPull(when(o), whom(o)); }},
      {"gossiping_push", "arXiv:1611.04581", "nothing", "nothing",
       [](const Options& o) -> AnyRule { return rule::GossipingPush(when(o), whom(o)); }},
      {"slowmo", "arXiv:1910.00643 around --base", "what --base does, between averages",
       "waits for all, every tau steps", make_slowmo, true},
      {"post_local", "arXiv:1808.07217", "sum of x",
       "waits for all, --sync-steps times, then every tau steps",
       [](const Options& o) -> AnyRule { return rule::post_local(o.sync_steps, o.period()); },
       true},
      {"gossip_pga", "arXiv:2105.09080", "sum of x",
       "waits for neighbours, and for all every tau steps",
       [](const Options& o) -> AnyRule {
         return rule::gossip_pga(
             o.period(), rule::DPsgd(graph(o, two_way_ring()), rule::Mixing::after_gradient));
       },
       true},
      {"elastic_gossip", "arXiv:1812.02407", "sum of x", "nothing",
       [](const Options& o) -> AnyRule {
         return rule::ElasticGossip(when(o), whom(o), o.alpha > 0 ? o.alpha : 0.5);
       }},
      {"easgd", "arXiv:1412.6651; EAMSGD with --optimizer nesterov", "sum of x and the centre",
       "a centre, which takes no steps",
       [](const Options& o) -> AnyRule { return rule::Easgd(centred(o)); }, true},
      {"easgd_sync", "arXiv:1412.6651 (synchronous)", "sum of x and the centre",
       "a centre; workers wait for all",
       [](const Options& o) -> AnyRule { return rule::Easgd(centred(o).synchronous(true)); }, true},
      {"dynamic_easgd", "after arXiv:2409.09242, from memory", "nothing", "a centre",
       [](const Options& o) -> AnyRule { return rule::DynamicEasgd(centred(o)); }, true},
      {"downpour", "Dean et al., NIPS 2012", "the sum of all steps, in the centre",
       "a centre; workers wait for it",
       [](const Options& o) -> AnyRule { return rule::Downpour(o.period()); }, true},
      {"leader_sgd", "arXiv:1905.10395", "nothing", "nothing",
       [](const Options& o) -> AnyRule {
         const double pull = o.alpha > 0 ? o.alpha : 0.1;
         return rule::LeaderSgd(
             rule::LeaderSgdOptions().tau(o.period()).pull(pull).window(o.period()));
       },
       true},
  };
  return rules;
}

const NamedRule& named_rule(const std::string& name) {
  const auto& rules = named_rules();
  const auto found = std::find_if(rules.begin(), rules.end(),
                                  [&name](const NamedRule& one) { return one.name == name; });
  if (found == rules.end()) throw std::invalid_argument("no rule is named " + name);
  return *found;
}

void list_rules(std::ostream& out) {
  const auto row = [&out](const std::array<std::string, 4>& cells) {
    out << std::left << std::setw(16) << cells[0] << std::setw(37) << cells[1] << std::setw(36)
        << cells[2] << cells[3] << '\n';
  };
  row({"rule", "paper", "conserves", "needs"});
  for (const NamedRule& one : named_rules()) {
    row({one.name, one.paper, one.conserves, one.needs});
  }
}

}  // namespace cifar10
