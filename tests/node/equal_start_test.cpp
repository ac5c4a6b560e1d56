// SPDX-License-Identifier: MIT
/// Those that begin together begin with the same bits, whoever of them goes meanwhile, or say so.
#include <gossamer/generator.hpp>
#include <gossamer/model/tensors.hpp>
#include <gossamer/node/engine.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/persyn.hpp>
#include <gossamer/simulation/transport.hpp>

#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>
#include <tests/support.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace {

using gossamer::Context;
using gossamer::Engine;
using gossamer::Generator;
using gossamer::NodeOptions;
using gossamer::PeerId;
using gossamer::detail::EqualStart;
using gossamer::rule::AnyRule;
using gossamer::transport::Delivered;
using gossamer::transport::Event;
using gossamer::transport::Message;
using gossamer::transport::Reason;
using gossamer::transport::SimulatedOptions;
using gossamer::transport::SimulatedWorld;
using gossamer::transport::Time;
using tests::Approx;
using namespace std::chrono_literals;

constexpr std::int64_t length = 25'000;            // of float32: 100 kB
constexpr std::uint64_t bytes = 4 * (length + 8);  // a whole number of cache lines

SimulatedOptions world_of(std::size_t nodes) {
  return SimulatedOptions(nodes).link({.latency = 1ms}).uplink(1e6).downlink(1e6);
}

/// Nodes that start, in a simulated world; number n's own model is all n + 1.
class Starters {
 public:
  explicit Starters(const SimulatedOptions& options, const AnyRule& rule = gossamer::rule::GoSgd(0),
                    bool all_at_once = true)
      : world_(SimulatedWorld::make(options)),
        rule_(rule),
        logger_(std::make_shared<spdlog::logger>(
            "test", std::make_shared<spdlog::sinks::ostream_sink_st>(log_))) {
    const std::size_t nodes = options.nodes();
    engines_.resize(nodes);
    world_->on_ready = [this](PeerId id) { ready_.push_back(id); };
    for (PeerId id = 0; id < nodes; ++id) {
      models_.push_back({torch::full({length}, id + 1.0)});
      engines_[id] = std::make_unique<Engine>(
          Context{world_->endpoint(id), rule_, NodeOptions().logger(logger_),
                  1 / static_cast<double>(nodes)},
          gossamer::model::detail::tensors_of(models_[id]));
    }
    begun_.resize(nodes, false);
    for (PeerId id = 0; all_at_once && id < nodes; ++id) begin(id);
  }
  ~Starters() { world_->on_ready = nullptr; }

  void begin(PeerId id, bool restored = false) {
    begun_[id] = true;
    engines_[id]->begin_start(restored);
  }
  void crash(PeerId id) {
    world_->crash(id);
    engines_[id].reset();
  }
  void leave(PeerId id) {
    engines_[id]->transport().close(Reason::left);
    engines_[id].reset();
  }

  [[nodiscard]] bool is_live(PeerId id) const { return engines_[id] != nullptr; }
  [[nodiscard]] bool has_started(PeerId id) const {
    return begun_[id] && !engines_[id]->is_starting();
  }
  [[nodiscard]] bool all_have_started() const {
    for (PeerId id = 0; id < engines_.size(); ++id) {
      if (is_live(id) && !has_started(id)) return false;
    }
    return true;
  }
  /// One event of the world, or 100 ms later; what it brings is taken in.
  void step() {
    const Time next = std::max(looked_ + 100ms, world_->now());
    if (!world_->step(next)) {
      world_->run_until(next);
      looked_ = next;
      for (PeerId id = 0; id < engines_.size(); ++id) {
        if (!is_live(id) || !begun_[id]) continue;
        receive(id);
        world_->probe(id);
      }
    }
    for (const PeerId id : std::exchange(ready_, {})) receive(id);
  }
  /// Until that holds, or the time has come; whether it does.
  bool run(const std::function<bool()>& enough, Time limit = 300s) {
    while (!enough() && world_->now() < limit) step();
    return enough();
  }
  bool start(Time limit = 300s) {
    return run([this] { return all_have_started(); }, limit);
  }

  [[nodiscard]] Engine& operator[](PeerId id) { return *engines_[id]; }
  [[nodiscard]] double number(PeerId id) const { return models_[id][0][0].item<double>(); }
  /// Of the live ones, if all have the same bits; else nothing.
  [[nodiscard]] std::optional<double> common() const {
    const at::Tensor* first = nullptr;
    for (PeerId id = 0; id < engines_.size(); ++id) {
      if (!is_live(id)) continue;
      if (first == nullptr) first = models_[id].data();
      if (!torch::equal(*first, models_[id][0])) return std::nullopt;
    }
    return (*first)[0].item<double>();
  }
  [[nodiscard]] double weight() const {
    double sum = 0;
    for (const auto& engine : engines_) sum += engine ? engine->weight() : 0;
    return sum;
  }
  [[nodiscard]] SimulatedWorld& world() { return *world_; }
  [[nodiscard]] std::string log() const { return log_.str(); }

 private:
  void receive(PeerId id) {
    if (!is_live(id) || !begun_[id]) return;
    const auto merge = [&](std::span<const Message> all) { engines_[id]->merge(all); };
    engines_[id]->receive(merge, [](const Event&) {});
    world_->dealt_with(id);
  }

  std::shared_ptr<SimulatedWorld> world_;
  AnyRule rule_;
  std::ostringstream log_;
  std::shared_ptr<spdlog::logger> logger_;
  std::vector<std::vector<at::Tensor>> models_;
  std::vector<std::unique_ptr<Engine>> engines_;
  std::vector<bool> begun_;
  std::vector<PeerId> ready_;
  Time looked_{0};
};

constexpr double seconds_of_model = bytes / 1e6;
double in_seconds(Time time) { return std::chrono::duration<double>(time).count(); }

/// How long it takes when node 0 sends its model to each of the others itself.
double seconds_of_star(std::size_t nodes) {
  const auto world = SimulatedWorld::make(world_of(nodes));
  std::vector<std::vector<at::Tensor>> models;
  std::vector<std::unique_ptr<Engine>> engines;
  for (PeerId id = 0; id < nodes; ++id) models.push_back({torch::zeros({length})});
  for (PeerId id = 0; id < nodes; ++id) {
    engines.push_back(std::make_unique<Engine>(
        Context{world->endpoint(id), AnyRule(gossamer::rule::GoSgd(0)), NodeOptions(), 0.5},
        gossamer::model::detail::tensors_of(models[id])));
  }
  const auto payload = engines[0]->context().snapshot();
  for (PeerId id = 1; id < nodes; ++id) {
    engines[0]->transport().send({.to = id, .payload = payload});
  }
  for (PeerId id = 1; id < nodes; ++id) {
    while (!world->has_event(id) && world->step(Time::max())) {
    }
  }
  return in_seconds(world->now());
}

}  // namespace

TEST_CASE("All begin with node 0's bits, and nobody sends more than two models",
          "[node][simulated]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 7U, 8U, 33U);
  CAPTURE(nodes);
  Starters starters(world_of(nodes));
  REQUIRE(starters.start());
  CHECK(starters.common() == 1.0);
  CHECK(starters.log() == "");
  CHECK(starters.weight() == Approx(1).margin(tests::weight_tolerance));
  std::uint64_t sent = 0;
  for (PeerId id = 0; id < nodes; ++id) {
    const auto& counters = starters[id].counters();
    CHECK(counters.messages_sent <= EqualStart::fan_out);
    CHECK(starters[id].model().flat().bytes() == bytes);
    CHECK(counters.bytes_sent <= EqualStart::fan_out * (bytes + Message::header_bytes));
    sent += counters.messages_sent;
  }
  CHECK(sent == nodes - 1);  // no words beside
}

TEST_CASE("The time to start goes with the depth of the tree, not with the nodes",
          "[node][simulated]") {
  std::vector<double> times;
  for (const std::size_t nodes : {3U, 7U, 15U, 31U, 63U}) {
    Starters starters(world_of(nodes));
    REQUIRE(starters.start());
    times.push_back(in_seconds(starters.world().now()));
    // Each level waits for two models of its parent.
    const double depth = std::log2(nodes + 1) - 1;
    CHECK(times.back() == Approx(2 * depth * seconds_of_model).epsilon(0.15));
    const double star = seconds_of_star(nodes);
    CHECK(star == Approx(static_cast<double>(nodes - 1) * seconds_of_model).epsilon(0.15));
    if (nodes == 63) CHECK(star > 5 * times.back());
  }
  for (std::size_t i = 2; i < times.size(); ++i) {
    CHECK(times[i] - times[i - 1] == Approx(times[1] - times[0]).epsilon(0.15));
  }
}

TEST_CASE("Node 0 goes at any moment of the start: the others begin with the same bits",
          "[node][simulated]") {
  const std::size_t nodes = GENERATE(2U, 3U, 8U);
  const bool crashes = GENERATE(true, false);
  CAPTURE(nodes, crashes);
  bool own = false;
  bool its = false;
  for (int k = 0;; ++k) {
    CAPTURE(k);
    Starters starters(world_of(nodes));
    for (int i = 0; i < k; ++i) starters.step();
    if (starters.all_have_started()) break;
    crashes ? starters.crash(0) : starters.leave(0);
    REQUIRE(starters.start());
    const auto common = starters.common();
    REQUIRE(common);
    if (*common == 1) {
      its = true;
    } else {
      own = true;
      CHECK(*common == 2);  // the lowest that is left
      CHECK_THAT(starters.log(), tests::contains("begins from its own"));
    }
  }
  CHECK(its);  // on a slow downlink, even if only the other one is left to have them
  CHECK(own);
}

TEST_CASE("An inner node goes at any moment: its children ask on", "[node][simulated]") {
  const PeerId gone = GENERATE(1U, 2U, 3U);
  CAPTURE(gone);
  for (int k = 0;; ++k) {
    CAPTURE(k);
    Starters starters(world_of(15));
    for (int i = 0; i < k; ++i) starters.step();
    if (starters.all_have_started()) break;
    starters.crash(gone);
    REQUIRE(starters.start());
    REQUIRE(starters.common() == 1.0);
    REQUIRE(starters.log() == "");
    CHECK(starters[0].counters().bytes_sent <= 5 * bytes);
  }
}

TEST_CASE("A node that comes late holds up nobody for long, and begins with the same bits",
          "[node][simulated]") {
  Starters starters(world_of(8), gossamer::rule::GoSgd(0), false);
  for (const PeerId id : {0, 2, 3, 4, 5, 6, 7}) starters.begin(id);
  const auto are_there = [&] {
    for (const PeerId id : {0, 2, 3, 4, 5, 6, 7}) {
      if (!starters.has_started(id)) return false;
    }
    return true;
  };
  REQUIRE(starters.run(are_there));
  CHECK(starters.world().now() < 2 * EqualStart::patience + 3s);
  starters.begin(1);
  REQUIRE(starters.start());
  CHECK(starters.common() == 1.0);
  CHECK(starters[1].counters().bytes_sent < bytes);  // its children have told it
  CHECK(starters.log() == "");
}

TEST_CASE("Under a synchronous rule all count on from the first node's step", "[node][simulated]") {
  Starters starters(world_of(8), gossamer::rule::PerSyn(10), false);
  starters[0].keep_step(1'234'567);
  for (PeerId id = 0; id < 8; ++id) starters.begin(id, true);
  REQUIRE(starters.start());
  CHECK(starters.common() == 1.0);
  for (PeerId id = 0; id < 8; ++id) CHECK(starters[id].step() == 1'234'567);
}

TEST_CASE("Those that were restored keep their own, and pass the first one's on to who was not",
          "[node][simulated]") {
  Starters starters(world_of(8), gossamer::rule::GoSgd(0), false);
  for (PeerId id = 0; id < 8; ++id) starters.begin(id, id < 7);
  REQUIRE(starters.start());
  for (PeerId id = 0; id < 7; ++id) CHECK(starters.number(id) == id + 1.0);
  CHECK(starters.number(7) == 1);
}

TEST_CASE("A loop that starts again is given the model of that start", "[node][simulated]") {
  Starters starters(world_of(7), gossamer::rule::PerSyn(10));
  starters.begin(0, true);  // before the others have the first
  REQUIRE(starters.start());
  for (PeerId id = 6; id > 0; --id) starters.begin(id, true);
  REQUIRE(starters.start());
  CHECK(starters.common() == 1.0);
}

TEST_CASE("The first model is kept until all have trained, and no longer", "[node][simulated]") {
  Starters starters(world_of(3), gossamer::rule::GoSgd(0), false);
  starters.begin(0);
  starters.begin(2);
  REQUIRE(starters.run([&] { return starters.has_started(2); }));
  CHECK(starters[0].pool().out() == 1);  // node 1 has not begun
  starters.crash(0);
  starters.begin(1);
  REQUIRE(starters.start());
  CHECK(starters.common() == 1.0);  // node 2 had kept it
  for (const PeerId id : {1, 2}) starters[id].after_step(0);
  starters.run([&] { return starters[1].pool().out() == 0 && starters[2].pool().out() == 0; }, 5s);
  CHECK(starters[1].pool().out() == 0);
  CHECK(starters[2].pool().out() == 0);
}

namespace {

/// A start of a few nodes of which some come late, crash, leave, and, if so wished, stand still
/// until they are taken for dead. What goes wrong; empty if nothing does.
std::string random_start(std::uint64_t seed, bool freezes) {
  Generator random(seed, 7);
  const auto nodes = static_cast<PeerId>(2 + random.below(12));
  const auto when = [&](double most) {
    return Time(static_cast<Time::rep>(random.uniform() * most));
  };
  Starters starters(world_of(nodes).dead_after(100ms).resend_after(10ms).seed(seed),
                    gossamer::rule::GoSgd(0), false);
  enum What { begin, crash, leave, freeze };
  struct Planned {
    Time when;
    What what;
    PeerId node;
  };
  std::vector<Planned> plan;
  const bool some_are_late = random.below(2) == 0;
  for (PeerId id = 0; id < nodes; ++id) {
    plan.push_back({some_are_late && random.below(3) == 0 ? when(4e9) : when(1e7), begin, id});
  }
  const std::uint32_t losses = random.below(nodes);
  for (std::uint32_t i = 0; i < losses; ++i) {
    const PeerId node =
        random.below(2) == 0 ? random.below(std::min<PeerId>(nodes, 3)) : random.below(nodes);
    const auto what = freezes && random.below(2) == 0 ? freeze : crash;
    plan.push_back({when(1.5e9), random.below(4) == 0 && what == crash ? leave : what, node});
  }
  std::stable_sort(plan.begin(), plan.end(),
                   [](const Planned& a, const Planned& b) { return a.when < b.when; });
  double lost = 0;  // the start moves none
  for (const Planned& one : plan) {
    starters.run([&] { return starters.world().now() >= one.when; });
    if (!starters.is_live(one.node)) continue;
    if (one.what == begin) {
      starters.begin(one.node);
    } else if (one.what == freeze) {
      starters.world().freeze(one.node, starters.world().now() + 400ms);
    } else {
      lost += starters[one.node].weight();
      one.what == crash ? starters.crash(one.node) : starters.leave(one.node);
    }
  }
  bool any = false;
  for (PeerId id = 0; id < nodes; ++id) any = any || starters.is_live(id);
  if (!any) return "";
  if (!starters.start()) return "somebody waits for ever";
  starters.run([&] { return starters.world().is_calm(); }, starters.world().now() + 60s);
  const bool is_alone = starters.log().find("begins from its own") == std::string::npos;
  if (!starters.common() && (!freezes || is_alone)) return "they begin with different models";
  const double weight = starters.weight();
  if (std::abs(weight + lost - 1) > tests::weight_tolerance) {
    return "the weights' sum is " + std::to_string(weight + lost);
  }
  return "";
}

}  // namespace

TEST_CASE("Whoever crashes, leaves or comes late, the others begin with the same bits",
          "[node][simulated]") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    REQUIRE(random_start(seed, false) == "");
  }
}

TEST_CASE(
    "Where nodes are taken for dead that live, the others begin with the same bits, or say so",
    "[node][simulated]") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    REQUIRE(random_start(seed, true) == "");
  }
}
