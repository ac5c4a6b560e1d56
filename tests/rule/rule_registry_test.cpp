// SPDX-License-Identifier: MIT
/// Names for rules: every one that is listed is made, trains a group, and says of itself what the
/// table says of it.
#include <gossamer/error.hpp>
#include <gossamer/rule/registry.hpp>
#include <gossamer/simulation/group.hpp>

#include <ATen/ATen.h>
#include <tests/support.hpp>

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::rule::Entry;
using gossamer::rule::from_name;
using gossamer::rule::RegistryOptions;
using tests::message_of;

/// Goes down x^2 / 2 in halves, so that all rules can be had.
class Halves final : public gossamer::GradientNode<std::vector<at::Tensor>> {
 public:
  explicit Halves(gossamer::Context context)
      : GradientNode(std::move(context), {at::ones({3}).set_requires_grad(true)}) {}

 private:
  at::Tensor& x() { return model().front(); }
  double gradient() override {
    const at::NoGradGuard no_grad;
    x().mutable_grad() = x().clone();
    return x().square().sum().item<double>() / 2;
  }
  void apply() override {
    const at::NoGradGuard no_grad;
    x().sub_(x().grad(), 0.1);
  }
};

RegistryOptions short_periods() { return RegistryOptions().probability(0.5).sync_steps(3); }

}  // namespace

TEST_CASE("Every rule that is known can be named, and trains a group", "[rule][registry]") {
  for (const Entry& entry : gossamer::rule::known()) {
    CAPTURE(entry.name);
    gossamer::SimulatedGroup<Halves> group(
        gossamer::SimulatedGroupOptions(5).node(gossamer::NodeOptions().seed(tests::seed)),
        from_name(entry.name, short_periods()));
    group.run(gossamer::StopCondition().steps(20));
    CHECK(group.totals().steps >= 100);
    CHECK(group.total_weight() == tests::Approx(1).margin(tests::weight_tolerance));
    for (std::size_t i = 1; i < group.size(); ++i) {
      CHECK(group[i].model().front().max().item<double>() < 1);
    }
    const bool has_centre = group.counters(0).steps == 0;
    CHECK(has_centre == entry.needs_centre);
    CHECK((group.totals().messages_sent > 0) == (entry.name != "none"));
  }
  CHECK(gossamer::rule::known().size() == 28);
}

TEST_CASE("A rule's own name makes it again", "[rule][registry]") {
  std::set<std::string> names;
  for (const Entry& entry : gossamer::rule::known()) {
    CAPTURE(entry.name);
    const std::string own = from_name(entry.name, short_periods())->name();
    CHECK(own.substr(0, own.find('(')) == entry.name);
    CHECK(from_name(own, short_periods())->name() == own);
    CHECK(names.emplace(entry.name).second);
  }
  CHECK(from_name("slowmo(sgp)")->name() == "slowmo(sgp)");
  CHECK(from_name("slowmo", RegistryOptions().base("sgp"))->name() == "slowmo(sgp)");
  CHECK(from_name("gosgd(two_choices)")->name() == "gosgd");
  CHECK(from_name("balanced")->name() == "gosgd");
  CHECK(from_name("permuted")->name() == "gosgd");
}

TEST_CASE("The table of rules is right about what each of them needs", "[rule][registry]") {
  for (const Entry& entry : gossamer::rule::known()) {
    CAPTURE(entry.name);
    CHECK_FALSE(entry.needs.empty());
    CHECK_FALSE(entry.conserves.empty());
    const auto rule = from_name(entry.name, short_periods());
    CHECK(rule->needs_gradient_hook() == entry.needs_gradient_node);
    const auto made_with = [&entry](const RegistryOptions& options) {
      try {
        (void)from_name(entry.name, options);
        return true;
      } catch (const ConfigError&) {
        return false;
      }
    };
    CHECK(made_with(RegistryOptions().probability(0)) == !entry.by_period);
    CHECK(made_with(RegistryOptions().probability(0).period(5)));
    CHECK(made_with(RegistryOptions().topology("two_choices")) == entry.by_choice);
    CHECK_FALSE(made_with(RegistryOptions().topology("moebius")));
    CHECK(made_with(RegistryOptions().schedule("every:2")) ==
          (entry.by_choice || entry.by_schedule));
    CHECK_FALSE(made_with(RegistryOptions().schedule("every:0")));
    CHECK(made_with(RegistryOptions().graph("torus")) == entry.by_graph);
    CHECK_FALSE(made_with(RegistryOptions().graph("moebius")));
    CHECK(made_with(RegistryOptions().graph("exponential")) ==
          (entry.by_graph && !entry.needs_two_way_graph));
    auto in_code = RegistryOptions().codec("int4");
    CHECK(made_with(in_code.base("gosgd")) == entry.by_codec);
    CHECK_FALSE(made_with(RegistryOptions().codec("morse")));
  }
}

TEST_CASE("Rules that average in chunks let each node send as many messages as another",
          "[rule][registry]") {
  for (const char* name : {"sync", "acco", "persyn", "post_local"}) {
    CAPTURE(name);
    auto options = short_periods();
    gossamer::SimulatedGroup<Halves> group(
        gossamer::SimulatedGroupOptions(3).node(gossamer::NodeOptions().seed(tests::seed)),
        from_name(name, options.chunks(3)));
    group.run(gossamer::StopCondition().steps(8));
    for (std::size_t i = 1; i < group.size(); ++i) {
      CHECK(group.counters(i).messages_sent == group.counters(0).messages_sent);
    }
  }
}

TEST_CASE("Every rule that takes a codec trains a group in code", "[rule][registry]") {
  for (const Entry& entry : gossamer::rule::known()) {
    if (!entry.by_codec) continue;
    CAPTURE(entry.name);
    const auto in_code = [&](const char* codec) {
      auto options = short_periods();
      return from_name(entry.name, options.base("gosgd").codec(codec));
    };
    CHECK_THAT(in_code("int4")->agreement(), tests::contains("codec int4"));
    CHECK(in_code("int8")->agreement() != in_code("int4")->agreement());
    gossamer::SimulatedGroup<Halves> group(
        gossamer::SimulatedGroupOptions(5).node(gossamer::NodeOptions().seed(tests::seed)),
        in_code("int4"));
    group.run(gossamer::StopCondition().steps(20));
    CHECK(group.total_weight() == tests::Approx(1).margin(tests::weight_tolerance));
    CHECK(group.totals().messages_sent > 0);
    for (std::size_t i = 1; i < group.size(); ++i) {
      CHECK(group[i].model().front().max().item<double>() < 1);
    }
  }
}

TEST_CASE("A rule that cannot work is refused when it is made", "[rule][registry]") {
  const auto refused = [](const std::string& name, const RegistryOptions& options = {}) {
    return message_of<ConfigError>([&] { (void)from_name(name, options); });
  };
  CHECK_THAT(refused("gossip"),
             tests::contains("rule must be one of none, sync, acco, persyn, gosgd, ") &&
                 tests::contains(", leader_sgd, got gossip"));
  CHECK(refused("sync(ring)") == "rule sync takes nothing in brackets, got sync(ring)");
  CHECK_THAT(refused("gosgd(moebius)"), tests::contains(", got moebius"));
  CHECK(refused("slowmo(slowmo)") == "slowmo: base must be another rule, got slowmo");
  CHECK(refused("d_psgd", RegistryOptions().graph("ring").nodes(5)) ==
        "d_psgd: needs a graph whose edges go both ways, got ring");
  CHECK(from_name("d_psgd", RegistryOptions().graph("ring").nodes(2))->name() == "d_psgd");
  CHECK(refused("sgp", RegistryOptions().graph("uniform")) ==
        "graph must have edges, got the topology uniform, which chooses among all");
  CHECK(refused("persyn", RegistryOptions().probability(0)) ==
        "RegistryOptions: needs a period, or a probability above 0, got 0");
  CHECK(refused("osgp", RegistryOptions().staleness(0)) ==
        "osgp: staleness must be at least 1, got 0");
  CHECK_THAT(refused("d_psgd", RegistryOptions().codec("sign")),
             tests::contains("rule d_psgd sends no codes, so it takes no codec, got sign; those "
                             "that do: persyn, gosgd, push_sum, "));
  CHECK_THAT(
      refused("easgd", RegistryOptions().topology("ring")),
      tests::contains("rule easgd chooses no peers, so it takes no topology, got ring; those "
                      "that do: gosgd, gosgd_pull, "));
  CHECK_THAT(refused("sgp", RegistryOptions().schedule("every:3")),
             tests::contains("rule sgp does not choose when to meet, so it takes no schedule, got "
                             "every:3; those that do: gosgd, "));
  CHECK_THAT(refused("slowmo(sync)", RegistryOptions().topology("ring")),
             tests::contains("rule sync chooses no peers, so it takes no topology, got ring"));
  CHECK(from_name("slowmo(gosgd)", RegistryOptions().topology("ring"))->name() == "slowmo(gosgd)");
  CHECK(refused("gosgd", RegistryOptions().probability(2)) ==
        "Bernoulli: probability must lie in [0, 1], got 2");
}
