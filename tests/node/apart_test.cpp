// SPDX-License-Identifier: MIT
/// Nodes whose payloads lie in another memory than their models, as those of a model on a device
/// do: they do to the bit what other nodes do.
#include <gossamer/model/flat_model.hpp>
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/node/thread_group.hpp>
#include <gossamer/rule/choco_sgd.hpp>
#include <gossamer/rule/d_psgd.hpp>
#include <gossamer/rule/downpour.hpp>
#include <gossamer/rule/easgd.hpp>
#include <gossamer/rule/elastic_gossip.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/ledger_gossip.hpp>
#include <gossamer/rule/noloco.hpp>
#include <gossamer/rule/none.hpp>
#include <gossamer/rule/push_sum.hpp>
#include <gossamer/rule/sgp.hpp>
#include <gossamer/rule/slow_momentum.hpp>
#include <gossamer/rule/sync.hpp>
#include <gossamer/simulation/group.hpp>
#include <gossamer/topology/exponential.hpp>
#include <gossamer/transport/tcp.hpp>

#include <tests/node/side_by_side.hpp>
#include <tests/support.hpp>
#include <tests/transport/apart_transport.hpp>
#include <tests/transport/tcp_group.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

namespace {

using gossamer::Context;
using gossamer::StopCondition;
using gossamer::rule::AnyRule;
using tests::ApartRecord;
using tests::ApartTransport;
namespace rule = gossamer::rule;

/// Descends to its own number, with noise, in numbers of three types.
class Node final : public gossamer::GradientNode<std::vector<at::Tensor>> {
 public:
  explicit Node(Context context)
      : GradientNode(std::move(context), {torch::zeros({50, 7}).requires_grad_(),
                                          torch::zeros({13}, at::kDouble).requires_grad_(),
                                          torch::zeros({9}, at::kBFloat16).requires_grad_()}),
        random_(generator()) {}

 private:
  double gradient() override {
    const double target = static_cast<double>(id()) + random_.uniform();
    for (at::Tensor& x : model()) x.mutable_grad() = x.detach() - target;
    return 1;
  }
  void apply() override {
    const at::NoGradGuard no_grad;
    for (at::Tensor& x : model()) x.sub_(x.grad(), 0.1);
  }

  gossamer::Generator random_;
};

/// Makes nodes; with a record, ones whose payloads lie apart.
auto nodes(std::shared_ptr<ApartRecord> record) {
  return [record](Context context) {
    if (record) context.transport = ApartTransport(std::move(context.transport), record);
    return std::make_unique<Node>(std::move(context));
  };
}

std::vector<AnyRule> rules() {
  return {rule::GoSgd(0.5),
          rule::PushSum(0.2),
          rule::Sgp(),
          rule::Sgp(gossamer::topology::NPeerExponential(1), 2),
          rule::Sync(),
          rule::ElasticGossip(0.5),
          rule::LedgerGossip(),
          rule::DPsgd(),
          rule::ChocoSgd(),
          rule::NoLoCo(rule::NoLoCoOptions().tau(3)),
          rule::SlowMo(rule::None(), 3),
          rule::Easgd(rule::EasgdOptions().tau(3)),
          rule::Downpour(3)};
}

std::uint64_t differing_bits(const gossamer::model::Flat& a, const gossamer::model::Flat& b) {
  std::uint64_t count = 0;
  for (std::size_t s = 0; s < a.segments().size(); ++s) {
    const at::Tensor& one = a.segments()[s];
    count += std::memcmp(one.data_ptr(), b.segments()[s].data_ptr(), one.nbytes()) != 0 ? 1 : 0;
  }
  return count;
}

}  // namespace

TEST_CASE("A group whose payloads lie apart from its models does the same to the bit",
          "[node][staging]") {
  for (const AnyRule& one : rules()) {
    CAPTURE(one->name());
    const auto options =
        gossamer::SimulatedGroupOptions(4).node(gossamer::NodeOptions().seed(tests::seed));
    const auto record = std::make_shared<ApartRecord>();
    {
      gossamer::SimulatedGroup<Node> here(options, one, nodes(nullptr));
      gossamer::SimulatedGroup<Node> there(options, one, nodes(record));
      here.run_until(StopCondition().steps(40));
      there.run_until(StopCondition().steps(40));
      CHECK(there.totals().messages_sent == here.totals().messages_sent);
      CHECK(there.totals().messages_merged == here.totals().messages_merged);
      const auto expected = here.replicas();
      const auto found = there.replicas();
      REQUIRE(found.size() == expected.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        CHECK(found[i].weight == expected[i].weight);
        CHECK(differing_bits(found[i].model->flat(), expected[i].model->flat()) == 0);
      }
    }
    CHECK(record->astray == 0);
    const bool in_code = one->name() == "ledger_gossip";  // from models that are known to be equal
    CHECK((record->carried > 0) == !in_code);
    CHECK((record->staged > 0) == !in_code);
  }
}

TEST_CASE("Each push is staged once as it goes and once as it is merged", "[node][staging]") {
  const auto record = std::make_shared<ApartRecord>();
  std::uint64_t pushes = 0;
  {
    gossamer::SimulatedGroup<Node> group(
        gossamer::SimulatedGroupOptions(3).node(gossamer::NodeOptions().seed(tests::seed)),
        rule::GoSgd(0.5), nodes(record));
    group.run_until(StopCondition().steps(30));
    pushes = group.totals().messages_sent;
    CHECK(group.totals().messages_merged == pushes);
  }
  CHECK(pushes > 10);
  CHECK(record->carried == pushes);
  CHECK(record->staged == 2 * pushes * record->model);
}

TEST_CASE("Threads exchange payloads that lie apart", "[node][staging][threads]") {
  for (const AnyRule& one : {AnyRule(rule::GoSgd(0.5)), AnyRule(rule::ElasticGossip(0.5))}) {
    CAPTURE(one->name());
    const auto record = std::make_shared<ApartRecord>();
    gossamer::ThreadGroup<Node> group(gossamer::GroupOptions(3), one, nodes(record));
    group.run(StopCondition().steps(60));
    double weight = 0;
    for (const auto& member : group.replicas()) weight += member.weight;
    CHECK(std::abs(weight - 1) < tests::weight_tolerance);
    CHECK(record->astray == 0);
    CHECK(record->carried > 0);
  }
}

namespace {

/// Two nodes over TCP that average their gradients for so many steps; what they have then. With a
/// record, a node's payloads lie apart.
std::vector<gossamer::model::Flat> average_over_tcp(
    const std::array<std::shared_ptr<ApartRecord>, 2>& records) {
  using namespace tests::tcp;
  Tcp zero(options_of(0).world_size(2));
  Tcp one(options_of(1).world_size(2).contacts({zero.address()}));
  REQUIRE(zero.gather(1, give_up));
  REQUIRE(one.gather(1, give_up));
  std::vector<std::unique_ptr<Node>> both;
  for (Tcp* end : {&zero, &one}) {
    Context context{std::move(*end), rule::Sync(), gossamer::NodeOptions().seed(tests::seed), 0.5};
    both.push_back(nodes(records[both.size()])(std::move(context)));
  }
  std::vector<gossamer::model::Flat> models(2);
  tests::side_by_side(2, [&](std::size_t i) {
    at::set_num_threads(1);
    both[i]->run(StopCondition().steps(20));
    models[i] = both[i]->parameters().flat().clone();
  });
  return models;
}

}  // namespace

TEST_CASE("Over TCP, too, payloads that lie apart give the same bits, at one node or at both",
          "[node][staging][tcp][threads]") {
  const auto here = average_over_tcp({nullptr, nullptr});
  CHECK(differing_bits(here[0], here[1]) == 0);
  CHECK(here[0].segments()[1][0].item<double>() != 0);
  for (const bool both : {false, true}) {
    const auto record = std::make_shared<ApartRecord>();
    const auto there = average_over_tcp({record, both ? record : nullptr});
    for (std::size_t i = 0; i < 2; ++i) CHECK(differing_bits(here[i], there[i]) == 0);
    CHECK(record->astray == 0);
    CHECK(record->carried >= (both ? 40 : 20));
    CHECK(record->staged > 0);
  }
}
