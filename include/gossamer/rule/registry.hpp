// SPDX-License-Identifier: MIT
/// All rules by name, for command lines, tests, benchmarks and bindings.
#pragma once

#include <gossamer/codec/registry.hpp>
#include <gossamer/error.hpp>
#include <gossamer/rule/a2cid2.hpp>
#include <gossamer/rule/acco.hpp>
#include <gossamer/rule/ad_psgd.hpp>
#include <gossamer/rule/async_diloco.hpp>
#include <gossamer/rule/choco_sgd.hpp>
#include <gossamer/rule/coded_push.hpp>
#include <gossamer/rule/d_psgd.hpp>
#include <gossamer/rule/downpour.hpp>
#include <gossamer/rule/dynamic_weighting.hpp>
#include <gossamer/rule/easgd.hpp>
#include <gossamer/rule/elastic_gossip.hpp>
#include <gossamer/rule/gasloc.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/gosgd_pull.hpp>
#include <gossamer/rule/gossip_pga.hpp>
#include <gossamer/rule/gossiping_sgd.hpp>
#include <gossamer/rule/leader_sgd.hpp>
#include <gossamer/rule/ledger_gossip.hpp>
#include <gossamer/rule/noloco.hpp>
#include <gossamer/rule/none.hpp>
#include <gossamer/rule/persyn.hpp>
#include <gossamer/rule/post_local.hpp>
#include <gossamer/rule/push_sum.hpp>
#include <gossamer/rule/registry_entry.hpp>
#include <gossamer/rule/registry_options.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/rule/sgp.hpp>
#include <gossamer/rule/slow_momentum.hpp>
#include <gossamer/rule/sync.hpp>

#include <c10/util/StringUtil.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace gossamer::rule {

inline AnyRule from_name(std::string_view name, const RegistryOptions& options = {});
inline const Entry& entry_of(std::string_view name);

namespace detail {

/// With the codec, if one is named.
template <class Rule>
AnyRule coded(Rule rule, const RegistryOptions& o) {
  if (!o.codec().empty()) rule.codec(codec::from_name(o.codec()));
  return rule;
}
template <class Rule>
AnyRule coded_push(Rule rule, const RegistryOptions& o) {
  if (o.codec().empty()) return rule;
  return CodedPush<Rule>(std::move(rule), codec::from_name(o.codec()));
}

inline EasgdOptions centred(const RegistryOptions& o) {
  return EasgdOptions().tau(o.steps_between()).alpha(o.alpha()).drop(o.drop());
}
inline AnyRule ledger_gossip(const RegistryOptions& o) {
  LedgerGossip rule(o.when());
  if (!o.graph().empty()) rule.graph(o.any_graph(o.graph()));
  return coded(std::move(rule), o);
}
inline AnyRule slowmo(const RegistryOptions& o) {
  if (o.base().starts_with("slowmo")) {
    throw ConfigError("slowmo: base must be another rule, got " + o.base());
  }
  RegistryOptions own = o;
  const bool codes =
      !o.codec().empty() && entry_of(o.base().substr(0, o.base().find('('))).by_codec;
  if (!codes) own.codec("");
  return coded(SlowMo(from_name(o.base(), own), o.steps_between(), o.slow_rate(), o.beta()), o);
}

/// In the order in which they are listed. A new rule is one header and an entry here.
inline constexpr Entry rules[] = {
    {.name = "none",
     .paper = "",
     .conserves = "weights",
     .needs = "nothing",
     .make = [](const RegistryOptions&) -> AnyRule { return None(); }},
    {.name = "sync",
     .paper = "GoSGD slides 2017 (map-reduce)",
     .conserves = "all nodes equal",
     .needs = "waits for all, every step",
     .make = [](const RegistryOptions& o) -> AnyRule { return Sync().chunks(o.chunks()); },
     .needs_gradient_node = true},
    {.name = "acco",
     .paper = "arXiv:2406.02613, by its authors' code",
     .conserves = "all nodes equal",
     .needs = "waits for all, a step late; an optimizer that can be put back",
     .make = [](const RegistryOptions& o) -> AnyRule { return Acco().chunks(o.chunks()); },
     .needs_gradient_node = true},
    {.name = "persyn",
     .paper = "arXiv:1804.01852; local SGD",
     .conserves = "sum of x",
     .needs = "waits for all, every tau steps",
     .make = [](const RegistryOptions& o) -> AnyRule {
       if (o.codec().empty()) return PerSyn(o.steps_between()).chunks(o.chunks());
       return detail::coded(PerSyn(o.steps_between()), o);
     },
     .by_period = true,
     .by_codec = true},
    {.name = "gosgd",
     .paper = "arXiv:1804.01852",
     .conserves = "weights, weighted sum of x",
     .needs = "nothing",
     .make =
         [](const RegistryOptions& o) { return detail::coded_push(GoSgd(o.when(), o.whom()), o); },
     .by_choice = true,
     .by_codec = true},
    {.name = "gosgd_pull",
     .paper = "GoSGD slides 2017 (pull form)",
     .conserves = "weights, weighted sum of x",
     .needs = "nothing",
     .make = [](const RegistryOptions& o) -> AnyRule { return GoSgdPull(o.when(), o.whom()); },
     .by_choice = true},
    {.name = "push_sum",
     .paper = "Kempe et al. 2003; arXiv:1811.10792",
     .conserves = "weights, weighted sum of x",
     .needs = "nothing",
     .make =
         [](const RegistryOptions& o) {
           return detail::coded_push(PushSum(o.when(), o.whom()), o);
         },
     .by_choice = true,
     .by_codec = true},
    {.name = "sgp",
     .paper = "arXiv:1811.10792",
     .conserves = "weights, weighted sum of x",
     .needs = "waits for in-neighbours",
     .make = [](const RegistryOptions& o) -> AnyRule {
       return Sgp(o.any_graph("one_peer_exponential"));
     },
     .by_graph = true},
    {.name = "osgp",
     .paper = "arXiv:1811.10792 (overlap)",
     .conserves = "weights, weighted sum of x",
     .needs = "waits for what is `staleness` steps late",
     .make = [](const RegistryOptions& o) -> AnyRule {
       if (o.staleness() == 0) throw ConfigError("osgp: staleness must be at least 1, got 0");
       return Sgp(o.any_graph("one_peer_exponential"), o.staleness());
     },
     .by_graph = true},
    {.name = "d_psgd",
     .paper = "arXiv:1705.09056",
     .conserves = "sum of x",
     .needs = "waits for neighbours, every step",
     .make = [](const RegistryOptions& o) -> AnyRule { return DPsgd(o.two_way_graph("d_psgd")); },
     .by_graph = true,
     .needs_two_way_graph = true},
    {.name = "choco_sgd",
     .paper = "arXiv:1902.00340",
     .conserves = "sum of x",
     .needs = "waits for neighbours, every step",
     .make = [](const RegistryOptions& o) -> AnyRule {
       return ChocoSgd(codec::from_name(o.codec().empty() ? "sign" : o.codec()),
                       o.alpha() > 0 ? o.alpha() : 0.4, o.two_way_graph("choco_sgd"));
     },
     .by_graph = true,
     .by_codec = true,
     .needs_two_way_graph = true},
    {.name = "ad_psgd",
     .paper = "arXiv:1710.06952",
     .conserves = "sum of x",
     .needs = "nothing",
     .make = [](const RegistryOptions& o) { return detail::coded(AdPsgd(o.when(), o.whom()), o); },
     .by_choice = true,
     .by_codec = true},
    {.name = "a2cid2",
     .paper = "arXiv:2306.08289",
     .conserves = "sum of x and its momentum copy",
     .needs = "nothing; one more vector",
     .make = [](const RegistryOptions& o) -> AnyRule {
       return A2Cid2(o.when(), o.two_way_graph("a2cid2"));
     },
     .by_schedule = true,
     .by_graph = true,
     .needs_two_way_graph = true},
    {.name = "gossiping_pull",
     .paper = "arXiv:1611.04581",
     .conserves = "nothing",
     .needs = "nothing",
     .make = [](const RegistryOptions& o) -> AnyRule { return GossipingPull(o.when(), o.whom()); },
     .by_choice = true},
    {.name = "gossiping_push",
     .paper = "arXiv:1611.04581",
     .conserves = "nothing",
     .needs = "nothing",
     .make = [](const RegistryOptions& o) -> AnyRule { return GossipingPush(o.when(), o.whom()); },
     .by_choice = true},
    {.name = "ledger_gossip",
     .paper = "ours: codes of differences, one vector a link",
     .conserves = "sum of x",
     .needs = "nothing; a vector per neighbour",
     .make = detail::ledger_gossip,
     .by_schedule = true,
     .by_graph = true,
     .by_codec = true},
    {.name = "slowmo",
     .paper = "arXiv:1910.00643 around another rule",
     .conserves = "what the other does, between averages",
     .needs = "waits for all, every tau steps",
     .make = detail::slowmo,
     .by_period = true,
     .by_codec = true,
     .by_base = true},
    {.name = "post_local",
     .paper = "arXiv:1808.07217",
     .conserves = "sum of x",
     .needs = "waits for all, `sync_steps` times, then every tau steps",
     .make = [](const RegistryOptions& o) -> AnyRule {
       return post_local(o.sync_steps(), o.steps_between(), o.chunks());
     },
     .by_period = true,
     .needs_gradient_node = true},
    {.name = "gossip_pga",
     .paper = "arXiv:2105.09080",
     .conserves = "sum of x",
     .needs = "waits for neighbours, and for all every tau steps",
     .make = [](const RegistryOptions& o) -> AnyRule {
       return gossip_pga(o.steps_between(),
                         DPsgd(o.two_way_graph("gossip_pga"), Mixing::after_gradient));
     },
     .by_period = true,
     .by_graph = true,
     .needs_two_way_graph = true},
    {.name = "elastic_gossip",
     .paper = "arXiv:1812.02407",
     .conserves = "sum of x",
     .needs = "nothing",
     .make = [](const RegistryOptions& o) -> AnyRule {
       return detail::coded(ElasticGossip(o.when(), o.whom(), o.alpha() > 0 ? o.alpha() : 0.5), o);
     },
     .by_choice = true,
     .by_codec = true},
    {.name = "easgd",
     .paper = "arXiv:1412.6651; EAMSGD with Nesterov's momentum",
     .conserves = "sum of x and the centre",
     .needs = "a centre, which takes no steps",
     .make = [](const RegistryOptions& o) { return detail::coded(Easgd(detail::centred(o)), o); },
     .by_period = true,
     .by_codec = true,
     .needs_centre = true},
    {.name = "easgd_sync",
     .paper = "arXiv:1412.6651 (synchronous)",
     .conserves = "sum of x and the centre",
     .needs = "a centre; workers wait for all",
     .make =
         [](const RegistryOptions& o) {
           return detail::coded(Easgd(detail::centred(o).synchronous(true)), o);
         },
     .by_period = true,
     .by_codec = true,
     .needs_centre = true},
    {.name = "dynamic_easgd",
     .paper = "after arXiv:2409.09242, from memory",
     .conserves = "nothing",
     .needs = "a centre",
     .make = [](const RegistryOptions& o) -> AnyRule { return DynamicEasgd(detail::centred(o)); },
     .by_period = true,
     .needs_centre = true},
    {.name = "downpour",
     .paper = "Dean et al., NIPS 2012",
     .conserves = "the sum of all steps, in the centre",
     .needs = "a centre; workers wait for it",
     .make = [](const RegistryOptions& o) -> AnyRule { return Downpour(o.steps_between()); },
     .by_period = true,
     .needs_centre = true},
    {.name = "async_diloco",
     .paper = "arXiv:2401.09135",
     .conserves = "nothing",
     .needs = "a centre; workers wait for it",
     .make = [](const RegistryOptions& o) -> AnyRule {
       return AsyncDiloco(AsyncDilocoOptions().tau(o.steps_between()).beta(o.beta()));
     },
     .by_period = true,
     .needs_centre = true},
    {.name = "noloco",
     .paper = "arXiv:2506.10911",
     .conserves = "nothing; its pulls the sum of slow x",
     .needs = "nothing; two more vectors",
     .make = [](const RegistryOptions& o) -> AnyRule {
       return NoLoCo(NoLoCoOptions().tau(o.steps_between()).seed(o.seed()));
     },
     .by_period = true},
    {.name = "gasloc",
     .paper = "arXiv:2606.11081, from a sheet of its equations",
     .conserves = "sum of x",
     .needs = "nothing; two more vectors",
     .make = [](const RegistryOptions& o) -> AnyRule {
       return GasLoc(GasLocOptions().tau(o.steps_between()).alpha(o.alpha()).seed(o.seed()));
     },
     .by_period = true},
    {.name = "leader_sgd",
     .paper = "arXiv:1905.10395",
     .conserves = "nothing",
     .needs = "nothing",
     .make = [](const RegistryOptions& o) -> AnyRule {
       const double pull = o.alpha() > 0 ? o.alpha() : 0.1;
       const std::uint64_t tau = o.steps_between();
       return LeaderSgd(LeaderSgdOptions().tau(tau).pull(pull).window(tau));
     },
     .by_period = true},
};

}  // namespace detail

/// All rules.
inline std::span<const Entry> known() { return detail::rules; }

namespace detail {

/// The names of those for which that holds.
template <class Holds>
std::string names_where(Holds holds) {
  std::string all;
  for (const Entry& one : known()) {
    if (holds(one)) all += c10::str(all.empty() ? "" : ", ", one.name);
  }
  return all;
}

/// Throws ConfigError for an option that is not the default if the rule does not look at it.
inline void refuse_unused(const Entry& entry, const RegistryOptions& o) {
  const auto check = [&](const auto& option, const char* name, const char* why, auto takes) {
    if (option(o) == option(RegistryOptions()) || takes(entry) || entry.by_base) return;
    throw ConfigError(c10::str("rule ", entry.name, " ", why, ", so it takes no ", name, ", got ",
                               option(o), "; those that do: ", names_where(takes)));
  };
  using O = const RegistryOptions&;
  using E = const Entry&;
  check([](O a) { return a.codec(); }, "codec", "sends no codes", [](E e) { return e.by_codec; });
  check([](O a) { return a.topology(); }, "topology", "chooses no peers",
        [](E e) { return e.by_choice; });
  check([](O a) { return a.schedule(); }, "schedule", "does not choose when to meet",
        [](E e) { return e.by_choice || e.by_schedule; });
  check([](O a) { return a.graph(); }, "graph", "goes by no graph", [](E e) { return e.by_graph; });
}

}  // namespace detail

/// The entry of that name. Throws ConfigError, which lists the names that there are.
inline const Entry& entry_of(std::string_view name) {
  for (const Entry& entry : known()) {
    if (entry.name == name) return entry;
  }
  const std::string all = detail::names_where([](const Entry&) { return true; });
  throw ConfigError(c10::str("rule must be one of ", all, ", got ", name));
}

namespace detail {

inline AnyRule make(const Entry& entry, const RegistryOptions& options) {
  refuse_unused(entry, options);
  return entry.make(options);
}

}  // namespace detail

/// The rule of that name, or of "NAME(OF)": `slowmo(sgp)` is SlowMo around SGP, and with a rule
/// that chooses peers `gosgd(two_choices)` is GoSGD with that topology. Records have `balanced` for
/// the latter, and `permuted` for `gosgd(permutation)`: these are understood, too. Throws
/// ConfigError for a name that is not known, and lists those that are; for options that cannot
/// work, for a graph that the rule cannot use, and for a codec, topology, schedule or graph that is
/// not the default if it takes none.
inline AnyRule from_name(std::string_view name, const RegistryOptions& options) {
  if (name == "balanced") return from_name("gosgd(two_choices)", options);
  if (name == "permuted") return from_name("gosgd(permutation)", options);
  const std::size_t open = name.find('(');
  if (open == std::string_view::npos || name.back() != ')') {
    return detail::make(entry_of(name), options);
  }
  const Entry& entry = entry_of(name.substr(0, open));
  const std::string of(name.substr(open + 1, name.size() - open - 2));
  RegistryOptions own = options;
  if (entry.by_base) {
    own.base(of);
  } else if (entry.by_choice) {
    own.topology(of);
  } else {
    throw ConfigError(c10::str("rule ", entry.name, " takes nothing in brackets, got ", name));
  }
  return detail::make(entry, own);
}

}  // namespace gossamer::rule
