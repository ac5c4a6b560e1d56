// SPDX-License-Identifier: MIT
/// What LibTorch's own profiler and observers see of a node: ranges that nest, with the operators
/// in them, in one thread each.
#include <gossamer/node/thread_group.hpp>
#include <gossamer/observe/profiler_ranges.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/sync.hpp>

#include <ATen/record_function.h>
#include <nlohmann/json.hpp>
#include <tests/support.hpp>
#include <torch/csrc/autograd/profiler_legacy.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using gossamer::GroupOptions;
using gossamer::NodeOptions;
using gossamer::StopCondition;
using gossamer::ThreadGroup;
using gossamer::observe::Callback;
using gossamer::observe::ProfilerRanges;
using gossamer::transport::Message;
using namespace std::chrono_literals;
namespace rule = gossamer::rule;

/// What an observer hears: "(" and the name where a range begins, ")" and the name where it ends.
using Heard = std::vector<std::string>;
thread_local Heard* heard = nullptr;

std::unique_ptr<at::ObserverContext> begins(const at::RecordFunction& range) {
  if (heard != nullptr) heard->push_back(std::string("(") + range.name());
  return nullptr;
}
void ends(const at::RecordFunction& range, at::ObserverContext*) {
  if (heard != nullptr) heard->push_back(std::string(")") + range.name());
}
/// Observes this thread from now on.
at::CallbackHandle observe_into(Heard& to) {
  heard = &to;
  return at::addThreadLocalCallback(at::RecordFunctionCallback(begins, ends));
}

/// How often each range was heard, with the one around it: "gossamer::step/aten::sub_". Fails the
/// test for one that does not end, or not before those around it.
std::map<std::string, std::uint64_t> nesting_of(const Heard& lines) {
  std::map<std::string, std::uint64_t> counts;
  std::vector<std::string> open;
  for (const std::string& line : lines) {
    const std::string name = line.substr(1);
    if (line.front() == '(') {
      ++counts[open.empty() ? name : open.back() + "/" + name];
      open.push_back(name);
    } else {
      REQUIRE_FALSE(open.empty());
      REQUIRE(open.back() == name);
      open.pop_back();
    }
  }
  REQUIRE(open.empty());
  return counts;
}

/// A node that observes its own thread.
class Observed final : public gossamer::GradientNode<std::vector<at::Tensor>> {
 public:
  explicit Observed(gossamer::Context context)
      : GradientNode(std::move(context), {torch::zeros({4}, torch::kDouble).requires_grad_()}) {}

  Heard lines;
  std::uint64_t fails_at = UINT64_MAX;

 private:
  void on_start() override { observe_into(lines); }
  double gradient() override {
    if (counters().steps == fails_at) throw std::runtime_error("enough");
    const at::NoGradGuard no_grad;
    model()[0].mutable_grad() = torch::full({4}, id() + 1.0, torch::kDouble);
    return 0;
  }
  void apply() override {
    const at::NoGradGuard no_grad;
    model()[0].sub_(model()[0].grad(), 0.1);
  }
};

GroupOptions watched() {
  return GroupOptions(2)
      .node(NodeOptions().seed(tests::seed))
      .callback(std::make_shared<ProfilerRanges>());
}

Message message(std::uint32_t from, std::uint32_t to) {
  Message one;
  one.from = from;
  one.to = to;
  return one;
}

}  // namespace

TEST_CASE("Ranges of a node nest, and its operators lie within its steps", "[observe][threads]") {
  const bool is_sync = GENERATE(false, true);
  const rule::AnyRule rule = is_sync ? rule::AnyRule(rule::Sync()) : rule::GoSgd(0.5);
  ThreadGroup<Observed> group(watched(), rule);
  group.run(StopCondition().steps(50));
  std::uint64_t sent = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    CAPTURE(i, is_sync);
    auto counts = nesting_of(group[i].lines);
    CHECK(counts["gossamer::step"] == group[i].counters().steps);
    CHECK(counts["gossamer::step/aten::sub_"] == group[i].counters().steps);
    CHECK(counts["aten::sub_"] == 0);
    sent += counts["gossamer::step/gossamer::send"];
    if (is_sync) CHECK(counts["gossamer::merge"] + counts["gossamer::step/gossamer::merge"] > 0);
  }
  CHECK(sent > 0);
}

TEST_CASE("A node that throws leaves no range open", "[observe]") {
  ThreadGroup<Observed> group(watched(), rule::Sync());
  group[1].fails_at = 10;
  CHECK_THROWS_AS(group.run(StopCondition().steps(1000)), gossamer::NodeError);
  CHECK(nesting_of(group[1].lines)["gossamer::step"] == 11);
  CHECK(nesting_of(group[0].lines)["gossamer::step"] >= 10);
}

TEST_CASE("Ranges last from one callback to the next", "[observe]") {
  Heard lines;
  const auto handle = observe_into(lines);
  {
    ProfilerRanges ranges;
    ranges.on_step(0ms, 3);
    ranges.on_send(1ms, message(3, 5));
    ranges.on_wait(2ms, 3, Callback::Wait::others);
    ranges.on_wait(3ms, 3, Callback::Wait::others);
    ranges.on_deliver(4ms, message(5, 3));
    ranges.on_deliver(5ms, message(5, 3));
    ranges.on_merge(6ms, 3, 2, 0);
    ranges.on_weight(6ms, 3, 0);
    ranges.on_step_end(7ms, 3, {});
    ranges.on_return(8ms, {message(3, 5), gossamer::transport::Reason::lost});
    ranges.on_weight(9ms, 3, 0);
    ranges.on_wait(10ms, 3, Callback::Wait::others);
    ranges.on_rest(11ms, 3);
    ranges.on_step(12ms, 3);
  }  // the last one ends with the callback
  at::removeCallback(handle);
  CHECK(lines == Heard{"(gossamer::step", "(gossamer::send", ")gossamer::send", "(gossamer::wait",
                       ")gossamer::wait", "(gossamer::merge", ")gossamer::merge", ")gossamer::step",
                       "(gossamer::merge", ")gossamer::merge", "(gossamer::wait", ")gossamer::wait",
                       "(gossamer::step", ")gossamer::step"});
}

TEST_CASE("A range does not end in another thread, nor for observers that have gone or come",
          "[observe]") {
  ProfilerRanges ranges;
  Heard elsewhere;
  std::thread([&] {
    observe_into(elsewhere);
    ranges.on_step(0ms, 0);
  }).join();
  Heard lines;
  auto handle = observe_into(lines);
  ranges.on_step_end(1ms, 0, {});
  CHECK(elsewhere == Heard{"(gossamer::step"});
  CHECK(lines.empty());

  ranges.on_step(2ms, 0);
  at::removeCallback(handle);
  handle = observe_into(lines);  // another profiler
  ranges.on_step_end(3ms, 0, {});
  ranges.on_step(4ms, 0);
  ranges.on_step_end(5ms, 0, {});
  at::removeCallback(handle);
  CHECK(lines == Heard{"(gossamer::step", "(gossamer::step", ")gossamer::step"});
}

TEST_CASE("LibTorch's own profiler shows a step with the operators in it", "[observe]") {
  std::ostringstream out;
  {
    const torch::autograd::profiler::RecordProfile profile(out);
    ProfilerRanges ranges;
    at::Tensor numbers = torch::zeros({4});
    for (int i = 0; i < 3; ++i) {
      ranges.on_step(0ms, 0);
      numbers.add_(1);
      ranges.on_step_end(1ms, 0, {});
    }
  }
  const auto events = nlohmann::json::parse(out.str());
  const auto named = [&](const std::string& name) {
    std::vector<std::pair<double, double>> found;
    for (const auto& event : events) {
      if (event["name"] != name) continue;
      const double begin = event["ts"];
      found.emplace_back(begin, begin + event["dur"].get<double>());
    }
    return found;
  };
  const auto steps = named("gossamer::step");
  const auto operators = named("aten::add_");
  REQUIRE(steps.size() == 3);
  CHECK(operators.size() >= 3);  // one may call another of its name
  for (const auto& [begin, end] : operators) {
    CHECK(std::count_if(steps.begin(), steps.end(), [begin = begin, end = end](const auto& step) {
            return step.first <= begin && end <= step.second;
          }) == 1);
  }
}
